"""What heads beside the jury learn from: parts of samples, with the label of one artifact each.

They are made as whole samples are (training.samples), for a fraction of the cost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqs_batch.records import FRAMES_PER_SEQUENCE, Artifact
from training.recipe import Recipe
from training.samples import (
    ABSENT,
    UNKNOWN,
    cut,
    degraded,
    draw_clip,
    draw_origin,
    draw_place,
    effect_at,
    verdict,
    with_and_without,
)
from training.sources import Library

Frames = NDArray[np.uint8]
Rng = np.random.Generator

BARRED = 0.06  # share of frames with black bars, before what is done to them and after it


def swatch_file(
    make: Callable[[list[int]], tuple[Frames, Any]], name: str, number: int, count: int
) -> dict[str, NDArray[Any]]:
    """File `number` of `count` swatches and labels each; `make` makes one from its seed."""
    letters = [ord(c) for c in name]
    made = [make([*letters, index]) for index in range(number * count, (number + 1) * count)]
    pixels, labels = (np.array(column) for column in zip(*made, strict=True))
    return {"swatch": pixels, "label": labels.astype(np.int8)}


def draw_whole(library: Library, rng: Rng, recipe: Recipe) -> Frames:
    """A whole frame, squeezed, as other cameras and lenses would have framed it: uint8[H,W,3]."""
    scene, start = draw_place(library, rng, recipe)
    whole = scene.whole(float(start + FRAMES_PER_SEQUENCE // 2))
    share, longer = (rng.uniform(0.45, 1) if rng.random() < 0.6 else 1.0), rng.uniform(0.8, 1.25)
    high, wide = (
        min(side, round(side * share * by))
        for side, by in zip(whole.shape, (1 / longer, longer), strict=False)
    )
    y, x = (
        int(rng.integers(0, n - m + 1)) for n, m in zip(whole.shape, (high, wide), strict=False)
    )
    return barred(whole[y : y + high, x : x + wide], rng)


def barred(frame: Frames, rng: Rng) -> Frames:
    """The frame, now and then with black bars above and below; of these some are turned."""
    if rng.random() >= BARRED:
        return frame
    out = frame.copy() if rng.random() < 0.7 else frame.swapaxes(0, 1).copy()
    bar = round(len(out) * rng.uniform(0.05, 0.2))
    out[:bar] = out[-bar:] = 0
    return out


def make_tiles(
    library: Library, seed: list[int], recipe: Recipe, artifact: Artifact, count: int
) -> tuple[Frames, list[int]]:
    """Some tiles of one scene, uint8[count,7,224,224,3], and whether each has `artifact` (0, 1, -1
    unknown).

    By the same visible effect and floor as a whole sample's, a fraction of its cost. Deterministic
    by `seed`.
    """
    rng = np.random.default_rng(seed)
    clean, plan = draw_clip(library, rng, recipe)
    origins = [draw_origin(rng, clean) for _ in range(count)]
    full, _ = degraded(plan, clean)
    tiles = np.stack([cut(full, origin) for origin in origins])
    at = [n for n, (generator, _, _) in enumerate(plan.steps) if generator.artifact is artifact]
    if not at:
        may_be = any(artifact in generator.also for generator, _, _ in plan.steps)
        return tiles, [UNKNOWN if may_be else ABSENT] * count
    pairs = with_and_without(plan, clean, full, at[0])
    sizes = [min(effect_at(artifact, pair, origin) for pair in pairs) for origin in origins]
    return tiles, [verdict(artifact, size)[0] for size in sizes]
