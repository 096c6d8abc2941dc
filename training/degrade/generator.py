"""What a generator is: a pure function of (clip, strength 0-1, random generator), and the list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aqs_batch.records import Artifact
from training.sources import Scene

Frames = NDArray[np.uint8]
Floats = NDArray[np.float32]
Rng = np.random.Generator

PAST = 8  # frames: how far back the longest of the ghosts reaches


@dataclass(frozen=True)
class Clip:
    """A sequence on its way through the chain: frames, and the scene and times they come from.

    `pitch` is the block grid that a blocking generator left (0: none), for measuring its effect.
    `before` are the frames just ahead of these, as the chain has left them, where it has been run.
    """

    frames: Frames
    scene: Scene | None = None
    times: tuple[float, ...] = field(default_factory=tuple)
    pitch: int = 0
    before: Frames | None = None

    def replaced(self, frames: NDArray[Any], pitch: int = 0) -> Clip:
        """Other frames, rounded to levels where they are none yet."""
        if frames.dtype != np.uint8:
            frames = np.clip(np.rint(frames), 0, 255).astype(np.uint8)
        return Clip(frames, self.scene, self.times, pitch or self.pitch)


def ahead(clip: Clip) -> Frames:
    """The PAST frames before a clip: as the chain left them, else from its scene, else mirrored."""
    if clip.before is not None:
        return clip.before
    if clip.scene is not None:
        return clip.scene.sequence(list(times_ahead(clip)))
    return clip.frames[[min(n, len(clip.frames) - 1) for n in range(PAST, 0, -1)]]


def times_ahead(clip: Clip) -> tuple[float, ...]:
    """When they were; nothing is ahead of a scene's beginning, so its first frame stands there."""
    return tuple(max(clip.times[0] - n, 0.0) for n in range(PAST, 0, -1))


Apply = Callable[[Clip, float, Rng], Clip]


@dataclass(frozen=True)
class Generator:
    """One physical way to make one artifact."""

    artifact: Artifact
    name: str
    apply: Apply
    held_out: bool = False
    also: tuple[Artifact, ...] = ()  # what it may cause besides: neither present nor absent
    later: int = 0  # how late it came; recipes draw what had come when they were written


GENERATORS: list[Generator] = []


def generator(
    artifact: Artifact, *also: Artifact, held_out: bool = False, later: int = 0
) -> Callable[[Apply], Apply]:
    def register(apply: Apply) -> Apply:
        name = apply.__name__.strip("_")
        GENERATORS.append(Generator(artifact, name, apply, held_out, also, later))
        return apply

    return register


def between(low: float, high: float, strength: float) -> float:
    """A parameter from mild (strength 0) to heavy (1), geometric where both ends are positive."""
    if low > 0 and high > 0:
        return float(low * (high / low) ** strength)
    return low + (high - low) * strength


def each(clip: Clip, function: Callable[[Frames], Floats | Frames], pitch: int = 0) -> Clip:
    return clip.replaced(np.stack([function(f) for f in clip.frames]), pitch)


def gaussian_blur(frames: Floats | Frames, sigma: float) -> Floats:
    """Gaussian blur of each frame, borders reflected."""
    return np.stack(
        [
            cv2.GaussianBlur(f.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
            for f in frames
        ]
    )


def generators(artifact: Artifact, *, held_out: bool = False, later: int = 0) -> list[Generator]:
    """The training generators of one artifact, or the ones held out for evaluation."""
    return [
        g
        for g in GENERATORS
        if g.artifact is artifact and g.held_out == held_out and g.later <= later
    ]
