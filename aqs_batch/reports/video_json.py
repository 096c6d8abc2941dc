"""The JSON of one video, whose keys are a public interface."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from enum import Enum
from typing import Any

import numpy as np

from aqs_batch.records import (
    Artifact,
    Fraction,
    Outcome,
    Rung,
    Score,
    SequenceScore,
    Video,
)
from aqs_batch.reports.names import printable
from aqs_batch.reports.summary import severity, warnings_of

_DECIMALS = 6
_NAMES = tuple(artifact.value for artifact in Artifact)  # of each sequence, millions of times


def video_json(outcome: Outcome) -> dict[str, Any]:
    """The JSON of one video; its keys are a public interface: add, never rename.

    A failed file has null scores, and its `reason` and `hint`. What is no finite number is null,
    and undecodable file names are written as `names.printable`.
    """
    score, provenance, video = outcome.score, outcome.provenance, outcome.video
    document = {
        "file": outcome.file,
        "status": outcome.status.value,
        "reason": outcome.reason,
        "hint": outcome.hint,
        "fingerprint": outcome.fingerprint or None,
        **_score_json(score),
        "previous_aqs": outcome.previous_aqs,
        "processing_time": outcome.processing_time_s,
        "video": _video_json(video) if video else None,
        "provenance": asdict(provenance) if provenance else None,
        "encodes": [_rung_json(rung) for rung in outcome.encodes],
        "bd_rate": dict(outcome.bd_rate),
        "bd_rate_against": outcome.bd_anchor or None,
        "warnings": warnings_of(outcome),
    }
    return {
        # Sequences are clean: of a film they are 10,000 values, and had cost as much as all else.
        key: value if key == "sequences" else json_value(value)
        for key, value in document.items()
    }


def json_value(value: object) -> Any:
    """A value as strict JSON holds it: no NaN, no lone surrogate, six decimals."""
    if isinstance(value, Mapping):
        return {printable(str(key)): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_value(item) for item in value]
    if isinstance(value, np.generic | Enum):
        value = value.item() if isinstance(value, np.generic) else value.value
    if value is None or isinstance(value, bool | int):
        return value
    return _number(value) if isinstance(value, float) else printable(str(value))


def _number(value: float) -> float | None:
    return round(float(value), _DECIMALS) if math.isfinite(value) else None


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
        "artifacts": {artifact.value: severity(score, artifact) for artifact in Artifact},
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
    return {
        "t": _number(sequence.t_s),
        "aqs": _number(sequence.aqs),
        "quality": _number(sequence.quality),
        "artifacts": dict(zip(_NAMES, map(_number, sequence.severity), strict=True)),
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
        "is_mirrored": video.is_mirrored,
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


def _ratio(fraction: Fraction, sign: str) -> str:
    return f"{fraction.num}{sign}{fraction.den}"
