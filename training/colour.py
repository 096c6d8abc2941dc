"""What the colour head learns from: the colours of whole frames, and whether they are off.

Swatches are kept as pixels, so that other facts can be taken of them (training.beside).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqs_batch.analysis import facts
from aqs_batch.analysis.transform import transform
from training.features import Features
from training.parts import make_swatch
from training.recipe import COLOURS

AT_ONCE = 500  # swatches in a file
FILES = {"main": range(12), "found": range(5), "patterns": range(1)}


def make(library: Any, data: str, number: int) -> dict[str, NDArray[Any]]:
    """One file of swatches."""
    letters = [ord(c) for c in f"train{data}{COLOURS.name}"]
    indices = range(number * AT_ONCE, (number + 1) * AT_ONCE)
    made = [make_swatch(library, [*letters, index], COLOURS) for index in indices]
    pixels, labels = (np.array(column) for column in zip(*made, strict=True))
    return {"swatch": pixels, "label": labels.astype(np.int8)}


def lesson(arrays: Any) -> tuple[list[Tensor], Tensor]:
    """Facts [N,SWATCH_FACTS] of a file's swatches, and their labels [N]."""
    pixels = torch.from_numpy(arrays["swatch"][:, None])
    return [facts.of_swatches(transform(pixels))], torch.from_numpy(arrays["label"])


def given(features: Features, rows: NDArray[np.int64]) -> list[Tensor]:
    """The same facts of whole samples."""
    return [features.whole[rows].float()]
