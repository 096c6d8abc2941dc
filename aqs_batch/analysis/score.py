"""AQS: from tile probabilities, intensities and quality to one number, as the design defines it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Rows

import numpy as np

from aqs_batch.records import (
    FRAMES_PER_SEQUENCE,
    Artifact,
    ArtifactDetail,
    QualityLevel,
    Score,
    SequenceScore,
    TileScores,
)
from aqs_batch.settings import Aggregation, AnalysisSettings

# How ten impacts, each 0-1, become one artifact component.
_COMBINED: Mapping[Aggregation, Callable[[Rows[float]], float]] = {
    "noisy_or": lambda impacts: 1.0 - math.prod(1.0 - impact for impact in impacts),
    "max": max,
    "rms": lambda impacts: math.sqrt(sum(impact * impact for impact in impacts) / len(impacts)),
    "mean": lambda impacts: sum(impacts) / len(impacts),
}


def artifact_component(
    probability: Rows[float], intensity: Rows[float], scoring: AnalysisSettings
) -> float:
    """Combine ten probabilities and intensities (0-1) into one damage figure, 0-1.

    impact_i = min(1, penalty_i x probability_i x intensity_i); noisy_or is 1 - prod(1 - impact_i).
    """
    impacts = [
        min(1.0, penalty * p * i)
        for penalty, p, i in zip(scoring.penalties.vector(), probability, intensity, strict=True)
    ]
    return _COMBINED[scoring.aggregation](impacts)


def aqs(quality: float, damage: float, scoring: AnalysisSettings) -> float:
    """AQS = alpha x quality + (1 - alpha) x (1 - artifact component), all 0-1."""
    return scoring.alpha * quality + (1 - scoring.alpha) * (1 - damage)


def score_sequence(
    t_s: float, tiles: Rows[TileScores], scoring: AnalysisSettings, scene: int = 0
) -> SequenceScore:
    """One sequence: the mean of its tiles' AQS, components, probabilities and intensities."""
    damages = [artifact_component(t.probability, t.intensity, scoring) for t in tiles]
    values = [aqs(t.quality, d, scoring) for t, d in zip(tiles, damages, strict=True)]
    return SequenceScore(
        t_s=t_s,
        aqs=_mean(values),
        quality=_mean([t.quality for t in tiles]),
        artifact_component=_mean(damages),
        probability=_means([t.probability for t in tiles]),
        intensity=_means([t.intensity for t in tiles]),
        severity=_severity(tiles),
        tiles=tuple(tiles),
        scene=scene,
    )


def video_aqs(sequences: Rows[SequenceScore]) -> float:
    """The AQS of a video: the mean of its sequences'."""
    return _mean([s.aqs for s in sequences])


def score_video(sequences: Rows[SequenceScore], thresholds: Rows[float]) -> Score:
    """One video: the mean of its sequences, with the 5th percentile of their AQS beside it.

    An artifact counts as detected when its mean probability exceeds its own of ten `thresholds`:
    whether it is there, however much it takes away (docs/decisions/019, 023).
    """
    value = video_aqs(sequences)
    severities = [s.severity for s in sequences]
    details = {
        artifact: _detail(number, sequences, severities, thresholds[number])
        for number, artifact in enumerate(Artifact)
    }
    return Score(
        aqs=value,
        aqs_p5=float(np.percentile([s.aqs for s in sequences], 5)),
        level=QualityLevel.of(value),
        quality_component=_mean([s.quality for s in sequences]),
        artifact_component=_mean([s.artifact_component for s in sequences]),
        artifacts=details,
        detected=tuple(a for a, d in details.items() if d.probability > d.threshold),
        sequences=tuple(sequences),
        frame_count=len(sequences) * FRAMES_PER_SEQUENCE,
    )


def _detail(
    number: int,
    sequences: Rows[SequenceScore],
    severities: Rows[tuple[float, ...]],
    threshold: float,
) -> ArtifactDetail:
    column = [row[number] for row in severities]
    worst = max(range(len(column)), key=column.__getitem__)
    probabilities = [s.probability[number] for s in sequences]
    return ArtifactDetail(
        probability=_mean(probabilities),
        intensity=_mean([s.intensity[number] for s in sequences]),
        severity=_mean(column),
        time_share=sum(1 for p in probabilities if p > threshold) / len(probabilities),
        worst_t_s=sequences[worst].t_s,
        threshold=threshold,
    )


def _mean(values: Rows[float]) -> float:
    # fsum: the mean of equal values is that value, and 1.0 stays attainable.
    return math.fsum(values) / len(values)


def _severity(tiles: Rows[TileScores]) -> tuple[float, ...]:
    rows = [map(operator.mul, t.probability, t.intensity) for t in tiles]
    # Not fsum: the store adds as plainly, and what is read back is to be what was saved.
    return tuple(sum(column) / len(rows) for column in zip(*rows, strict=True))


def _means(rows: Rows[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(_mean(column) for column in zip(*rows, strict=True))
