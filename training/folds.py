"""Validation helps to train, by halves: a juror learns from one fold and is judged on the other.

What the detector lacks is sources (training/LOG.md, 21), and validation has a fifth of them. Half
of the jury learns from `val-a`, half from `val-b`; whatever is chosen or calibrated on a fold is
asked of the jurors that have not seen it (docs/decisions/020).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aqs_batch.analysis.model import AqsNet, mean_of
from training.dataset import Truth, joined
from training.features import Pool, gather
from training.judge import Predicted
from training.manifest import FOLDS

LEARNED = ("varied", "used")  # recipes of a fold's samples that its jurors learn from
PLAIN, WILD = "", "-wild"  # sets of a fold that others are judged and calibrated on


def fold_of(juror: int) -> str:
    """The fold that a juror learns from, by its number."""
    return FOLDS[juror % len(FOLDS)]


def other_than(fold: str) -> str:
    """The fold that whoever learns from `fold` is judged on."""
    return FOLDS[1 - FOLDS.index(fold)]


def learned_sets(fold: str) -> list[str]:
    """The shard folders of a fold that its jurors learn from."""
    return [f"{fold}-{recipe}" for recipe in LEARNED]


def may_learn(pool: Pool, juror: int) -> NDArray[np.bool_]:
    """Which samples of a pool a juror may learn from: all but those of the fold it is judged on."""
    return ~pool.among(learned_sets(other_than(fold_of(juror))))


def strangers(model: AqsNet, fold: str) -> list[nn.Module]:
    """The jurors that have not learned from `fold`."""
    return [juror for number, juror in enumerate(model.jury) if fold_of(number) != fold]


@torch.no_grad()
def unseen(model: AqsNet, cache: Path, kind: str) -> tuple[Predicted, Truth]:
    """What the jurors say of both folds' samples of one kind, each fold asked of its strangers.

    Raises MediaError when a fold has none: half of validation had calibrated a checkpoint.
    """
    checks = [gather(model, cache, [fold + kind]) for fold in FOLDS]
    said = []
    for fold, check in zip(FOLDS, checks, strict=True):
        rows = np.arange(len(check))
        heard = mean_of(strangers(model, fold), *check.features.rows(rows))
        said.append(model.with_heads(heard, *check.features.beside(rows)))
    truth = joined([check.truth for check in checks])
    return Predicted(*(torch.cat(c).numpy() for c in zip(*said, strict=True))), truth
