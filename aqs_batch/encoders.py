"""What may be asked of encoders: presets, CRFs, and no parameter that a ladder sets itself."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Codec(StrEnum):
    """An encoder by the name its users know."""

    X265 = "x265"
    X264 = "x264"
    SVTAV1 = "svtav1"


X26X_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
    "placebo",
)  # fmt: skip
AV1_PRESETS = tuple(str(number) for number in range(14))
# Raised when filtered rungs made before can no longer be compared with those made now: the first of
# 1080p and more were encoded for 720,000 frames a second.
FILTERED_FORMAT = 2
FILTER_CRFS = 21.0, 43.0  # lowest and highest CRF of x265 that the filter was trained for
CRF_MAX = {Codec.X265: 51.0, Codec.X264: 51.0, Codec.SVTAV1: 63.0}

_OURS = {
    "crf", "qp", "bitrate", "lossless", "pass", "stats", "rc", "tbr", "qmin", "qmax", "cqp",
    "passes", "crf-max", "crf-min", "qpmin", "qpmax", "qp-min", "qp-max", "input", "output",
    "frames", "seek", "preset", "min-qp", "max-qp",
}  # fmt: skip


def own_preset(codec: str) -> str:
    """The preset of an encoder where none is asked for."""
    return "8" if codec == Codec.SVTAV1 else "medium"


def refused(codec: Codec, preset: str, crfs: Iterable[float], params: str) -> str:
    """What is wrong with a recipe, "" where nothing is."""
    presets = AV1_PRESETS if codec is Codec.SVTAV1 else X26X_PRESETS
    if preset not in presets:
        known = "0 to 13" if codec is Codec.SVTAV1 else ", ".join(presets)
        return f"{codec} has no preset {preset}; it has {known}"
    if taken := _ours_among(params):  # the rung would not be what it is called
        return f"params must not set {', '.join(taken)}: the ladder does"
    return refused_crf(codec, crfs)


def refused_crf(codec: Codec, crfs: Iterable[float]) -> str:
    """What a codec wants of its CRFs where it does not take all of these, "" where it does.

    SVT-AV1 gets whole numbers of ffmpeg, and 0 is none to it: 0 and 0.5 had been its own 35.
    """
    most, is_av1 = CRF_MAX[codec], codec is Codec.SVTAV1
    if all((1 if is_av1 else 0) <= crf <= most and not (is_av1 and crf % 1) for crf in crfs):
        return ""
    said = f"crf of {codec} goes from {'1' if is_av1 else '0'} to {most:g}"
    return f"{said}, in whole numbers" if is_av1 else said


def _ours_among(params: str) -> list[str]:
    """Which of "key=value:key=value" a ladder sets itself, in order of the alphabet."""
    return sorted({_plain(part.partition("=")[0]) for part in params.split(":")} & _OURS)


def _plain(name: str) -> str:
    """An encoder parameter's name without the liberties that encoders allow."""
    return name.strip().lower().lstrip("-").replace("_", "-").removeprefix("no-")
