"""What a pixel format holds of chroma and depth, as libav knows it: names tell it of some only."""

from __future__ import annotations

import av


def chroma(name: str) -> str:
    """The planar kind to encode a format in: "444", "422" or "420".

    Half of the rows at full width (4:4:0) is 4:4:4 to encoders, all rows of a quarter of the width
    4:2:2. By their names nv16, uyva and cinema's xyz12le had passed for 4:2:0.
    """
    across, down = _chroma_of_16(name) or (8, 8)
    return "444" if across == 16 else "422" if across < down == 16 else "420"


def is_411(name: str) -> bool:
    """Whether chroma has all rows of a quarter of the width, as DV's has in NTSC."""
    return _chroma_of_16(name) == (4, 16)


def is_420(name: str) -> bool:
    """Whether chroma has half of the width and of the height."""
    return _chroma_of_16(name) == (8, 8)


def _chroma_of_16(name: str) -> tuple[int, int] | None:
    """Columns and rows that chroma has of 16 by 16 pixels; None where there is none."""
    held = av.VideoFormat(name) if name else None
    if held is None or (len(held.components) < 3 and not held.has_palette):
        return None
    return held.chroma_width(16), held.chroma_height(16)


def are_as_fine(ours: str, theirs: str) -> bool:
    """Whether one pixel format has all that another has: chroma and depth."""
    if ours == theirs or not theirs:
        return True
    new, old = (av.VideoFormat(name) for name in (ours, theirs))
    is_grey = len(old.components) < 3 and not old.has_palette
    return (
        new.components[0].bits >= old.components[0].bits
        and (is_grey or new.chroma_width(16) >= old.chroma_width(16))
        and (is_grey or new.chroma_height(16) >= old.chroma_height(16))
    )
