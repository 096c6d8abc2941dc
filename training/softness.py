"""What the softness head learns from: whole frames, sharp or blurred beyond all measure.

Each is blurred as squeezed as it is kept, by widths that count in points of its swatch: what is
that wide is the same before squeezing and after.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqs_batch.analysis import facts
from aqs_batch.records import SWATCH_PX, Artifact
from training.degrade import generators
from training.degrade.generator import between
from training.effect import luma, rms
from training.features import of_swatches
from training.parts import BARRED, barred, draw_whole, swatch_file
from training.recipe import COLOURS, Plan
from training.samples import ABSENT, PRESENT, presence_of, swatch_of
from training.sources import WHOLE_PX, Library

Frames = NDArray[np.uint8]
Floats = NDArray[np.float32]
Rng = np.random.Generator

AT_ONCE = 500  # swatches in a file
FILES = {"main": range(18), "found": range(7), "patterns": range(1)}
SHARP, NOISY, RAMPS = 0.5, 0.2, 0.04  # shares
FLOOR = 2.5  # RMS of luma that blur has to change, levels
WIDTHS, LENGTHS = (0.3, 3.0), (1.3, 9.0)  # of blur and of smear, in points
SHAPES = ((16 / 9, 0.65), (4 / 3, 0.2), (1.0, 0.07), (9 / 16, 0.08))  # of frames, with their shares
ASKS = (AT_ONCE, SHARP, NOISY, RAMPS, FLOOR, WIDTHS, LENGTHS, SHAPES, BARRED)
SQUARE = (WHOLE_PX, WHOLE_PX, 3)
REFLECT = cv2.BORDER_REFLECT_101


def make(library: Any, data: str, number: int) -> dict[str, NDArray[Any]]:
    """One file of swatches."""
    return swatch_file(partial(make_swatch, library), f"train{data}softness", number, AT_ONCE)


def make_swatch(library: Library, seed: list[int]) -> tuple[Frames, tuple[int, int]]:
    """A whole frame's swatch, uint8[64,64,3], and whether it is out of focus, and smeared (0, 1,
    both -1 where the eye would argue).

    By visible effect: who blurs a sky has done nothing. Deterministic by `seed`.
    """
    rng = np.random.default_rng(seed)
    sharp = _ramp(rng) if rng.random() < RAMPS else draw_whole(library, rng, COLOURS)
    if rng.random() < SHARP:
        return swatch_of(_noise(rng), barred(sharp, rng)), (ABSENT, ABSENT)
    shapes, shares = zip(*SHAPES, strict=True)
    shape = float(rng.choice(shapes, p=shares))
    # How many of the frame's squeezed pixels lie from point to point across, and as far down.
    across, down = sharp.shape[1] / SWATCH_PX, sharp.shape[0] / SWATCH_PX * shape
    smear = rng.random() < 0.3
    frame = (_smeared if smear else _defocused)(sharp, across, down, rng)
    swatch = swatch_of(_noise(rng), barred(frame, rng))
    found = presence_of(rms(luma(frame) - luma(sharp)), FLOOR)
    if found != PRESENT:
        return swatch, (found, found)
    return swatch, (ABSENT, PRESENT) if smear else (PRESENT, ABSENT)


def _ramp(rng: Rng) -> Frames:
    """Straight from colour to colour, across or down, as title cards are drawn; half of them fade
    from side to side as well, as charts of colour do.
    """
    down = cv2.resize(_stops(rng), (1, WHOLE_PX), interpolation=cv2.INTER_LINEAR)
    across = cv2.resize(_stops(rng), (1, WHOLE_PX), interpolation=cv2.INTER_LINEAR).swapaxes(0, 1)
    charted = down * across / 255 if rng.random() < 0.5 else np.broadcast_to(down, SQUARE)
    ramp = np.rint(charted).astype(np.uint8)
    return ramp if rng.random() < 0.5 else ramp.swapaxes(0, 1)


def _stops(rng: Rng) -> Floats:
    stops = rng.integers(0, 256, (int(rng.integers(2, 8)), 1, 3)).astype(np.float32)
    return stops if rng.random() < 0.5 else np.repeat(stops[..., :1], 3, axis=2)


def _noise(rng: Rng) -> Plan:
    """Now and then noise over it, as whoever blurs a film may add."""
    kinds = generators(Artifact.GAUSSIAN_NOISE)
    if rng.random() >= NOISY:
        return Plan()
    step = kinds[rng.integers(len(kinds))], float(rng.uniform(0, 0.6)), int(rng.integers(2**31))
    return Plan((step,))


def _defocused(frame: Frames, across: float, down: float, rng: Rng) -> Frames:
    width = between(*WIDTHS, rng.random())
    x, y = width * across, width * down  # standard deviations, or what comes near them
    match rng.choice(["gaussian", "box", "disc", "upscaled"], p=[0.42, 0.19, 0.18, 0.21]):
        case "gaussian":
            return cv2.GaussianBlur(frame, (0, 0), x, sigmaY=y, borderType=REFLECT)
        case "box":
            size, soft = (max(round(x * 2.4), 2), max(round(y * 2.4), 2)), frame
            for _ in range(int(rng.integers(1, 3))):
                soft = cv2.blur(soft, size, borderType=REFLECT)
            return soft
        case "disc":
            size = 2 * max(round(x * 1.8), 1) + 1, 2 * max(round(y * 1.8), 1) + 1
            disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size).astype(np.float32)
            return cv2.filter2D(frame, -1, disc / disc.sum(), borderType=REFLECT)
    high, wide = frame.shape[:2]
    few = max(round(wide / (3 * x)), 3), max(round(high / (3 * y)), 2)
    small = cv2.resize(frame, few, interpolation=cv2.INTER_AREA)
    up = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR
    return cv2.resize(small, (wide, high), interpolation=up)


def _smeared(frame: Frames, across: float, down: float, rng: Rng) -> Frames:
    length, angle = between(*LENGTHS, rng.random()), rng.uniform(0, np.pi)
    x, y = np.cos(angle) * length * across, np.sin(angle) * length * down
    reach = int(max(abs(x), abs(y)) / 2) + 2
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    along = np.linspace(-0.5, 0.5, 6 * reach)
    np.add.at(kernel, tuple(np.rint(reach + along * v).astype(int) for v in (y, x)), 1)
    return cv2.filter2D(frame, -1, kernel / kernel.sum(), borderType=REFLECT)


def lesson(arrays: Any) -> tuple[list[Tensor], Tensor]:
    """Facts [N,SOFTNESS_FACTS] of a file's swatches, and their labels [N,2]."""
    whole = of_swatches(arrays["swatch"])
    return [whole[:, facts.COLOUR_FACTS :]], torch.from_numpy(arrays["label"])
