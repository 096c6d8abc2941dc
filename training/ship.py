"""Make the shipped checkpoint: weights calibrated on validation, with their model card."""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from aqs_batch.analysis.checkpoint import ModelCard, inspect, load_model, save, shipped_path
from training.calibrate import Asked, scale, thresholds
from training.command import plainly
from training.folds import PLAIN, WILD, unseen
from training.innocent import unseen_scenes
from training.judge import judge
from training.rehearsal import heard
from training.version import refuse_taken


def ship(source: Path, target: Path, media: Path, cache: Path, version: str) -> None:
    """Calibrate `source` on all of validation and write it to `target`; judge it on the plain part.

    Each fold is asked of the jurors that have not learned from it. The plain part is as degraded as
    the test. The wild one holds what is met in use, mostly encodes and good footage: without it
    every probability would lean towards damage. From where an artifact is named is decided with
    whole videos and awkward scenes beside the tiles.
    """
    checkpoint, tensors = inspect(source), load_file(source)
    model = load_model(checkpoint).to(memory_format=torch.channels_last)
    plain, wild = unseen(model, cache, PLAIN), unseen(model, cache, WILD)
    judged = judge(*plain)
    logits = np.concatenate([said.presence for said, _ in (plain, wild)])
    presence = np.concatenate([truth.presence for _, truth in (plain, wild)])
    fit = scale(logits, presence)
    # Without thresholds and notes: what the strangers have read once is known the next time.
    asked = replace(
        checkpoint.card,
        temperature=fit.temperature,
        offset=fit.offset,
        threshold=ModelCard.threshold,
        metrics={},
    )
    videos = heard(tensors, len(model.jury), asked, media, cache)
    scenes = fit.probability(unseen_scenes(model, media, cache)).mean(1)
    card = replace(
        asked,
        version=version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        threshold=thresholds([Asked(fit.probability(logits), presence), videos], scenes),
        metrics={"validation": judged.as_dict(), "validation_samples": len(plain[1].quality)},
    )
    save(target, tensors, card)
    print(f"{target}: {card.label}\n{judged.line()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="whose weights to ship")
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--cache", type=Path, default=Path("training/cache"))
    parser.add_argument("--version", required=True, help="as results will name it")
    args = parser.parse_args()
    refuse_taken(args.version, shipped_path())
    ship(args.checkpoint, shipped_path(), args.media, args.cache, args.version)


if __name__ == "__main__":
    plainly(main)
