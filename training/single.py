"""One artifact at a time on clean test tiles: does AQS fall, as it must?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqs_batch.analysis.tiles import Tile
from aqs_batch.records import FRAMES_PER_SEQUENCE, TILE_PX, Artifact
from training.codec import chroma_subsampled
from training.degrade import Clip, generators
from training.effect import SCALES, effect
from training.recipe import Plan
from training.samples import swatch_of
from training.sources import Library, Scene

TARGET = 7 / 9  # of the way from just visible to full strength
NEAR_ENOUGH = 2 / 9
TILES = 12
_STRENGTHS = np.linspace(0.1, 1.0, 7)

Score = Callable[[list[Tile]], NDArray[np.float64]]


def worsened(library: Library, score: Score) -> dict[str, dict[str, Any]]:
    """For each artifact: over how many clean tiles AQS falls when it is added, and by how much.

    The strength is chosen so that the measured effect is nearest to seven ninths of the way from
    just visible to full strength; tiles on which the artifact cannot be seen at all (banding on
    texture, judder on a still) are not counted.
    """
    table = {}
    for artifact in Artifact:
        pairs = [
            pair
            for number in range(TILES)
            if (pair := _pair(library, artifact, number)) is not None
        ]
        clean = score([a for a, _ in pairs])
        damaged = score([b for _, b in pairs])
        change = damaged - clean
        table[artifact.value] = {
            "tiles": len(pairs),
            "share_lower": float((change < 0).mean()),
            "median_change": float(np.median(change)),
        }
        print(f"{artifact.value}: {len(pairs)} pairs of tiles", flush=True)
    return table


def _pair(library: Library, artifact: Artifact, number: int) -> tuple[Tile, Tile] | None:
    """A clean tile and the same with the artifact; None where it cannot be made visible."""
    options = generators(artifact)
    generator = options[number % len(options)]
    for attempt in range(8):
        rng = np.random.default_rng([5, number, attempt])
        scene: Scene = library.draw(rng)
        times = [float(t) for t in range(FRAMES_PER_SEQUENCE)]
        clean = Clip(scene.sequence(times), scene, tuple(times))
        best: tuple[float, NDArray[np.uint8], float] | None = None
        for strength in _STRENGTHS:
            worse = generator.apply(clean, float(strength), np.random.default_rng(number))
            size = effect(artifact, worse.frames, clean.frames, pitch=worse.pitch)
            off = abs(SCALES[artifact].part(size) - TARGET)
            if size >= SCALES[artifact].floor and (best is None or off < best[0]):
                best = off, worse.frames, float(strength)
        if best is not None and best[0] < NEAR_ENOUGH and min(clean.frames.shape[1:3]) >= TILE_PX:
            whole, step = scene.whole(times[3]), (generator, best[2], number)
            return (
                _tile(clean.frames, swatch_of(Plan(), whole)),
                _tile(best[1], swatch_of(Plan(steps=(step,)), whole)),
            )
    return None


def _tile(frames: NDArray[np.uint8], swatch: NDArray[np.uint8]) -> Tile:
    cut = chroma_subsampled(frames)[:, :TILE_PX, :TILE_PX]
    return Tile(np.ascontiguousarray(cut), swatch, x=0.5, y=0.5)
