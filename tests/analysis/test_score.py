"""The laws of AQS."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqs_batch.analysis.score import (
    aqs,
    artifact_component,
    score_sequence,
    score_video,
)
from aqs_batch.records import Artifact, QualityLevel, TileScores
from aqs_batch.settings import Aggregation, AnalysisSettings

unit = st.floats(0, 1)
ten = st.lists(unit, min_size=10, max_size=10)
scorings = st.sampled_from([AnalysisSettings(aggregation=a) for a in get_args(Aggregation)])


def value(
    quality: float, probability: list[float], intensity: list[float], s: AnalysisSettings
) -> float:
    return aqs(quality, artifact_component(probability, intensity, s), s)


@given(unit, ten, ten, scorings)
def test_aqs_stays_between_0_and_1(
    q: float, p: list[float], i: list[float], s: AnalysisSettings
) -> None:
    assert -1e-12 <= value(q, p, i, s) <= 1 + 1e-12


@given(unit, ten, ten, st.integers(0, 9), unit, scorings)
def test_aqs_never_rises_when_an_impact_rises(
    q: float, p: list[float], i: list[float], at: int, more: float, s: AnalysisSettings
) -> None:
    worse = list(p)
    worse[at] = max(p[at], more)
    assert value(q, worse, i, s) <= value(q, p, i, s) + 1e-12


@given(unit, unit, ten, ten, scorings)
def test_aqs_never_rises_when_quality_falls(
    a: float, b: float, p: list[float], i: list[float], s: AnalysisSettings
) -> None:
    assert value(min(a, b), p, i, s) <= value(max(a, b), p, i, s) + 1e-12


@pytest.mark.parametrize("aggregation", get_args(Aggregation))
def test_the_ends_are_attained(aggregation: Aggregation) -> None:
    s = AnalysisSettings(aggregation=aggregation)
    assert value(1.0, [0.0] * 10, [0.0] * 10, s) == 1.0
    assert value(0.0, [1.0] * 10, [1.0] * 10, s) == pytest.approx(0.0)


# The design's table, in Artifact order.
PENALTIES = (1.2, 1.2, 1.8, 1.7, 1.3, 2.0, 1.3, 1.4, 1.5, 1.6)


@pytest.mark.parametrize("number", range(10))
def test_each_artifact_weighs_what_the_design_says(number: int) -> None:
    """Two penalties that were swapped, or an alpha of 0.4, had passed every law above."""
    alone = [float(n == number) for n in range(10)]
    impact = PENALTIES[number] * 0.5 * 0.4
    found = value(0.8, [p * 0.5 for p in alone], [i * 0.4 for i in alone], AnalysisSettings())
    assert found == pytest.approx(0.6 * 0.8 + 0.4 * (1 - impact))


@pytest.mark.parametrize(
    ("aggregation", "damage"),
    [
        ("noisy_or", 1 - 0.7 * 0.64),  # impacts of 0.3 and 0.36, and eight of nothing
        ("max", 0.36),
        ("rms", ((0.3**2 + 0.36**2) / 10) ** 0.5),
        ("mean", 0.066),
    ],
)
def test_impacts_are_combined_as_the_setting_says(aggregation: Aggregation, damage: float) -> None:
    probability, intensity = [0.5, 0.0, 0.25, *[0.0] * 7], [0.5, 1.0, 0.8, *[0.0] * 7]
    s = AnalysisSettings(aggregation=aggregation)
    assert artifact_component(probability, intensity, s) == pytest.approx(damage)


def test_every_level_is_reachable() -> None:
    s = AnalysisSettings()
    reached = {QualityLevel.of(value(q / 20, [0.0] * 10, [0.0] * 10, s)) for q in range(21)}
    reached |= {QualityLevel.of(value(q / 20, [1.0] * 10, [1.0] * 10, s)) for q in range(21)}
    assert reached == set(QualityLevel)


def test_a_clean_good_clip_reaches_0_9() -> None:
    assert value(0.95, [0.03] * 10, [0.05] * 10, AnalysisSettings()) > 0.9


def tile(quality: float, damage: float) -> TileScores:
    return TileScores(0.5, 0.5, quality, (damage, *[0.0] * 9), (0.1, *[0.0] * 9))


def test_a_video_is_the_mean_of_its_sequences_beside_its_worst_moments() -> None:
    s = AnalysisSettings()
    good = score_sequence(0.0, [tile(1.0, 0.0)], s)
    bad = score_sequence(4.0, [tile(0.0, 0.8)], s)
    score = score_video([good, good, good, bad], (0.15, *[0.9] * 9))
    assert score.aqs == pytest.approx((3 * good.aqs + bad.aqs) / 4)
    assert score.aqs_p5 == pytest.approx(0.85 * bad.aqs + 0.15 * good.aqs)
    blocking = score.artifacts[Artifact.BLOCKING]
    assert blocking.severity == pytest.approx(0.02)  # probable, and mild: detected all the same
    assert blocking.time_share == 0.25
    assert blocking.worst_t_s == 4.0
    assert score.detected == (Artifact.BLOCKING,)
    assert score_video([good, bad], (0.5, *[0.9] * 9)).detected == ()


def test_every_figure_is_a_mean_and_each_artifact_has_its_own_threshold() -> None:
    s = AnalysisSettings()
    rising, falling = tuple(n / 20 for n in range(10)), tuple(0.9 - n / 20 for n in range(10))
    unlike = [TileScores(0, 0, 0.4, rising, falling), TileScores(0, 0, 0.8, falling, falling)]
    both, alone = score_sequence(0.0, unlike, s), score_sequence(1.0, unlike[:1], s)
    damages = [artifact_component(t.probability, t.intensity, s) for t in unlike]
    assert both.artifact_component == pytest.approx(sum(damages) / 2)
    assert both.probability == pytest.approx([0.45] * 10)
    assert both.intensity == pytest.approx(falling)
    score = score_video([both, alone], rising)
    assert score.quality_component == pytest.approx((0.6 + 0.4) / 2)
    assert score.artifact_component == pytest.approx((sum(damages) / 2 + damages[0]) / 2)
    details = [score.artifacts[artifact] for artifact in Artifact]
    assert [d.probability for d in details] == pytest.approx([(0.45 + p) / 2 for p in rising])
    assert [d.intensity for d in details] == pytest.approx(falling)
    assert tuple(d.threshold for d in details) == rising
    assert score.detected == tuple(Artifact)[:9]  # the last one's mean is its threshold


def test_a_sequence_is_the_mean_of_its_tiles() -> None:
    s = AnalysisSettings()
    both = score_sequence(0.0, [tile(1.0, 0.0), tile(0.5, 0.5)], s)
    alone = [score_sequence(0.0, [t], s).aqs for t in (tile(1.0, 0.0), tile(0.5, 0.5))]
    assert both.aqs == pytest.approx(sum(alone) / 2)
    assert both.quality == 0.75
