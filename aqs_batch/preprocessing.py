"""The shipped preprocess filter, ready to be put between a decoder and an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aqs_batch.analysis import checkpoint

if TYPE_CHECKING:
    from aqs_batch.encode.filtered import LumaFilter
    from aqs_batch.encode.raw_frames import Luma

SHIPPED = "preprocess.safetensors"


def shipped() -> checkpoint.Checkpoint:
    """The filter's checkpoint; raises CheckpointError when it is missing or damaged."""
    return checkpoint.inspect(checkpoint.shipped_path().with_name(SHIPPED))


def luma_filter(crf: float, strength: float = 1.0, weights: Path | None = None) -> LumaFilter:
    """The filter for one CRF as `encode.filtered` takes it; `weights` None: the shipped ones.

    Raises CheckpointError when the weights are not this version's.
    """
    from aqs_batch.encode.preprocess import ARCHITECTURE, FrameFilter

    found = shipped() if weights is None else checkpoint.inspect(weights)
    frames = FrameFilter(checkpoint.load_tensors(found, ARCHITECTURE))

    def apply(window: Sequence[Luma], bit_depth: int) -> Luma:
        return frames(window, crf, strength, bit_depth)

    return apply
