"""The network in PyTorch, eager, fp32: on CUDA, on Apple's GPU, or on the CPU."""

from __future__ import annotations

from collections.abc import Sequence as Rows

import numpy as np
import torch

from aqs_batch.analysis.checkpoint import Checkpoint, load_model
from aqs_batch.analysis.engine import Floats
from aqs_batch.analysis.tiles import Tile
from aqs_batch.analysis.transform import transform
from aqs_batch.errors import SettingsError
from aqs_batch.records import Pixels


class TorchBackend:
    """Runs tiles `batch` at a time on a GPU, one at a time on the CPU.

    The shape of a call never changes (the last one is filled up with black), so that a score does
    not depend on what else was in the batch. Raises SettingsError when the device is not there.
    """

    name = "torch"

    def __init__(self, checkpoint: Checkpoint, device: str, batch: int) -> None:
        if not is_there(device):
            raise SettingsError(f"device {device} is not available", hint="Use --device cpu.")
        self.device = device
        self._rows = 1 if device == "cpu" else batch
        model = load_model(checkpoint)
        self._model = model.to(device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(self, tiles: Rows[Tile]) -> tuple[Floats, Floats, Floats]:
        """Raw outputs: quality [B], presence [B,10], intensity [B,10]."""
        calls = []
        for first in range(0, len(tiles), self._rows):
            part = tiles[first : first + self._rows]
            pixels = self._moved([tile.pixels for tile in part])
            swatches = self._moved([tile.swatch[None] for tile in part])
            calls.append(self._model(pixels, swatches))
        outputs = (torch.cat(part)[: len(tiles)].float().cpu() for part in zip(*calls, strict=True))
        quality, presence, intensity = (part.numpy() for part in outputs)
        return quality, presence, intensity

    def _moved(self, rows: list[Pixels]) -> torch.Tensor:
        """Pixels where the model is, normalised, filled up to a call's rows: float[N,T,3,H,W]."""
        part = torch.from_numpy(np.stack(rows))
        if len(part) < self._rows:
            part = torch.cat([part, part.new_zeros(self._rows - len(part), *part.shape[1:])])
        if self.device.startswith("cuda"):
            part = part.pin_memory()  # so that the copy does not hold up what runs there
        return transform(part, self.device)


def is_there(device: str) -> bool:
    """Whether PyTorch can use "cpu", "mps", "cuda" or "cuda:N" here."""
    if device == "mps":
        return torch.backends.mps.is_available()
    if device.startswith("cuda"):
        number = int(device.partition(":")[2] or 0)
        return torch.cuda.is_available() and number < torch.cuda.device_count()
    return device == "cpu"
