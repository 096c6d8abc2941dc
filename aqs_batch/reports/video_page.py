"""What the page of one video shows, ready to be laid out."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aqs_batch.records import Outcome, QualityLevel, Rung, Score, SequenceScore, Video
from aqs_batch.reports import svg
from aqs_batch.reports.charts import bit_rate, gauge
from aqs_batch.reports.explanations import EXPLANATIONS, Explanation, label
from aqs_batch.reports.frame_map import FrameMap, artifact_map, coverage, quality_map
from aqs_batch.reports.names import visible_name
from aqs_batch.reports.rd_curve import letters, rd_curve
from aqs_batch.reports.rung_frames import WorstPicture, strips, worst_pictures
from aqs_batch.reports.summary import WORST_MOMENTS, change_words, warnings_of
from aqs_batch.reports.timeline import (
    alert_count,
    aqs_timeline,
    artifact_heat_map,
    scene_count,
    strongest_of,
)
from aqs_batch.wording import aqs_words, count, decimal, size, video_time

_MAX_HEIGHT = 1080  # of frames as they are scored, where the run does not say
_IMAGES_MAX_BYTES = 500_000  # of JPEG; the page stays under 1 MB with its charts and base64


@dataclass(frozen=True)
class Moment:
    """One of a video's worst sequences; `image` is base64 JPEG or ""."""

    time: str
    aqs: str
    level: QualityLevel
    cause: str
    image: str


@dataclass(frozen=True)
class ArtifactLine:
    """One artifact over the video, in words and 0-1."""

    text: Explanation
    detected: bool
    probability: float
    intensity: float
    severity: float
    time_share: float
    worst_time: str
    threshold: float


@dataclass(frozen=True)
class Verdict:
    """Everything a page shows of a score; drawings are inline SVG."""

    score: Score
    aqs: str
    p5: str
    formula: str
    change: str
    gauge: str
    artifacts: tuple[ArtifactLine, ...]  # detected first, then by severity
    detected: tuple[ArtifactLine, ...]
    passing: tuple[ArtifactLine, ...]  # detected in some sequences, but not over the whole
    timeline: str
    heat_map: str
    scenes: int
    alerts: int
    artifact_map: FrameMap
    quality_map: FrameMap
    coverage: float
    moments: tuple[Moment, ...]


@dataclass(frozen=True)
class VideoPage:
    """One video's page; a failed file has no verdict, but a reason and a hint."""

    folder: str  # with its "/" at the end, or ""
    name: str
    outcome: Outcome
    verdict: Verdict | None
    rates: str
    encodes: tuple[Rung, ...]
    curve: str
    curve_letters: tuple[tuple[str, str], ...]  # and the ladder each stands for
    strips: tuple[tuple[str, str], ...]  # words and drawing of each rung that has one
    worst_frames: tuple[WorstPicture, ...]
    video_facts: tuple[tuple[str, str], ...]
    streams: tuple[str, ...]
    provenance: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def video_page(outcome: Outcome, settings: Mapping[str, Any]) -> VideoPage:
    """Lay out one outcome; `settings` are the run's: what alpha and which size it scored with."""
    video = outcome.video
    folder, slash, name = visible_name(outcome.file).rpartition("/")
    rates = video.kbps_over_time if video else ()
    return VideoPage(
        folder=folder + slash,
        name=name,
        outcome=outcome,
        verdict=_verdict(outcome, outcome.score, settings) if outcome.score else None,
        rates=bit_rate(rates, video.duration_s) if video and len(rates) > 1 else "",
        encodes=tuple(sorted(outcome.encodes, key=lambda rung: rung.crf)),
        curve=rd_curve(outcome.encodes),
        curve_letters=letters(outcome.encodes),
        strips=strips(outcome.encodes, video),
        worst_frames=worst_pictures(outcome.encodes),
        video_facts=_video_facts(video) if video else (),
        streams=video.streams if video else (),
        provenance=_provenance(outcome),
        warnings=warnings_of(outcome),
    )


def _verdict(outcome: Outcome, score: Score, settings: Mapping[str, Any]) -> Verdict:
    video, sequences = outcome.video, score.sequences
    duration_s = video.duration_s if video else 0.0
    width, height = _scored_size(video, settings) if video else (16, 9)
    lines = _artifact_lines(score)
    return Verdict(
        score=score,
        aqs=aqs_words(score.aqs, score.level),
        p5=aqs_words(score.aqs_p5),
        formula=_formula(score, _setting(settings, "alpha")),
        change=_change(score.aqs, outcome.previous_aqs),
        gauge=gauge(score.aqs, score.aqs_p5),
        artifacts=lines,
        detected=tuple(line for line in lines if line.detected),
        passing=tuple(line for line in lines if line.time_share and not line.detected),
        timeline=aqs_timeline(sequences, duration_s, score.aqs_p5),
        heat_map=artifact_heat_map(sequences, duration_s),
        scenes=scene_count(sequences),
        alerts=alert_count(sequences, duration_s),
        artifact_map=artifact_map(sequences, width, height),
        quality_map=quality_map(sequences, width, height),
        coverage=coverage(sequences, width, height),
        moments=_moments(sequences),
    )


