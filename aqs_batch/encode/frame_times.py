"""When each frame that ffmpeg sends through a pipe is shown: noted in a file beside the pipe.

Packets tell of frames that do not decode (a recording that begins within a group of pictures, one
that lost a packet): times that were given to frames by their number had come early by as many.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from aqs_batch.errors import EncodeError

FORMAT = "{pts} {tb}"  # a line a frame, written before the frame is sent


def noted_s(path: Path) -> Iterator[float]:
    """The times of the frames in their order, each asked for once its frame has come."""
    with path.open(encoding="ascii") as lines:
        while line := lines.readline():
            ticks, base = line.split()
            yield float(int(ticks) * Fraction(base))
    raise EncodeError(
        "the decoder did not say when its next frame is shown",
        hint="Is the disk of the output full?",
    )
