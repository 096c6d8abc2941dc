"""Calibration on validation: temperature and offset per artifact, and from where it is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from training.judge import f1_at

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]
Chosen = NDArray[np.intp]  # of each artifact, the number of a candidate

# At most: share of validation's awkward scenes in which anything is named. Twice as many of others'
# scenes are (0.10.0: .051 of validation's, .094 of the test's; 0.13.0: .039 and .081), and a tenth
# is what is wanted.
ACCUSED = 0.045
CANDIDATES = np.round(np.arange(0.05, 0.61, 0.01), 2)  # what is surely there is named
HALVINGS = 40
TOWARDS_HALF = 0.05  # of the squared distance: where F1 is flat its peak is chance


@dataclass(frozen=True)
class Scale:
    """probability = sigmoid(logit / temperature + offset), per artifact."""

    temperature: tuple[float, ...]
    offset: tuple[float, ...]

    def probability(self, logits: Floats) -> NDArray[np.float64]:
        return sigmoid(logits / np.array(self.temperature) + np.array(self.offset))


@dataclass(frozen=True)
class Asked:
    """What was said of tiles or of videos, probability [N,10], and what is so, presence [N,10], -1
    unknown.
    """

    probability: Floats
    presence: NDArray[np.int8]


def sigmoid(values: Floats) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.asarray(values, np.float64)))


def scale(logits: Floats, presence: NDArray[np.int8]) -> Scale:
    """Fit every artifact on its known labels; logits and presence are [N,10], -1 unknown."""
    rows = [
        _scale(logits[known, column], presence[known, column] == 1)
        for column in range(logits.shape[1])
        for known in (presence[:, column] >= 0,)
    ]
    return Scale(*zip(*rows, strict=True))


def _scale(logit: Floats, label: Mask) -> tuple[float, float]:
    sign = np.where(label, 1.0, -1.0)

    def cost(parts: NDArray[np.float64]) -> float:
        # A weak pull towards leaving the logit alone keeps a rare artifact's fit from running off.
        scaled = logit * np.exp(-parts[0]) + parts[1]
        return float(np.logaddexp(0, -sign * scaled).mean() + 0.002 * (parts**2).sum())

    best = minimize(cost, np.zeros(2), method="Nelder-Mead").x
    return float(np.exp(best[0])), float(best[1])


def thresholds(
    asked: Sequence[Asked], innocent: Floats, accused: float = ACCUSED
) -> tuple[float, ...]:
    """Each artifact's threshold: the best mean F1, of all `asked` alike, of which no more than
    `accused` of the innocent scenes, probabilities [S,10], have anything named.

    False alarms get the same price for all ten, the lowest at which the share is kept: an artifact
    that good scenes are seldom taken for may be named earlier than one they look like. One step of
    the price may be many scenes: what room it leaves goes to whichever gains most.
    """
    columns = range(innocent.shape[1])
    f1 = np.mean(
        [[_f1_curve(a.probability[:, c], a.presence[:, c]) for c in columns] for a in asked], axis=0
    )
    f1 -= TOWARDS_HALF * (CANDIDATES - 0.5) ** 2
    alarms = innocent[:, :, None] > CANDIDATES  # [scenes, artifacts, candidates]
    share = alarms.mean(0)

    def priced(price: float) -> Chosen:
        return (f1 - price * share).argmax(1)

    def accuses(chosen: Chosen) -> bool:
        return bool(alarms[:, columns, chosen].any(1).mean() > accused)

    low, high = 0.0, 1e3
    for _ in range(HALVINGS if accuses(priced(low)) else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if accuses(priced(middle)) else (low, middle)
    chosen = priced(high if accuses(priced(low)) else low)
    while (moved := next((m for m in _better(chosen, f1) if not accuses(m)), None)) is not None:
        chosen = moved
    return tuple(CANDIDATES[chosen].tolist())


def _better(chosen: Chosen, f1: Floats) -> Iterator[Chosen]:
    """All choices that differ in one artifact and have a better F1, the best first."""
    gain = f1 - f1[np.arange(len(chosen)), chosen][:, None]
    order = np.argsort(-gain, axis=None, kind="stable")[: np.count_nonzero(gain > 0)]
    for column, candidate in zip(*np.unravel_index(order, f1.shape), strict=True):
        moved = chosen.copy()
        moved[column] = candidate
        yield moved


def _f1_curve(probability: Floats, presence: NDArray[np.int8]) -> list[float]:
    known = presence >= 0
    label = presence[known] == 1
    return [f1_at(probability[known], label, float(c)) for c in CANDIDATES]
