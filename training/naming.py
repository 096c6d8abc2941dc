"""From where each artifact is named: chosen on validation's tiles and on whole videos of it.

`python -m training.naming` damages validation's clips as `training.field` does the test's, lets the
tool read them, and writes the thresholds into the shipped checkpoint's card. A mean over a video's
tiles is steadier than a tile: of thresholds chosen on tiles alone good videos had stayed far away,
and damaged ones as well (docs/decisions/025).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from aqs_batch.analysis.checkpoint import (
    Checkpoint,
    ModelCard,
    inspect,
    load_model,
    save,
    shipped_path,
)
from aqs_batch.records import Artifact
from training.calibrate import Asked, sigmoid, thresholds
from training.command import plainly
from training.field import Told, damaged, told
from training.figures import clean_tiles
from training.folds import PLAIN, WILD, fold_of, unseen
from training.sources import FOLDS


def of_strangers(tensors: dict[str, Tensor], jurors: int, fold: str) -> dict[str, Tensor]:
    """A checkpoint's tensors with every juror that learned from `fold` replaced by one that did
    not: what it says is what these say.
    """
    stranger = {n: n if fold_of(n) != fold else (n + 1) % jurors for n in range(jurors)}
    out = dict(tensors)
    for name in tensors:
        if name.startswith("jury."):
            _, number, rest = name.split(".", 2)
            out[name] = tensors[f"jury.{stranger[int(number)]}.{rest}"]
    return out


def of_videos(said: Told) -> Asked:
    """What was said of videos: of a damaged one only the damage that was done is known."""
    presence = np.full(said.probability.shape, -1, np.int8)
    clean = np.array([case.artifact is None for case in said.cases])
    presence[clean] = 0
    for row, case in enumerate(said.cases):
        if case.artifact:
            presence[row, list(Artifact).index(case.artifact)] = 1
    return Asked(said.probability, presence, clean)


def of_tiles(checkpoint: Checkpoint, cache: Path) -> Asked:
    """What the jury says of validation's tiles, calibrated, each fold asked of strangers."""
    model = load_model(checkpoint).to(memory_format=torch.channels_last)
    parts = [unseen(model, cache, kind) for kind in (PLAIN, WILD)]
    logits = np.concatenate([said.presence for said, _ in parts])
    scale, offset = np.array(checkpoint.card.temperature), np.array(checkpoint.card.offset)
    return Asked(
        sigmoid(logits / scale + offset),
        np.concatenate([truth.presence for _, truth in parts]),
        np.concatenate([clean_tiles(truth) for _, truth in parts]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--cache", type=Path, default=Path("training/cache"))
    args = parser.parse_args()
    shipped = inspect(shipped_path())
    tensors, jurors = load_file(shipped.path), len(load_model(shipped).jury)
    # Whatever thresholds and notes the card has by now: what was read once is known the next time.
    card, rows = replace(shipped.card, threshold=ModelCard.threshold, training={}), []
    for fold in FOLDS:
        folder = args.cache / "field" / fold
        asked = folder / "strangers.safetensors"
        save(asked, of_strangers(tensors, jurors, fold), card)
        rows += damaged(args.media, folder, fold, checkpoint=asked)
    videos = of_videos(told(rows))
    chosen = thresholds([of_tiles(shipped, args.cache), videos])
    training = {**shipped.card.training, "named_by_videos": len(rows)}
    save(shipped.path, tensors, replace(shipped.card, threshold=chosen, training=training))
    for artifact, before, now in zip(Artifact, shipped.card.threshold, chosen, strict=True):
        print(f"{artifact.value:18} {before:.2f} -> {now:.2f}")
    found = (videos.probability > np.array(chosen))[videos.clean].any(1).mean()
    print(f"good videos with anything named: {found:.1%}")


if __name__ == "__main__":
    plainly(main)
