"""Whole clean test clips through the tool's own path: are good sources called good?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aqs_batch import ffmpeg
from aqs_batch.analysis import tiles
from aqs_batch.analysis.score import score_sequence, score_video
from aqs_batch.analysis.tiles import Tile
from aqs_batch.ingest import decode, sampling
from aqs_batch.ingest.probe import probe
from aqs_batch.ingest.stamps import Stamps
from aqs_batch.records import QualityLevel, SequenceScore, TileScores
from aqs_batch.settings import AnalysisSettings
from training.manifest import Source

DECODE_LIMIT_S = 300.0

Scores = Callable[[list[Tile]], list[TileScores]]


def clean_sources(
    sources: list[Source], scores: Scores, thresholds: tuple[float, ...]
) -> dict[str, Any]:
    """Share of the clips scored Good or better, and how each was scored."""
    rows = {source.name: _scored(source, scores, thresholds) for source in sources}
    good = [row["aqs"] >= QualityLevel.GOOD.floor for row in rows.values()]
    quiet = [not row["detected"] for row in rows.values()]
    count = max(len(rows), 1)
    return {
        "clips": len(rows),
        "good_or_better": sum(good) / count,
        "without_detection": sum(quiet) / count,
        "each": rows,
    }


def _scored(source: Source, scores: Scores, thresholds: tuple[float, ...]) -> dict[str, Any]:
    video, settings = probe(source.path), AnalysisSettings()
    plan = sampling.plan(video, settings.interval_s, settings.max_sequences)
    height, width = sampling.analysed_size(video, settings.max_height)
    decoding = decode.Decoding(ffmpeg.find().path, height, width, DECODE_LIMIT_S)
    rows: list[SequenceScore] = []
    for number, sequence in enumerate(decode.sequences(video, plan, decoding, Stamps())):
        corners = sampling.tile_corners(number, settings.tiles, height, width)
        cut = tiles.cut(sequence.frames, corners)
        rows.append(score_sequence(sequence.t_s, scores(cut), settings, sequence.scene))
    score = score_video(rows, thresholds)
    return {
        "aqs": score.aqs,
        "level": score.level.value,
        "detected": [artifact.value for artifact in score.detected],
        "severity": {a.value: d.severity for a, d in score.artifacts.items()},
    }
