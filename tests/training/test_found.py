"""Photographs that lie in Debian's packages: what is taken out of them, and what is refused."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from aqs_batch.errors import MediaError
from training import found
from training.found import Find, fetch, fetch_argv, keep, members, read_list, scaled, write_manifest
from training.manifest import read_manifest


def find(name: str, content: bytes) -> Find:
    digest = hashlib.sha256(content).hexdigest()
    return Find(name, "wallpapers", "1.0-1", f"./usr/share/{name}.jpg", digest, 4, "sea")


def jpeg(width: int, height: int) -> bytes:
    picture = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.imencode(".jpg", picture)[1].tobytes()


def archive(content: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def size(png: bytes) -> tuple[int, int]:
    high, wide = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR).shape[:2]
    return wide, high


def test_the_list_names_each_picture_once_and_stays_in_its_folder() -> None:
    finds = read_list()
    assert len({f.place for f in finds}) == len({f.sha256 for f in finds}) == len(finds) > 40
    assert all(len(f.sha256) == 64 and Path(f.name).name == f.name for f in finds)


def test_exactly_the_listed_version_is_asked_for() -> None:
    assert fetch_argv("wallpapers", "4:1.0-1") == ["apt-get", "download", "wallpapers=4:1.0-1"]


def test_only_what_is_wanted_is_taken_out() -> None:
    tar = archive({"./a.jpg": b"one", "./b.jpg": b"two", "../../evil": b"three"})
    assert list(members(tar, {"./b.jpg", "./none"})) == [("./b.jpg", b"two")]


def test_a_photograph_is_scaled_until_its_own_coding_is_gone() -> None:
    assert size(scaled(jpeg(5120, 2880))) == (1320, 742)
    assert size(scaled(jpeg(1440, 720))) == (1080, 540)


def test_what_is_kept_makes_a_media_folder_for_training(tmp_path: Path) -> None:
    content = jpeg(800, 600)
    keep(find("sea", content), content, tmp_path)
    write_manifest([find("sea", content)], tmp_path)
    (source,) = read_manifest(tmp_path)
    assert (source.kind, source.split, source.clean) == ("photo", "train", 4)
    assert size(source.path.read_bytes()) == (600, 450)


def test_another_content_than_listed_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"sea\.jpg of wallpapers"):
        keep(find("sea", b"listed"), b"another", tmp_path)
    assert not list(tmp_path.rglob("sea*"))


def test_a_machine_without_debians_tools_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found, "fetch_argv", lambda *_: ["no-such-program"])
    with pytest.raises(MediaError, match="could not fetch wallpapers") as caught:
        fetch("wallpapers", "1.0-1", [find("sea", b"")], tmp_path)
    assert "no-such-program is not there" in str(caught.value.hint)


def test_a_package_without_a_listed_picture_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ran(argv: list[str], package: str, folder: str) -> bytes:
        Path(folder, "wallpapers.deb").touch()
        return archive({"./other.jpg": b"other"})

    monkeypatch.setattr(found, "_ran", ran)
    with pytest.raises(MediaError, match=r"wallpapers 1\.0-1 has no \./usr/share/sea\.jpg"):
        fetch("wallpapers", "1.0-1", [find("sea", b"sea")], tmp_path)
