"""Where the scenes of a split are drawn from: the shared media, or what `--data` names."""

from __future__ import annotations

import argparse
from pathlib import Path

from aqs_batch.errors import MediaError
from training.manifest import FOLDS, of_split, read_manifest
from training.patterns import SOURCES, PatternLibrary
from training.remembered import digest
from training.sources import Library, Scenes
from training.vimeo import VimeoLibrary, septuplets


def data_source(text: str) -> tuple[str, Path]:
    """("vimeo", PATH) from "vimeo:PATH", the same with "found", or "patterns" alone."""
    kind, _, path = text.partition(":")
    if (kind == "patterns") is bool(path) or kind not in {"vimeo", "found", "patterns"}:
        raise argparse.ArgumentTypeError(f"{text!r} is none of vimeo:PATH, found:PATH, patterns")
    return kind, Path(path).expanduser()  # no shell does it after a colon


def sources_of(data: tuple[str, Path] | None, media: Path, split: str) -> str:
    """Changes with the sources that the scenes of a split are drawn from (see `library_of`)."""
    match data:
        case ("vimeo" | "patterns", _) if split in FOLDS:
            raise MediaError(f"{data[0]} has no fold {split}", hint="Its splits: train, val, test.")
        case ("vimeo", root):
            names = [f"{f.parent.name}/{f.name}" for f in septuplets(root, split)]
        case ("patterns", _):
            names = list(SOURCES[split])
        case _:
            root = data[1] if data else media
            names = [s.path.name for s in of_split(read_manifest(root), split)]
    return digest(*names)


def library_of(data: tuple[str, Path] | None, media: Path, cache: Path, split: str) -> Scenes:
    """The scenes of a split: Vimeo-90K's, what training.found has fetched, test pictures, or those
    of `media`.
    """
    match data:
        case ("vimeo", root):
            return VimeoLibrary(root, split)
        case ("found", root):
            return Library(root, cache, split, photo_share=1.0)  # it has no clips
        case ("patterns", _):
            return PatternLibrary(split)
    return Library(media, cache, split)
