"""Checkpoints: what is refused, and what the shipped one carries."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from aqs_batch.analysis.checkpoint import CARD_KEY, inspect, load_model, shipped_path
from aqs_batch.errors import CheckpointError
from aqs_batch.records import Artifact


def test_a_missing_checkpoint_is_an_error_not_an_untrained_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nothing is scored"):
        inspect(tmp_path / "none.safetensors")


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, pickle.dumps({"weights": 1})])
def test_what_is_not_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(content)
    with pytest.raises(CheckpointError):
        inspect(file)


def test_a_card_that_says_more_than_this_version_reads_is_of_a_newer_one(tmp_path: Path) -> None:
    """It was "not an aqs-batch checkpoint: __init__() got an unexpected keyword argument"."""
    card = {**asdict(inspect(shipped_path()).card), "blend": 0.5}
    file = tmp_path / "newer.safetensors"
    save_file({"w": torch.zeros(1)}, file, metadata={CARD_KEY: json.dumps(card)})
    with pytest.raises(CheckpointError, match="is of a newer aqs-batch: its model card has blend"):
        inspect(file)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "cut.safetensors"
    file.write_bytes(shipped_path().read_bytes()[:-1000])
    with pytest.raises(CheckpointError):
        load_model(inspect(file))


def test_the_shipped_checkpoint_names_itself_and_is_small() -> None:
    checkpoint = inspect(shipped_path())
    assert checkpoint.card.artifacts == tuple(a.value for a in Artifact)
    assert checkpoint.label.startswith("aqs-b0 ")
    assert checkpoint.card.metrics["validation"]
    assert shipped_path().stat().st_size < 20_000_000
