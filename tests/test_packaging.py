"""What a packager gets is what is here: the sdist had lacked half of the tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = (".*", "__pycache__", "cache", "runs")
BUILD = "from setuptools import build_meta; print(build_meta.build_sdist('dist'))"


def test_the_sdist_holds_everything_that_the_tests_need(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77")
    source = tmp_path / "source"
    source.mkdir()
    for name in ("aqs_batch", "bench", "docs", "tests", "training"):
        ignored = shutil.ignore_patterns(*SCRATCH)
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for file in ROOT.iterdir():
        if file.is_file() and not file.name.startswith("."):
            shutil.copy(file, source)
    here = {p.relative_to(source).as_posix() for p in source.rglob("*") if p.is_file()}
    done = subprocess.run(
        [sys.executable, "-c", BUILD], cwd=source, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (archive,) = (source / "dist").iterdir()
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert not here - names
