"""The frames of re-encodes: VMAF over time, and the worst of them beside the source's."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from aqs_batch.records import Rung, Video
from aqs_batch.reports import svg
from aqs_batch.reports.timeline import LEFT, RIGHT, WIDTH, time_axis
from aqs_batch.wording import cut, video_time

_HEIGHT, _AXIS_HEIGHT = 52.0, 16.0
_STRIPS_MAX = 8


@dataclass(frozen=True)
class WorstPicture:
    """Source and encode of one frame side by side; `image` is base64 JPEG."""

    time: str
    vmaf: str
    image: str


def strips(rungs: Sequence[Rung], video: Video | None) -> tuple[tuple[str, str], ...]:
    """VMAF frame by frame (the lowest of every bin) of the rung to take and a few others."""
    measured = (rung for rung in rungs if rung.strip)
    first = sorted(measured, key=lambda rung: (not rung.recommended, rung.crf))[:_STRIPS_MAX]
    shown = sorted(first, key=lambda rung: rung.crf)
    return tuple((_words(rung), _strip(rung, _end_s(rung, video))) for rung in shown)


def worst_pictures(rungs: Sequence[Rung]) -> tuple[WorstPicture, ...]:
    """The worst frames of the recommended rung that have a picture, the worst first."""
    return tuple(
        WorstPicture(
            video_time(frame.t_s), cut(frame.vmaf), base64.b64encode(frame.picture).decode()
        )
        for rung in rungs
        if rung.recommended
        for frame in rung.worst
        if frame.picture
    )


def _words(rung: Rung) -> str:
    sampled = "" if rung.is_full else f", {rung.plan}"
    filtered = " with preprocess" if rung.preprocess else ""
    tuned = f" {rung.params}" if rung.params else ""
    return f"{rung.codec} {rung.preset}{tuned}{filtered}, CRF {rung.crf:g}{sampled}"


def _end_s(rung: Rung, video: Video | None) -> float:
    """Where the times along a strip end; 0: it has none, for its frames are not evenly spread."""
    if video is None or not rung.is_full or video.variable_frame_rate:
        return 0.0
    rate = video.frame_rate.value
    return rung.frames / rate if rate else 0.0


def _strip(rung: Rung, end_s: float) -> str:
    """A line from 0 to 100 over time; of samples one after another, without times."""
    left, right, top, bottom = LEFT, WIDTH - RIGHT, 6.0, _HEIGHT - 8
    values = rung.strip
    wide = (right - left) / max(len(values) - 1, 1)
    floor = min(60.0, min(values) // 10 * 10)
    parts = time_axis(end_s, top, bottom) if end_s else []
    for tick in (floor, 100.0):
        y = bottom - (tick - floor) / (100 - floor) * (bottom - top)
        parts.append(svg.line(left, y, right, y, "grid"))
        parts.append(svg.text(left - 8, y + 4, f"{tick:.0f}", "end num"))
    points = [
        (left + n * wide, bottom - (value - floor) / (100 - floor) * (bottom - top))
        for n, value in enumerate(values)
    ]
    parts.append(svg.path(points, "curve"))
    description = f"VMAF frame by frame, lowest {cut(min(values))}, {_words(rung)}."
    height = _HEIGHT + (_AXIS_HEIGHT if end_s else 0.0)
    return svg.chart("vmaf-strip", WIDTH, height, description, parts)
