"""The small charts: AQS of an archive, severities of a row, bit rate over time."""

from __future__ import annotations

from collections.abc import Sequence

from aqs_batch.records import Artifact, QualityLevel
from aqs_batch.reports import svg
from aqs_batch.reports.explanations import label
from aqs_batch.reports.timeline import LEFT, RIGHT, WIDTH
from aqs_batch.wording import aqs_words, count, decimal, video_time

_WIDTH, _HEIGHT = 420.0, 170.0
_BAR_PITCH, _BAR_HEIGHT = 6, 18
_RATES_MAX = 320


def histogram(counts: Sequence[int]) -> str:
    """Files per equal slice of AQS 0-1, each bar in the colour of its level."""
    bins, tallest, total = len(counts), max(counts, default=0), sum(counts)
    left, top, bottom = 6.0, 18.0, _HEIGHT - 22
    pitch = (_WIDTH - 2 * left) / max(1, bins)
    parts = []
    for index, files in enumerate(counts):
        x, share = left + pitch * index, files / tallest if tallest else 0.0
        height = max(2.0, share * (bottom - top)) if files else 0.0
        kind = svg.LEVEL_CLASSES[QualityLevel.of(index / bins)]
        title = f"AQS {index / bins:.2f}–{(index + 1) / bins:.2f}: {count(files, 'file')}"
        if files:
            bar = svg.rect(x + 1, bottom - height, pitch - 2, height, f"level {kind}", title)
            parts.append(bar)
            if pitch > 15:
                words = f"{files}" if files < 1000 else f"{files / 1000:.1f}k"
                parts.append(svg.text(x + pitch / 2, bottom - height - 4, words, "mid small"))
    parts.append(svg.line(left, bottom, _WIDTH - left, bottom, "axis"))
    for floor in sorted({level.floor for level in QualityLevel} | {1.0}):
        x = left + floor * (_WIDTH - 2 * left)
        end = {0.0: "", 1.0: "end"}.get(floor, "mid")
        parts.append(svg.line(x, bottom, x, bottom + 4, "axis"))
        parts.append(svg.text(x, bottom + 17, f"{floor:.2f}", f"{end} num".strip()))
    description = f"Distribution of AQS over {count(total, 'file')}."
    return svg.chart("histogram", _WIDTH, _HEIGHT, description, parts)


def gauge(aqs: float, aqs_p5: float) -> str:
    """One video on the scale of AQS 0-1: its mean as a pointer above, its p5 as one below."""
    left, right, top, bottom = 12.0, _WIDTH - 12, 20.0, 34.0
    wide, shown, low = right - left, aqs_words(aqs), aqs_words(aqs_p5)
    parts, ceiling = [], 1.0
    for level in QualityLevel:
        x, kind = left + level.floor * wide, svg.LEVEL_CLASSES[level]
        width = (ceiling - level.floor) * wide
        parts.append(svg.rect(x, top, width - 1, bottom - top, f"level {kind}", level.value))
        ceiling = level.floor
    for value, words, tip, label_y in (
        (aqs, f"AQS {shown}", (top - 2, -6), 11.0),
        (aqs_p5, f"p5 {low}", (bottom + 2, 6), bottom + 20),
    ):
        x, (y, depth) = left + min(1.0, max(0.0, value)) * wide, tip
        parts.append(
            svg.path([(x, y), (x - 5, y + depth), (x + 5, y + depth)], "pointer", closed=True)
        )
        beside = ("end", -9) if value > 0.5 else ("", 9)
        parts.append(svg.text(x + beside[1], label_y, words, f"{beside[0]} num".strip()))
    description = f"AQS {shown} and 5th percentile {low} on a scale of 0 to 1."
    return svg.chart("gauge", _WIDTH, bottom + 26, description, parts)


def severity_bars(severities: Sequence[float]) -> str:
    """Ten tiny bars, one an artifact, for a table row; "" where there is no score."""
    if not severities:
        return ""
    bars = []
    for index, severity in enumerate(severities):
        height = max(1, round(min(1.0, severity) * _BAR_HEIGHT))
        bars.append(f"M{index * _BAR_PITCH} {_BAR_HEIGHT}v-{height}h4v{height}z")
    strongest = sorted(zip(severities, Artifact, strict=False), key=lambda pair: -pair[0])[:3]
    words = ", ".join(f"{label(artifact)} {decimal(value)}" for value, artifact in strongest)
    shape = f'<path d="{"".join(bars)}"/>'
    return svg.chart("spark", len(severities) * _BAR_PITCH, _BAR_HEIGHT, words, [shape])


def bit_rate(kbps: Sequence[float], duration_s: float) -> str:
    """Bit rate over time (kbit/s, one value a second), as an area; peaks are kept."""
    # The last value may be of less than a second: one time is one column, as in the timeline.
    end_s = max(duration_s if duration_s > len(kbps) - 1 else len(kbps), 0.1)
    rates = _whole_seconds(kbps, end_s)
    groups = svg.slices(len(rates), _RATES_MAX)
    peaks = [max(rates[index] for index in group) for group in groups]
    top_rate = max(peaks, default=0.0)
    left, right, top, bottom = LEFT, WIDTH - RIGHT, 14.0, 96.0
    high = (bottom - top) / top_rate if top_rate > 0 else 0.0
    wide = (right - left) / end_s
    parts = []
    for tick in svg.round_ticks(top_rate):
        y = bottom - tick * high
        parts.append(svg.line(left, y, right, y, "grid"))
        parts.append(svg.text(left - 8, y + 4, f"{tick:,.0f}", "end num"))
    outline = [(left, bottom)]
    for group, rate in zip(groups, peaks, strict=True):
        stop_s = group.stop if group.stop < len(rates) else end_s
        outline.append((left + wide * group.start, bottom - rate * high))
        outline.append((left + wide * stop_s, bottom - rate * high))
    parts.append(svg.path([*outline, (outline[-1][0], bottom)], "area", closed=True))
    for tick in svg.time_ticks(end_s):
        parts.append(svg.line(left + wide * tick, bottom, left + wide * tick, bottom + 4, "axis"))
        parts.append(svg.text(left + wide * tick, bottom + 17, video_time(tick), "mid num"))
    parts.append(svg.line(left, bottom, right, bottom, "axis"))
    mean = sum(kbps) / end_s
    description = f"Bit rate over time: mean {mean:,.0f} and peak {top_rate:,.0f} kbit/s."
    return svg.chart("rates", WIDTH, bottom + 24, description, parts)


def _whole_seconds(kbps: Sequence[float], end_s: float) -> list[float]:
    """The same, the part of a second at the end joined to the second before it.

    For itself it had looked like a fall of the rate; one frame of it, stretched to a second, would
    look like a peak.
    """
    rest_s = end_s - (len(kbps) - 1)
    if len(kbps) < 2 or rest_s > 0.999:
        return list(kbps)
    return [*kbps[:-2], (kbps[-2] + kbps[-1]) / (1 + rest_s)]
