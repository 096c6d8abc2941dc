"""What Matroska says more than once, which libav reads over, is told."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from aqs_batch import ffmpeg
from aqs_batch.encode import inventory, unlisted, unread

META = """;FFMETADATA1
ARTIST=Alice
ARTISU=Bob
TITLE-ger=Ein Film
[CHAPTER]
TIMEBASE=1/1000
START=0
END=300
title=A
[CHAPTER]
TIMEBASE=1/1000
START=300
END=500
title=B
[CHAPTER]
TIMEBASE=1/1000
START=500
END=900
title=C
"""


@pytest.fixture
def film(make_clip: Callable[..., Path], ffmpeg_path: str, tmp_path: Path) -> Path:
    """A Matroska file with tags and chapters, all of which libav knows."""
    (tmp_path / "meta.txt").write_text(META)
    argv = [ffmpeg_path, "-hide_banner", "-nostdin", "-i", str(make_clip("plain.mkv"))]
    argv += ["-f", "ffmetadata", "-i", str(tmp_path / "meta.txt"), "-map", "0"]
    argv += ["-map_metadata", "1", "-map_chapters", "1", "-c", "copy", str(tmp_path / "film.mkv")]
    assert ffmpeg.run(argv, timeout_s=60).returncode == 0
    return tmp_path / "film.mkv"


def told(path: Path) -> tuple[str, ...]:
    return unread.told(path, inventory.take(path))


def test_what_libav_knows_is_not_told(film: Path) -> None:
    assert told(film) == ()


def test_the_first_of_two_tags_of_one_name_is_told(film: Path) -> None:
    """Of two artists the first was gone from the archive, without a word."""
    film.write_bytes(film.read_bytes().replace(b"ARTISU", b"ARTIST"))
    with av.open(str(film)) as container:
        assert "Alice" not in container.metadata.values()
    assert told(film) == ("a repeated tag ARTIST",)


def test_the_order_of_chapters_is_told(film: Path) -> None:
    data = bytearray(film.read_bytes())
    at = data.index(b"\x45\xdb\x81\x01", data.index(b"\x45\xb9"))  # it is the default, say now:
    data[at + 1] = 0xDD  # it is ordered
    film.write_bytes(data)
    assert told(film) == ("the order that the chapters are to be shown in",)


def test_a_chapter_within_another_is_told(film: Path) -> None:
    data = bytearray(film.read_bytes())
    starts, at = [], data.index(b"\xb6", data.index(b"\x45\xdb\x81\x01") + 4)
    while data[at] == 0xB6:
        starts.append(at)
        at += 2 + (data[at + 1] & 0x7F)
    data[starts[1] + 1] += at - starts[2]  # the third is in the second now
    film.write_bytes(data)
    assert len(inventory.take(film).chapters) == 2
    assert told(film) == ("a chapter within a chapter",)


def element(number: str, body: bytes) -> bytes:
    return bytes.fromhex(number) + (0x4000 | len(body)).to_bytes(2, "big") + body


def tag(name: bytes, said_of: bytes = b"", language: bytes = b"", within: bytes = b"") -> bytes:
    said = element("45a3", name) + (element("447a", language) if language else b"")
    return element("7373", element("63c0", said_of) + element("67c8", said + within))


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (
            element("1549a966", element("3eb923", b"next")),
            ["the link to the file before or after it"],
        ),
        (element("1043a770", element("45b9", b"") * 2), ["a second edition of chapters"]),
        (
            element("1043a770", element("45b9", element("b6", element("80", b"") * 2))),
            ["a second title of a chapter"],
        ),
        (element("1254c367", tag(b"BPS") * 2), []),
        (element("1254c367", tag(b"T", language=b"ger") + tag(b"T", language=b"eng")), []),
        (element("1254c367", tag(b"T", element("63c5", b"1")) + tag(b"T")), []),
        # The film's and the series' title: without the level's name libav takes them for one.
        (
            element("1254c367", tag(b"T", element("68ca", b"F")) + tag(b"T")),
            ["a repeated tag T"],
        ),
        (
            element("1254c367", tag(b"ACTOR", within=element("67c8", element("45a3", b"AS")) * 2)),
            ["a repeated tag ACTOR/AS"],
        ),
        (b"\0 not an element", []),
        (b"", []),
    ],
)  # fmt: skip
def test_each_is_told_by_name(part: bytes, words: list[str]) -> None:
    data = element("18538067", part)
    for whole in (data, b"\x18\x53\x80\x67\xff" + part):  # as of a live recording
        assert list(unlisted.told(io.BytesIO(whole), len(whole))) == words
    for cut in range(len(data)):  # damaged, it is no error
        list(unlisted.told(io.BytesIO(data[:cut]), cut))
