"""Looking for a CRF: bisection that guesses by interpolation, in a bounded number of steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aqs_batch.encode.ladder import Made
from aqs_batch.errors import TargetError
from aqs_batch.records import Rung
from aqs_batch.settings import Encode
from aqs_batch.wording import cut

MOST_STEPS = 10
GUESSES = 3
_MOST_WHOLE = 5  # whole encodes until one keeps what was asked for
_CRF_TO_HALVE = 6.0  # CRF steps that about halve the bytes
_VMAF_A_STEP = 2.0  # what a CRF step takes, about


@dataclass(frozen=True)
class Goal:
    """A number that falls as CRF rises, and the bound it must keep.

    `at_least`: the highest CRF whose value is still at or above the bound is sought (VMAF); else
    the lowest whose value is at or below it (size).
    """

    what: str
    bound: float
    at_least: bool
    logarithmic: bool = False

    @property
    def words(self) -> str:
        """The bound in full: 1500000 bytes had been "1.5e+06"."""
        return f"{self.what} of {'at least' if self.at_least else 'at most'} {_plain(self.bound)}"

    def shown(self, value: float) -> str:
        """A value beside the bound, rounded away from it and never to it."""
        return cut(value, 2) if self.at_least else _plain(math.ceil(value * 100) / 100)

    def keeps(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound

    def scaled(self, value: float) -> float:
        return math.log(max(value, 1e-9)) if self.logarithmic else value


def search(value_at: Callable[[float], float], goal: Goal, low: float, high: float) -> float:
    """The best CRF in low..high, in whole steps, that keeps the goal.

    The first guesses interpolate between the nearest known values on both sides, as ab-av1 does;
    a curve that bends so much that they do not close in is halved after that. Raises TargetError,
    which names the best value found, when no CRF keeps the goal or the steps run out.
    """
    # Numbered from the side that keeps the goal: the last number that keeps it is sought.
    count = int(high - low)

    def crf_of(number: int) -> float:
        return low + number if goal.at_least else high - number

    known: dict[int, float] = {}

    def keeps(number: int) -> bool:
        if number not in known:
            known[number] = value_at(crf_of(number))
        return goal.keeps(known[number])

    good, bad = -1, count + 1
    guess = count // 2
    for number in range(MOST_STEPS):
        guess = min(max(guess, good + 1), bad - 1)
        if keeps(guess):
            good = guess
        else:
            bad = guess
        if bad - good <= 1:
            break
        guess = _next(known if number < GUESSES else {}, goal, good, bad)
    if good < 0 or bad - good > 1:
        raise _unmet(known, goal, crf_of)
    return crf_of(good)


def together(found: Sequence[tuple[Goal, float]]) -> float:
    """The CRF to take of those that keep one goal each, so that all are kept.

    A size is kept by every higher CRF, a quality by every lower one. Raises TargetError where
    these exclude each other.
    """
    smallest = max((crf for goal, crf in found if not goal.at_least), default=None)
    for goal, crf in found:
        if goal.at_least and smallest is not None and crf < smallest:
            raise TargetError(
                f"{goal.words} needs CRF {crf:g}, which is too large a file",
                hint="Ask for less quality, more bytes, or a slower preset.",
            )
    qualities = [crf for goal, crf in found if goal.at_least]
    if qualities:
        return min(qualities)
    assert smallest is not None, "no goal was searched for"
    return smallest


def _next(known: dict[int, float], goal: Goal, good: int, bad: int) -> int:
    """Where a straight line between the values around the bound crosses it, else the middle."""
    if good not in known or bad not in known:
        return good + max((bad - good) // 2, 1)
    a, b = goal.scaled(known[good]), goal.scaled(known[bad])
    share = 0.5 if a == b else (a - goal.scaled(goal.bound)) / (a - b)
    return good + min(max(round(share * (bad - good)), 1), bad - good - 1)


def _unmet(known: dict[int, float], goal: Goal, crf_of: Callable[[int], float]) -> TargetError:
    best = max(known, key=lambda n: known[n] if goal.at_least else -known[n])
    return TargetError(
        f"no CRF gives {goal.words}; "
        f"the best was {goal.shown(known[best])} at CRF {crf_of(best):g}",
        hint="Ask for less, or for another preset.",
    )


def within(
    climb: Callable[[float], Made], asked: Encode, crf: float, lowest: float, highest: float
) -> Made:
    """The whole file at the CRF that samples promised, or the next that keeps what was asked.

    What was not sampled may be harder to encode, and samples look a little better than the whole.
    Raises TargetError when no CRF is found.
    """
    missed: list[tuple[Goal, float]] = []
    tried: set[float] = set()  # never twice: a film is encoded for hours
    while crf not in tried and len(tried) < _MOST_WHOLE:
        whole = climb(crf)
        tried.add(crf)
        values = [(goal, value(whole.rung)) for goal, value in goals(asked)]
        missed = [(goal, value) for goal, value in values if not goal.keeps(value)]
        if not missed:
            return whole
        steps = [_steps(goal, value) for goal, value in missed]
        if min(steps) * max(steps) > 0:  # else quality asks for one way and size for the other
            crf = min(max(crf + max(steps, key=abs), lowest), highest)
    told = " and ".join(goal.words for goal, _ in missed)
    raise TargetError(
        f"the whole file does not keep {told}, though its samples did",
        hint="Search with --full, ask for less quality or more bytes, or for a slower preset.",
    )


def _steps(goal: Goal, value: float) -> int:
    """How many steps of CRF from a value that breaks its bound to one that keeps it, about."""
    if goal.at_least:
        return -math.ceil((goal.bound - value) / _VMAF_A_STEP)
    return math.ceil(_CRF_TO_HALVE * math.log2(value / goal.bound))


def goals(asked: Encode) -> list[tuple[Goal, Callable[[Rung], float]]]:
    """What [encode] bounds, and how each bound is read off a rung."""
    found: list[tuple[Goal, Callable[[Rung], float]]] = []
    if asked.target_vmaf:
        found.append((Goal("VMAF", asked.target_vmaf, True), _vmaf_of))
    if asked.max_kbps:
        found.append((Goal("kbit/s", asked.max_kbps, False, True), lambda rung: rung.kbps))
    if asked.max_bytes:
        found.append(
            (Goal("bytes", asked.max_bytes, False, True), lambda rung: float(rung.size_bytes))
        )
    return found


def met(rung: Rung, asked: Encode) -> str:
    """Why the rung that was looked for is taken; one that saves nothing says so."""
    words = " and ".join(goal.words for goal, _ in goals(asked))
    return words + (", though it is no smaller than its source" if rung.ratio >= 1 else "")


def broken(whole: Rung, samples: Rung, asked: Encode) -> list[str]:
    """What the whole file of a ladder's rung does not keep, though its samples did."""
    goal = Goal("VMAF", asked.good_vmaf, True)
    if asked.searches or not goal.keeps(_vmaf_of(samples)) or goal.keeps(_vmaf_of(whole)):
        return []
    return [
        f"the whole file has {goal.what} {goal.shown(_vmaf_of(whole))}, "
        f"its samples promised {_plain(goal.bound)}"
    ]


def _plain(number: float) -> str:
    return f"{number:,.12g}"


def _vmaf_of(rung: Rung) -> float:
    return rung.vmaf.mean if rung.vmaf else 0.0
