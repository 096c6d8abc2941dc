"""What `make` asks before a training begins."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not shutil.which("make"), reason="no make here")
@pytest.mark.parametrize("target", ["train", "jury", "further", "beside"])
def test_a_version_is_asked_for_before_samples_are_made(target: str) -> None:
    argv = ["make", "--dry-run", "VENV=none", target]
    asked = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert asked.returncode == 2 and "say VERSION=" in asked.stderr
    assert "training" not in asked.stdout
    told = subprocess.run(
        [*argv, "VERSION=1"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (
        told.returncode == 0
        and "training.ship --run training/runs/heads --version 1" in told.stdout
    )
