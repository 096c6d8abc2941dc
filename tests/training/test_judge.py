"""Figures of merit against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.calibrate import calibrate
from training.judge import (
    auc,
    average_precision,
    best_f1,
    expected_calibration_error,
    f1_at,
    spearman,
)

label = np.array([True, False, True, False])
score = np.array([0.9, 0.8, 0.7, 0.1])


def test_average_precision_by_hand() -> None:
    assert average_precision(score, label) == pytest.approx((1 + 2 / 3) / 2)


def test_auc_by_hand() -> None:
    assert auc(score, label) == pytest.approx(3 / 4)
    assert auc(np.ones(4), label) == 0.5
    assert np.isnan(auc(score, np.ones(4, bool)))


def test_the_best_threshold_reaches_the_best_f1() -> None:
    value, threshold = best_f1(score, label)
    assert value == pytest.approx(0.8)
    assert f1_at(score, label, threshold) == pytest.approx(value)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=40, unique=True))
def test_order_is_all_that_counts(values: list[float]) -> None:
    scores = np.array(values)
    labels = np.arange(len(values)) % 2 == 0
    assert auc(scores, labels) == pytest.approx(auc(np.argsort(np.argsort(scores)) + 0.5, labels))
    assert spearman(scores, scores) == pytest.approx(1.0)


def test_perfect_confidence_has_no_calibration_error() -> None:
    assert expected_calibration_error(label.astype(float), label) == 0.0
    assert expected_calibration_error(1 - label.astype(float), label) == 1.0


def test_calibration_mends_over_confidence() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4000, 1)) * 1.5
    presence = (rng.random((4000, 1)) < 1 / (1 + np.exp(-truth))).astype(np.int8)
    fit = calibrate(truth * 4, presence)  # four times too sure
    assert fit.temperature[0] == pytest.approx(4, rel=0.2)
    after = expected_calibration_error(fit.probability(truth * 4)[:, 0], presence[:, 0] == 1)
    assert after < 0.03


def test_unknown_labels_do_not_enter_the_fit() -> None:
    logits = np.concatenate([np.linspace(-3, 3, 200), np.full(200, 9.0)])[:, None]
    presence = np.concatenate([(np.linspace(-3, 3, 200) > 0), np.full(200, -1)])[:, None]
    known = calibrate(logits[:200], presence[:200].astype(np.int8))
    assert calibrate(logits, presence.astype(np.int8)) == known
