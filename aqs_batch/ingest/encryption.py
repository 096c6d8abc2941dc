"""Whether a file is encrypted: what decodes of one is garbage, which had been scored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from aqs_batch.errors import RefusedMedia

_MOST_READ = 1 << 20  # of a file's beginning
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")  # its header, as GUIDs lie in files
_ASF_LOCKS = (  # content encryption, and its extended and advanced kinds
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
    bytes.fromhex("338505438169e6499b74ad12cb86d58c"),
)
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


def has_asf_lock(path: Path) -> bool:
    """Whether the header of a Windows Media file holds a licence's object.

    Not by what libav tells: that are tags, which a decrypted copy may have as well.
    """
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
    for begin, step in ((0, _PACKET), (_PREFIX, _PACKET + _PREFIX)):
        starts = range(begin, len(head) - _PREFIX, step)
        if starts and all(head[at] == _SYNC for at in starts):
            return any(head[at + 3] & 0xC0 for at in starts)
    return False


def _beginning(path: Path) -> bytes:
    with path.open("rb") as handle:
        return handle.read(_MOST_READ)
