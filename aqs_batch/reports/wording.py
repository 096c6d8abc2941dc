"""Numbers, times and artifacts as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from aqs_batch.records import Artifact


@dataclass(frozen=True)
class Explanation:
    """One artifact in plain words: what one sees, and what most often causes it."""

    label: str
    looks: str
    cause: str


EXPLANATIONS: Mapping[Artifact, Explanation] = {
    Artifact.BLOCKING: Explanation(
        "Blocking",
        "The picture breaks into small squares, most of all in motion and in dark areas.",
        "Too few bits for the content: a low bit rate or a high CRF.",
    ),
    Artifact.RINGING: Explanation(
        "Ringing",
        "Faint echoes and shimmer run along sharp edges and lettering.",
        "Strong compression, or sharpening and scaling before it.",
    ),
    Artifact.GHOSTING: Explanation(
        "Ghosting",
        "Moving things trail a pale copy of themselves from a neighbouring frame.",
        "Blended frame-rate conversion, poor deinterlacing or heavy temporal denoising.",
    ),
    Artifact.JUDDER: Explanation(
        "Judder",
        "Motion stutters: frames repeat, are missing or come at uneven steps.",
        "Frame-rate conversion by repeating or dropping frames, or frames lost in capture.",
    ),
    Artifact.GAUSSIAN_NOISE: Explanation(
        "Gaussian noise",
        "Fine grain flickers over the whole picture, clearest in flat and dark areas.",
        "High sensor gain, an analogue source or film grain; it also costs many bits.",
    ),
    Artifact.IMPULSE_NOISE: Explanation(
        "Impulse noise",
        "Single bright or dark specks appear for a frame and vanish.",
        "Tape dropouts, dust, dead pixels or transmission errors.",
    ),
    Artifact.MOTION_BLUR: Explanation(
        "Motion blur",
        "Things in motion smear along their path and lose their edges.",
        "A long exposure, a shaking camera or blended frames.",
    ),
    Artifact.DEFOCUS_BLUR: Explanation(
        "Defocus blur",
        "The picture is soft all over and fine detail is missing.",
        "Missed focus, a soft lens, an upscale from a smaller picture, or too few bits.",
    ),
    Artifact.COLOR_BANDING: Explanation(
        "Color banding",
        "Smooth gradients, such as skies and fades, turn into visible steps.",
        "8-bit or over-compressed gradients whose dither was removed.",
    ),
    Artifact.COLOR_SATURATION: Explanation(
        "Color saturation",
        "Colors are garish or washed out, and may clip to flat patches.",
        "A wrong color matrix or range, or a grade pushed too far.",
    ),
}


def label(artifact: Artifact) -> str:
    """The artifact's name as a heading."""
    return EXPLANATIONS[artifact].label


def clock(seconds: float) -> str:
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


def size(count: float) -> str:
    """Bytes with a decimal unit, three digits or so: 999 B, 1.2 kB, 34 MB."""
    units = ("B", "kB", "MB", "GB", "TB", "PB")
    value, power = float(count), 0
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
