"""What a file holds that libav does not read, so that no copy of ours has it: boxes of MP4 and MOV,
an AVI's XMP, and what Matroska says more than once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from aqs_batch.encode import unlisted
from aqs_batch.encode.inventory import Inventory
from aqs_batch.errors import EncodeError, reason_of
from aqs_batch.media.boxes import Box, boxes
from aqs_batch.media.containers import tags_passed_over

# What holds the streams, or where they are, or nothing, is written anew for every file; tags that
# lie outside of moov are read as those inside.
_REMADE = {
    b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"mfra", b"sidx", b"ssix",
    b"styp", b"pdin", b"prft", b"udta",
}  # fmt: skip
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")  # the name of its uuid box
_AVI_XMP, _RIFF_HEAD = b"_PMX", 12
_KIND = 4  # letters of a box's name
_OLD_FIGURES = b"PROF"  # how that of Sony's begins, of the old encode's bit rates


def told(path: Path, held: Inventory) -> tuple[str, ...]:
    """In words; nothing where the container is another yet.

    A camera's own record (Sony's), XMP and proofs of origin (C2PA) had gone without a word.
    """
    looks = {"mov": _told, "matroska": unlisted.told, "avi": _told_of_avi}
    look = next((look for name, look in looks.items() if name in held.container), None)
    if look is None:
        return ()
    try:
        with path.open("rb") as handle:
            found = [*look(handle, handle.seek(0, os.SEEK_END))]
        found += _unknown_tags(path) if look is _told else ()
    except OSError as error:
        raise EncodeError(f"{path} cannot be read: {reason_of(error)}") from error
    return tuple(dict.fromkeys(found))


def _unknown_tags(path: Path) -> Iterator[str]:
    """A camera's own (Samsung's `smta`), a person's (`dscp`)."""
    names = (name[:_KIND] for name in tags_passed_over(path))  # once more with its language
    yield from ("XMP metadata" if name == "XMP_" else f"the tag {name!r}" for name in names)


def _told(handle: BinaryIO, end: int) -> Iterator[str]:
    for box in _unread(handle, end):
        handle.seek(box.body)
        name = handle.read(16) if box.kind == b"uuid" else b""
        if not name.startswith(_OLD_FIGURES):
            what = "XMP metadata" if name == _XMP else f"the box {box.kind.decode('latin-1')!r}"
            yield f"{what} ({min(box.until, end) - box.body:,} bytes)"


def _told_of_avi(handle: BinaryIO, end: int) -> Iterator[str]:
    """XMP alone: other chunks are streams, indices, tags and padding."""
    at = _RIFF_HEAD
    while at < end:
        handle.seek(at)
        head = handle.read(8)
        kind, length = head[:4], int.from_bytes(head[4:], "little")
        if not kind.isascii() or b"\0" in kind:
            return  # no chunk any more
        if kind == _AVI_XMP:
            yield f"XMP metadata ({length:,} bytes)"
        at += 8 + length + length % 2 if kind != b"RIFF" else _RIFF_HEAD


def _unread(handle: BinaryIO, end: int) -> Iterator[Box]:
    for box in boxes(handle, 0, end):
        if box.kind not in _REMADE:
            yield box
        elif box.kind == b"moov":
            for inner in boxes(handle, box.body, box.until):
                if inner.kind == b"uuid":
                    yield inner
