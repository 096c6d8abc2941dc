"""Batched inference: tiles in, scores out, on the backend that is there."""

from __future__ import annotations

import warnings
from collections.abc import Sequence as Rows
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from aqs_batch.analysis.checkpoint import Checkpoint, ModelCard, load_model
from aqs_batch.analysis.tiles import Tile
from aqs_batch.analysis.transform import transform
from aqs_batch.errors import SettingsError
from aqs_batch.records import TileScores

Floats = NDArray[np.float32]


class Backend(Protocol):
    """Something that runs the network: uint8[B,7,224,224,3] -> quality [B], presence, intensity."""

    name: str
    device: str

    def run(self, tiles: NDArray[np.uint8]) -> tuple[Floats, Floats, Floats]: ...


class TorchBackend:
    """PyTorch, eager, channels-last, fp32: the same file gives the same numbers."""

    name = "torch"

    def __init__(self, checkpoint: Checkpoint, device: str) -> None:
        self.device = device
        model = load_model(checkpoint)
        self._model = model.to(device=device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(self, tiles: NDArray[np.uint8]) -> tuple[Floats, Floats, Floats]:
        logits = self._model(transform(tiles, self.device))
        quality, presence, intensity = (t.float().cpu().numpy() for t in logits)
        return quality, presence, intensity


class OpenVinoBackend:
    """OpenVINO on the CPU, in fp32 unless `precision` says bf16."""

    name = "openvino"
    device = "cpu"

    def __init__(self, checkpoint: Checkpoint, precision: str = "f32") -> None:
        import openvino as ov

        card = checkpoint.card
        example = torch.zeros(1, card.frames, 3, card.tile_px, card.tile_px)
        with warnings.catch_warnings():
            # Tracing remarks that constants are constants, and that it will be deprecated.
            warnings.simplefilter("ignore")
            model = ov.convert_model(load_model(checkpoint), example_input=example)
        model.reshape([-1, card.frames, 3, card.tile_px, card.tile_px])
        config = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "THROUGHPUT"}
        self._compiled: Any = ov.Core().compile_model(model, "CPU", config)

    def run(self, tiles: NDArray[np.uint8]) -> tuple[Floats, Floats, Floats]:
        given = np.ascontiguousarray(transform(tiles).numpy())
        quality, presence, intensity = self._compiled(given).values()
        return quality, presence, intensity


def choose_backend(checkpoint: Checkpoint, backend: str, device: str) -> Backend:
    """The backend named, or for "auto" CUDA where there is one, else OpenVINO on the CPU.

    Raises SettingsError when the device named is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() and backend != "openvino" else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SettingsError("device cuda is not available", hint="Use --device cpu or auto.")
    if backend == "torch" or (backend == "auto" and device != "cpu"):
        return TorchBackend(checkpoint, device)
    if device != "cpu":
        raise SettingsError(
            f"the openvino backend runs on the CPU, not on {device}",
            hint="Use --backend torch, or --device cpu.",
        )
    return OpenVinoBackend(checkpoint)


@dataclass(frozen=True)
class Engine:
    """A backend with the card that says how to read it."""

    backend: Backend
    card: ModelCard
    batch: int

    def score(self, tiles: Rows[Tile]) -> list[TileScores]:
        """Score tiles of any number of sequences, `batch` at a time; order is kept."""
        scores: list[TileScores] = []
        for first in range(0, len(tiles), self.batch):
            part = tiles[first : first + self.batch]
            outputs = self.backend.run(np.stack([t.pixels for t in part]))
            scores += self._read(part, *outputs)
        return scores

    def _read(
        self, tiles: Rows[Tile], quality: Floats, presence: Floats, intensity: Floats
    ) -> list[TileScores]:
        calibrated = presence / np.array(self.card.temperature) + np.array(self.card.offset)
        probability, strength, value = (_sigmoid(a) for a in (calibrated, intensity, quality))
        return [
            TileScores(
                x=tile.x,
                y=tile.y,
                quality=float(value[row]),
                probability=tuple(probability[row].tolist()),
                intensity=tuple(strength[row].tolist()),
            )
            for row, tile in enumerate(tiles)
        ]


def _sigmoid(values: NDArray[Any]) -> Floats:
    # Rounded to float32, as the store keeps them: what is read back equals what was computed.
    exact = 1.0 / (1.0 + np.exp(-values.astype(np.float64)))
    return exact.astype(np.float32)
