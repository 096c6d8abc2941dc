"""Hard negatives one kind at a time: artifact-free scenes that look like damage.

Each kind is drawn from unseen sources; what share of its tiles has any artifact detected?
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from aqs_batch.analysis.tiles import Tile
from aqs_batch.records import FRAMES_PER_SEQUENCE, TILE_PX, Artifact
from training.awkward import FROM_THE_START, KINDS
from training.codec import Encoder, chroma_subsampled, round_trip
from training.content import uneven
from training.detector import Read
from training.recipe import Plan
from training.samples import swatch_of
from training.sources import Library

Rng = np.random.Generator

TILES_EACH = 24
GOOD_CRF = (15, 21)


@dataclass(frozen=True)
class Negative:
    """A clean tile; judder cannot be denied where the source itself stutters."""

    tile: Tile
    stutters: bool


def draw(library: Library, kind: str, number: int) -> Negative:
    """Tile `number` of a kind; deterministic."""
    rng = np.random.default_rng([7, list(KINDS).index(kind), number])
    scene = KINDS[kind](library, rng)
    start = int(rng.integers(0, max(scene.length - FRAMES_PER_SEQUENCE, 0) + 1))
    first = 0 if kind in FROM_THE_START else start
    times = [float(first + n) for n in range(FRAMES_PER_SEQUENCE)]
    frames = scene.sequence(times)
    good = Encoder("libx264", float(rng.integers(*GOOD_CRF))) if kind == "good encode" else None
    frames = round_trip(frames, good) if good else chroma_subsampled(frames)
    swatch = swatch_of(Plan(encoder=good), scene.whole(times[FRAMES_PER_SEQUENCE // 2]))
    y, x = ((n - TILE_PX) // 2 for n in frames.shape[1:3])
    tile = frames[:, max(y, 0) :, max(x, 0) :][:, :TILE_PX, :TILE_PX]
    short = TILE_PX - tile.shape[1], TILE_PX - tile.shape[2]
    tile = np.pad(tile, ((0, 0), (0, short[0]), (0, short[1]), (0, 0)), mode="reflect")
    pixels = np.ascontiguousarray(tile)
    return Negative(Tile(pixels, swatch, x=0.5, y=0.5), uneven(scene, times))


def hard_negatives(
    library: Library,
    read: Callable[[list[Tile]], Read],
    thresholds: tuple[float, ...],
    each: int = TILES_EACH,
) -> dict[str, Any]:
    """Share of tiles with any artifact so probable that the tool names it, in all and by kind.

    `artifacts` counts which ones were named. Scene cuts are included: a cut inside a window is
    something the tool's own sampling avoids, so the figure here is the harder one.
    """
    kinds: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        drawn = [draw(library, kind, number) for number in range(each)]
        said = read([negative.tile for negative in drawn]).probability > np.array(thresholds)
        said[[n.stutters for n in drawn], list(Artifact).index(Artifact.JUDDER)] = False
        named = {a.value: int(said[:, i].sum()) for i, a in enumerate(Artifact) if said[:, i].any()}
        kinds[kind] = {
            "tiles": each,
            "with_detection": float(said.any(1).mean()),
            "artifacts": named,
        }
    total = float(np.mean([row["with_detection"] for row in kinds.values()]))
    return {"tiles": each * len(kinds), "with_detection": total, "kinds": kinds}
