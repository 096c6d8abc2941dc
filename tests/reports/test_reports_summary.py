"""The JSON of one video and the facts of all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from aqs_batch.records import Artifact, Outcome, Provenance, QualityLevel, Rung, Status
from aqs_batch.reports.summary import row_of, summarise
from aqs_batch.reports.video_json import json_value, video_json

DESIGN_KEYS = {
    "file", "fingerprint", "aqs_score", "aqs_p5", "quality_level", "quality_component",
    "artifact_component", "artifacts", "detected", "artifact_detail", "sequences",
    "processing_time", "frame_count", "sequence_count", "video", "provenance", "encodes",
    "bd_rate", "bd_rate_against", "warnings",
}  # fmt: skip
NAMES = [artifact.value for artifact in Artifact]


def strict(document: object) -> Any:
    return json.loads(json.dumps(document, allow_nan=False))


def test_every_key_of_the_public_interface(
    build: Callable[..., Outcome], rungs: tuple[Rung, ...]
) -> None:
    document = strict(video_json(build(encodes=rungs, bd_rate={"vmaf": -3.1, "vmaf_neg": -0.4})))
    assert set(document) == DESIGN_KEYS | {"status", "reason", "hint", "previous_aqs"}
    assert list(document["artifacts"]) == NAMES
    assert list(document["artifact_detail"]) == NAMES
    detail_keys = {"probability", "intensity", "severity", "time_share", "worst_t", "threshold"}
    assert all(set(detail) == detail_keys for detail in document["artifact_detail"].values())
    assert set(document["sequences"][0]) == {"t", "aqs", "quality", "artifacts"}
    assert list(document["sequences"][0]["artifacts"]) == NAMES
    assert set(document["provenance"]) == {
        "checkpoint", "settings_key", "device", "backend", "tiles", "ffmpeg", "version",
    }  # fmt: skip
    assert set(document["encodes"][0]) == {
        "crf", "preset", "preprocess", "bytes", "kbps", "vmaf", "vmaf_neg", "xpsnr", "alignment",
        "codec", "params", "plan", "frames", "model", "vmaf_v1", "aqs", "encode_fps", "ratio",
        "on_hull", "recommended", "output", "checks", "vmaf_log", "warnings",
    }  # fmt: skip
    pools = {"mean", "harmonic_mean", "min", "p5"}
    assert set(document["encodes"][0]["vmaf"]) == set(document["encodes"][0]["vmaf_neg"]) == pools
    assert {"width", "height", "codec", "fps", "streams", "sar"} <= set(document["video"])
    assert document["bd_rate"] == {"vmaf": -3.1, "vmaf_neg": -0.4}


def test_values_come_through(outcome: Outcome) -> None:
    outcome = replace(outcome, previous_aqs=0.25)
    document = strict(video_json(outcome))
    assert document["previous_aqs"] == 0.25
    assert outcome.score is not None
    assert document["aqs_score"] == pytest.approx(outcome.score.aqs, abs=1e-6)
    assert document["quality_level"] == outcome.score.level.value
    assert document["status"] == "scored"
    assert document["sequence_count"] == len(document["sequences"]) == 12
    assert document["frame_count"] == 84
    for artifact, detail in outcome.score.artifacts.items():
        told = document["artifact_detail"][artifact.value]
        assert told.pop("worst_t") == detail.worst_t_s
        assert told == pytest.approx({name: getattr(detail, name) for name in told}, abs=1e-6)
    first = outcome.score.sequences[0]
    assert list(document["sequences"][0]["artifacts"].values()) == pytest.approx(
        list(first.severity), abs=1e-6
    )


def test_the_facts_of_video_and_rungs_come_through(
    build: Callable[..., Outcome], rungs: tuple[Rung, ...]
) -> None:
    video = replace(build().video, coded_width=1928, coded_height=1088)
    rung = replace(rungs[1], aqs=0.7, frames=250, encode_fps=31.5, ratio=0.4, vmaf_v1=rungs[2].vmaf)
    document = video_json(build(video=video, encodes=(rung,)))
    renamed = {"fps", "frame_rate", "sar", "rotation", "streams"}
    for name in set(document["video"]) - renamed:
        assert document["video"][name] == getattr(video, name), name
    (told,) = document["encodes"]
    assert told["bytes"] == rung.size_bytes
    for name in ("crf", "kbps", "xpsnr", "aqs", "frames", "encode_fps", "ratio"):
        assert told[name] == pytest.approx(getattr(rung, name), abs=1e-6), name
    for name in ("vmaf", "vmaf_neg", "vmaf_v1"):
        assert told[name] == pytest.approx(vars(getattr(rung, name)), abs=1e-6), name


def test_what_is_infinite_is_null_not_invalid_json(
    build: Callable[..., Outcome], rungs: tuple[Rung, ...]
) -> None:
    assert strict(video_json(build(encodes=rungs)))["encodes"][0]["xpsnr"] is None


def test_a_failed_file_has_the_same_keys(failure: Outcome) -> None:
    document = strict(video_json(failure))
    assert set(document) == DESIGN_KEYS | {"status", "reason", "hint", "previous_aqs"}
    assert document["status"] == "failed"
    assert document["aqs_score"] is None and document["sequences"] == []
    assert "moov" in document["reason"] and document["hint"]


def test_json_values_of_other_types() -> None:
    given = {"a": np.float32(0.5), "b": float("nan"), "c": Status.FAILED, "d": ("x\udc80", 1, True)}
    assert strict(json_value(given)) == {
        "a": 0.5,
        "b": None,
        "c": "failed",
        "d": ["x\\x80", 1, True],
    }


def with_aqs(outcome: Outcome, aqs: float, **changes: Any) -> Outcome:
    assert outcome.score is not None
    score = replace(outcome.score, aqs=aqs, level=QualityLevel.of(aqs))
    return replace(outcome, score=score, **changes)


def test_what_changed_since_the_last_run(outcome: Outcome, failure: Outcome) -> None:
    found = summarise(
        map(
            row_of,
            [
                with_aqs(outcome, 0.9),
                with_aqs(outcome, 0.9, previous_aqs=0.6),
                with_aqs(outcome, 0.8, previous_aqs=0.7),
                with_aqs(outcome, 0.803, previous_aqs=0.8),
                with_aqs(outcome, 0.4, previous_aqs=0.8),
                with_aqs(outcome, 0.3, previous_aqs=0.4),
                with_aqs(outcome, 0.8, previous_aqs=0.803),
                with_aqs(outcome, 0.2, status=Status.UNCHANGED),
                failure,
            ],
        )
    )
    assert (found.new, found.improved, found.worse, found.same) == (1, 2, 2, 2)
    assert (found.unchanged, found.failed, found.files) == (1, 1, 9)
    assert outcome.video is not None
    assert found.duration_s == 8 * outcome.video.duration_s
    assert found.size_bytes == 8 * outcome.video.size_bytes
    assert [round(row.delta or 0, 2) for row in found.worsened] == [-0.4, -0.1]
    assert [round(row.delta or 0, 2) for row in found.bettered] == [0.3, 0.1]


def test_an_earlier_content_that_was_put_back_is_a_change(outcome: Outcome) -> None:
    """Its score was known, so it had been unchanged, beside a change of -0.40."""
    known = {"status": Status.UNCHANGED}
    found = summarise(
        map(
            row_of,
            [
                with_aqs(outcome, 0.4, previous_aqs=0.8, **known),
                with_aqs(outcome, 0.9, previous_aqs=0.6, **known),
                with_aqs(outcome, 0.7, previous_aqs=0.7, **known),
            ],
        )
    )
    assert (found.worse, found.improved, found.unchanged, found.new) == (1, 1, 1, 0)
    assert [row.aqs for row in (*found.worsened, *found.bettered)] == [0.4, 0.9]


def test_verdicts_count_every_level(outcome: Outcome, failure: Outcome) -> None:
    values = [0.85, 0.7, 0.5, 0.3, 0.0, 1.0]
    found = summarise([row_of(with_aqs(outcome, value)) for value in values] + [row_of(failure)])
    assert list(found.levels.values()) == [2, 1, 1, 1, 1]
    assert sum(found.histogram) == 6
    occupied = [index for index, files in enumerate(found.histogram) if files]
    assert occupied == [0, 6, 10, 14, 17, 19]  # a boundary belongs to the better level


def test_the_median_of_two_lies_between_them(outcome: Outcome) -> None:
    found = summarise([row_of(with_aqs(outcome, value)) for value in (0.2, 0.9)])
    assert found.median_aqs == pytest.approx(0.55)


def test_scores_of_different_settings_are_not_pooled(outcome: Outcome) -> None:
    made = outcome.provenance
    assert isinstance(made, Provenance)
    other = replace(outcome, provenance=replace(made, settings_key="other"))
    assert summarise([row_of(outcome)]).median_aqs is not None
    mixed = summarise([row_of(outcome), row_of(other)])
    assert mixed.median_aqs is None and mixed.comparables == 2


def test_no_files_at_all() -> None:
    found = summarise([])
    assert found.files == 0 and found.median_aqs is None


def test_common_artifacts_come_first(outcome: Outcome) -> None:
    assert outcome.score is not None
    only = replace(outcome.score, detected=(Artifact.RINGING,))
    both = replace(outcome.score, detected=(Artifact.BLOCKING, Artifact.RINGING))
    found = summarise([row_of(replace(outcome, score=score)) for score in (only, both)])
    assert found.artifacts == ((Artifact.RINGING, 2), (Artifact.BLOCKING, 1))
