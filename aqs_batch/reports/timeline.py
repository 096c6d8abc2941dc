"""A video over time: AQS with its levels, scenes and alerts, and the ten artifacts beneath."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from aqs_batch.records import Artifact, QualityLevel, SequenceScore
from aqs_batch.reports import svg
from aqs_batch.reports.explanations import label
from aqs_batch.wording import aqs_words, count, decimal, video_time

WIDTH = 960.0
LEFT, RIGHT = 126.0, 74.0  # the same in both charts, so that one time is one column
_TOP, _PLOT_HEIGHT, _LANE_HEIGHT = 16.0, 190.0, 20.0
_ROW_HEIGHT = 19.0
_SLICES_MAX = 240  # finer than a column of pixels on most screens, and 2,000 sequences stay small
_POINTS_MAX = 80  # up to here every sequence gets its own dot
_SCENES_MAX = 60
_ALERTS_MAX = 40
_ROOM_BELOW = 0.1  # AQS from which a label fits under a line


@dataclass(frozen=True)
class _Slice:
    """Neighbouring sequences drawn as one column."""

    start_s: float
    end_s: float
    mean: float
    low: float
    high: float
    worst: SequenceScore
    members: Sequence[SequenceScore]

    @cached_property  # the curve and the count of alerts have no use for it
    def peaks(self) -> tuple[float, ...]:
        """The highest severity of each artifact."""
        rows = [member.severity for member in self.members]
        return tuple(max(column) for column in zip(*rows, strict=True))


def aqs_timeline(sequences: Sequence[SequenceScore], duration_s: float, aqs_p5: float) -> str:
    """AQS (0-1) over time (s), with level bands, scene cuts, alerts and the 5th percentile.

    A stretch is an alert where AQS is Poor or below. More than 240 sequences are drawn as
    240 columns that keep their lowest and highest value.
    """
    end_s = _end(sequences, duration_s)
    columns = _columns(sequences, end_s)
    alerts = _alerts(columns)
    height = _TOP + _PLOT_HEIGHT + _LANE_HEIGHT + 30
    parts = [*_bands(), *time_axis(end_s, _TOP, _TOP + _PLOT_HEIGHT + _LANE_HEIGHT)]
    parts += _scene_lines(sequences, end_s)
    parts += _curve(columns, end_s)
    parts.append(svg.line(LEFT, _y(aqs_p5), WIDTH - RIGHT, _y(aqs_p5), "p5"))
    below = 12 if aqs_p5 > _ROOM_BELOW else -4  # nearly all of the curve is above the line
    parts.append(svg.text(LEFT + 4, _y(aqs_p5) + below, f"p5 {aqs_words(aqs_p5)}", "halo strong"))
    parts += _alert_marks(alerts, end_s)
    description = (
        f"AQS over time: {count(len(sequences), 'sequence')}, "
        f"lowest {aqs_words(min((column.low for column in columns), default=0.0))}, "
        f"5th percentile {aqs_words(aqs_p5)}, {count(len(alerts), 'alert')}."
    )
    return svg.chart("timeline", WIDTH, height, description, parts)


def alert_count(sequences: Sequence[SequenceScore], duration_s: float) -> int:
    """How many stretches of a video are Poor or below, as the timeline draws them."""
    return len(_alerts(_columns(sequences, _end(sequences, duration_s))))


def scene_count(sequences: Sequence[SequenceScore]) -> int:
    """How many scenes the sequences come from."""
    return len({sequence.scene for sequence in sequences})


def strongest_of(sequence: SequenceScore) -> tuple[Artifact, float]:
    """The artifact of the highest severity in a sequence, and that severity."""
    return max(zip(Artifact, sequence.severity, strict=True), key=lambda pair: pair[1])


def artifact_heat_map(sequences: Sequence[SequenceScore], duration_s: float) -> str:
    """Ten rows of severity (0-1) over time (s), with each row's peak in figures at its end."""
    end_s = _end(sequences, duration_s)
    columns = _columns(sequences, end_s)
    spans = [(_x(column.start_s, end_s), _x(column.end_s, end_s)) for column in columns]
    bottom = _TOP + _ROW_HEIGHT * len(Artifact)
    parts = [svg.text(WIDTH - RIGHT + 10, _TOP - 5, "peak", "muted")]
    boxes: list[tuple[int, float, float, float, float]] = []
    peaks: list[tuple[float, Artifact]] = []
    for index, artifact in enumerate(Artifact):
        top = _TOP + _ROW_HEIGHT * index
        peak = max(columns, key=lambda column: column.peaks[index], default=None)
        value = peak.peaks[index] if peak else 0.0
        peaks.append((value, artifact))
        title = f"{label(artifact)}: peaks at {decimal(value)}"
        title += f" near {video_time(peak.start_s)}" if peak and value else ""
        parts.append(svg.text(LEFT - 8, top + 13.5, label(artifact), "end"))
        parts.append(svg.rect(LEFT, top + 1, WIDTH - LEFT - RIGHT, _ROW_HEIGHT - 2, "track", title))
        parts.append(svg.text(WIDTH - RIGHT + 10, top + 13.5, decimal(value), "num"))
        boxes += _row_cells([column.peaks[index] for column in columns], spans, top)
    parts.append(f'<g class="through">{svg.cells(boxes)}</g>')
    parts += time_axis(end_s, bottom, bottom)
    strongest = max(peaks, key=lambda pair: pair[0], default=(0.0, Artifact.BLOCKING))
    description = (
        "Severity of ten artifacts over time; "
        f"the strongest is {label(strongest[1])} with a peak of {decimal(strongest[0])}."
    )
    return svg.chart("heat", WIDTH, bottom + 26, description, parts)


