"""How many frames a second a video has, by when they are shown: headers are often wrong."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from aqs_batch.records import Fraction

JITTER = 0.2  # frame steps further than this from the median make a variable frame rate
ROUNDED_S = 0.0011  # and than this: Matroska rounds to milliseconds, 240 fps had been variable


def by_times(said: Fraction, times_s: Sequence[float], tick_s: float) -> tuple[Fraction, bool]:
    """The rate and whether it is variable, of sorted times in whole ticks."""
    steps = sorted(b - a for a, b in itertools.pairwise(times_s) if b > a)
    if len(steps) < 4:
        return said, False
    median = steps[len(steps) // 2]
    slack_s = max(JITTER * median, ROUNDED_S)
    even = [s for s in steps if abs(s - median) <= slack_s]
    variable = len(steps) - len(even) > 0.02 * len(steps)
    # FLV and its like declare their clock as the rate, and Matroska that of the fullest seconds.
    if variable or not 0.5 < said.value * median < 2:
        counted = steps if variable else even
        return Fraction(round(1000 * len(counted) / sum(counted)), 1000), variable
    return _of_television(said, even, tick_s), variable


def _of_television(rate: Fraction, steps_s: Sequence[float], tick_s: float) -> Fraction:
    """A whole number of frames a second, or 1000 of 1001 of it where the times tell that clearly.

    In MPEG-TS, which says nothing of it, libav takes 119.88 for 120.
    """
    slower = Fraction(rate.num * 1000, rate.den * 1001)
    step_s, slack_s = sum(steps_s) / len(steps_s), 2 * tick_s / len(steps_s)
    is_whole = rate.num % rate.den == 0
    is_slower = abs(step_s - 1 / slower.value) <= slack_s < step_s - 1 / rate.value
    return slower if is_whole and is_slower else rate
