"""What the colour head learns from: the colours of whole frames, and whether they are off.

Swatches are kept as pixels, so that other facts can be taken of them (training.beside).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqs_batch.analysis import facts
from aqs_batch.records import Artifact
from training.effect import effect
from training.features import Features, of_swatches
from training.parts import BARRED, barred, draw_whole, swatch_file
from training.recipe import COLOURS, draw_plan
from training.samples import presence_of, swatch_of
from training.sources import Library

AT_ONCE = 1000  # swatches in a file
FILES = {"main": range(14), "found": range(6), "patterns": range(1)}
# Chroma RMS, levels. A tile counts as recoloured from 8 on; over a whole frame, of which parts are
# grey as a rule, less than that is plain to see.
FLOOR = 5.0
ASKS = (AT_ONCE, FLOOR, BARRED)


def make(library: Any, data: str, number: int) -> dict[str, NDArray[Any]]:
    """One file of swatches."""
    return swatch_file(partial(make_swatch, library), f"train{data}{COLOURS.name}", number, AT_ONCE)


def make_swatch(library: Library, seed: list[int]) -> tuple[NDArray[np.uint8], int]:
    """A whole frame's swatch, uint8[64,64,3], and whether its colours are off (0, 1, -1 unknown).

    Deterministic by `seed`.
    """
    rng = np.random.default_rng(seed)
    whole = draw_whole(library, rng, COLOURS)
    plan = draw_plan(rng, COLOURS)
    steps = tuple(s for s in plan.steps if s[0].artifact is not Artifact.COLOR_SATURATION)
    with_it, without = (swatch_of(p, whole) for p in (plan, replace(plan, steps=steps)))
    size = effect(Artifact.COLOR_SATURATION, with_it[None], without[None])
    return barred(with_it, rng), presence_of(size, FLOOR)


def lesson(arrays: Any) -> tuple[list[Tensor], Tensor]:
    """Facts [N,COLOUR_FACTS] of a file's swatches, and their labels [N]."""
    whole = of_swatches(arrays["swatch"])
    return [whole[:, : facts.COLOUR_FACTS]], torch.from_numpy(arrays["label"])


def given(features: Features, rows: NDArray[np.int64]) -> list[Tensor]:
    """The same facts of whole samples."""
    return [features.whole[rows, : facts.COLOUR_FACTS].float()]
