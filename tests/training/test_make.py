"""What `make` asks before a training begins."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = "aqs_batch/weights/aqs-b0.safetensors"


@pytest.mark.skipif(not shutil.which("make"), reason="no make here")
@pytest.mark.parametrize("nothing", [[], ["VERSION="], ["VERSION= "]])
@pytest.mark.parametrize("target", ["train", "jury", "further", "beside", "thresholds"])
def test_a_version_is_asked_for_before_samples_are_made(target: str, nothing: list[str]) -> None:
    argv = ["make", "--dry-run", "VENV=none", target]
    asked = subprocess.run([*argv, *nothing], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert asked.returncode == 2 and "say VERSION=" in asked.stderr
    assert "training" not in asked.stdout
    told = subprocess.run(
        [*argv, "VERSION=1"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    shipped = SHIPPED if target == "thresholds" else "training/runs/heads/best_f1.safetensors"
    assert told.returncode == 0
    assert f"training.ship --checkpoint {shipped} --version '1'" in told.stdout


@pytest.mark.skipif(not shutil.which("make"), reason="no make here")
def test_a_rehearsal_of_the_folds_may_be_small() -> None:
    """Half of them were 320 samples whatever was said."""
    argv = ["make", "--dry-run", "VENV=none", "folds", "CHECK_SAMPLES=64", "FOLD_SAMPLES=64"]
    said = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60).stdout
    assert said.count("--samples 64") == said.count("--samples") == 4
