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


def test_a_sequence_is_the_mean_of_its_tiles() -> None:
    s = AnalysisSettings()
    both = score_sequence(0.0, [tile(1.0, 0.0), tile(0.5, 0.5)], s)
    alone = [score_sequence(0.0, [t], s).aqs for t in (tile(1.0, 0.0), tile(0.5, 0.5))]
    assert both.aqs == pytest.approx(sum(alone) / 2)
    assert both.quality == 0.75
