"""How players turn a picture: the display matrix of its frames, in words that ffmpeg takes back."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple


class Turn(NamedTuple):
    """Counter-clockwise by so much, and then, where it is mirrored, upside down."""

    rotation_deg: int = 0
    is_mirrored: bool = False


UPRIGHT = Turn()


def turn_of(frame: Any) -> Turn:
    """What a decoded frame of libav's says.

    Its angle alone had been gone by: a mirrored selfie came out of the filter on its head.
    """
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # see side_data.names
        return Turn(round(frame.rotation) % 360)
    if matrix is None:
        return UPRIGHT
    across, down, _, over, up, *_ = struct.unpack("=9i", bytes(matrix))
    if across * up - down * over >= 0:
        return Turn(round(frame.rotation) % 360)
    return Turn(-round(frame.rotation) % 360, is_mirrored=True)
