"""Which resolution, codec and kind of content a test tile or clip belongs to, by MANIFEST.csv."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

# The first line with a word of the tag decides, so what tells most about the pixels comes first.
CONTENT = (
    ("screen", ("screen", "UI")),
    ("animation and CG", ("animation", "CG", "cartoon", "game")),
    ("low light", ("low light", "night", "dark")),
    ("water", ("sea", "underwater", "liquid", "ocean", "water")),
    ("people", ("people", "hands", "crowd", "face", "portrait")),
    ("city and traffic", ("city", "street", "vehicle", "traffic", "camera original")),
    ("nature and animals", ("nature", "animal", "dog", "flower", "forest")),
)


@dataclass(frozen=True)
class Group:
    """The three ways a source is filed."""

    resolution: str
    codec: str
    content: str


MADE = Group("made to order", "made to order", "made to order")


def read_groups(media: Path) -> dict[str, Group]:
    """Source name (file stem) -> its groups, for every clip and photograph."""
    with (media / "MANIFEST.csv").open(newline="") as handle:
        return {
            Path(row["file"]).stem: _group(row)
            for row in csv.DictReader(handle)
            if row["kind"] in {"clip", "photo"}
        }


def group_of(note: str, groups: dict[str, Group]) -> Group:
    """The groups of a sample by its note, e.g. "davis_dolphins__03+dark: clean".

    Scenes that were made to order (gradients, drawings) have no source and a group of their own.
    """
    name = re.split(r"__|\+|\||:", note, maxsplit=1)[0]
    return groups.get(name, MADE)


def _group(row: dict[str, str]) -> Group:
    if row["kind"] == "photo":
        return Group("photograph", "photograph", "photograph")
    short = min(int(row["width"]), int(row["height"]))
    resolution = "up to 480p" if short <= 480 else "up to 720p" if short <= 720 else "1080p"
    return Group(resolution, row["codec"].split()[0], content(row["content_tag"]))


def content(tag: str) -> str:
    """A coarse kind of content for a free tag such as "sea,ship"."""
    for name, words in CONTENT:
        if any(re.search(rf"\b{word}\b", tag) for word in words):
            return name
    return "other"
