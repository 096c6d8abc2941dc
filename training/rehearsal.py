"""Validation's clips and photographs in motion, damaged whole and read by the tool.

A run judges by the mean of many tiles, which is steadier than the tile that a sample is: from where
an artifact is named is chosen with these in sight (training.calibrate). Ways and strengths are
others than the field's (training.cases), and each fold is asked of the jurors that have not learned
from it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from aqs_batch import ffmpeg
from aqs_batch.analysis.checkpoint import ModelCard, save
from aqs_batch.records import Artifact
from training.calibrate import Asked
from training.cases import REHEARSED, SECONDS, Case
from training.encodes import made
from training.field import Row, Told, make_clips, said_of, told
from training.folds import fold_of
from training.manifest import FOLDS, Source, of_split, read_manifest
from training.samples import PRESENT, UNKNOWN
from training.sources import KEPT, NATIVE_CLEAN

EVERY_PHOTO = 3  # of all ways to damage a clip a photograph sees every third, of good ones all
FPS = 25
WINDOW = 0.7  # of a photograph is seen at once


def pan_argv(ffmpeg_path: str, photo: Path, backwards: bool, target: Path) -> list[str]:
    """A window that moves over a photograph, some pixels a frame: whole ones, since `crop` knows no
    others and uneven steps would be judder.
    """
    frames = round(SECONDS * FPS)
    along = "(n+1)" if not backwards else f"({frames}-n)"
    x, y = (f"trunc((i{side}-o{side})/{frames + 1})*{along}" for side in "wh")
    size = f"w=trunc(iw*{WINDOW}/4)*4:h=trunc(ih*{WINDOW}/4)*4"
    graph = f"scale=trunc(iw*{KEPT}):-1:flags=area,format=gbrp,crop={size}:x='{x}':y='{y}'"
    return [
        ffmpeg_path, "-hide_banner", "-nostdin", "-y", "-loop", "1", "-framerate", str(FPS),
        "-t", str(SECONDS), "-i", f"file:{photo}", "-vf", graph, "-pix_fmt", "yuv420p",
        "-c:v", "libx264", "-preset", "veryfast", "-crf", "6", f"file:{target}",
    ]  # fmt: skip


def ways(source: Source, number: int) -> list[Case]:
    """What is done to a source: all of it to a clip, to a photograph some of it by turns."""
    if source.kind == "clip":
        return list(REHEARSED)
    good = [case for case in REHEARSED if case.artifact is None]
    damage = [case for case in REHEARSED if case.artifact is not None]
    return good + damage[number % EVERY_PHOTO :: EVERY_PHOTO]


def make(media: Path, folder: Path, fold: str) -> dict[str, tuple[str, Case]]:
    """A fold's videos, made below `folder` where they are not there; what each shows, by name."""
    binary = ffmpeg.find().path
    shown: dict[str, tuple[str, Case]] = {}
    for number, source in enumerate(of_split(read_manifest(media), fold)):
        if source.clean < NATIVE_CLEAN:
            continue
        if source.kind == "photo":
            pan = folder / "pans" / source.digest() / f"{source.name}.mkv"
            made(pan, partial(pan_argv, binary, source.path, bool(number % 2)))
            source = replace(source, path=pan)
        shown |= make_clips([source], ways(source, number), folder / "damaged")
    return shown


def of_strangers(tensors: dict[str, Tensor], jurors: int, fold: str) -> dict[str, Tensor]:
    """A checkpoint's tensors with every juror that learned from `fold` replaced by one that did
    not: what it says is what these say.
    """
    stranger = {n: n if fold_of(n) != fold else (n + 1) % jurors for n in range(jurors)}
    out = dict(tensors)
    for name in tensors:
        if name.startswith("jury."):
            _, number, rest = name.split(".", 2)
            out[name] = tensors[f"jury.{stranger[int(number)]}.{rest}"]
    return out


def known(said: Told) -> Asked:
    """What was said of videos: of a damaged one its own damage is known, of a good one that it has
    none.
    """
    presence = np.full(said.probability.shape, UNKNOWN, np.int8)
    for row, case in enumerate(said.cases):
        if case.artifact is None:
            presence[row] = 0
        else:
            presence[row, list(Artifact).index(case.artifact)] = PRESENT
    return Asked(said.probability, presence)


def heard(
    tensors: dict[str, Tensor], jurors: int, card: ModelCard, media: Path, cache: Path
) -> Asked:
    """What strangers say of both folds' videos, as `card` calibrates; what was read is kept."""
    rows: list[Row] = []
    for fold in FOLDS:
        folder = cache / "rehearsal" / fold
        asked = folder / "strangers.safetensors"
        save(asked, of_strangers(tensors, jurors, fold), card)
        rows += said_of(folder, make(media, folder, fold), asked)
    return known(told(rows))
