"""What a media folder holds, and which split each source belongs to: MANIFEST.csv."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from aqs_batch.errors import MediaError
from training.remembered import digest

# Validation's sources in two folds: a juror may learn from one and is judged on the other.
FOLDS = ("val-a", "val-b")
LAYOUT = (
    "Its columns: file, kind (clip, photo), split (train, val, test), clean (1-5), content_tag."
)


@dataclass(frozen=True)
class Source:
    """One line of MANIFEST.csv."""

    path: Path
    kind: str  # "clip" or "photo"
    split: str  # "train", "val" or "test"
    clean: int
    tag: str

    @property
    def name(self) -> str:
        return self.path.stem

    def digest(self) -> str:
        """Changes with what is in the file, whatever its name; what is made of it is kept by it."""
        try:
            return digest(self.path)
        except OSError as error:
            what = "picture" if self.kind == "photo" else "video"
            raise MediaError(
                f"{self.path}: no {what} that can be read: {error.strerror}"
            ) from error


def read_manifest(media: Path) -> list[Source]:
    """Every clip and photograph of the manifest, in its order; raises MediaError without one."""
    manifest = media / "MANIFEST.csv"
    try:
        with manifest.open(newline="") as handle:
            return [
                Source(media / r["file"], r["kind"], r["split"], int(r["clean"]), r["content_tag"])
                for r in csv.DictReader(handle)
                if r["kind"] in {"clip", "photo"}
            ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise MediaError(f"{manifest} is no list of media: {error!r}", hint=LAYOUT) from error


def of_split(sources: list[Source], split: str) -> list[Source]:
    """The sources of "train", "val", "test" or one of FOLDS, in order.

    Each kind is dealt out by turns, so that both folds get clips and photographs.
    """
    if split not in FOLDS:
        return [s for s in sources if s.split == split]
    return [
        source
        for kind in ("clip", "photo")
        for source in [s for s in sources if (s.kind, s.split) == (kind, "val")][
            FOLDS.index(split) :: len(FOLDS)
        ]
    ]
