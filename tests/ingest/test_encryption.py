"""Encrypted files are refused; a garbage picture had got a score, 0.98 of one MP4. Clear ones are
taken, though a mark of encryption may be left in them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from aqs_batch.errors import RefusedMedia
from aqs_batch.ingest import encryption
from aqs_batch.ingest.probe import probe

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "10")
CENC = (
    *("-encryption_scheme", "cenc-aes-ctr", "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8"),
    *("-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb"),
)
FRAGMENTS = ("-movflags", "frag_keyframe+empty_moov")
LICENCE = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e") + (40).to_bytes(8, "little") + bytes(16)


def scrambled(path: Path, target: Path, *, step: int, only_marked: bool = False) -> Path:
    """A copy whose packets of the picture are marked as scrambled, and are so."""
    data = bytearray(path.read_bytes())
    for at in range(step - 188, len(data), step):
        pid = (data[at + 1] & 0x1F) << 8 | data[at + 2]
        if pid == {188: 0x100, 192: 0x1011}[step]:
            data[at + 3] |= 0x80
            if not only_marked:
                begin = at + 4 + (data[at + 4] + 1 if data[at + 3] & 0x20 else 0)
                data[begin : at + 188] = bytes(b ^ 0x5A for b in data[begin : at + 188])
    target.write_bytes(data)
    return target


def is_refused(path: Path) -> bool:
    try:
        probe(path)
    except RefusedMedia as refused:
        assert "encrypted" in str(refused) and refused.hint
        return True
    return False


@pytest.mark.parametrize("more", [(), FRAGMENTS], ids=["whole", "fragments"])
def test_an_encrypted_mp4_is_refused(make_clip, more: tuple[str, ...]) -> None:
    assert is_refused(make_clip("locked.mp4", options=(*X264, *CENC, *more)))
    assert not is_refused(make_clip("clear.mp4", options=(*X264, *more)))


@pytest.mark.parametrize(("name", "step"), [("film.ts", 188), ("film.m2ts", 192)])
def test_a_scrambled_transport_stream_is_refused(
    make_clip, tmp_path: Path, name: str, step: int
) -> None:
    film = make_clip(name, options=X264)
    assert is_refused(scrambled(film, tmp_path / name, step=step))
    assert not is_refused(scrambled(film, tmp_path / name, step=step, only_marked=True))


def test_windows_media_with_a_licence_is_refused(make_clip, tmp_path: Path) -> None:
    tag = ("-metadata", "encryption=ASF Extended Content Encryption")
    film = make_clip("film.wmv", options=("-c:v", "wmv2", *tag))
    assert not is_refused(film)
    data = film.read_bytes()
    size, objects = (int.from_bytes(data[at:end], "little") for at, end in ((16, 24), (24, 28)))
    sizes = (size + len(LICENCE)).to_bytes(8, "little") + (objects + 1).to_bytes(4, "little")
    locked = tmp_path / "locked.wmv"
    locked.write_bytes(data[:16] + sizes + data[28:30] + LICENCE + data[30:])
    assert is_refused(locked)


def test_a_film_of_itunes_is_refused(make_clip, tmp_path: Path) -> None:
    data = make_clip("clear.mp4", options=X264).read_bytes()
    before, after = data.split(b"stsd", 1)
    locked = tmp_path / "locked.m4v"
    locked.write_bytes(before + b"stsd" + after.replace(b"avc1", b"drmi", 1))
    assert is_refused(locked)


def test_hls_with_sample_aes_is_refused(make_clip, tmp_path: Path) -> None:
    """What it leaves clear suffices to decode garbage."""
    data = make_clip("film.ts", options=X264).read_bytes()
    table = data.index(b"\x47\x50\x00")  # of the streams: its packet 4096 begins one
    kind = data.index(b"\x1b\xe1\x00", table)  # H.264 in packet 256
    locked = tmp_path / "locked.ts"
    locked.write_bytes(data[:kind] + b"\xdb" + data[kind + 1 :])
    assert is_refused(locked)
    assert not is_refused(make_clip("film.ts", options=X264))


def element(number: int, body: bytes) -> bytes:
    head = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return head + (1 << 56 | len(body)).to_bytes(8, "big") + body


@pytest.mark.parametrize(
    ("track", "encoding", "is_so"),
    [(1, 1, True), (1, 0, False), (2, 1, False)],
    ids=["picture", "compressed", "sound"],
)
def test_an_encrypted_webm_is_told_by_its_track(
    track: int, encoding: int, is_so: bool, tmp_path: Path
) -> None:
    """Of VP9 and H.264 the headers may be clear, so that garbage decodes."""
    kind = element(0x5033, bytes([encoding]))
    entry = element(0x83, bytes([track])) + element(0x6D80, element(0x6240, kind))
    path = tmp_path / "film.webm"
    path.write_bytes(element(0x18538067, element(0x1654AE6B, element(0xAE, entry))))
    assert encryption.is_locked(path, "matroska,webm") is is_so


def test_a_protected_film_of_the_wild_is_refused(media: Path) -> None:
    assert is_refused(media / "odd" / "fate_wmv_drm.wmv")
