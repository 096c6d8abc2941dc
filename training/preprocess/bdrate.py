"""Ladders of real encodes and the BD-rate between two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.preprocess.clips import YuvClip
from training.preprocess.encoders import Encoding, round_trip
from training.preprocess.measure import measure


@dataclass(frozen=True)
class Point:
    """One rung: bytes and the mean scores of its decode against the untouched source."""

    crf: int
    size_bytes: int
    quality: Mapping[str, float]


def ladder(source: YuvClip, filtered: Mapping[int, YuvClip], names: Sequence[str]) -> list[Point]:
    """Encode `filtered[crf]` by x265 at each CRF; the reference is always `source`."""
    points = []
    for crf, clip in filtered.items():
        coded = round_trip(clip, Encoding(crf))
        quality = measure(coded.decoded, source, names)
        points.append(Point(crf, coded.size_bytes, {n: quality.mean(n) for n in names}))
    return points


def bd_rate(anchor: Sequence[Point], test: Sequence[Point], name: str) -> float | None:
    """BD-rate in percent (negative: fewer bytes for the same score), Akima over log rate.

    None where a curve is not monotone or the two do not overlap: no number is better than a wrong
    one. At least four rungs are needed.
    """
    import bjontegaard

    curves = []
    for points in (anchor, test):
        rows = sorted((p.size_bytes, p.quality[name]) for p in points)
        rates, scores = (np.array(column, float) for column in zip(*rows, strict=True))
        if len(rows) < 4 or np.any(np.diff(scores) <= 0):
            return None
        curves += [rates, scores]
    low, high = max(curves[1].min(), curves[3].min()), min(curves[1].max(), curves[3].max())
    if high - low <= 0.25 * (curves[1].max() - curves[1].min()):
        return None
    return float(bjontegaard.bd_rate(*curves, method="akima", require_matching_points=False))
