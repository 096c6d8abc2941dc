"""Sources that lie in published packages: what is taken out of them, and what is refused."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from aqs_batch.errors import MediaError
from training.found import (
    Find,
    Package,
    fetch_argv,
    keep,
    members,
    read_list,
    scaled,
    write_manifest,
)
from training.sources import read_manifest

PACKAGE = Package("npm", "pictures", "1.0.0")


def find(file: str, content: bytes, kind: str = "photo") -> Find:
    digest = hashlib.sha256(content).hexdigest()
    return Find(file, kind, PACKAGE, f"package/{file}", digest, "4", "sea")


def jpeg(width: int, height: int) -> bytes:
    picture = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.imencode(".jpg", picture)[1].tobytes()


def size(png: bytes) -> tuple[int, int]:
    high, wide = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR).shape[:2]
    return wide, high


def test_the_list_names_each_source_once_and_none_of_the_shared_ones() -> None:
    finds = read_list()
    places = [Path(f.place).stem for f in finds]
    assert len(set(places)) == len(places)
    assert len({f.sha256 for f in finds}) == len(finds)
    assert all(len(f.sha256) == 64 and f.kind in {"photo", "clip"} for f in finds)
    assert all(Path(f.file).name == f.file and fetch_argv(f.package) for f in finds)


def test_a_package_is_fetched_by_its_registry_and_no_other_is_known() -> None:
    assert fetch_argv(Package("npm", "a", "1.2"))[-1] == "a@1.2"
    assert fetch_argv(Package("pypi", "a", "1.2"))[-1] == "a==1.2"
    assert "--only-binary=:all:" in fetch_argv(Package("pypi", "a", "1.2"))  # builds nothing
    with pytest.raises(MediaError, match="cran"):
        fetch_argv(Package("cran", "a", "1.2"))


@pytest.mark.parametrize("kind", ["tgz", "whl"])
def test_only_what_is_wanted_is_taken_out(tmp_path: Path, kind: str) -> None:
    archive = tmp_path / f"pictures.{kind}"
    content = {"package/a.jpg": b"one", "package/b.jpg": b"two", "../../evil": b"three"}
    if kind == "whl":
        with zipfile.ZipFile(archive, "w") as out:
            for name, data in content.items():
                out.writestr(name, data)
    else:
        with tarfile.open(archive, "w:gz") as tar:
            for name, data in content.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    assert list(members(archive, {"package/b.jpg", "package/none"})) == [("package/b.jpg", b"two")]


def test_a_photograph_is_scaled_until_its_own_coding_is_gone() -> None:
    assert size(scaled(jpeg(5120, 2880))) == (1320, 742)
    assert size(scaled(jpeg(1440, 720))) == (1080, 540)


def test_what_is_kept_makes_a_media_folder_for_training(tmp_path: Path) -> None:
    photo, clip = jpeg(800, 600), b"a clip's own bytes"
    finds = [find("sea.jpg", photo), find("sea_clip.mp4", clip, "clip")]
    for one, content in zip(finds, (photo, clip), strict=True):
        keep(one, content, tmp_path)
    write_manifest(finds, tmp_path)
    sources = read_manifest(tmp_path)
    assert [s.kind for s in sources] == ["photo", "clip"]
    assert {s.split for s in sources} == {"train"}
    assert all(s.path.is_file() for s in sources)
    assert sources[1].path.read_bytes() == clip


def test_another_content_than_listed_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"sea\.jpg of npm package pictures 1\.0\.0"):
        keep(find("sea.jpg", b"listed"), b"another", tmp_path)
    assert not list(tmp_path.rglob("sea*"))
