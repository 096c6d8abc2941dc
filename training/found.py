"""More photographs than ../shared has: wallpapers that lie in Debian's packages.

`python -m training.found` fetches the packages that found.csv names, takes the listed pictures out
after comparing each with its digest, and leaves a media folder laid out as ../shared/media is, all
of it for training. Resumable: what is there already is not fetched again.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import itertools
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from aqs_batch.errors import MediaError
from training.command import plainly
from training.whole import whole

LIST = Path(__file__).with_name("found.csv")
COLUMNS = ("file", "kind", "split", "clean", "content_tag")
# As ../shared's photographs: scaled down by area, so that a JPEG's own grid and blur are gone.
LONGEST_SIDE_PX, LARGEST_SCALE = 1320, 0.75


@dataclass(frozen=True)
class Find:
    """One line of found.csv: a picture, and the package it lies in."""

    name: str
    package: str
    version: str
    member: str  # path inside the package
    sha256: str
    clean: int
    tag: str

    @property
    def place(self) -> str:
        """Its place in the media folder."""
        return f"photos/{self.name}.png"


def read_list(path: Path = LIST) -> list[Find]:
    """Everything found.csv names, in its order."""
    with path.open(newline="") as handle:
        return [
            Find(
                row["name"],
                row["package"],
                row["version"],
                row["member"],
                row["sha256"],
                int(row["clean"]),
                row["content_tag"],
            )
            for row in csv.DictReader(handle)
        ]


def fetch_argv(package: str, version: str) -> list[str]:
    """What puts a package's archive into the current folder; nothing of it is installed or run."""
    return ["apt-get", "download", f"{package}={version}"]


def members(archive: bytes, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    """The wanted members of a tar archive, as (name, content)."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for entry in tar:
            if entry.name in wanted and (content := tar.extractfile(entry)):
                yield entry.name, content.read()


def scaled(content: bytes) -> bytes:
    """A photograph as PNG, its longer side at most 1,320 pixels and never more than 0.75 of it."""
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None  # by its digest it is the one that could be read
    scale = min(LARGEST_SCALE, LONGEST_SIDE_PX / max(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".png", small)[1].tobytes()


def keep(find: Find, content: bytes, media: Path) -> None:
    """Put one find in its place; raises MediaError when it is not what the list promised."""
    got = hashlib.sha256(content).hexdigest()
    if got != find.sha256:
        raise MediaError(
            f"{find.member} of {find.package} is another picture than the list promised",
            hint=f"{LIST.name} has digest {find.sha256[:12]}, the package {got[:12]}.",
        )
    with whole(media / find.place) as unfinished:
        unfinished.write_bytes(scaled(content))


def fetch(package: str, version: str, finds: list[Find], media: Path) -> None:
    """Fetch a package and keep what the list wants of it; raises MediaError when it cannot."""
    with tempfile.TemporaryDirectory() as folder:
        _ran(fetch_argv(package, version), package, folder)
        (archive,) = Path(folder).glob("*.deb")
        tar = _ran(["dpkg-deb", "--fsys-tarfile", str(archive)], package, folder)
    missing = {find.member: find for find in finds}
    for name, content in members(tar, set(missing)):
        keep(missing.pop(name), content, media)
    if missing:
        raise MediaError(f"{package} {version} has no {', '.join(missing)}")


def _ran(argv: list[str], package: str, folder: str) -> bytes:
    try:
        return subprocess.run(argv, cwd=folder, capture_output=True, check=True).stdout
    except FileNotFoundError:
        why = f"{argv[0]} is not there: the list is of Debian's packages."
    except subprocess.CalledProcessError as error:
        why = error.stderr.decode(errors="replace").strip()[-300:]
    raise MediaError(f"could not fetch {package}", hint=why)


def write_manifest(finds: list[Find], media: Path) -> None:
    """MANIFEST.csv, as training.sources reads it."""
    with (
        whole(media / "MANIFEST.csv") as unfinished,
        unfinished.open("w", newline="") as handle,
    ):
        out = csv.writer(handle)
        out.writerow(COLUMNS)
        out.writerows((f.place, "photo", "train", f.clean, f.tag) for f in finds)


def main() -> None:
    parser = argparse.ArgumentParser(description="Fetch the photographs that found.csv lists.")
    parser.add_argument("--out", type=Path, default=Path("training/cache/found"))
    args = parser.parse_args()
    finds = read_list()
    absent = [f for f in finds if not (args.out / f.place).exists()]
    for (package, version), group in itertools.groupby(absent, lambda f: (f.package, f.version)):
        listed = list(group)
        fetch(package, version, listed, args.out)
        print(f"{package}: {len(listed)}", flush=True)
    write_manifest(finds, args.out)
    print(f"{args.out}: {len(finds)} photographs")


if __name__ == "__main__":
    plainly(main)
