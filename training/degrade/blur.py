"""Motion blur and defocus: what optics and shutters take away."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from aqs_batch.records import Artifact
from training.degrade.generator import (
    Clip,
    Floats,
    Frames,
    Rng,
    between,
    each,
    gaussian_blur,
    generator,
)


def _filtered(clip: Clip, kernel: Floats) -> Clip:
    kernel = kernel / kernel.sum()  # gain kept: no change of brightness

    def convolve(frame: Frames) -> Floats:
        return cv2.filter2D(frame.astype(np.float32), -1, kernel, borderType=cv2.BORDER_REFLECT_101)

    return each(clip, convolve)


def _path_kernel(points: NDArray[np.float64]) -> Floats:
    """A kernel that is the (anti-aliased) path through `points`, in pixels around its centre."""
    reach = int(np.ceil(np.abs(points).max())) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    corner = np.floor(points).astype(int)
    part = points - corner
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = np.abs(1 - dy - part[:, 1]) * np.abs(1 - dx - part[:, 0])
        np.add.at(kernel, (corner[:, 1] + dy + reach, corner[:, 0] + dx + reach), weight)
    return kernel


@generator(Artifact.MOTION_BLUR)
def _linear_motion(clip: Clip, strength: float, rng: Rng) -> Clip:
    angle, length = rng.uniform(0, np.pi), between(5, 32, strength)
    along = np.linspace(-0.5, 0.5, 65)[:, None] * length
    return _filtered(clip, _path_kernel(along * np.array([[np.cos(angle), np.sin(angle)]])))


@generator(Artifact.MOTION_BLUR)
def _long_exposure(clip: Clip, strength: float, rng: Rng) -> Clip:
    """The real motion, integrated while the shutter is open; a still scene stays as it is.

    A burst of real frames has no in-between moments, so there the motion is a camera shake along
    one direction that changes a little from frame to frame.
    """
    if clip.scene is not None and clip.scene.continuous:
        open_for = between(1.0, 5.0, strength)
        moments = np.linspace(-0.5, 0.5, 17) * open_for
        return clip.replaced(
            np.stack(
                [
                    clip.scene.sequence([t + m for m in moments]).mean(0, dtype=np.float32)
                    for t in clip.times
                ]
            )
        )
    angle, length = rng.uniform(0, np.pi), between(5, 28, strength)
    out = []
    for frame in clip.frames:
        here = angle + rng.normal(0, 0.15)
        along = np.linspace(-0.5, 0.5, 65)[:, None] * length * rng.uniform(0.75, 1.25)
        kernel = _path_kernel(along * np.array([[np.cos(here), np.sin(here)]]))
        out.append(_filtered(Clip(frame[None]), kernel).frames[0])
    return clip.replaced(np.stack(out))


@generator(Artifact.MOTION_BLUR, held_out=True)
def _hand_shake(clip: Clip, strength: float, rng: Rng) -> Clip:
    steps = np.cumsum(rng.normal(0, 0.25, (64, 2)) + rng.normal(0, 1, (1, 2)), axis=0)
    steps -= steps.mean(0)
    steps *= between(5, 28, strength) / np.ptp(steps, axis=0).max()
    return _filtered(clip, _path_kernel(steps))


@generator(Artifact.DEFOCUS_BLUR)
def _disc(clip: Clip, strength: float, rng: Rng) -> Clip:
    radius = between(1.3, 8, strength)
    axis = np.arange(-np.ceil(radius) - 1, np.ceil(radius) + 2)
    distance = np.hypot(axis[:, None], axis[None, :])
    return _filtered(clip, np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32))


@generator(Artifact.DEFOCUS_BLUR)
def _gaussian_lens(clip: Clip, strength: float, rng: Rng) -> Clip:
    return clip.replaced(gaussian_blur(clip.frames, between(1.0, 5.0, strength)))


@generator(Artifact.DEFOCUS_BLUR)
def _box(clip: Clip, strength: float, rng: Rng) -> Clip:
    """A square average, once or twice: cheap software blur."""
    size, times = round(between(2, 11, strength)), int(rng.integers(1, 3))

    def blur(frame: Frames) -> Floats:
        soft = frame.astype(np.float32)
        for _ in range(times):
            soft = cv2.blur(soft, (size, size), borderType=cv2.BORDER_REFLECT_101)
        return soft

    return each(clip, blur)


@generator(Artifact.DEFOCUS_BLUR)
def _soft_upscale(clip: Clip, strength: float, rng: Rng) -> Clip:
    factor = between(0.5, 0.16, strength)
    up = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR

    def resize(frame: Frames) -> Frames:
        small = cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        return cv2.resize(small, frame.shape[1::-1], interpolation=up)

    return each(clip, resize)


@generator(Artifact.DEFOCUS_BLUR, held_out=True)
def _hexagon(clip: Clip, strength: float, rng: Rng) -> Clip:
    radius = between(1.6, 8.5, strength)
    axis = np.arange(-np.ceil(radius) - 1, np.ceil(radius) + 2)
    turn = rng.uniform(0, np.pi)
    edge = np.full((len(axis), len(axis)), -np.inf)
    for side in range(6):
        a = turn + side * np.pi / 3
        edge = np.maximum(edge, axis[None, :] * np.cos(a) + axis[:, None] * np.sin(a))
    return _filtered(clip, np.clip(radius * 0.9 + 0.5 - edge, 0, 1).astype(np.float32))
