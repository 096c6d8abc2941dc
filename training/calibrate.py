"""Calibration on validation: temperature and offset per artifact, and from where it is named."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from training.judge import f1_at

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]

# At most: share of validation's awkward scenes in which anything is named. Twice as many of others'
# scenes were (0.10.0: .051 of validation's, .094 of the test's), and a tenth is what is wanted.
ACCUSED = 0.04
CANDIDATES = np.round(np.arange(0.05, 0.61, 0.01), 2)  # what is surely there is named
HALVINGS = 40
TOWARDS_HALF = 0.05  # of the squared distance: where F1 is flat its peak is chance


@dataclass(frozen=True)
class Calibration:
    """probability = sigmoid(logit / temperature + offset), per artifact; above `threshold` it is
    named.
    """

    temperature: tuple[float, ...]
    offset: tuple[float, ...]
    threshold: tuple[float, ...]


def sigmoid(values: Floats) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.asarray(values, np.float64)))


def calibrate(logits: Floats, presence: NDArray[np.int8], innocent: Floats) -> Calibration:
    """Fit every artifact on its known labels; logits and presence are [N,10], -1 unknown.

    `innocent` are the logits of tiles of good scenes, [S,K,10].
    """
    rows = [
        _scale(logits[known, column], presence[known, column] == 1)
        for column in range(logits.shape[1])
        for known in (presence[:, column] >= 0,)
    ]
    temperature, offset = (np.array(column) for column in zip(*rows, strict=True))
    probability = sigmoid(logits / temperature + offset)
    scenes = sigmoid(innocent / temperature + offset).mean(1)
    named_from = thresholds(probability, presence, scenes)
    return Calibration(tuple(temperature.tolist()), tuple(offset.tolist()), named_from)


def _scale(logit: Floats, label: Mask) -> tuple[float, float]:
    sign = np.where(label, 1.0, -1.0)

    def cost(parts: NDArray[np.float64]) -> float:
        # A weak pull towards leaving the logit alone keeps a rare artifact's fit from running off.
        scaled = logit * np.exp(-parts[0]) + parts[1]
        return float(np.logaddexp(0, -sign * scaled).mean() + 0.002 * (parts**2).sum())

    best = minimize(cost, np.zeros(2), method="Nelder-Mead").x
    return float(np.exp(best[0])), float(best[1])


def thresholds(
    probability: Floats, presence: NDArray[np.int8], innocent: Floats, accused: float = ACCUSED
) -> tuple[float, ...]:
    """Each artifact's threshold: the best mean F1 of which no more than `accused` of the innocent
    scenes, probabilities [S,10], have anything named.

    False alarms get the same price for all ten, the lowest at which the share is kept: an artifact
    that good scenes are seldom taken for may be named earlier than one they look like.
    """
    columns = range(probability.shape[1])
    f1 = np.array([_f1_curve(probability[:, c], presence[:, c]) for c in columns])
    f1 -= TOWARDS_HALF * (CANDIDATES - 0.5) ** 2
    alarms = innocent[:, :, None] > CANDIDATES  # [scenes, artifacts, candidates]
    share = alarms.mean(0)

    def chosen(price: float) -> NDArray[np.intp]:
        return (f1 - price * share).argmax(1)

    def accuses(price: float) -> bool:
        return bool(alarms[:, columns, chosen(price)].any(1).mean() > accused)

    low, high = 0.0, 1e3
    for _ in range(HALVINGS if accuses(low) else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if accuses(middle) else (low, middle)
    price = high if accuses(low) else low
    return tuple(CANDIDATES[chosen(price)].tolist())


def _f1_curve(probability: Floats, presence: NDArray[np.int8]) -> list[float]:
    known = presence >= 0
    label = presence[known] == 1
    return [f1_at(probability[known], label, float(c)) for c in CANDIDATES]
