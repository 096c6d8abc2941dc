"""Numbers, times and names as a person reads them, in terminals, mails and reports."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime

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
    whole = math.floor(round(value * unit, 6))  # 0.29 x 100 is a little less than 29
    return f"{whole / unit:.{digits}f}"


def kbps(rate: float) -> str:
    """A bit rate in whole kbit/s, never less than it is: 400.44 had been "400" where at most 400
    were asked for, and not kept.
    """
    return f"{math.ceil(rate):,}"


def count(number: int, singular: str, plural: str = "") -> str:
    """A number with its noun: 1 file, 2,000 files, 2 analyses."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def links_left_out(names: Sequence[str]) -> str:
    """That links are not followed, and what does."""
    what = f"{count(len(names), 'symbolic link')} left out, such as {shown(names[0])}"
    return f"{what}: [run] follow_symlinks = true takes them"


def none_recommended(is_measured: bool) -> str:
    """Why no rung is the one to take, and what is kept then; `is_measured`: some have a VMAF."""
    if is_measured:
        why, then = "none of them saves bytes", ""
    else:
        why = "no VMAF was measured to choose by"
        then = "; --max-kbps, --max-bytes or --keep all do"
    return f"no rung is recommended: {why}, so --keep best keeps none{then}"


def video_time(seconds: float) -> str:
    """A time in a video: 0:07.5 below a minute, 12:34 below an hour, 1:02:03 above."""
    if not math.isfinite(seconds) or seconds < 0:
        return "–"
    if seconds < 60:
        tenths = int(seconds * 10)
        return f"0:{tenths // 10:02d}" + (f".{tenths % 10}" if tenths % 10 else "")
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def moment(iso_time: str) -> str:
    """An ISO 8601 time as 2026-03-01 22:00 UTC; any other text as it is."""
    try:
        time = datetime.fromisoformat(iso_time)
    except ValueError:
        return iso_time
    zone = f" {time.tzname()}" if time.tzinfo else ""
    return f"{time:%Y-%m-%d %H:%M}{zone}"


def size(size_bytes: float) -> str:
    """Bytes with a decimal unit, three digits or so: 999 B, 1.2 kB, 34 MB."""
    units = ("B", "kB", "MB", "GB", "TB", "PB")
    value, power = float(size_bytes), 0
    while value >= 999.5 and power < len(units) - 1:
        value, power = value / 1000, power + 1
    return (
        f"{value:.1f} {units[power]}" if power and value < 9.95 else f"{value:.0f} {units[power]}"
    )


def decimal(value: float | None, digits: int = 2) -> str:
    """A number with fixed decimals, or a dash where there is none."""
    return f"{value:.{digits}f}" if value is not None and math.isfinite(value) else "–"


def percent(share: float) -> str:
    """A share of 0-1 as a whole percentage; never 0 % for something above nothing."""
    if 0 < share < 0.005:
        return "<1 %"
    return f"{share * 100:.0f} %"
