"""Which packets are pictures that need none before them, byte by byte."""

from __future__ import annotations

import pytest

from aqs_batch.ingest.keyframes import is_shown_vp8, is_whole, length_bytes

SLICE, DELIMITER = b"\x41\x9a", b"\x09\xf0"
GRADUAL, AT_ONCE = b"\x06\x06\x01\x25\x80", b"\x06\x06\x01\x80\x80"  # recovery points
LONG = b"\x06\x05\xff\x0e" + bytes([7]) * (255 + 14)  # an encoder's words on itself
# Four bytes of zeros (a buffering period, say), of which the stream parts the first two.
ZEROS = b"\x06\x00\x04\x00\x00\x03\x00\x00"


def by_length(size: int, *units: bytes) -> memoryview:
    return memoryview(b"".join(len(unit).to_bytes(size, "big") + unit for unit in units))


def by_start_code(*units: bytes) -> memoryview:
    return memoryview(b"".join(b"\0\0\0\1" + unit for unit in units))


@pytest.mark.parametrize(
    ("units", "whole"),
    [
        ((DELIMITER, GRADUAL, SLICE), False),
        ((DELIMITER, AT_ONCE, SLICE), True),
        ((SLICE, GRADUAL), True),  # of the next picture
        ((LONG + GRADUAL[1:], SLICE), False),
        ((LONG + AT_ONCE[1:], SLICE), True),
        ((ZEROS + GRADUAL[1:], SLICE), False),
        ((b"", GRADUAL, SLICE), False),
    ],
)
def test_a_refresh_that_takes_some_pictures_is_told_by_its_recovery_point(
    units: tuple[bytes, ...], whole: bool
) -> None:
    for size in (2, 4):
        assert is_whole(by_length(size, *units), size) is whole
    assert is_whole(by_start_code(*units), 0) is whole


def test_lengths_are_as_long_as_the_container_says() -> None:
    assert [length_bytes(bytes((1, 100, 0, 40, 0xFC | n, 0xE1))) for n in (1, 3)] == [2, 4]
    assert length_bytes(b"\0\0\0\1\x67") == length_bytes(None) == length_bytes(b"") == 0


def test_an_alternate_reference_of_vp8_is_not_shown() -> None:
    assert is_shown_vp8(memoryview(b"\x10\x02\x00"))
    assert not is_shown_vp8(memoryview(b"\x01\x02\x00"))
