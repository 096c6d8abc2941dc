"""Words for terminals and reports."""

from __future__ import annotations

import math
import re

from aqs_batch.records import QualityLevel

# A password holds no "/" in a URL, but people forget to spell out "@" and spaces.
_PASSWORD = re.compile(r"(://[^:/@\s'\"]*:)[^/'\"]*@|([?&](?:password|passwd|pwd)=)[^&\s'\"]*")


def shown(text: str) -> str:
    """Text fit for a terminal: bytes that are not UTF-8 and control characters are spelled out."""
    safe = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in safe)


def without_password(text: str) -> str:
    """Text in which the passwords of URLs are starred out: reports and logs are passed on."""
    return _PASSWORD.sub(lambda m: f"{m[1]}***@" if m[1] else f"{m[2]}***", text)


def aqs_words(aqs: float, level: QualityLevel | None = None) -> str:
    """An AQS (0-1) with two decimals, but never one of a better level: 0.696 that is Fair had been
    shown as 0.70, from which on a file is Good. `level` is needed of a rounded AQS alone.
    """
    level = level or QualityLevel.of(aqs)
    words = f"{aqs:.2f}"
    return words if QualityLevel.of(float(words)) is level else f"{float(words) - 0.01:.2f}"


def cut(value: float, digits: int = 1) -> str:
    """A number with fixed decimals that is never rounded up to a bound which it misses: a VMAF of
    92.96 had been "93.0, 93 is asked for", an AQS of 0.69996 "0.700, below 0.7".
    """
    unit = 10**digits
    return f"{math.floor(value * unit) / unit:.{digits}f}"


def count(number: int, singular: str, plural: str = "") -> str:
    """A number with its noun: 1 file, 2,000 files, 2 analyses."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
