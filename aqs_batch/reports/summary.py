"""What a run found: the JSON of one video, one line per file, and the facts of all of them."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from statistics import median
from typing import Any

import numpy as np

from aqs_batch.records import (
    Artifact,
    Fraction,
    Outcome,
    Provenance,
    QualityLevel,
    Rung,
    Score,
    SequenceScore,
    Status,
    Video,
)
from aqs_batch.reports.names import page_name, printable

# Below this two scores read the same at two decimals, so neither better nor worse is claimed.
CHANGE_MIN = 0.01
_CHANGES_LISTED = 6
_DECIMALS = 6


@dataclass(frozen=True)
class Row:
    """One file as the index tells it; scores are None where there is none."""

    file: str
    page: str  # the name of its page in videos/
    status: Status
    reason: str
    hint: str
    aqs: float | None
    aqs_p5: float | None
    level: QualityLevel | None
    severities: tuple[float, ...]  # Artifact order, () where there is no score
    detected: tuple[Artifact, ...]
    width: int
    height: int
    codec: str
    duration_s: float
    size_bytes: int
    delta: float | None  # AQS minus that of the last run, where the content changed
    comparable: str  # checkpoint and settings key: only equal ones may be compared


@dataclass(frozen=True)
class Summary:
    """The aggregated facts of one report."""

    files: int
    scored: int
    unchanged: int
    failed: int
    levels: Mapping[QualityLevel, int]  # every level, best first
    artifacts: tuple[tuple[Artifact, int], ...]  # files each was detected in, most common first
    histogram: tuple[int, ...]  # files per 0.05 of AQS, 20 bins
    median_aqs: float | None  # None where the scores must not be pooled
    comparables: int  # distinct checkpoints and settings keys
    new: int
    improved: int
    worse: int
    same: int
    worsened: tuple[Row, ...]  # largest loss first
    bettered: tuple[Row, ...]  # largest gain first
    duration_s: float
    size_bytes: int


def severities(sequence: SequenceScore) -> tuple[float, ...]:
    """The ten severities of a sequence, also of one kept without its tiles."""
    if sequence.tiles:
        return sequence.severity
    return tuple(p * i for p, i in zip(sequence.probability, sequence.intensity, strict=True))


def row_of(outcome: Outcome) -> Row:
    """The index line of one outcome; holds no sequences, so that 10,000 fit in memory."""
    score, video, provenance = outcome.score, outcome.video, outcome.provenance
    before = outcome.previous_aqs
    return Row(
        file=outcome.file,
        page=page_name(outcome.file),
        status=outcome.status,
        reason=outcome.reason,
        hint=outcome.hint,
        aqs=score.aqs if score else None,
        aqs_p5=score.aqs_p5 if score else None,
        level=score.level if score else None,
        severities=tuple(_severity(score, artifact) for artifact in Artifact) if score else (),
        detected=score.detected if score else (),
        width=video.width if video else 0,
        height=video.height if video else 0,
        codec=video.codec if video else "",
        duration_s=video.duration_s if video else 0.0,
        size_bytes=video.size_bytes if video else 0,
        delta=score.aqs - before if score and before is not None else None,
        comparable=f"{provenance.checkpoint} {provenance.settings_key}" if provenance else "",
    )


def summarise(rows: Iterable[Row]) -> Summary:
    """Count the verdicts, artifacts and changes of all files of a report."""
    lines = list(rows)
    scored = [row for row in lines if row.aqs is not None]
    values = sorted(row.aqs for row in scored if row.aqs is not None)
    levels = Counter(row.level for row in scored)
    common = Counter(artifact for row in scored for artifact in row.detected)
    comparables = len({row.comparable for row in scored})
    changed = [row for row in scored if row.status is Status.SCORED]
    worse = [row for row in changed if row.delta is not None and row.delta <= -CHANGE_MIN]
    improved = [row for row in changed if row.delta is not None and row.delta >= CHANGE_MIN]
    new = sum(row.delta is None for row in changed)
    return Summary(
        files=len(lines),
        scored=len(changed),
        unchanged=sum(row.status is Status.UNCHANGED for row in lines),
        failed=sum(row.status is Status.FAILED for row in lines),
        levels={level: levels[level] for level in QualityLevel},
        artifacts=tuple(common.most_common()),
        histogram=_histogram(values),
        median_aqs=median(values) if values and comparables == 1 else None,
        comparables=comparables,
        new=new,
        improved=len(improved),
        worse=len(worse),
        same=len(changed) - new - len(improved) - len(worse),
        worsened=tuple(heapq.nsmallest(_CHANGES_LISTED, worse, key=_delta)),
        bettered=tuple(heapq.nlargest(_CHANGES_LISTED, improved, key=_delta)),
        duration_s=sum(row.duration_s for row in lines),
        size_bytes=sum(row.size_bytes for row in lines),
    )


def video_json(outcome: Outcome) -> dict[str, Any]:
    """The JSON of one video; its keys are a public interface: add, never rename.

    A failed file has null scores, and its `reason` and `hint`. Ratios that do not exist
    (an infinite XPSNR) are null, and undecodable file names are written as `names.printable`.
    """
    score, provenance, video = outcome.score, outcome.provenance, outcome.video
    warnings = dict.fromkeys((*outcome.warnings, *(video.warnings if video else ())))
    document = {
        "file": outcome.file,
        "status": outcome.status.value,
        "reason": outcome.reason,
        "hint": outcome.hint,
        "fingerprint": outcome.fingerprint or None,
        **_score_json(score),
        "processing_time": outcome.processing_time_s,
        "video": _video_json(video) if video else None,
        "provenance": _provenance_json(provenance) if provenance else None,
        "encodes": [_rung_json(rung) for rung in outcome.encodes],
        "bd_rate": dict(outcome.bd_rate),
        "warnings": list(warnings),
    }
    cleaned: dict[str, Any] = json_value(document)
    return cleaned


def json_value(value: object) -> Any:
    """A value as strict JSON holds it: no NaN, no lone surrogate, six decimals."""
    if isinstance(value, Mapping):
        return {str(json_value(str(key))): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_value(item) for item in value]
    if isinstance(value, np.generic | Enum):
        value = value.item() if isinstance(value, np.generic) else value.value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(float(value), _DECIMALS) if math.isfinite(value) else None
    return printable(str(value))


def _score_json(score: Score | None) -> dict[str, Any]:
    if score is None:
        empty = ("aqs_score", "aqs_p5", "quality_level", "quality_component", "artifact_component")
        return dict.fromkeys(empty) | {
            "artifacts": {},
            "detected": [],
            "artifact_detail": {},
            "sequences": [],
            "frame_count": 0,
            "sequence_count": 0,
        }
    return {
        "aqs_score": score.aqs,
        "aqs_p5": score.aqs_p5,
        "quality_level": score.level.value,
        "quality_component": score.quality_component,
        "artifact_component": score.artifact_component,
        "artifacts": {artifact.value: _severity(score, artifact) for artifact in Artifact},
        "detected": [artifact.value for artifact in score.detected],
        "artifact_detail": {
            artifact.value: {
                "probability": detail.probability,
                "intensity": detail.intensity,
                "severity": detail.severity,
                "time_share": detail.time_share,
                "worst_t": detail.worst_t_s,
                "threshold": detail.threshold,
            }
            for artifact, detail in score.artifacts.items()
        },
        "sequences": [_sequence_json(sequence) for sequence in score.sequences],
        "frame_count": score.frame_count,
        "sequence_count": len(score.sequences),
    }


def _sequence_json(sequence: SequenceScore) -> dict[str, Any]:
    names = (artifact.value for artifact in Artifact)
    return {
        "t": sequence.t_s,
        "aqs": sequence.aqs,
        "quality": sequence.quality,
        "artifacts": dict(zip(names, severities(sequence), strict=True)),
    }


def _video_json(video: Video) -> dict[str, Any]:
    # Named one by one, and not asdict(): the packet times of a film are no one's JSON.
    return {
        "width": video.width,
        "height": video.height,
        "coded_width": video.coded_width,
        "coded_height": video.coded_height,
        "codec": video.codec,
        "pixel_format": video.pixel_format,
        "bit_depth": video.bit_depth,
        "fps": video.frame_rate.value,
        "frame_rate": _ratio(video.frame_rate, "/"),
        "variable_frame_rate": video.variable_frame_rate,
        "duration_s": video.duration_s,
        "bit_rate_kbps": video.bit_rate_kbps,
        "sar": _ratio(video.sar, ":"),
        "rotation": video.rotation_deg,
        "field_order": video.field_order,
        "interlaced": video.interlaced,
        "hdr": video.hdr,
        "color_primaries": video.color_primaries,
        "color_transfer": video.color_transfer,
        "color_matrix": video.color_matrix,
        "color_range": video.color_range,
        "container": video.container,
        "size_bytes": video.size_bytes,
        "stream_index": video.stream_index,
        "streams": list(video.streams),
    }


def _provenance_json(provenance: Provenance) -> dict[str, Any]:
    return asdict(provenance)


def _rung_json(rung: Rung) -> dict[str, Any]:
    return {
        "crf": rung.crf,
        "preset": rung.preset,
        "preprocess": rung.preprocess,
        "bytes": rung.size_bytes,
        "kbps": rung.kbps,
        "vmaf": asdict(rung.vmaf) if rung.vmaf else None,
        "vmaf_neg": asdict(rung.vmaf_neg) if rung.vmaf_neg else None,
        "vmaf_v1": asdict(rung.vmaf_v1) if rung.vmaf_v1 else None,
        "xpsnr": rung.xpsnr,
        "alignment": rung.alignment,
        "codec": rung.codec,
        "params": rung.params,
        "plan": rung.plan,
        "frames": rung.frames,
        "model": rung.model,
        "aqs": rung.aqs,
        "encode_fps": rung.encode_fps,
        "ratio": rung.ratio,
        "on_hull": rung.on_hull,
        "recommended": rung.recommended,
        "output": rung.output or None,
        "checks": [asdict(check) for check in rung.checks],
        "vmaf_log": rung.vmaf_log or None,
        "warnings": list(rung.warnings),
    }


def _severity(score: Score, artifact: Artifact) -> float:
    detail = score.artifacts.get(artifact)
    return detail.severity if detail else 0.0


def _ratio(fraction: Fraction, sign: str) -> str:
    return f"{fraction.num}{sign}{fraction.den}"


def _histogram(values: Iterable[float], bins: int = 20) -> tuple[int, ...]:
    counts = [0] * bins
    for value in values:
        # A hair above, because 0.85 * 20 is 16.999… and 0.85 is Excellent.
        counts[min(bins - 1, max(0, int(value * bins + 1e-9)))] += 1
    return tuple(counts)


def _delta(row: Row) -> float:
    return row.delta or 0.0
