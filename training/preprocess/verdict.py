"""BD-rates of every clip and filter, and what is promised of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aqs_batch.reencoding.preprocessing import LEAST_GAIN
from training.preprocess.bdrate import Point, bd_rate

SCORES = ("vmaf", "neg", "v1", "ms_ssim", "psnr")
Table = Mapping[str, Mapping[str, Mapping[str, float | None]]]  # clip, filter, score


def table(found: Mapping[str, Mapping[str, Sequence[Point]]], anchor: str = "nothing") -> Table:
    """BD-rate in percent of each filter's ladder against the plain one."""
    return {
        clip: {
            name: {score: bd_rate(rows[anchor], points, score) for score in SCORES}
            for name, points in rows.items()
            if name != anchor
        }
        for clip, rows in found.items()
    }


@dataclass(frozen=True)
class Mean:
    """A mean over the clips that have a number, and how many have."""

    value: float | None
    count: int


def means(rates: Table) -> dict[str, dict[str, Mean]]:
    """Per filter and score, over the clips."""
    filters = list(dict.fromkeys(name for rows in rates.values() for name in rows))
    out: dict[str, dict[str, Mean]] = {}
    for name in filters:
        for score in SCORES:
            values = [rows[name][score] for rows in rates.values() if name in rows]
            known = [v for v in values if v is not None]
            mean = sum(known) / len(known) if known else None
            out.setdefault(name, {})[score] = Mean(mean, len(known))
    return out


def with_auto(rates: Table, name: str) -> dict[str, float]:
    """What `auto` does to VMAF on each clip: the filter where VMAF gains and NEG does not lose.

    The product decides by sample encodes of the same kind (`reencoding.preprocessing.judge`); here
    the decision and the figure rest on the same encodes, so on longer video it may err.
    """
    out = {}
    for clip, rows in rates.items():
        vmaf, neg = rows[name]["vmaf"], rows[name]["neg"]
        used = vmaf is not None and neg is not None and vmaf <= -LEAST_GAIN and neg <= 0
        out[clip] = vmaf if used and vmaf is not None else 0.0
    return out


def share_better(rates: Table, name: str, than: str, score: str) -> float | None:
    """The share of clips on which `name` needs fewer bytes than `than` for the same score."""
    pairs = [(rows[name][score], rows[than][score]) for rows in rates.values()]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    return sum(a < b for a, b in known) / len(known) if known else None
