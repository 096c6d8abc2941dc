"""Figures of merit: AP, AUC, F1, SRCC, ECE. Labels that are unknown count nowhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from aqs_batch.analysis.model import Logits
from aqs_batch.records import Artifact
from training.dataset import Truth
from training.losses import loss

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Predicted:
    """Raw outputs of many samples: quality logit [N], presence and intensity logits [N,10]."""

    quality: NDArray[np.float32]
    presence: NDArray[np.float32]
    intensity: NDArray[np.float32]


@dataclass(frozen=True)
class Judged:
    """The figures of one look at validation; vectors are in Artifact order."""

    loss: float
    ap: tuple[float, ...]
    f1: tuple[float, ...]
    intensity_srcc: tuple[float, ...]
    quality_srcc: float

    @property
    def macro_ap(self) -> float:
        return float(np.nanmean(self.ap))

    @property
    def macro_f1(self) -> float:
        return float(np.nanmean(self.f1))

    def as_dict(self) -> dict[str, object]:
        names = [a.value for a in Artifact]
        return {
            "loss": self.loss,
            "macro_ap": self.macro_ap,
            "macro_f1": self.macro_f1,
            "quality_srcc": self.quality_srcc,
            "ap": dict(zip(names, self.ap, strict=True)),
            "f1": dict(zip(names, self.f1, strict=True)),
            "intensity_srcc": dict(zip(names, self.intensity_srcc, strict=True)),
        }

    def line(self) -> str:
        each = " ".join(f"{a.value[:9]} {v:.2f}" for a, v in zip(Artifact, self.ap, strict=True))
        return (
            f"loss {self.loss:.3f}  macro AP {self.macro_ap:.3f}  F1 {self.macro_f1:.3f}  "
            f"quality SRCC {self.quality_srcc:.3f}  [{each}]"
        )


def judge(predicted: Predicted, truth: Truth) -> Judged:
    """Figures of what was said of all samples of `truth`, in its order."""
    presence, intensity = truth.presence, truth.intensity
    logits = Logits(*(torch.from_numpy(a) for a in vars(predicted).values()))
    value = loss(
        logits,
        torch.from_numpy(presence),
        torch.from_numpy(intensity),
        torch.from_numpy(truth.quality),
    ).item()
    ap, f1, srcc = [], [], []
    for column in range(len(Artifact)):
        known = presence[:, column] >= 0
        score, label = predicted.presence[known, column], presence[known, column] == 1
        ap.append(average_precision(score, label))
        f1.append(best_f1(score, label))
        there = presence[:, column] == 1
        srcc.append(spearman(predicted.intensity[there, column], intensity[there, column]))
    rated = truth.quality >= 0
    quality = spearman(predicted.quality[rated], truth.quality[rated])
    return Judged(value, tuple(ap), tuple(f1), tuple(srcc), quality)


def average_precision(score: NDArray[np.floating], label: NDArray[np.bool_]) -> float:
    """Area under precision-recall, by the step rule, ties taken together; nan without positives."""
    if not label.any():
        return float("nan")
    hits, said = _above_each(score, label)
    return float((np.diff(hits, prepend=0) * hits / said).sum() / hits[-1])


def auc(score: NDArray[np.floating], label: NDArray[np.bool_]) -> float:
    """Area under the ROC curve, ties counted half; nan where one class is missing."""
    positives, negatives = int(label.sum()), int((~label).sum())
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[label].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def best_f1(score: NDArray[np.floating], label: NDArray[np.bool_]) -> float:
    """The best F1 over all thresholds; nan without positives."""
    if not label.any():
        return float("nan")
    hits, said = _above_each(score, label)
    return float((2 * hits / (said + label.sum())).max())


def _above_each(
    score: NDArray[np.floating], label: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Going down through the different scores: how many positives, and how many in all, so far.

    Equal scores come together: in one order or the other, a constant had reached an AP of 1 or of
    next to nothing.
    """
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    return np.cumsum(label[order])[ends], ends + 1


def f1_at(score: NDArray[np.floating], label: NDArray[np.bool_], threshold: float) -> float:
    """F1 of `score > threshold`, which is how the tool names an artifact."""
    said = score > threshold
    both = int((said & label).sum())
    return 2 * both / max(int(said.sum()) + int(label.sum()), 1)


def spearman(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Spearman's rank correlation; nan below three points or without spread."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def expected_calibration_error(
    probability: NDArray[np.floating], label: NDArray[np.bool_]
) -> float:
    """Mean gap between stated probability and observed share, over ten equal bins, weighted."""
    place = np.minimum((probability * 10).astype(int), 9)
    total = 0.0
    for number in range(10):
        inside = place == number
        if inside.any():
            gap = abs(float(probability[inside].mean()) - float(label[inside].mean()))
            total += gap * float(inside.mean())
    return total
