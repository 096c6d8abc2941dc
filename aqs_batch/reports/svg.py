"""The few SVG words that the charts are made of.

Colours are never written here: every shape has a class, and the page's stylesheet knows the
colours of light, dark and print.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise

from aqs_batch.records import QualityLevel

LEVEL_CLASSES = {level: f"l{index}" for index, level in enumerate(QualityLevel)}
# The lower bounds of heat steps 1 to 8; below the first a cell stays empty. Uneven, because
# severities are shares of quality lost: the strongest banding is at 0.2, blur near 1.
SEVERITY_STEPS = (0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.45, 0.7)
_TIMES, _ROUNDS = 8, 4  # ticks of an axis at most


def number(value: float) -> str:
    """A coordinate with at most one decimal, as short as can be."""
    return f"{value:.1f}".removesuffix(".0") if math.isfinite(value) else "0"


def chart(kind: str, width: float, height: float, description: str, parts: Iterable[str]) -> str:
    """A whole inline SVG, `description` being what a screen reader says of it."""
    return (
        f'<svg class="chart {kind}" viewBox="0 0 {number(width)} {number(height)}" role="img" '
        f'aria-label="{escape(description)}">{"".join(parts)}</svg>'
    )


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """A label at (x, y); `kind` adds classes such as "end" (right-aligned) or "mid"."""
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{number(x)}" y="{number(y)}"{attribute}>{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    ends = f'x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}"'
    return f'<line class="{kind}" {ends}/>'


def rect(x: float, y: float, width: float, height: float, kind: str, title: str = "") -> str:
    """A rectangle; `title` shows when the pointer rests on it."""
    box = (
        f'<rect class="{kind}" x="{number(x)}" y="{number(y)}" '
        f'width="{number(width)}" height="{number(height)}"'
    )
    return f"{box}><title>{escape(title)}</title></rect>" if title else f"{box}/>"


def path(points: Sequence[tuple[float, float]], kind: str, *, closed: bool = False) -> str:
    """A polyline, or with `closed` a polygon."""
    if not points:
        return ""
    steps = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return f'<path class="{kind}" d="M{steps}{"z" if closed else ""}"/>'


def mark(x: float, y: float, shape: str, kind: str, title: str) -> str:
    """A marker ("down" a triangle that points at (x, y), "dot", "square") with a tooltip."""
    outlines = {
        "down": f"M{number(x)} {number(y)}l-5-8h10z",
        "dot": f"M{number(x - 3)} {number(y)}a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",
        "square": f"M{number(x - 3)} {number(y - 3)}h6v6h-6z",
    }
    return f'<path class="{kind}" d="{outlines[shape]}"><title>{escape(title)}</title></path>'


def step_of(severity: float) -> int:
    """The heat step of a severity, 0 (nothing) to 8."""
    return bisect_right(SEVERITY_STEPS, severity)


def cells(boxes: Iterable[tuple[int, float, float, float, float]]) -> str:
    """Heat cells (step, x, y, width, height), one path a step so that pages stay small."""
    outlines: dict[int, list[str]] = {}
    for step, x, y, width, height in boxes:
        if step:
            left = number(x)
            shape = f"M{left} {number(y)}h{number(width)}v{number(height)}H{left}z"
            outlines.setdefault(step, []).append(shape)
    return "".join(
        f'<path class="s{step}" d="{"".join(shapes)}"/>'
        for step, shapes in sorted(outlines.items())
    )


def time_ticks(duration_s: float) -> list[float]:
    """Round times from 0 up to the duration, at most eight of them."""
    choices = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
    step = next((choice for choice in choices if duration_s / choice < _TIMES), None)
    if step is None:
        step = 3600.0 * math.ceil(duration_s / 3600 / _TIMES)
    return [step * index for index in range(int(duration_s / step + 1e-9) + 1)]


def round_ticks(top: float) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) from 0 up to `top`."""
    if not (math.isfinite(top) and top > 0):
        return [0.0]
    power = 10.0 ** math.floor(math.log10(top / _ROUNDS))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if top / (power * factor) < _ROUNDS)
    return [step * index for index in range(int(top / step + 1e-9) + 1)]


def slices(length: int, at_most: int) -> list[range]:
    """The indices 0 to length - 1 in at most `at_most` runs of nearly equal length."""
    groups = min(length, at_most)
    edges = [length * index // groups for index in range(groups + 1)] if groups else [0]
    return [range(start, stop) for start, stop in pairwise(edges)]
