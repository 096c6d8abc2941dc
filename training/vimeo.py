"""Vimeo-90K septuplets as a source of scenes: `sequences/00001/0001/im1.png` ... `im7.png`.

`sep_trainlist.txt` and `sep_testlist.txt` name the septuplets, one "00001/0001" a line. Every
twentieth folder of the training list is kept for validation; folders are never split, since
neighbouring septuplets come from the same film.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from aqs_batch.errors import MediaError
from aqs_batch.records import FRAMES_PER_SEQUENCE
from training.sources import ClipScene

Frames = NDArray[np.uint8]

LISTS = {"train": "sep_trainlist.txt", "val": "sep_trainlist.txt", "test": "sep_testlist.txt"}
VALIDATION_EVERY = 20
LAYOUT = "It should hold sequences/00001/0001/im1.png ... im7.png and sep_trainlist.txt."


def septuplets(root: Path, split: str) -> list[Path]:
    """The folders of one split ("train", "val" or "test"), in the order of their list.

    Raises MediaError when the list is missing or names nothing.
    """
    source = root / LISTS[split]
    if not source.is_file():
        raise MediaError(f"{root} is no Vimeo-90K: there is no {source.name}", hint=LAYOUT)
    named = [line.strip() for line in source.read_text().splitlines() if line.strip()]
    if split != "test":
        held = set(
            sorted({name.split("/")[0] for name in named})[VALIDATION_EVERY - 1 :: VALIDATION_EVERY]
        )
        named = [name for name in named if (name.split("/")[0] in held) == (split == "val")]
    if not named:
        raise MediaError(f"{source} names no septuplet for {split}", hint=LAYOUT)
    return [root / "sequences" / name for name in named]


def read_septuplet(folder: Path) -> Frames:
    """The seven frames uint8[7,H,W,3] of one folder; raises MediaError when one is missing."""
    frames = []
    for number in range(1, FRAMES_PER_SEQUENCE + 1):
        path = folder / f"im{number}.png"
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise MediaError(f"{path} is missing or no picture", hint=LAYOUT)
        frames.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    return np.stack(frames)


class Septuplet(ClipScene):
    """Seven frames of film; beyond either end time turns round, so that nothing stands still."""

    def __init__(self, folder: Path, reverse: bool = False) -> None:
        frames = read_septuplet(folder)
        self._frames = frames[::-1] if reverse else frames
        self.name = f"vimeo-{folder.parent.name}-{folder.name}"
        self.length = len(frames)

    def frame(self, t: float) -> Frames:
        last = self.length - 1
        place = round(t) % (2 * last)
        return self._frames[min(place, 2 * last - place)]


class VimeoLibrary:
    """All septuplets of one split; draws like sources.Library, deterministic by the generator."""

    def __init__(self, root: Path, split: str) -> None:
        self._folders = septuplets(root, split)

    def draw(self, rng: np.random.Generator) -> Septuplet:
        folder = self._folders[rng.integers(len(self._folders))]
        return Septuplet(folder, reverse=rng.random() < 0.2)
