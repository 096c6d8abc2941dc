"""Comparing ladders of one source: convex hull, and BD-rate with its checks."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from aqs_batch.errors import AqsError
from aqs_batch.records import Rung, Vmaf

LEAST_RUNGS = 4
LEAST_OVERLAP = 0.5  # of the range of quality that either ladder covers


class Incomparable(AqsError):
    """Two ladders that no BD-rate can be told of."""


@dataclass(frozen=True)
class Ladder:
    """All rungs of one source that differ in nothing but their CRF."""

    name: str
    rungs: tuple[Rung, ...]  # by CRF, rising


def ladders(rungs: Sequence[Rung]) -> list[Ladder]:
    """Rungs sorted into ladders: one a codec, preset, parameters, preprocess and plan."""
    sorts: dict[tuple[str | None, ...], list[Rung]] = {}
    for rung in rungs:
        key = (rung.codec, rung.preset, rung.params, rung.preprocess, rung.plan, rung.model)
        sorts.setdefault(key, []).append(rung)
    return [
        Ladder(_name(group[0]), tuple(sorted(group, key=lambda r: r.crf)))
        for group in sorts.values()
    ]


def hull(rungs: Sequence[Rung]) -> list[Rung]:
    """The rungs on the upper convex hull of VMAF over the logarithm of the rate, by rate.

    A rung below it is beaten: a mixture of its neighbours looks better for the same bits.
    """
    chain: list[tuple[float, float, Rung]] = []
    usable = [(math.log(r.kbps), r.vmaf.mean, r) for r in rungs if r.vmaf and r.kbps > 0]
    for point in sorted(usable, key=lambda p: (p[0], -p[1])):
        if chain and point[1] <= chain[-1][1]:
            continue  # more bits for no more quality
        while len(chain) > 1 and _turns_up(chain[-2], chain[-1], point):
            chain.pop()
        chain.append(point)
    return [rung for _, _, rung in chain]


def with_hull(rungs: Sequence[Rung]) -> tuple[Rung, ...]:
    """The same rungs, those on the hull saying so: of the frames that most of them are of.

    Rates of other frames (a kept file beside its samples) are no points of the same curve.
    """
    most = Counter(_frames(rung) for rung in rungs).most_common(1)
    best = {id(rung) for rung in hull([r for r in rungs if most and _frames(r) == most[0][0]])}
    return tuple(replace(rung, on_hull=id(rung) in best) for rung in rungs)


def bd_rate(anchor: Sequence[Rung], test: Sequence[Rung], measure: str = "vmaf") -> float:
    """Change of bit rate in percent for the same `measure`, negative: the test needs fewer bits.

    Bjontegaard's measure with Akima interpolation (package bjontegaard). Raises Incomparable with
    fewer than four rungs, where quality does not rise with the rate, and where the ladders overlap
    too little for the number to be more than an extrapolation.
    """
    sides = [_points(rungs, measure) for rungs in (anchor, test)]
    (low_a, high_a), (low_t, high_t) = (_range(points) for points in sides)
    common = min(high_a, high_t) - max(low_a, low_t)
    widest = max(high_a - low_a, high_t - low_t)
    if common <= LEAST_OVERLAP * widest:
        raise Incomparable(f"the ladders share only {max(common, 0):.1f} of {widest:.1f} {measure}")
    import bjontegaard

    (rates, scores), (other_rates, other_scores) = (zip(*p, strict=True) for p in sides)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # overlap was judged above
        return float(
            bjontegaard.bd_rate(
                list(rates), list(scores), list(other_rates), list(other_scores),
                method="akima", require_matching_points=False, min_overlap=0,
            )
        )  # fmt: skip


def anchor_of(rungs: Sequence[Rung]) -> Ladder:
    """The ladder that others are measured against: the first plain one of rungs as they were made.

    One with enough rungs, and with others of the same frames, goes before.
    """
    all_ladders = ladders(rungs)
    return min(all_ladders, key=lambda ladder: _rank(ladder, all_ladders))


def bd_rates(rungs: Sequence[Rung]) -> tuple[dict[str, float], list[str]]:
    """BD-rates of every ladder against `anchor_of` all, and why others have none.

    Ladders of other frames, or measured by another model, are not compared: bits of samples and of
    a whole file differ more than encoders do. A recipe's kept file beside its samples is no other
    ladder. With a single pair the keys are the measures alone (vmaf, vmaf_neg, and vmaf_v1 where
    it was measured), else the ladder is named.
    """
    if not rungs:
        return {}, []
    found, reasons = {}, []
    all_ladders, anchor = ladders(rungs), anchor_of(rungs)
    strangers = [other for other in all_ladders if _recipe(other) != _recipe(anchor)]
    others = [other for other in strangers if _is_beside(other, anchor)]
    compared = {_recipe(other) for other in others}
    for other in strangers:
        if _recipe(other) not in compared:
            why = "they are of other frames or of another model"
            reasons.append(f"no BD-rate of {other.name} against {anchor.name}: {why}")
    for other in others:
        with_v1 = all(rung.vmaf_v1 for rung in (*anchor.rungs, *other.rungs))
        for measure in ("vmaf", "vmaf_neg", *(("vmaf_v1",) if with_v1 else ())):
            key = measure if len(others) == 1 else f"{measure} {other.name}"
            try:
                found[key] = bd_rate(*_comparable(anchor, other), measure)
            except Incomparable as error:
                reasons.append(f"no BD-rate of {other.name} against {anchor.name}: {error}")
                break
    return found, reasons


def _comparable(one: Ladder, two: Ladder) -> tuple[Sequence[Rung], Sequence[Rung]]:
    """What to compare of two ladders: of filtered and plain ones the CRFs that both have.

    A search for a target adds CRFs to one alone, of which the filter's verdict knows nothing: page
    and verdict had told two numbers, or the page none where the added ones reach VMAF 100.
    """
    shared = {r.crf for r in one.rungs} & {r.crf for r in two.rungs}
    if _recipe(one)[:3] != _recipe(two)[:3] or len(shared) < LEAST_RUNGS:
        return one.rungs, two.rungs
    kept = [[r for r in ladder.rungs if r.crf in shared] for ladder in (one, two)]
    return kept[0], kept[1]


def _recipe(ladder: Ladder) -> tuple[str | None, ...]:
    rung = ladder.rungs[0]
    return rung.codec, rung.preset, rung.params, rung.preprocess


def _frames(rung: Rung) -> tuple[str, str]:
    """Which frames a rung's rate and scores are of, and by which model."""
    return rung.plan, rung.model


