"""Checkpoints: what is refused, and what the shipped one carries."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from aqs_batch.analysis.checkpoint import inspect, load_model, shipped_path
from aqs_batch.analysis.engine import OpenVinoBackend, TorchBackend
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
    assert shipped_path().stat().st_size < 12_000_000


def test_backends_agree_whatever_the_batch() -> None:
    checkpoint = inspect(shipped_path())
    rng = np.random.default_rng(1)
    base = rng.integers(0, 256, (3, 1, 28, 28, 3), dtype=np.uint8)
    tiles = base.repeat(7, axis=1).repeat(8, axis=2).repeat(8, axis=3)
    noise = rng.integers(0, 24, tiles.shape, dtype=np.uint8)
    tiles = np.clip(tiles.astype(np.int16) + noise, 0, 255).astype(np.uint8)
    torch_backend = TorchBackend(checkpoint, "cpu")
    reference = torch_backend.run(tiles)
    again = torch_backend.run(tiles)
    for one, two in zip(reference, again, strict=True):
        assert np.array_equal(one, two)
    for outputs in (
        OpenVinoBackend(checkpoint).run(tiles),
        [np.concatenate(parts) for parts in zip(
            *(torch_backend.run(tiles[n : n + 1]) for n in range(3)), strict=True
        )],
    ):  # fmt: skip
        for mine, theirs in zip(outputs, reference, strict=True):
            gap = np.abs(1 / (1 + np.exp(-mine)) - 1 / (1 + np.exp(-theirs)))
            assert gap.max() < 0.01
