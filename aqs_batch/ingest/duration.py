"""How long a video is, by its packets: headers lie."""

from __future__ import annotations

from aqs_batch.media.containers import LONG_S
from aqs_batch.records import Fraction


def moving_s(times_s: tuple[float, ...], rate: Fraction, lasts_s: float = 0.0) -> float:
    """From first to last frame, plus one frame: of a variable rate as the last one's `lasts_s`."""
    last_s = lasts_s if 0 < lasts_s <= LONG_S else _step_s(rate)
    return times_s[-1] - times_s[0] + last_s


def held_s(lasts_s: float, rate: Fraction) -> float:
    """How much longer the last frame is shown, where it lasts for long by its container's word.

    A screen recording of a minute in which nothing moves after four seconds had been one of four
    seconds, at fifteen times its rate.
    """
    return lasts_s - _step_s(rate) if lasts_s > LONG_S else 0.0


def _step_s(rate: Fraction) -> float:
    return min(1 / rate.value, LONG_S) if rate.value else 0.0