def _artifact_lines(score: Score) -> tuple[ArtifactLine, ...]:
    lines = [
        ArtifactLine(
            text=EXPLANATIONS[artifact],
            detected=artifact in score.detected,
            probability=detail.probability,
            intensity=detail.intensity,
            severity=detail.severity,
            time_share=detail.time_share,
            worst_time=video_time(detail.worst_t_s),
            threshold=detail.threshold,
        )
        for artifact, detail in score.artifacts.items()
    ]
    return tuple(sorted(lines, key=lambda line: (not line.detected, -line.severity)))


def _moments(sequences: Sequence[SequenceScore]) -> tuple[Moment, ...]:
    """The worst sequences, those with a picture first, the lowest AQS first."""
    worst = sorted(sequences, key=lambda s: (s.thumbnail is None, s.aqs, s.t_s))[:WORST_MOMENTS]
    room, moments = _IMAGES_MAX_BYTES, []
    for sequence in worst:
        picture = sequence.thumbnail or b""
        picture = picture if len(picture) <= room else b""
        room -= len(picture)
        level = QualityLevel.of(sequence.aqs)
        moments.append(
            Moment(
                time=video_time(sequence.t_s),
                aqs=aqs_words(sequence.aqs),
                level=level,
                cause=_cause(sequence),
                image=base64.b64encode(picture).decode("ascii"),
            )
        )
    return tuple(moments)


def _cause(sequence: SequenceScore) -> str:
    strongest, severity = strongest_of(sequence)
    if svg.step_of(severity) == 0:
        return "no artifact stands out"
    return f"{label(strongest)} {decimal(severity)}"


def _scored_size(video: Video, settings: Mapping[str, Any]) -> tuple[int, int]:
    """(width, height) of the frames that tiles were cut from."""
    most = _setting(settings, "max_height") or _MAX_HEIGHT
    factor = min(1.0, most / max(1, min(video.width, video.height)))
    return round(video.width * factor), round(video.height * factor)


def _setting(settings: Mapping[str, Any], name: str) -> float | None:
    """A number of [analysis]; None where the run does not say."""
    found = settings.get("analysis", {}).get(name)
    return None if found is None else float(found)


def _formula(score: Score, alpha: float | None) -> str:
    quality, artifacts = score.quality_component, score.artifact_component
    if alpha is not None:
        aqs = alpha * quality + (1 - alpha) * (1 - artifacts)
        if abs(aqs - score.aqs) < 0.01:  # else the score was made with other settings
            return (
                f"{aqs_words(score.aqs, score.level)} = {alpha:g} × {decimal(quality)} quality "
                f"+ {1 - alpha:g} × (1 − {decimal(artifacts)} artifacts)"
            )
    return "AQS = α × quality + (1 − α) × (1 − artifacts)"


def _change(aqs: float, before: float | None) -> str:
    if before is None:
        return ""
    return f"{change_words(aqs - before)} against {aqs_words(before)}, this file's score before"


def _video_facts(video: Video) -> tuple[tuple[str, str], ...]:
    coded = (video.coded_width, video.coded_height)
    shape = video.sar.num, video.sar.den
    if video.rotation_deg % 180 == 90:  # as the resolution: of the picture, not as it is coded
        shape = shape[::-1]
    is_coded_so = coded == (video.width, video.height)
    color = (video.color_primaries, video.color_transfer, video.color_matrix, video.color_range)
    rate = f"{video.frame_rate.value:.3f}".rstrip("0").rstrip(".") + " fps"
    facts = {
        "Resolution": f"{video.width} × {video.height}",
        "Coded as": "" if is_coded_so else f"{coded[0]} × {coded[1]}",
        "Duration": video_time(video.duration_s),
        "Frame rate": rate + (", variable" if video.variable_frame_rate else ""),
        "Codec": video.codec,
        "Pixel format": f"{video.pixel_format}, {video.bit_depth}-bit",
        "Color": " / ".join(dict.fromkeys(part for part in color if part)),
        "HDR": video.hdr or "no",
        "Scan": f"interlaced ({video.field_order})" if video.interlaced else video.field_order,
        "Pixel shape (SAR)": f"{shape[0]}:{shape[1]}",
        "Rotation": f"{video.rotation_deg}°" if video.rotation_deg else "",
        "Mirrored": "top to bottom, once it is turned" if video.is_mirrored else "",
        "Bit rate": f"{video.bit_rate_kbps:,.0f} kbit/s",
        "Size": size(video.size_bytes),
        "Container": video.container,
    }
    return tuple((name, value) for name, value in facts.items() if value)


def _provenance(outcome: Outcome) -> tuple[tuple[str, str], ...]:
    made = outcome.provenance
    facts = {"Fingerprint": outcome.fingerprint}
    if made:
        facts |= {
            "Checkpoint": made.checkpoint,
            "Settings key": made.settings_key,
            "Device": f"{made.device}, {made.backend}",
            "Tiles a sequence": str(made.tiles),
            "ffmpeg": made.ffmpeg,
            "aqs-batch": made.version,
        }
    if outcome.score:
        looked = count(len(outcome.score.sequences), "sequence")
        facts["Frames looked at"] = f"{outcome.score.frame_count:,} in {looked}"
    if outcome.processing_time_s:
        facts["Processing time"] = f"{outcome.processing_time_s:.1f} s"
    return tuple((name, value) for name, value in facts.items() if value)
