"""What encoders are set to by name: their presets, and the parameters that a ladder sets itself."""

from __future__ import annotations

X26X_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
    "placebo",
)  # fmt: skip
AV1_PRESETS = tuple(str(number) for number in range(14))

_OURS = {
    "crf", "qp", "bitrate", "lossless", "pass", "stats", "rc", "tbr", "qmin", "qmax", "cqp",
    "passes", "crf-max", "crf-min", "qpmin", "qpmax", "qp-min", "qp-max", "input", "output",
    "frames", "seek", "preset", "min-qp", "max-qp",
}  # fmt: skip


def ours_among(params: str) -> list[str]:
    """Which of "key=value:key=value" a ladder sets itself, in order of the alphabet."""
    return sorted({_plain(part.partition("=")[0]) for part in params.split(":")} & _OURS)


def _plain(name: str) -> str:
    """An encoder parameter's name without the liberties that encoders allow."""
    return name.strip().lower().lstrip("-").replace("_", "-").removeprefix("no-")