def _columns(sequences: Sequence[SequenceScore], end_s: float) -> list[_Slice]:
    groups = svg.slices(len(sequences), _SLICES_MAX)
    starts = [sequences[group[0]].t_s for group in groups]
    ends = [*starts[1:], end_s][: len(starts)]
    columns = []
    for group, start_s, stop_s in zip(groups, starts, ends, strict=True):
        members = [sequences[index] for index in group]
        values = [member.aqs for member in members]
        columns.append(
            _Slice(
                start_s=start_s,
                end_s=max(start_s, stop_s),
                mean=sum(values) / len(values),
                low=min(values),
                high=max(values),
                worst=min(members, key=lambda member: member.aqs),
                members=members,
            )
        )
    return columns


def _end(sequences: Sequence[SequenceScore], duration_s: float) -> float:
    """Where the time axis ends: a container's duration may be 0, or short of its last frame."""
    if not sequences:
        return max(duration_s, 0.1)
    last_s = sequences[-1].t_s
    if duration_s > last_s:  # else a step would put it off what the bit rate's chart shows
        return max(duration_s, 0.1)
    step_s = (last_s - sequences[0].t_s) / max(1, len(sequences) - 1)
    return max(last_s + min(step_s, 1.0), 0.1)


def _alerts(columns: Sequence[_Slice]) -> list[list[_Slice]]:
    """Neighbouring columns that are Poor or below, joined."""
    groups: list[list[_Slice]] = []
    was_alert = False
    for column in columns:
        is_alert = column.low < QualityLevel.FAIR.floor
        if is_alert and was_alert:
            groups[-1].append(column)
        elif is_alert:
            groups.append([column])
        was_alert = is_alert
    return groups


def _bands() -> list[str]:
    parts, ceiling = [], 1.0
    for level in QualityLevel:
        kind = f"band {svg.LEVEL_CLASSES[level]}"
        height = (ceiling - level.floor) * _PLOT_HEIGHT
        parts.append(svg.rect(LEFT, _y(ceiling), WIDTH - LEFT - RIGHT, height, kind))
        middle = _y((ceiling + level.floor) / 2) + 4
        parts.append(svg.text(WIDTH - RIGHT + 8, middle, level.value, "muted"))
        parts.append(svg.text(LEFT - 8, _y(level.floor) + 4, f"{level.floor:.2f}", "end num"))
        ceiling = level.floor
    return [*parts, svg.text(LEFT - 8, _y(1.0) + 4, "1.00", "end num")]


