"""The elements that a Matroska file is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_LONGEST_HEAD = 12  # four bytes of number, eight of length


@dataclass(frozen=True)
class Element:
    """One element: its number, and where in the file its body begins and ends."""

    number: int
    body: int
    until: int


def elements(handle: BinaryIO, at: int, end: int) -> Iterator[Element]:
    """The elements one behind the other from `at` on, up to the first bytes that are none.

    One that does not say how long it is (of a live recording) goes on to `end`.
    """
    while at < end:
        handle.seek(at)
        head = handle.read(_LONGEST_HEAD)
        first = _length(head, 0)
        second = _length(head, first)
        if not (0 < first <= 4 and second):
            return
        bits = (1 << 7 * second) - 1
        size_bytes = int.from_bytes(head[first : first + second], "big") & bits
        body = at + first + second
        at = end if size_bytes == bits else min(body + size_bytes, end)
        yield Element(int.from_bytes(head[:first], "big"), body, at)


def _length(head: bytes, at: int) -> int:
    """How many bytes a number takes, by the zeros that it begins with; 0 where it is none."""
    return 9 - head[at].bit_length() if at < len(head) and head[at] else 0
