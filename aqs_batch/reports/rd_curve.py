"""Quality over bit rate of the encodes of one source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aqs_batch.records import Rung
from aqs_batch.reports import svg
from aqs_batch.wording import count, cut, kbps

_WIDTH, _HEIGHT = 640.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, _WIDTH - 124, 14.0, _HEIGHT - 40
_HUES = 4
_NAME_MAX = 17  # characters that have room beside the curves
_MEASURES = ("VMAF", "NEG")
_SHAPES = ("dot", "square")  # of their points


@dataclass(frozen=True)
class _Plane:
    """Bit rate (kbit/s, as its decimal logarithm) by score, from `floor` to 100."""

    low: float
    high: float
    floor: int

    def place(self, kbps: float, score: float) -> tuple[float, float]:
        across = (math.log10(kbps) - self.low) / (self.high - self.low)
        up = (score - self.floor) / (100 - self.floor)
        return _LEFT + across * (_RIGHT - _LEFT), _BOTTOM - up * (_BOTTOM - _TOP)


def rd_curve(rungs: Sequence[Rung]) -> str:
    """VMAF (solid) and VMAF NEG (dashed) over the bit rate, one pair a ladder.

    Rungs without a rate or score are left out; "" where nothing is left.
    """
    usable = _usable(rungs)
    if not usable:
        return ""
    plane = _plane(usable)
    parts = [*_axes(plane), _hull(plane, usable)]
    keys = list(dict.fromkeys(_key(rung) for rung in usable))
    beside = _beside(keys)
    names: list[tuple[float, str, str]] = []
    for index, key in enumerate(keys):
        members = [rung for rung in usable if _key(rung) == key]
        members.sort(key=lambda rung: rung.kbps)
        # The fifth ladder has the hue of the first again, but its points are full.
        hue = f"c{index % _HUES}" + (" full" if index // _HUES % 2 else "")
        parts += _pair(plane, members, hue)
        for measure, score in zip(_MEASURES, _scores(members[-1]), strict=True):
            words = f"{measure} {beside[index]}".strip()
            names.append((plane.place(members[-1].kbps, score)[1] + 4, words, hue))
    parts += [*_crf_labels(plane, usable), *_names(names)]
    description = f"VMAF over bit rate of {count(len(usable), 'encode')}; labels are CRF."
    return svg.chart("rd-curve", _WIDTH, _HEIGHT, description, parts)


def letters(rungs: Sequence[Rung]) -> tuple[tuple[str, str], ...]:
    """The letter and the name of each ladder, the letter "" of one alone; () where the names have
    room beside the curves: a long one had been cut off at the edge of a phone and of paper.
    """
    keys = list(dict.fromkeys(map(_key, _usable(rungs))))
    names = [" ".join(_told_apart(key, keys)) for key in keys]
    beside = _beside(keys)
    return () if beside == names else tuple(zip(beside, names, strict=True))


def _usable(rungs: Sequence[Rung]) -> list[Rung]:
    return [rung for rung in rungs if rung.kbps > 0 and all(map(math.isfinite, _scores(rung)))]


def _beside(keys: Sequence[tuple[str, ...]]) -> list[str]:
    """What each curve is called beside its end: its name, or a letter where one has no room."""
    names = [" ".join(_told_apart(key, keys)) for key in keys]
    if all(len(f"{_MEASURES[0]} {name}") <= _NAME_MAX for name in names):
        return names
    return [chr(ord("A") + index) for index in range(len(keys))] if len(keys) > 1 else [""]


def _plane(rungs: Sequence[Rung]) -> _Plane:
    rates = [math.log10(rung.kbps) for rung in rungs]
    margin = max(0.05, (max(rates) - min(rates)) * 0.06)
    lowest = min(min(_scores(rung)) for rung in rungs)
    floor = max(0, min(90, 10 * math.floor(lowest / 10 - 0.001)))
    return _Plane(min(rates) - margin, max(rates) + margin, floor)


def _axes(plane: _Plane) -> list[str]:
    parts = []
    for tick in range(plane.floor, 101, 5 if plane.floor >= 70 else 10):
        y = plane.place(10**plane.low, tick)[1]
        parts.append(svg.line(_LEFT, y, _RIGHT, y, "grid"))
        parts.append(svg.text(_LEFT - 8, y + 4, f"{tick}", "end num"))
    for rate in _rate_ticks(plane):
        x = plane.place(rate, plane.floor)[0]
        parts.append(svg.line(x, _BOTTOM, x, _BOTTOM + 4, "axis"))
        parts.append(svg.text(x, _BOTTOM + 17, f"{rate:,.0f}", "mid num"))
    parts.append(svg.line(_LEFT, _BOTTOM, _RIGHT, _BOTTOM, "axis"))
    middle = (_LEFT + _RIGHT) / 2
    return [*parts, svg.text(middle, _HEIGHT - 6, "kbit/s, logarithmic", "mid muted")]


def _pair(plane: _Plane, rungs: Sequence[Rung], hue: str) -> list[str]:
    parts = []
    for place, (measure, shape) in enumerate(zip(_MEASURES, _SHAPES, strict=True)):
        scores = [_scores(rung)[place] for rung in rungs]
        points = [plane.place(r.kbps, score) for r, score in zip(rungs, scores, strict=True)]
        parts.append(svg.path(points, f"rd {measure.lower()} {hue}"))
        for rung, score, (x, y) in zip(rungs, scores, points, strict=True):
            title = f"CRF {rung.crf:g}: {measure} {cut(score)} at {kbps(rung.kbps)} kbit/s"
            parts.append(svg.mark(x, y, shape, f"point {hue}", title))
    return parts


def _hull(plane: _Plane, rungs: Sequence[Rung]) -> str:
    """A line through the rungs that no mixture of others beats, where it says more than a curve."""
    best = sorted((rung for rung in rungs if rung.on_hull), key=lambda rung: rung.kbps)
    points = [plane.place(rung.kbps, _scores(rung)[0]) for rung in best]
    return svg.path(points, "hull") if len(points) > 1 else ""


def _crf_labels(plane: _Plane, rungs: Sequence[Rung]) -> list[str]:
    """The CRF over each VMAF point, but once where the points of two curves nearly meet."""
    placed: list[tuple[float, float]] = []
    parts = []
    for rung in sorted(rungs, key=lambda rung: -_scores(rung)[0]):
        x, y = plane.place(rung.kbps, _scores(rung)[0])
        if not any(abs(x - px) < 16 and abs(y - py) < 14 for px, py in placed):
            parts.append(svg.text(x, y - 7, f"{rung.crf:g}", "mid small halo"))
            placed.append((x, y))
    return parts


def _names(names: Sequence[tuple[float, str, str]]) -> list[str]:
    """The names of the curves beside their ends, in their hues and after one of their points,
    moved down where they would overlap."""
    parts, free = [], 0.0
    for y, words, hue in sorted(names):
        free = max(y, free)
        shape = _SHAPES[_MEASURES.index(words.partition(" ")[0])]
        parts.append(svg.mark(_RIGHT + 9, free - 3.5, shape, f"example {hue}", words))
        parts.append(svg.text(_RIGHT + 15, free, words, f"small name {hue}"))
        free += 12
    return parts


def _scores(rung: Rung) -> tuple[float, float]:
    if rung.vmaf is None or rung.vmaf_neg is None:
        return math.nan, math.nan
    return rung.vmaf.mean, rung.vmaf_neg.mean


def _key(rung: Rung) -> tuple[str, ...]:
    # Means of other frames, or by another model, are not points of one curve.
    plan = "" if rung.is_full else rung.plan
    return rung.codec, rung.preset, rung.params, rung.preprocess or "", plan, rung.model


def _told_apart(key: tuple[str, ...], keys: Sequence[tuple[str, ...]]) -> list[str]:
    """The parts of a curve's name that not all curves share; alone, its codec and preset."""
    plans = {other[4] for other in keys} - {""}
    plan = "sampled" if key[4] and len(plans) == 1 else key[4]
    if len(keys) == 1:
        return [*key[:2], *(part for part in (key[3], plan) if part)]
    differ = [len({other[n] for other in keys}) > 1 for n in range(len(key))]
    filters = {other[3] for other in keys}
    if len(filters) == 2 and "" in filters:  # its name and version are in the table
        key = (*key[:3], "preprocess" if key[3] else "plain", *key[4:])
    key = (*key[:4], plan or "whole file", key[5])
    return [part for part, differs in zip(key, differ, strict=True) if differs and part] or [key[1]]


def _rate_ticks(plane: _Plane) -> list[float]:
    """Round rates inside the plane: 1, 2 and 5, or more where the range is narrow."""
    powers = range(math.floor(plane.low), math.ceil(plane.high) + 1)
    inside: list[float] = []
    for factors in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = [factor * 10.0**power for power in powers for factor in factors]
        inside = [tick for tick in ticks if plane.low <= math.log10(tick) <= plane.high]
        if len(inside) >= 3:
            break
    return inside
