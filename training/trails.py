"""What the trail head learns from: changes and trails in tiles with ghosts and without.

Of a tile's pixels only the facts are kept (training.beside): a tenth of the disk.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqs_batch.analysis import facts
from aqs_batch.records import Artifact
from training.effect import SCALES
from training.features import Eyes, Features
from training.parts import make_tiles
from training.recipe import GHOSTS

SCENES = 60  # in a file
TILES = 3  # of a scene: the scene is what costs
FILES = {"main": range(250), "found": range(12)}
ASKS = (SCENES, TILES, SCALES[Artifact.GHOSTING])


def make(library: Any, data: str, number: int) -> dict[str, NDArray[Any]]:
    """One file of facts."""
    letters = [ord(c) for c in f"train{data}{GHOSTS.name}"]
    made = [
        _facts(*make_tiles(library, [*letters, index], GHOSTS, Artifact.GHOSTING, TILES))
        for index in range(number * SCENES, (number + 1) * SCENES)
    ]
    moved, trails, label = (np.concatenate(column) for column in zip(*made, strict=True))
    return {"moved": moved, "trails": trails, "label": label.astype(np.int8)}


@cache
def _eyes() -> Eyes:
    return Eyes(facts.of_changes, cores=1)  # one of several processes


def _facts(tiles: NDArray[np.uint8], labels: list[int]) -> tuple[NDArray[Any], ...]:
    moved, trails = _eyes().see(tiles)
    return moved.half().numpy(), trails.half().numpy(), np.array(labels)


def lesson(arrays: Any) -> tuple[list[Tensor], Tensor]:
    """Changes [N,T-1,CHANGE_FACTS] and trails [N,TRAIL_FACTS] of a file, and the labels [N]."""
    inputs = [torch.from_numpy(arrays[name]).float() for name in ("moved", "trails")]
    return inputs, torch.from_numpy(arrays["label"])


def given(features: Features, rows: NDArray[np.int64]) -> list[Tensor]:
    """The same facts of whole samples."""
    changes = features.moved[rows][..., -facts.CHANGE_FACTS :]
    return [changes.float(), features.trails[rows].float()]
