"""The corpus on disk: clips split by source, their encodes, VMAF logs, pictures and group lists.

ROOT/split.csv                       split,sequence_name,path
ROOT/encodes/x265/NAME_crf27.hevc    one elementary stream a clip and CRF
ROOT/vmaf/x265/NAME_crf27.json       libvmaf's scores, frame by frame
ROOT/frames/ref/NAME/000012.png      luma pictures, whole or cropped
ROOT/frames/x265/NAME_crf27/000012.png
ROOT/groups-x265.csv                 what datasets.CsvGroups reads
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.preprocess.clips import YuvClip, native
from training.preprocess.encoders import Encoding
from training.whole import whole

CRFS = (19, 23, 27, 31, 35, 39, 43, 47, 48, 49, 50, 51)
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Entry:
    """One source and the split it is in, as a whole: frames of one source never part."""

    split: str
    sequence_name: str
    path: str

    def clip(self, frames: int) -> YuvClip:
        """Its first frames at native size."""
        return native(Path(self.path), frames)


@dataclass(frozen=True)
class Group:
    """One line of the group list: a window of three frames, distorted and reference."""

    split: str
    sequence_name: str
    crf: int
    frame_num: int
    vmaf_score: float
    dist_prev: str
    dist_now: str
    dist_next: str
    ref_prev: str
    ref_now: str
    ref_next: str


@dataclass(frozen=True)
class Corpus:
    """Where everything of one corpus lies."""

    root: Path
    codec: str = "x265"
    preset: str = "medium"

    @property
    def split_list(self) -> Path:
        return self.root / "split.csv"

    @property
    def groups(self) -> Path:
        return self.root / f"groups-{self.codec}.csv"

    def encode(self, name: str, crf: int) -> Path:
        extension = Encoding(crf, self.codec).extension
        return self.root / "encodes" / self.codec / f"{name}_crf{crf}.{extension}"

    def log(self, name: str, crf: int) -> Path:
        return self.root / "vmaf" / self.codec / f"{name}_crf{crf}.json"

    def picture(self, name: str, crf: int | None, frame: int) -> Path:
        """A frame of an encode, or with CRF None of the reference."""
        folder = f"ref/{name}" if crf is None else f"{self.codec}/{name}_crf{crf}"
        return self.root / "frames" / folder / f"{frame:06d}.png"

    def entries(self) -> list[Entry]:
        """The split list; raises FileNotFoundError with what to do when there is none."""
        if not self.split_list.exists():
            raise FileNotFoundError(f"{self.split_list} is missing: run the `split` step first")
        with self.split_list.open(newline="") as handle:
            return [Entry(**row) for row in csv.DictReader(handle)]


def split_of(name: str) -> str:
    """A source's split from its name alone: the same on every machine, whatever is added later."""
    place = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    return "train" if place < 0.8 else "val" if place < 0.9 else "test"


def write_rows(path: Path, kind: type, rows: Sequence[Entry | Group]) -> None:
    """Rows of one dataclass as CSV."""
    with whole(path) as unfinished, unfinished.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, [f.name for f in fields(kind)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def pictures(paths: Sequence[str]) -> NDArray[np.uint8]:
    """The luma of some PNG of one size: uint8[N,H,W]."""
    found: list[NDArray[np.uint8]] = []
    for path in paths:
        picture = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise FileNotFoundError(f"{path} is missing or damaged: run the `extract` step again")
        found.append(picture)
    return np.stack(found)


def read_groups(path: Path) -> Iterator[Group]:
    with path.open(newline="") as handle:
        for row in csv.DictReader(handle):
            numbers = {"crf": int(row["crf"]), "frame_num": int(row["frame_num"])}
            columns: dict[str, Any] = {**row, **numbers, "vmaf_score": float(row["vmaf_score"])}
            yield Group(**columns)


def balanced(groups: Sequence[Group], bins: int, most: int) -> list[Group]:
    """At most `most` groups per split and score bin, spread evenly over those there are.

    Unbalanced, nearly all scores lie above 80 and a regressor learns the mean.
    """
    kept: list[Group] = []
    for split in SPLITS:
        for number in range(bins):
            low, high = number * 100 / bins, (number + 1) * 100 / bins
            top = number == bins - 1
            inside = [
                g
                for g in groups
                if g.split == split and low <= g.vmaf_score and (g.vmaf_score < high or top)
            ]
            step = max(1.0, len(inside) / most)
            kept += [inside[int(n * step)] for n in range(min(most, len(inside)))]
    return kept
