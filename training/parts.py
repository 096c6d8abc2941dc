"""What heads beside the jury learn from: parts of samples, with the label of one artifact each.

They are made as whole samples are (training.samples), for a fraction of the cost.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aqs_batch.records import FRAMES_PER_SEQUENCE, Artifact
from training.effect import effect
from training.recipe import Recipe, draw_plan
from training.samples import (
    ABSENT,
    UNKNOWN,
    beside,
    cut,
    degraded,
    draw_clip,
    draw_origin,
    draw_place,
    effect_at,
    swatch_of,
    verdict,
)
from training.sources import Library

Frames = NDArray[np.uint8]


def make_swatch(library: Library, seed: list[int], recipe: Recipe) -> tuple[Frames, int]:
    """A whole frame's swatch, uint8[64,64,3], and whether its colours are off (0, 1, -1 unknown).

    By the same visible effect and floor as a tile's. Deterministic by `seed`.
    """
    rng = np.random.default_rng(seed)
    scene, start = draw_place(library, rng, recipe)
    plan = draw_plan(rng, recipe)
    whole = scene.whole(float(start + FRAMES_PER_SEQUENCE // 2))
    swatch = swatch_of(plan, whole)
    steps = tuple(s for s in plan.steps if s[0].artifact is not Artifact.COLOR_SATURATION)
    if len(steps) == len(plan.steps):
        return swatch, ABSENT
    before = swatch_of(replace(plan, steps=steps), whole)
    size = effect(Artifact.COLOR_SATURATION, swatch[None], before[None])
    return swatch, verdict(Artifact.COLOR_SATURATION, size)[0]


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
    pairs = beside(plan, clean, full, at[0])
    sizes = [min(effect_at(artifact, pair, origin) for pair in pairs) for origin in origins]
    return tiles, [verdict(artifact, size)[0] for size in sizes]
