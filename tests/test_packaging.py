"""What a packager gets is what is here: the sdist had lacked half of the tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = (".*", "__pycache__", "cache", "runs")
BUILD = "from setuptools import build_meta; build_meta.build_{}('dist')"


def build(what: str, source: Path) -> Path:
    """The archive that setuptools makes of a copy of the checkout."""
    pytest.importorskip("setuptools", minversion="77")
    done = subprocess.run(
        [sys.executable, "-c", BUILD.format(what)],
        cwd=source, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (archive,) = (source / "dist").iterdir()
    return archive


def test_a_wheel_has_nothing_of_an_earlier_build(tmp_path: Path) -> None:
    """`pip install .` leaves its copies in build/: what was deleted since had been installed."""
    for file in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, tmp_path)
    for file in ("aqs_batch/__init__.py", "build/lib/aqs_batch/deleted.py"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    names = zipfile.ZipFile(build("wheel", tmp_path)).namelist()
    assert "aqs_batch/__init__.py" in names
    assert "aqs_batch/deleted.py" not in names


def test_the_sdist_holds_everything_that_the_tests_need(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("aqs_batch", "bench", "docs", "tests", "training"):
        ignored = shutil.ignore_patterns(*SCRATCH)
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for file in ROOT.iterdir():
        if file.is_file() and not file.name.startswith("."):
            shutil.copy(file, source)
    here = {p.relative_to(source).as_posix() for p in source.rglob("*") if p.is_file()}
    archive = build("sdist", source)
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert not here - names
