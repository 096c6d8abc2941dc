"""The boxes that an MP4 or MOV is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_MARKS = b"_\xa9"  # besides letters and figures: XMP_, QuickTime's tags


@dataclass(frozen=True)
class Box:
    """One box: its kind, and where in the file its body begins and ends, cut off or not."""

    kind: bytes
    body: int
    until: int


def boxes(handle: BinaryIO, at: int, end: int) -> Iterator[Box]:
    """The boxes one behind the other from `at` on, up to the first bytes that are none."""
    while at < end:
        handle.seek(at)
        head = handle.read(16)
        length, kind, body = int.from_bytes(head[:4], "big"), head[4:8], at + 8
        if length == 1:  # too long for 32 bits
            length, body = int.from_bytes(head[8:], "big"), at + 16
        if not kind.translate(None, _MARKS).isalnum() or 0 < length < 8:
            return
        at = at + length if length else end  # of no length: it goes on to the end of the file
        yield Box(kind, body, at)
