"""Whether a file is encrypted: what decodes of one is garbage, which had been scored."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from aqs_batch.errors import RefusedMedia
from aqs_batch.media.boxes import boxes
from aqs_batch.media.elements import Element, elements

_MOST_READ = 1 << 20  # of a file's beginning
_MOST_PARTS = 10_000  # one behind the other; headers come first
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")  # its header, as GUIDs lie in files
_ASF_LOCKS = (  # content encryption, and its extended and advanced kinds
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
    bytes.fromhex("338505438169e6499b74ad12cb86d58c"),
)
_TRACK = (0x18538067, 0x1654AE6B, 0xAE)  # where Matroska has one: segment, tracks, entry
_TRACK_KIND, _PICTURE = 0x83, 1
_ENCODING_KIND, _ENCRYPTED = (0x6D80, 0x6240, 0x5033), 1
_SAMPLES = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_ITUNES = b"drmi"
_STREAMS_TABLE, _SAMPLE_AES = 2, 0xDB  # H.264 of HLS: its slices, but for their beginnings
_SYNC, _PACKET, _PREFIX = 0x47, 188, 4  # an MPEG-TS packet; a camera's have their time before them


def refused() -> RefusedMedia:
    return RefusedMedia(
        "encrypted (DRM or scrambled): its pictures cannot be looked at",
        hint="Score a copy without encryption; no key can be given here.",
    )


def clear(packets: Iterable[Any]) -> Iterator[Any]:
    """The same packets; raises RefusedMedia at the first one that MP4 says is encrypted."""
    for packet in packets:
        is_told = packet.has_sidedata("encryption_info")
        if is_told and _hides_any(bytes(packet.get_sidedata("encryption_info"))):
            raise refused()
        yield packet


def _hides_any(info: bytes) -> bool:
    """Whether libav's word on a packet's encryption leaves any byte of it unreadable."""
    key, vector, parts = (int.from_bytes(info[at : at + 4], "big") for at in (12, 16, 20))
    begin = 24 + key + vector
    hidden = (info[at + 4 : at + 8] for at in range(begin, begin + 8 * parts, 8))
    return not parts or any(any(size) for size in hidden)


def is_locked(path: Path, container: str) -> bool:
    """Whether the headers say that the picture is encrypted.

    Not by what libav tells: that is nothing, or tags, which a decrypted copy may have as well.
    """
    looks = {"asf": _has_asf_lock, "matroska": _has_matroska_lock, "mov": _is_of_itunes,
             "mpegts": _is_sample_aes}  # fmt: skip
    look = next((look for name, look in looks.items() if container.startswith(name)), None)
    return look is not None and look(path)


def _has_matroska_lock(path: Path) -> bool:
    with path.open("rb") as handle:
        whole = Element(0, 0, handle.seek(0, os.SEEK_END))
        tracks = next(_within(handle, whole, _TRACK[:-1]), whole)
        return any(
            _holds(handle, track, (_TRACK_KIND,), _PICTURE)
            and _holds(handle, track, _ENCODING_KIND, _ENCRYPTED)
            for track in _within(handle, tracks, _TRACK[-1:])
        )


def _within(handle: BinaryIO, outer: Element, numbers: tuple[int, ...]) -> Iterator[Element]:
    if not numbers:
        yield outer
        return
    for inner in itertools.islice(elements(handle, outer.body, outer.until), _MOST_PARTS):
        if inner.number == numbers[0]:
            yield from _within(handle, inner, numbers[1:])


def _holds(handle: BinaryIO, outer: Element, numbers: tuple[int, ...], value: int) -> bool:
    for inner in _within(handle, outer, numbers):
        handle.seek(inner.body)
        if int.from_bytes(handle.read(min(inner.until - inner.body, 8)), "big") == value:
            return True
    return False


def _is_of_itunes(path: Path) -> bool:
    with path.open("rb") as handle:
        return _ITUNES in _samples(handle, 0, handle.seek(0, os.SEEK_END), _SAMPLES)


def _samples(handle: BinaryIO, at: int, end: int, kinds: tuple[bytes, ...]) -> Iterator[bytes]:
    """What kinds of samples an MP4 says that it holds."""
    for box in itertools.islice(boxes(handle, at, end), _MOST_PARTS):
        if not kinds:
            yield box.kind
        elif box.kind == kinds[0]:
            skipped = 0 if kinds[1:] else 8  # the list's version, and how many come
            yield from _samples(handle, box.body + skipped, box.until, kinds[1:])


def _is_sample_aes(path: Path) -> bool:
    head = _beginning(path)
    for at in _packets(head):
        begins, has_field = head[at + 1] & 0x40, head[at + 3] & 0x20
        body = at + 4 + (head[at + 4] + 1 if has_field else 0)
        table = body + 1 + head[body] if begins and body < at + _PACKET - 4 else 0
        section = head[table : at + _PACKET]
        if table and len(section) > 12 and section[0] == _STREAMS_TABLE:
            first = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
            until = int.from_bytes(section[1:3], "big") & 0xFFF  # of which the last four check it
            while first + 4 < min(until, len(section)):
                if section[first] == _SAMPLE_AES:
                    return True
                first += 5 + (int.from_bytes(section[first + 3 : first + 5], "big") & 0xFFF)
    return False


def _has_asf_lock(path: Path) -> bool:
    """Whether the header of a Windows Media file holds a licence's object."""
    head = _beginning(path)
    at, kinds = 30, set()
    while head.startswith(_ASF) and at + 24 <= len(head):
        kinds.add(head[at : at + 16])
        at += max(int.from_bytes(head[at + 16 : at + 24], "little"), 24)
    return not kinds.isdisjoint(_ASF_LOCKS)


def is_scrambled(path: Path) -> bool:
    """Whether packets of an MPEG-TS say so; only to be asked where nothing can be decoded.

    Receivers often leave the mark on what they have unscrambled.
    """
    head = _beginning(path)
    return any(head[at + 3] & 0xC0 for at in _packets(head))


def _packets(head: bytes) -> range:
    """Where the packets of an MPEG-TS begin; none where it is not regular."""
    for begin, step in ((0, _PACKET), (_PREFIX, _PACKET + _PREFIX)):
        starts = range(begin, len(head) - _PACKET + 1, step)
        if starts and all(head[at] == _SYNC for at in starts):
            return starts
    return range(0)


def _beginning(path: Path) -> bytes:
    with path.open("rb") as handle:
        return handle.read(_MOST_READ)
