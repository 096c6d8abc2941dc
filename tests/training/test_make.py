"""What `make` asks before a training begins."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

import training.preprocess.ship
import training.version
from aqs_batch.analysis.checkpoint import ModelCard, save
from aqs_batch.errors import CheckpointError

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
    assert told.stdout.index("training.version '1'") < told.stdout.index("training.dataset")


@pytest.mark.parametrize(
    ("version", "taken"),
    [("0.14.0", True), ("0.9.3", True), ("0.14", True), ("0.14.1", False), ("mine", False)],
)
def test_a_version_that_is_taken_is_refused_before_samples_are_made(
    version: str, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two checkpoints of one version had shipped, and results could not tell them apart."""
    save(tmp_path / "shipped.safetensors", {}, ModelCard("aqs-b0", "0.14.0", "", ""))
    monkeypatch.setattr(training.version, "shipped_path", lambda: tmp_path / "shipped.safetensors")
    monkeypatch.setattr("sys.argv", ["version", version])
    with (
        pytest.raises(CheckpointError, match=r"is taken: aqs-b0 0\.14\.0")
        if taken
        else nullcontext()
    ):
        training.version.main()


@pytest.mark.parametrize("kind", ["missing", "pickle", "filter"])
def test_what_is_nothing_to_go_on_with_is_refused_before_samples_are_made(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name mistyped in FROM had been found after the hours that samples take."""
    parent = tmp_path / "parent.safetensors"
    if kind == "pickle":
        torch.save({}, parent)
    elif kind == "filter":
        parent = ROOT / "aqs_batch/weights/preprocess.safetensors"
    monkeypatch.setattr("sys.argv", ["version", "mine", "--from", str(parent)])
    with pytest.raises(CheckpointError, match=f"FROM={parent} is nothing to go on with"):
        training.version.main()


@pytest.mark.skipif(not shutil.which("make"), reason="no make here")
@pytest.mark.parametrize("target", ["jury", "further", "beside", "thresholds"])
def test_what_a_training_goes_on_with_is_looked_at_first(target: str) -> None:
    argv = ["make", "--dry-run", "VENV=none", target, "VERSION=1", "FROM=a.safetensors"]
    said = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60).stdout
    goes_on = target != "jury"
    assert ("training.version '1' --from 'a.safetensors'" in said) == goes_on


def test_a_filters_version_that_is_taken_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two filters of one version had shipped, and results could not tell them apart."""
    shipped = tmp_path / "shipped.safetensors"
    save(shipped, {}, ModelCard("aqs-preprocess", "0.1.0", "", ""))
    monkeypatch.setattr("sys.argv", ["ship", "--out", str(shipped), "--version", "0.1.0"])
    with pytest.raises(CheckpointError, match=r"is taken: aqs-preprocess 0\.1\.0"):
        training.preprocess.ship.main()


@pytest.mark.skipif(not shutil.which("make"), reason="no make here")
def test_a_rehearsal_of_the_folds_may_be_small() -> None:
    """Half of them were 320 samples whatever was said."""
    argv = ["make", "--dry-run", "VENV=none", "folds", "CHECK_SAMPLES=64", "FOLD_SAMPLES=64"]
    said = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60).stdout
    assert said.count("--samples 64") == said.count("--samples") == 4
