"""Which of H.264's keyframes decoding may begin at: not those that open a gradual refresh.

A stream with intra refresh has no whole pictures after its first; its containers flag the points
where a refresh begins as keyframes. Decoding from there shows half of the picture, or nothing,
until the refresh is through (H.264, D.2.8: the recovery point's count of frames is not 0).
"""

from __future__ import annotations

from collections.abc import Iterator

_SLICE, _IDR, _SEI = 1, 5, 6
_RECOVERY_POINT = 6
_LOOKED_AT_BYTES = 64 * 1024  # the units before the picture's slices are short


def is_whole(packet: memoryview, length_bytes: int) -> bool:
    """Whether a packet flagged as a keyframe is a picture that needs none before it.

    `length_bytes`: how long the lengths before its units are, 0 where start codes part them.
    """
    head = bytes(packet[:_LOOKED_AT_BYTES])
    for unit in _by_length(head, length_bytes) if length_bytes else _by_start_code(head):
        kind = unit[0] & 31
        if kind in (_SLICE, _IDR):
            break
        # A 3 after two zeros keeps data from looking like a start code, and no size counts it.
        if kind == _SEI and _refreshes_gradually(unit[1:].replace(b"\0\0\3", b"\0\0")):
            return False
    return True


def is_shown_vp8(packet: memoryview) -> bool:
    """Whether a VP8 packet is shown: an alternate reference is decoded and not (RFC 6386, 9.1)."""
    return bool(packet[0] & 0x10)


def length_bytes(extradata: bytes | None) -> int:
    """How long the lengths are, by what the container says of the codec; 0: start codes."""
    if not extradata or len(extradata) < 5 or extradata[0] != 1:
        return 0
    return (extradata[4] & 3) + 1


def _by_length(packet: bytes, size: int) -> Iterator[bytes]:
    at = 0
    while at + size < len(packet):
        length = int.from_bytes(packet[at : at + size], "big")
        at += size
        if length:
            yield packet[at : at + length]
        at += length


def _by_start_code(packet: bytes) -> Iterator[bytes]:
    for unit in packet.split(b"\0\0\1")[1:]:
        if unit:
            yield unit


def _refreshes_gradually(messages: bytes) -> bool:
    """Whether a recovery point among SEI messages counts frames until the picture is right."""
    at = 0
    while at + 2 < len(messages):
        kind, at = _number(messages, at)
        size, at = _number(messages, at)
        if kind == _RECOVERY_POINT and at < len(messages):
            return not messages[at] & 0x80  # an Exp-Golomb 0 is a single 1
        at += size
    return False


def _number(messages: bytes, at: int) -> tuple[int, int]:
    """A type or size, written as bytes of 255 and a rest, and where the next thing begins."""
    value = 0
    while at < len(messages) and messages[at] == 255:
        value, at = value + 255, at + 1
    return value + (messages[at] if at < len(messages) else 0), at + 1
