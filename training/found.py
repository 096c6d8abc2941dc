"""More sources than ../shared has: pictures and clips that lie in published packages.

`python -m training.found` fetches the packages that found.csv names, takes the listed members out
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
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from aqs_batch.errors import MediaError

LIST = Path(__file__).with_name("found.csv")
COLUMNS = ("file", "kind", "split", "clean", "content_tag")
# As ../shared's photographs: scaled down by area, so that a JPEG's own grid and blur are gone.
LONGEST_SIDE_PX, LARGEST_SCALE = 1320, 0.75


@dataclass(frozen=True, order=True)
class Package:
    """Where a member lies; `registry` is debian, npm or pypi."""

    registry: str
    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.registry} package {self.name} {self.version}"


@dataclass(frozen=True)
class Find:
    """One line of found.csv."""

    file: str
    kind: str  # "clip" or "photo"
    package: Package
    member: str
    sha256: str
    clean: str
    tag: str

    @property
    def place(self) -> str:
        """Its place in the media folder; photographs are kept as PNG, whatever they were."""
        name = Path(self.file)
        return f"clips/{name}" if self.kind == "clip" else f"photos/{name.stem}.png"


def read_list(path: Path = LIST) -> list[Find]:
    """Everything found.csv names, in its order."""
    with path.open(newline="") as handle:
        return [
            Find(
                row["file"],
                row["kind"],
                Package(row["registry"], row["package"], row["version"]),
                row["member"],
                row["sha256"],
                row["clean"],
                row["content_tag"],
            )
            for row in csv.DictReader(handle)
        ]


def fetch_argv(package: Package) -> list[str]:
    """What puts a package's archive into the current folder, unpacked and run by nobody."""
    match package.registry:
        case "debian":
            return ["apt-get", "download", package.name]
        case "npm":
            return ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
        case "pypi":
            wanted = f"{package.name}=={package.version}"
            return ["pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", wanted]
    raise MediaError(f"{package.registry} is no registry that this knows: debian, npm or pypi")


def members(archive: Path, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    """The wanted members of a .deb, .tgz or .whl, as (name, content)."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as unpacked:
            for name in sorted(wanted & set(unpacked.namelist())):
                yield name, unpacked.read(name)
        return
    if archive.suffix == ".deb":
        argv = ["dpkg-deb", "--fsys-tarfile", str(archive)]
        source = io.BytesIO(subprocess.run(argv, check=True, capture_output=True).stdout)
    else:
        source = io.BytesIO(archive.read_bytes())
    with tarfile.open(fileobj=source) as tar:
        for entry in tar:
            if entry.name in wanted and (content := tar.extractfile(entry)):
                yield entry.name, content.read()


def scaled(content: bytes) -> bytes:
    """A photograph as PNG, its longer side at most 1,320 pixels and never more than 0.75."""
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    scale = min(LARGEST_SCALE, LONGEST_SIDE_PX / max(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".png", small)[1].tobytes()


def keep(find: Find, content: bytes, media: Path) -> None:
    """Put one find in its place; raises MediaError when it is not what the list promised."""
    got = hashlib.sha256(content).hexdigest()
    if got != find.sha256:
        raise MediaError(
            f"{find.member} of {find.package} is another one than the list promised",
            hint=f"{LIST.name} has digest {find.sha256[:12]}, the package {got[:12]}.",
        )
    path = media / find.place
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_bytes(scaled(content) if find.kind == "photo" else content)
    partial.replace(path)


def fetch(package: Package, finds: list[Find], media: Path) -> None:
    """Fetch a package and keep what the list wants of it; raises MediaError when it cannot."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(fetch_argv(package), cwd=folder, capture_output=True, text=True)
        archives = list(Path(folder).iterdir())
        if done.returncode or len(archives) != 1:
            raise MediaError(f"could not fetch {package}", hint=done.stderr.strip()[-300:])
        missing = {find.member: find for find in finds}
        for name, content in members(archives[0], set(missing)):
            keep(missing.pop(name), content, media)
        if missing:
            raise MediaError(f"{package} has no {', '.join(missing)}")


def write_manifest(finds: list[Find], media: Path) -> None:
    """MANIFEST.csv, as training.sources reads it."""
    partial = media / "MANIFEST.part"
    with partial.open("w", newline="") as handle:
        out = csv.writer(handle)
        out.writerow(COLUMNS)
        out.writerows((f.place, f.kind, "train", f.clean, f.tag) for f in finds)
    partial.replace(media / "MANIFEST.csv")


def main() -> None:
    parser = argparse.ArgumentParser(description="Fetch the sources that found.csv lists.")
    parser.add_argument("--out", type=Path, default=Path("training/cache/found"))
    args = parser.parse_args()
    finds = read_list()
    absent = sorted(
        (f for f in finds if not (args.out / f.place).exists()), key=lambda f: f.package
    )
    for package, wanted in itertools.groupby(absent, key=lambda f: f.package):
        listed = list(wanted)
        fetch(package, listed, args.out)
        print(f"{package}: {len(listed)}", flush=True)
    write_manifest(finds, args.out)
    print(f"{args.out}: {len(finds)} sources")


if __name__ == "__main__":
    main()
