"""What comes with an HDR picture: the display that it was mastered on, and how bright it gets."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

from aqs_batch.media import side_data
from aqs_batch.records import Check

_KINDS = ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL", "DYNAMIC_HDR_PLUS", "DOVI")
# libav's struct of each: ten fractions and whether they are said, two numbers.
_MASTERING, _LEVELS = "=22i", "=2I"
# Of x and y of red, green, blue and white, the darkest and the brightest in cd/m2: as much as HEVC,
# AV1 and the containers round differently.
_ROUNDED = (*[2.5e-5] * 8, 1.1e-4, 5e-3)


@dataclass(frozen=True)
class HdrData:
    """`names` of all that is there; the values of what is static, () where none are said."""

    names: tuple[str, ...] = ()
    mastering: tuple[float, ...] = ()  # as in _ROUNDED; nan where half of it is not said
    levels: tuple[int, ...] = ()  # MaxCLL and MaxFALL in cd/m2

    def __str__(self) -> str:
        return ", ".join(f"{name}{self._said(name)}" for name in self.names) or "none"

    def _said(self, name: str) -> str:
        if name == _KINDS[0] and self.mastering:
            said = ("?" if math.isnan(value) else f"{value:.5g}" for value in self.mastering)
            *colours, darkest, brightest = said
            return f" {' '.join(colours)}, {darkest} to {brightest} cd/m2"
        if name == _KINDS[1] and self.levels:
            return " {} and {} cd/m2".format(*self.levels)
        return ""

    def is_kept_in(self, other: HdrData) -> bool:
        """Dolby Vision's own aside: it is told of elsewhere."""
        pairs = zip(self.mastering, other.mastering, _ROUNDED, strict=False)
        return (
            not {name for name in self.names if "DOVI" not in name} - set(other.names)
            and all(abs(a - b) <= rounded or math.isnan(a) for a, b, rounded in pairs)
            and self.levels in ((), other.levels)
        )


def of(frame: Any) -> HdrData:
    """What a decoded frame of libav's says."""
    names = tuple(sorted(n for n in side_data.names(frame) if n.startswith(_KINDS)))
    mastering = _numbers(frame, _KINDS[0], _MASTERING)
    return HdrData(names, _values(*mastering), _numbers(frame, _KINDS[1], _LEVELS))


def _values(*numbers: int) -> tuple[float, ...]:
    if not numbers:
        return ()
    *fractions, has_colours, has_light = numbers
    said = [has_colours] * 8 + [has_light] * 2
    return tuple(
        over / under if is_said and under else math.nan
        for over, under, is_said in zip(fractions[::2], fractions[1::2], said, strict=True)
    )


def check(before: HdrData, after: HdrData) -> Check:
    """The line of the table."""
    return Check("HDR side data", str(before), str(after), before.is_kept_in(after))


def _numbers(frame: Any, name: str, layout: str) -> tuple[int, ...]:
    """Of one kind; () where there is none, or libav's struct is another by now."""
    try:
        data = frame.side_data.get(name)
    except ValueError:  # see side_data.names
        return ()
    held = b"" if data is None else bytes(data)
    return struct.unpack(layout, held) if len(held) == struct.calcsize(layout) else ()