def _is_beside(one: Ladder, two: Ladder) -> bool:
    """Whether two ladders differ in their recipe alone."""
    return _recipe(one) != _recipe(two) and _frames(one.rungs[0]) == _frames(two.rungs[0])


def _rank(ladder: Ladder, others: Sequence[Ladder]) -> tuple[bool, ...]:
    alone = not any(_is_beside(ladder, other) for other in others)
    return ladder.rungs[0].preprocess is not None, len(ladder.rungs) < LEAST_RUNGS, alone


def _points(rungs: Sequence[Rung], measure: str) -> list[tuple[float, float]]:
    """(kbps, score) by rising rate; raises Incomparable where they cannot be a curve."""
    points = []
    for rung in rungs:
        score: Vmaf | None = getattr(rung, measure)
        if score is not None and rung.kbps > 0:
            points.append((rung.kbps, score.mean))
    points.sort()
    if len(points) < LEAST_RUNGS:
        raise Incomparable(f"a curve takes {LEAST_RUNGS} rungs, and one ladder has {len(points)}")
    if any(b[0] <= a[0] or b[1] <= a[1] for a, b in pairwise(points)):
        raise Incomparable(f"{measure} does not rise with the bit rate")
    return points


def _range(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return points[0][1], points[-1][1]


def _turns_up(
    a: tuple[float, float, Rung], b: tuple[float, float, Rung], c: tuple[float, float, Rung]
) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) >= 0


def _name(rung: Rung) -> str:
    parts = (rung.codec, rung.preset, rung.params, rung.preprocess)
    words = " ".join(part for part in parts if part)
    return words if rung.is_full else f"{words}, sampled"
