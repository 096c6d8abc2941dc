"""Validation's awkward scenes, which must not be accused: what the jurors that are strangers to
them say of some tiles of each.

Thresholds are chosen by them (training.calibrate): a run judges by the mean of many tiles, and what
is good but plain is seldom taken for anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aqs_batch.analysis.model import AqsNet, mean_of
from aqs_batch.records import Artifact
from training.awkward import KINDS
from training.features import Eyes, digests, of_swatches
from training.folds import strangers
from training.manifest import FOLDS
from training.negatives import SCENES_EACH, TILES_OF_SCENE, draw
from training.remembered import Arrays, remembered
from training.sources import Library
from training.supply import sources_of

JUDDER = list(Artifact).index(Artifact.JUDDER)
PARTS = ("seen", "moved", "trails")


@torch.no_grad()
def unseen_scenes(model: AqsNet, media: Path, cache: Path) -> NDArray[np.float32]:
    """Logits of presence [scenes,tiles,10] of both folds; minus infinity for judder where a source
    stutters by itself, so that it cannot be denied.
    """
    said = []
    for fold in FOLDS:
        kept = _features(model, fold, media, cache)
        seen, moved, trails = (torch.from_numpy(kept[name]).float() for name in PARTS)
        heard, whole = mean_of(strangers(model, fold), seen, moved), of_swatches(kept["swatch"])
        presence = model.with_heads(heard, moved, trails, whole).presence.numpy()
        presence = presence.reshape(-1, TILES_OF_SCENE, len(Artifact))
        presence[kept["stutters"], :, JUDDER] = -np.inf
        said.append(presence)
    return np.concatenate(said)


def _features(model: AqsNet, fold: str, media: Path, cache: Path) -> Arrays:
    """Features of all tiles of a fold's scenes, with swatches; made where they are not on disk."""

    def made() -> dict[str, NDArray[Any]]:
        library, eyes = Library(media, cache, fold), Eyes(model.look, model)
        columns, swatches, stutters = [], [], []
        for kind in KINDS:
            for number in range(SCENES_EACH):
                scene = draw(library, kind, number)
                columns.append(eyes.see(tile.pixels for tile in scene.tiles))
                swatches += [tile.swatch for tile in scene.tiles]
                stutters.append(scene.stutters)
            print(f"{fold}: {kind}", flush=True)
        parts = (torch.cat(column).half().numpy() for column in zip(*columns, strict=True))
        kept = {"swatch": np.stack(swatches), "stutters": np.array(stutters)}
        return dict(zip(PARTS, parts, strict=True)) | kept

    asked = list(KINDS), SCENES_EACH, TILES_OF_SCENE, "with swatches"
    key = repr((*digests(model), *asked, sources_of(None, media, fold)))
    return remembered(cache / "innocent" / f"{fold}.npz", key, made)
