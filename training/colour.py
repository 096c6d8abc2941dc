"""Train the colour head: what the colours of whole frames say of saturation.

`python -m training.colour` makes swatches (resumable; a tenth of the time of a tile's sample, and
nothing else depends on them), trains a small perceptron on facts about them, and weighs it against
the jury on validation, whose sources neither has seen.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional as F

from aqs_batch.analysis import facts
from aqs_batch.analysis.checkpoint import inspect, save
from aqs_batch.analysis.model import ARCHITECTURE, SATURATION, AqsNet, ColourHead, mean_of
from aqs_batch.analysis.transform import transform
from training.dataset import library_of
from training.features import gather
from training.folds import PLAIN, WILD, learned_sets, strangers
from training.recipe import COLOURS
from training.samples import PRESENT, make_swatch
from training.sources import FOLDS
from training.start import further_start

AT_ONCE = 500  # swatches in a file
SWATCHES = {"main": 6000, "found": 2500, "patterns": 500}
STEPS, BATCH, RATE, DECAY = 3000, 256, 3e-3, 0.1
NOISE = 0.1  # added to facts in training, in their own deviations
FIRST_GUESS = (1.0, 0.5, 0.0)

Floats = NDArray[np.float64]


def swatches(media: Path, found: Path, cache: Path) -> tuple[Tensor, Tensor]:
    """Facts [N,SWATCH_FACTS] of training's swatches and whether their colours are off, [N] 0-1."""
    all_facts, labels = [], []
    for data, count in SWATCHES.items():
        library: Any = None
        for number in range(count // AT_ONCE):
            file = cache / "swatches" / f"train-{data}" / f"{number:05d}.npz"
            if not file.exists():
                where = None if data == "main" else (data, found)
                library = library or library_of(where, media, cache, "train")
                _write(file, library, data, number)
            with np.load(file) as arrays:
                pixels = torch.from_numpy(arrays["swatch"][:, None])
                label = torch.from_numpy(arrays["label"])
            known = label >= 0
            all_facts.append(facts.of_swatches(transform(pixels))[known])
            labels.append((label[known] == PRESENT).float())
    return torch.cat(all_facts), torch.cat(labels)


def _write(file: Path, library: Any, data: str, number: int) -> None:
    began = time.monotonic()
    letters = [ord(c) for c in f"train{data}{COLOURS.name}"]
    indices = range(number * AT_ONCE, (number + 1) * AT_ONCE)
    made = [make_swatch(library, [*letters, index], COLOURS) for index in indices]
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{number:05d}.{os.getpid()}.npz")
    pixels, labels = (np.array(column) for column in zip(*made, strict=True))
    np.savez_compressed(partial, swatch=pixels, label=labels.astype(np.int8))
    partial.rename(file)
    print(f"{file}  {AT_ONCE / (time.monotonic() - began):.1f}/s", flush=True)


def fitted(whole: Tensor, label: Tensor, seed: int, steps: int = STEPS) -> ColourHead:
    """A colour head whose output is the logit of `label` [N], given facts [N,SWATCH_FACTS]."""
    torch.manual_seed(seed)
    head, spread = ColourHead(), whole.std(0)
    torch.nn.init.normal_(head.out.weight, std=0.1)
    optimizer = torch.optim.AdamW(head.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
    for _ in range(steps):
        chosen = torch.randint(len(whole), (BATCH,))
        blurred = whole[chosen] + NOISE * spread * torch.randn(BATCH, whole.shape[1])
        value = F.binary_cross_entropy_with_logits(head(blurred), label[chosen])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    return head.eval()


@torch.no_grad()
def on_validation(model: AqsNet, cache: Path) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Logits of the jury and of the model's colour head, and the truth, of validation's tiles.

    Each fold is asked of the jurors that have not learned from it; of colours the head has seen
    none of either.
    """
    heard, seen, truth = [], [], []
    for fold in FOLDS:
        pool = gather(model, cache, [fold + PLAIN, fold + WILD, *learned_sets(fold)])
        presence = pool.truth.presence[:, SATURATION]
        rows = np.flatnonzero(presence >= 0)
        jury = mean_of(strangers(model, fold), *pool.features.rows(rows))
        heard.append(jury.presence[:, SATURATION].numpy())
        seen.append(model.colour(pool.features.whole[rows].float()).numpy())
        truth.append(presence[rows] == PRESENT)
    return np.concatenate(heard), np.concatenate(seen), np.concatenate(truth)


def weighed(heard: Floats, seen: Floats, truth: NDArray[np.bool_]) -> tuple[float, float]:
    """By what factor and offset `seen` is added to `heard` so that the sum tells the truth best.

    Logistic regression on both; what it multiplies `heard` by is left to calibration.
    """

    def cost(weights: Floats) -> float:
        logit = weights[0] * heard + weights[1] * seen + weights[2]
        return float((np.logaddexp(0, logit) - truth * logit).mean())

    jury, head, offset = minimize(cost, FIRST_GUESS, method="Nelder-Mead").x
    if jury <= 0:
        raise ValueError("the jury's word on saturation is worth nothing beside the colour head's")
    return float(head / jury), float(offset / jury)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--found", type=Path, default=Path("training/cache/found"))
    parser.add_argument("--cache", type=Path, default=Path("training/cache"))
    parser.add_argument("--checkpoint", type=Path, required=True, help="whose jury to join")
    parser.add_argument("--out", type=Path, default=Path("training/runs/heads/best_f1.safetensors"))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    whole, label = swatches(args.media, args.found, args.cache)
    checkpoint, model = inspect(args.checkpoint), AqsNet()
    further_start(model, checkpoint)
    model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.colour = fitted(whole, label, args.seed)
    factor, offset = weighed(*on_validation(model, args.cache))
    with torch.no_grad():
        model.colour.out.weight.mul_(factor)
        model.colour.out.bias.mul_(factor).add_(offset)
    told = {"swatches": len(label), "factor": round(factor, 3), "offset": round(offset, 3)}
    card = replace(
        checkpoint.card,
        architecture=ARCHITECTURE,
        training={**checkpoint.card.training, "jury": checkpoint.label, "colour": told},
    )
    save(args.out, model.state_dict(), card)
    print(f"{args.out}: {told}")


if __name__ == "__main__":
    main()
