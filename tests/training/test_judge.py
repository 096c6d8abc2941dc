"""Figures of merit against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.calibrate import Asked, scale, sigmoid, thresholds
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


def test_the_best_f1_is_the_best_of_all_thresholds() -> None:
    assert best_f1(score, label) == pytest.approx(0.8)
    assert max(f1_at(score, label, at) for at in (0.0, 0.4, 0.75, 0.85)) == pytest.approx(0.8)
    assert f1_at(score, label, 0.8) == pytest.approx(2 / 3)  # at its threshold nothing is named


@given(st.permutations(range(8)))
def test_equal_scores_are_told_apart_by_nobody(order: list[int]) -> None:
    """In one order a constant had an AP of 1, in another next to none."""
    scores, labels = np.array([0.5] * 6 + [0.2] * 2), np.array([1, 0, 0, 1, 0, 0, 1, 0], bool)
    assert average_precision(scores[order], labels[order]) == average_precision(scores, labels)
    assert average_precision(np.ones(8), labels[order]) == pytest.approx(3 / 8)
    assert best_f1(np.ones(8), labels[order]) == pytest.approx(2 * 3 / (8 + 3))


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
    fit = scale(truth * 4, presence)  # four times too sure
    assert fit.temperature[0] == pytest.approx(4, rel=0.2)
    probability = fit.probability(truth * 4)
    assert expected_calibration_error(probability[:, 0], presence[:, 0] == 1) < 0.03


def test_unknown_labels_do_not_enter_the_fit() -> None:
    logits = np.concatenate([np.linspace(-3, 3, 200), np.full(200, 9.0)])[:, None]
    presence = np.concatenate([(np.linspace(-3, 3, 200) > 0), np.full(200, -1)])[:, None]
    known = scale(logits[:200], presence[:200].astype(np.int8))
    assert scale(logits, presence.astype(np.int8)) == known


@pytest.mark.parametrize("budget", [0.01, 0.02, 0.3])
def test_no_more_good_scenes_are_accused_than_allowed(budget: float) -> None:
    """What good scenes are seldom taken for is named earlier than what they look like."""
    rng = np.random.default_rng(1)
    presence = (rng.random((3000, 2)) < 0.2).astype(np.int8)
    noise = rng.normal(0, 1, (3000, 2)) * (0.4, 1.5)
    probability = sigmoid(4.0 * presence - 3.0 + noise)
    innocent = probability[(presence == 0).all(1)]
    asked = [Asked(probability, presence)]
    chosen = thresholds(asked, innocent, budget)
    freely = thresholds(asked, innocent, 1.0)
    accused, at_most = (
        float((innocent > np.array(above)).any(1).mean()) for above in (chosen, freely)
    )
    # At the lowest price that keeps the share: a higher one names less than it may.
    assert min(budget, at_most) / 2 < accused <= budget
    assert chosen[1] >= freely[1] and chosen[1] > chosen[0]


def test_videos_that_tell_apart_at_less_lower_what_tiles_would_choose() -> None:
    """A video's mean is steadier than a tile: both have a say."""
    tiles = Asked(
        np.array([[0.1]] * 6 + [[0.5]] * 2 + [[0.6]] * 4), np.array([[0]] * 8 + [[1]] * 4)
    )
    videos = Asked(np.array([[0.05]] * 6 + [[0.2]] * 6), np.array([[0]] * 6 + [[1]] * 6))
    innocent = np.zeros((100, 1))
    (alone,), (together,) = (thresholds(a, innocent) for a in ([tiles], [tiles, videos]))
    assert alone >= 0.5
    assert together < 0.2
