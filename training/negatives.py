"""Hard negatives one kind at a time: artifact-free scenes that look like damage.

Each kind is drawn from unseen sources; in what share of its scenes is any artifact detected?
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from aqs_batch.analysis.tiles import Tile
from aqs_batch.ingest.sampling import tile_corners
from aqs_batch.records import FRAMES_PER_SEQUENCE, TILE_PX, Artifact
from training.awkward import FROM_THE_START, KINDS
from training.codec import Encoder, chroma_subsampled, round_trip
from training.content import uneven
from training.detector import Read
from training.recipe import Plan
from training.samples import cut, swatch_of
from training.sources import Library

Rng = np.random.Generator

SCENES_EACH, TILES_OF_SCENE = 24, 4
GOOD_CRF = (15, 21)


@dataclass(frozen=True)
class Negative:
    """Tiles of a clean scene, the middle one first; judder cannot be denied where the source itself
    stutters.
    """

    tiles: list[Tile]
    stutters: bool


def draw(library: Library, kind: str, number: int) -> Negative:
    """Scene `number` of a kind; deterministic."""
    rng = np.random.default_rng([7, list(KINDS).index(kind), number])
    scene = KINDS[kind](library, rng)
    start = int(rng.integers(0, max(scene.length - FRAMES_PER_SEQUENCE, 0) + 1))
    first = 0 if kind in FROM_THE_START else start
    times = [float(first + n) for n in range(FRAMES_PER_SEQUENCE)]
    frames = scene.sequence(times)
    good = Encoder("libx264", float(rng.integers(*GOOD_CRF))) if kind == "good encode" else None
    frames = round_trip(frames, good) if good else chroma_subsampled(frames)
    swatch = swatch_of(Plan(encoder=good), scene.whole(times[FRAMES_PER_SEQUENCE // 2]))
    high, wide = frames.shape[1:3]
    middle = max((high - TILE_PX) // 2, 0), max((wide - TILE_PX) // 2, 0)
    places = [middle, *tile_corners(number, TILES_OF_SCENE - 1, high, wide)]
    tiles = [Tile(cut(frames, place), swatch, x=0.5, y=0.5) for place in places]
    return Negative(tiles, uneven(scene, times))


def hard_negatives(
    library: Library,
    read: Callable[[list[Tile]], Read],
    thresholds: tuple[float, ...],
    each: int = SCENES_EACH,
) -> dict[str, Any]:
    """Share of scenes in which the tool would name any artifact, in all and by kind.

    As the tool judges: by the mean of a scene's tiles, of which a run takes eight times as many at
    least; and, harder, by the middle tile alone. `artifacts` counts which ones were named. Scene
    cuts are included: a cut inside a window is something the tool's own sampling avoids.
    """
    kinds: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        drawn = [draw(library, kind, number) for number in range(each)]
        flat = [tile for negative in drawn for tile in negative.tiles]
        probability = read(flat).probability.reshape(each, -1, len(Artifact))
        named = np.stack([probability.mean(1), probability[:, 0]]) > np.array(thresholds)
        named[:, [n.stutters for n in drawn], list(Artifact).index(Artifact.JUDDER)] = False
        scenes, alone = named
        counts = {a.value: int(scenes[:, i].sum()) for i, a in enumerate(Artifact)}
        kinds[kind] = {
            "scenes": each,
            "with_detection": float(scenes.any(1).mean()),
            "middle_tile_alone": float(alone.any(1).mean()),
            "artifacts": {name: count for name, count in counts.items() if count},
        }
        print(f"{kind}: {each} scenes", flush=True)
    rows = kinds.values()
    return {
        "scenes": each * len(kinds),
        "with_detection": float(np.mean([row["with_detection"] for row in rows])),
        "middle_tile_alone": float(np.mean([row["middle_tile_alone"] for row in rows])),
        "kinds": kinds,
    }
