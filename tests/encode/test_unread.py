"""What ffmpeg does not read of an MP4 or MOV is told, and nothing that it writes anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from aqs_batch.encode import inventory, unread

XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + b"<x:xmpmeta/>"


def box(kind: bytes, body: bytes) -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + kind + body


def told(path: Path) -> tuple[str, ...]:
    return unread.told(path, inventory.take(path))


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (box(b"uuid", XMP), ("XMP metadata (28 bytes)",)),
        (box(b"uuid", b"C2PA's own number" + b"proof"), ("the box 'uuid' (22 bytes)",)),
        (box(b"meta", b"<xml/>") + box(b"free", b""), ("the box 'meta' (6 bytes)",)),
        (box(b"meta", bytes(300))[:100], ("the box 'meta' (92 bytes)",)),  # cut off
        (box(b"uuid", b"PROF" + bytes(60)), ()),  # the old encode's bit rates
        (box(b"udta", b""), ()),
        (bytes(2048), ()),
    ],
)
def test_what_lies_behind_the_streams_is_told(
    extra: bytes, words: tuple[str, ...], make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    film = Path(shutil.copy(make_clip("film.mp4"), tmp_path / "film.mp4"))
    with film.open("ab") as handle:
        handle.write(extra)
    assert told(film) == words


@pytest.mark.parametrize(
    ("extra", "begins"),
    [
        (box(b"uuid", XMP), "XMP metadata"),
        (box(b"udta", box(b"XMP_", b"<x/>")), "XMP metadata"),
        (box(b"udta", box(b"smta", bytes(8))), "the tag 'smta'"),  # Samsung's own
        (box(b"udta", box(b"SDLN", b"SEQ_PLAY")), "the tag 'SDLN'"),
    ],
)
def test_what_lies_among_the_tags_is_told(
    extra: bytes, begins: str, make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    """As QuickTime's own XMP: moov, which stands last, is made longer by it."""
    film = Path(shutil.copy(make_clip("film.mov"), tmp_path / "film.mov"))
    data = film.read_bytes()
    at = data.rindex(b"moov") - 4
    length = int.from_bytes(data[at : at + 4], "big")
    assert at + length == len(data)
    film.write_bytes(data[:at] + (length + len(extra)).to_bytes(4, "big") + data[at + 4 :] + extra)
    (words,) = told(film)
    assert words.startswith(begins)


def test_what_an_avi_holds_behind_its_streams_is_told(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    film = Path(shutil.copy(make_clip("film.avi"), tmp_path / "film.avi"))
    data = bytearray(film.read_bytes() + b"_PMX" + (12).to_bytes(4, "little") + b"<x:xmpmeta/>")
    data[4:8] = (len(data) - 8).to_bytes(4, "little")
    film.write_bytes(data)
    assert told(film) == ("XMP metadata (12 bytes)",)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("plain.mp4", ()),
        ("other.avi", ()),
        ("first.mp4", ("-movflags", "+faststart")),
        ("parts.mp4", ("-movflags", "+frag_keyframe+dash", "-g", "5")),
        ("time.mov", ("-timecode", "01:02:03:04", "-metadata", "title=T")),
        ("other.mkv", ()),
    ],
)
def test_what_ffmpeg_writes_is_nothing_unread(
    name: str, options: tuple[str, ...], make_clip: Callable[..., Path]
) -> None:
    assert told(make_clip(name, options=options)) == ()