def time_axis(end_s: float, top: float, bottom: float) -> list[str]:
    """Times along the foot of a chart, with lines up to `top`, in the columns of `WIDTH`."""
    parts = [svg.line(LEFT, bottom, WIDTH - RIGHT, bottom, "axis")]
    for tick in svg.time_ticks(end_s):
        x = _x(tick, end_s)
        if bottom > top:
            parts.append(svg.line(x, top, x, bottom, "grid"))
        parts.append(svg.line(x, bottom, x, bottom + 4, "axis"))
        parts.append(svg.text(x, bottom + 17, video_time(tick), "mid num"))
    return parts


def _scene_lines(sequences: Sequence[SequenceScore], end_s: float) -> list[str]:
    cuts = [after.t_s for before, after in pairwise(sequences) if after.scene != before.scene]
    # Many cuts would hide the curve: then they are only short ticks along the top.
    bottom = _y(0.0) if len(cuts) <= _SCENES_MAX else _TOP + 6
    columns = {svg.number(_x(cut, end_s)): cut for cut in cuts}  # one line a pixel column
    return [
        svg.line(_x(cut, end_s), _TOP - 5, _x(cut, end_s), bottom, "scene")
        for cut in columns.values()
    ]


def _curve(columns: Sequence[_Slice], end_s: float) -> list[str]:
    middles = [_x((column.start_s + column.end_s) / 2, end_s) for column in columns]
    merged = any(column.high > column.low for column in columns)
    parts = []
    if merged:
        upper = [(x, _y(column.high)) for x, column in zip(middles, columns, strict=True)]
        lower = [(x, _y(column.low)) for x, column in zip(middles, columns, strict=True)]
        parts.append(svg.path([*upper, *reversed(lower)], "envelope", closed=True))
    points = [(x, _y(column.mean)) for x, column in zip(middles, columns, strict=True)]
    parts.append(svg.path(points, "curve"))
    if len(columns) <= _POINTS_MAX:
        for (x, y), column in zip(points, columns, strict=True):
            parts.append(svg.mark(x, y, "dot", "dot", _moment(column.worst)))
    return parts


def _alert_marks(alerts: Sequence[Sequence[_Slice]], end_s: float) -> list[str]:
    lane = _y(0.0) + 9
    parts = []
    for group in alerts:
        left, right = _x(group[0].start_s, end_s), _x(group[-1].end_s, end_s)
        worst = min(group, key=lambda column: column.low).worst
        first, last = video_time(group[0].start_s), video_time(group[-1].end_s)
        span = f"Alert {first}–{last}, {_moment(worst)}"
        parts.append(svg.rect(left, lane, max(2.0, right - left), 8, "alert", span))
    if alerts:
        parts.append(svg.text(LEFT - 8, lane + 9, "alerts", "end muted"))
    deepest = sorted(alerts, key=lambda group: min(column.low for column in group))
    for group in deepest[:_ALERTS_MAX]:
        column = min(group, key=lambda column: column.low)
        x = _x((column.start_s + column.end_s) / 2, end_s)
        parts.append(svg.mark(x, _y(column.low) - 5, "down", "alert", _moment(column.worst)))
    return parts


def _row_cells(
    peaks: Sequence[float], spans: Sequence[tuple[float, float]], top: float
) -> list[tuple[int, float, float, float, float]]:
    """One row of the heat map, neighbours of one step joined."""
    runs: list[tuple[int, float, float]] = []
    for severity, (left, right) in zip(peaks, spans, strict=True):
        step = svg.step_of(severity)
        if runs and runs[-1][0] == step:
            runs[-1] = (step, runs[-1][1], right)
        else:
            runs.append((step, left, right))
    return [
        (step, left, top + 1, max(1.0, right - left), _ROW_HEIGHT - 2) for step, left, right in runs
    ]


def _moment(sequence: SequenceScore) -> str:
    level = QualityLevel.of(sequence.aqs)
    words = f"{video_time(sequence.t_s)}: AQS {aqs_words(sequence.aqs)}, {level.value}"
    strongest, severity = strongest_of(sequence)
    return f"{words}, most of all {label(strongest).lower()}" if svg.step_of(severity) else words


def _x(t_s: float, end_s: float) -> float:
    share = min(1.0, max(0.0, t_s / end_s))
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(aqs: float) -> float:
    return _TOP + (1.0 - min(1.0, max(0.0, aqs))) * _PLOT_HEIGHT
