"""Calibration on validation: temperature, offset and the threshold of best F1 per artifact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from training.judge import best_f1

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Calibration:
    """probability = sigmoid(logit / temperature + offset), per artifact; threshold on it."""

    temperature: tuple[float, ...]
    offset: tuple[float, ...]
    threshold: tuple[float, ...]

    def probability(self, logits: Floats) -> NDArray[np.float64]:
        """Calibrated probabilities of presence logits [N,10]."""
        return sigmoid(logits / np.array(self.temperature) + np.array(self.offset))


def sigmoid(values: Floats) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.asarray(values, np.float64)))


def calibrate(logits: Floats, presence: NDArray[np.int8]) -> Calibration:
    """Fit every artifact on its known labels; logits and presence are [N,10], -1 unknown."""
    rows = [
        _one(logits[known, column], presence[known, column] == 1)
        for column in range(logits.shape[1])
        for known in (presence[:, column] >= 0,)
    ]
    temperature, offset, threshold = zip(*rows, strict=True)
    return Calibration(temperature, offset, threshold)


def _one(logit: Floats, label: NDArray[np.bool_]) -> tuple[float, float, float]:
    sign = np.where(label, 1.0, -1.0)

    def cost(parts: NDArray[np.float64]) -> float:
        # A weak pull towards leaving the logit alone keeps a rare artifact's fit from running off.
        scaled = logit * np.exp(-parts[0]) + parts[1]
        return float(np.logaddexp(0, -sign * scaled).mean() + 0.002 * (parts**2).sum())

    best = minimize(cost, np.zeros(2), method="Nelder-Mead").x
    temperature, offset = float(np.exp(best[0])), float(best[1])
    threshold = best_f1(sigmoid(logit / temperature + offset), label)[1]
    return temperature, offset, threshold
