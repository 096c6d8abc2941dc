"""What an artifact visibly did: one measured number each, its floor, and the intensity it means.

`effect(artifact, with_it, without_it)` compares the same sequence with and without one artifact.
Below half its floor nothing visible changed (label 0); between that and the floor the eye would
argue (not labelled); above, the artifact is present, with an intensity that rises with the effect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aqs_batch.records import Artifact

Frames = NDArray[np.uint8]
Floats = NDArray[np.float32]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Scale:
    """From effect to intensity, which is the share of quality that such an artifact takes away.

    `floor` is just visible and takes away `mild`; `full` and beyond take away `heavy`; between them
    the share grows by equal factors. One unit for all ten: an intensity of 0.2 costs as much
    whether it is noise or blur.
    """

    unit: str
    floor: float
    full: float
    mild: float
    heavy: float
    logarithmic: bool = True

    @property
    def span(self) -> float:
        """How far apart `mild` and `heavy` are, in logarithms."""
        return math.log(self.heavy / self.mild)

    def part(self, effect: float) -> float:
        """How far an effect is from just visible (0) to full strength (1, and no further)."""
        if self.logarithmic:
            part = np.log(max(effect, 1e-6) / self.floor) / np.log(self.full / self.floor)
        else:
            part = (effect - self.floor) / (self.full - self.floor)
        return min(float(part), 1.0)

    def intensity(self, effect: float) -> float:
        """Monotone map of the effect to 0-1: `mild` at the floor, `heavy` at `full` and beyond."""
        return float(self.mild * (self.heavy / self.mild) ** self.part(effect))


# What an artifact at its floor and at full strength takes away: medians of training samples that
# have it alone, `python -m training.cost` (docs/decisions/019).
SCALES = {
    Artifact.BLOCKING: Scale(
        "luma step across block edges beyond the inside, levels", 0.5, 8, 0.2, 0.4
    ),
    Artifact.RINGING: Scale("luma RMS change, levels", 2.0, 16, 0.065, 0.3),
    Artifact.GHOSTING: Scale("luma RMS change, levels", 3.0, 25, 0.23, 1.0),
    Artifact.JUDDER: Scale("luma RMS change, levels", 2.0, 30, 0.08, 0.9),
    Artifact.GAUSSIAN_NOISE: Scale("RGB RMS change, levels", 2.5, 32, 0.035, 0.5),
    Artifact.IMPULSE_NOISE: Scale(
        "share of pixels off by more than 30 levels", 0.0008, 0.1, 0.035, 0.42
    ),
    Artifact.MOTION_BLUR: Scale(
        "share of luma gradient lost", 0.15, 0.9, 0.45, 1.0, logarithmic=False
    ),
    Artifact.DEFOCUS_BLUR: Scale(
        "share of luma gradient lost", 0.15, 0.9, 0.37, 1.0, logarithmic=False
    ),
    Artifact.COLOR_BANDING: Scale(
        "RMS change where the picture is smooth, levels", 1.2, 9, 0.045, 0.22
    ),
    Artifact.COLOR_SATURATION: Scale("chroma RMS change, levels", 8.0, 50, 0.19, 1.0),
}


def luma(frames: Frames) -> Floats:
    """BT.601 luma of uint8[...,3], float 0-255."""
    return frames.astype(np.float32) @ _LUMA


def chroma(frames: Frames) -> Floats:
    """Cb and Cr (unshifted) of uint8[...,3]: float[...,2]."""
    y = luma(frames)
    blue = (frames[..., 2] - y) * np.float32(0.564)
    red = (frames[..., 0] - y) * np.float32(0.713)
    return np.stack([blue, red], axis=-1)


def rms(difference: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(difference, dtype=np.float32))))


def effect(
    artifact: Artifact,
    with_it: Frames,
    without_it: Frames,
    *,
    pitch: int = 0,
    origin: tuple[int, int] = (0, 0),
) -> float:
    """The visible effect of `artifact`, in the unit of its Scale; 0 when nothing changed.

    `pitch` is the block grid in pixels and `origin` the tile's (y, x) on it; blocking only.
    """
    if artifact is Artifact.BLOCKING:
        return blocking_gain(with_it, without_it, pitch, origin)
    if artifact is Artifact.GAUSSIAN_NOISE:
        return rms(with_it.astype(np.float32) - without_it)
    if artifact is Artifact.IMPULSE_NOISE:
        change = np.abs(with_it.astype(np.int16) - without_it).max(-1)
        return float((change > 30).mean())
    if artifact in (Artifact.MOTION_BLUR, Artifact.DEFOCUS_BLUR):
        return _sharpness_lost(with_it, without_it)
    if artifact is Artifact.COLOR_BANDING:
        return _smooth_change(with_it, without_it)
    if artifact is Artifact.COLOR_SATURATION:
        return rms(chroma(with_it) - chroma(without_it))
    return rms(luma(with_it) - luma(without_it))


def blocking_gain(
    with_it: Frames, without_it: Frames, pitch: int, origin: tuple[int, int]
) -> float:
    """How much higher the steps at block edges became, on the grid or on every second line of it.

    At low rates encoders merge blocks, and only the coarser grid is left to be seen.
    """
    return max(
        0.0,
        *(
            blockiness(with_it, grid, origin) - blockiness(without_it, grid, origin)
            for grid in (pitch, 2 * pitch)
        ),
    )


def blockiness(frames: Frames, pitch: int, origin: tuple[int, int]) -> float:
    """Mean luma step across block edges less the mean step two pixels to each side of them."""
    if pitch < 4:
        return 0.0
    y = luma(frames)
    total = 0.0
    for axis, offset in ((1, origin[0]), (2, origin[1])):
        step = np.abs(np.diff(y, axis=axis)).mean(axis=(0, 3 - axis))
        place = (np.arange(len(step)) + 1 + offset) % pitch
        inside = np.isin(place, (2, pitch - 2)) if pitch > 4 else place == 2
        total += float(step[place == 0].mean() - step[inside].mean()) / 2
    return total


def _sharpness_lost(with_it: Frames, without_it: Frames) -> float:
    y_with, y_without = luma(with_it), luma(without_it)
    if rms(y_with - y_without) < 1.5:
        return 0.0  # nothing there to blur
    lost = 1 - _gradient(y_with) / max(_gradient(y_without), 1e-3)
    return max(lost, 0.0)


def _gradient(y: Floats) -> float:
    return float(np.abs(np.diff(y, axis=1)).mean() + np.abs(np.diff(y, axis=2)).mean())


def _smooth_change(with_it: Frames, without_it: Frames) -> float:
    """RMS change over smooth but not flat places, less where they are few."""
    kernel = np.ones((9, 9), np.uint8)
    total, share = 0.0, 0.0
    middle = range(0, len(with_it), 3)
    for t in middle:
        y = luma(without_it[t]).astype(np.uint8)
        reach = cv2.dilate(y, kernel).astype(np.int16) - cv2.erode(y, kernel)
        smooth = (reach > 0) & (reach <= 14)
        share += float(smooth.mean()) / len(middle)
        if smooth.any():
            change = with_it[t][smooth].astype(np.float32) - without_it[t][smooth]
            change -= change.mean(0)  # a level shift is not a band
            total += rms(change) / len(middle)
    return total * min(1.0, share / 0.15)
