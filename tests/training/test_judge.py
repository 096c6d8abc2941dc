"""Figures of merit against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.calibrate import Asked, scale, sigmoid, thresholds
from training.dataset import Truth
from training.judge import (
    Judged,
    Predicted,
    auc,
    average_precision,
    best_f1,
    expected_calibration_error,
    f1_at,
    judge,
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


def test_what_nobody_knows_changes_no_figure() -> None:
    """Each unknown sample is said to be what is wrong, as loudly as can be."""
    rng = np.random.default_rng(2)
    presence = rng.integers(0, 2, (20, 10)).astype(np.int8)
    said, strength = (rng.normal(size=(20, 10)).astype(np.float32) for _ in range(2))
    quality, given = (rng.random(20).astype(np.float32) for _ in range(2))
    intensity = np.where(presence == 1, rng.random((20, 10)), 0).astype(np.float32)
    strength = np.where(presence == 1, intensity, 9 * strength)  # right wherever there is any
    notes = np.array(["n"] * 20)
    known = judge(
        Predicted(quality, said, strength), Truth(presence, intensity, given, given, notes)
    )
    more = np.full((5, 10), 30, np.float32)
    again = judge(
        Predicted(
            np.append(quality, [9] * 5).astype(np.float32),
            np.concatenate([said, more]),
            np.concatenate([strength, more]),
        ),
        Truth(
            np.concatenate([presence, np.full((5, 10), -1, np.int8)]),
            np.concatenate([intensity, 0 * more]),
            *[np.append(given, [-1] * 5).astype(np.float32)] * 2,
            np.append(notes, ["n"] * 5),
        ),
    )
    assert known.intensity_srcc == pytest.approx((1.0,) * 10)
    for figures in ("ap", "f1", "intensity_srcc", "quality_srcc"):
        assert getattr(again, figures) == getattr(known, figures)


def test_an_artifact_that_validation_lacks_is_left_out_of_the_mean() -> None:
    nan = float("nan")
    judged = Judged(1.0, (0.5, nan, 0.7), (0.2, nan, 0.4), (nan,) * 3, nan)
    assert (judged.macro_ap, judged.macro_f1) == (pytest.approx(0.6), pytest.approx(0.3))


def test_a_bin_counts_by_how_many_are_in_it() -> None:
    error = expected_calibration_error(np.array([0.05, 0.05, 0.05, 0.95]), np.zeros(4, bool))
    assert error == pytest.approx(0.75 * 0.05 + 0.25 * 0.95)


def test_two_points_or_a_constant_have_no_rank() -> None:
    assert np.isnan(spearman(np.array([1.0, 2.0]), np.array([1.0, 2.0])))
    assert np.isnan(spearman(np.ones(5), np.arange(5.0)))


def test_calibration_mends_a_lean_towards_damage() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(4000, 1)) * 1.5
    presence = (rng.random((4000, 1)) < sigmoid(truth)).astype(np.int8)
    fit = scale(truth + 1.0, presence)
    assert fit.offset[0] == pytest.approx(-1.0, abs=0.2)


def test_a_few_that_are_told_apart_do_not_make_certainty() -> None:
    fit = scale(np.array([[-1.0], [-1.0], [1.0]]), np.array([[0], [0], [1]], np.int8))
    assert fit.temperature[0] > 0.1


def apart(*more: float) -> list[Asked]:
    """Absent at .1, present at .9, and some unknown ones elsewhere, of one artifact."""
    probability = np.array([[0.1]] * 6 + [[0.9]] * 6 + [[value] for value in more])
    presence = np.array([[0]] * 6 + [[1]] * 6 + [[-1]] * len(more), np.int8)
    return [Asked(probability, presence)]


def test_where_every_threshold_is_as_good_the_middle_is_taken() -> None:
    assert thresholds(apart(), np.zeros((10, 1))) == (0.5,)
    assert thresholds(apart(0.55, 0.55, 0.55), np.zeros((10, 1))) == (0.5,)


def test_as_many_scenes_as_are_allowed_may_be_accused_and_none_is_at_its_threshold() -> None:
    scenes = np.zeros((20, 1))
    scenes[0] = 0.55
    assert thresholds(apart(), scenes, accused=0.05) == (0.5,)
    assert thresholds(apart(), scenes, accused=0.04) == (0.55,)


def test_a_scene_is_accused_by_any_of_ten() -> None:
    """Two artifacts that accuse a scene each accuse two."""
    (one,) = apart()
    both = [Asked(one.probability.repeat(2, 1), one.presence.repeat(2, 1))]
    scenes = np.zeros((20, 2))
    scenes[0, 0] = scenes[1, 1] = 0.52
    assert thresholds(both, scenes, accused=0.10) == (0.5, 0.5)
    assert sorted(thresholds(both, scenes, accused=0.05)) == [0.5, 0.52]
