"""Encrypted files are refused; a garbage picture had got a score, 0.98 of one MP4. Clear ones are
taken, though a mark of encryption may be left in them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from aqs_batch.errors import RefusedMedia
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


def test_a_protected_film_of_the_wild_is_refused(media: Path) -> None:
    assert is_refused(media / "odd" / "fate_wmv_drm.wmv")
