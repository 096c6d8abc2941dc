"""Samples on disk: shards written by `python -m training.dataset`, read back by train and evaluate.

A shard is two files, `NNNNN.tiles.npy` (uint8[64,7,224,224,3]) and `NNNNN.truth.npz`, which has the
swatches (uint8[64,64,64,3]), too. The truth comes last, so a shard whose truth is there is whole,
and a command that was killed goes on where it stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from aqs_batch.analysis.engine import usable_cores
from aqs_batch.analysis.tiles import Tile
from aqs_batch.errors import MediaError
from training.command import plainly
from training.effect import SCALES
from training.manifest import FOLDS
from training.recipe import HARD, HELD_OUT, STANDARD, USED, VARIED, WILD, Recipe
from training.remembered import digest
from training.samples import make_sample
from training.shares import together
from training.sources import Scenes
from training.supply import data_source, library_of, sources_of
from training.whole import whole

SHARD = 64
UNREADABLE = (OSError, EOFError, ValueError, BadZipFile)
RECIPES = {
    "standard": STANDARD, "held_out": HELD_OUT, "hard": HARD, "wild": WILD, "varied": VARIED,
    "used": USED,
}  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """Labels of many samples: presence int8[N,10] (-1 unknown), intensity, quality and VMAF."""

    presence: NDArray[np.int8]
    intensity: NDArray[np.float32]
    quality: NDArray[np.float32]
    vmaf: NDArray[np.float32]
    note: NDArray[np.str_]

    def digest(self) -> str:
        """Changes with the samples and with what is said of them."""
        return digest(vars(self).values())

    def of(self, chosen: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What the loss is taken against: presence [B,10], intensity [B,10] and quality [B]."""
        presence, intensity, quality = (
            torch.from_numpy(column[chosen])
            for column in (self.presence, self.intensity, self.quality)
        )
        return presence, intensity, quality


def joined(truths: Sequence[Truth]) -> Truth:
    """The labels of several sets of samples, one after the other."""
    names = [field.name for field in fields(Truth)]
    return Truth(**{n: np.concatenate([getattr(t, n) for t in truths]) for n in names})


class Shards:
    """All whole shards of a folder, or the first `most`; tiles are read when they are asked for."""

    def __init__(self, folder: Path, most: int | None = None) -> None:
        self._folder = folder
        self._tiles: list[np.memmap[Any, np.dtype[np.uint8]]] = []
        self._swatches: list[NDArray[np.uint8]] = []
        self._digests: list[str] = []
        truths: list[Truth] = []
        for truth in sorted(folder.glob("*.truth.npz"))[:most]:
            tiles, columns = _opened(truth)
            self._tiles.append(tiles)
            self._digests.append(digest(columns.values()))
            self._swatches.append(columns.pop("swatch"))
            truths.append(Truth(**columns))
        if not truths:
            raise FileNotFoundError(f"no samples in {folder}: run training.dataset first")
        self.truth = joined(truths)

    @property
    def files(self) -> list[Path]:
        """The tiles of each shard."""
        return [Path(str(tiles.filename)) for tiles in self._tiles]

    @property
    def name(self) -> str:
        """The folder's name: split, recipe and data."""
        return self._folder.name

    def digest(self, shard: int) -> str:
        """Changes with the samples of a shard, and with what is said of them."""
        return self._digests[shard]

    def __len__(self) -> int:
        return sum(len(tiles) for tiles in self._tiles)

    def tile(self, index: int) -> Tile:
        """One sample as the tool would see it; where in its frame it lay is not kept."""
        shard, place = divmod(index, SHARD)
        return Tile(
            self._read(shard, place, slice(None)), self._swatches[shard][place], x=0.5, y=0.5
        )

    def frames(self, index: int, chosen: Sequence[int]) -> NDArray[np.uint8]:
        """Some of its frames: uint8[len(chosen),H,W,3]."""
        shard, place = divmod(index, SHARD)
        return np.stack([self._read(shard, place, number) for number in chosen])

    def swatches(self, shard: int) -> NDArray[np.uint8]:
        """The swatches of a shard: uint8[SHARD,64,64,3]."""
        return self._swatches[shard]

    def _read(self, shard: int, place: int, part: int | slice) -> NDArray[np.uint8]:
        """Read, not mapped: page by page a sample takes ten times as long."""
        mapped = self._tiles[shard]
        wanted = mapped[place, part]
        at = wanted.__array_interface__["data"][0] - mapped.__array_interface__["data"][0]
        return np.fromfile(
            str(mapped.filename), np.uint8, wanted.size, offset=mapped.offset + at
        ).reshape(wanted.shape)


def _opened(truth: Path) -> tuple[np.memmap[Any, np.dtype[np.uint8]], dict[str, NDArray[Any]]]:
    """The tiles and the truth of one shard; raises MediaError when they are no use."""
    tiles = truth.with_name(truth.name.replace(".truth.npz", ".tiles.npy"))
    try:
        mapped = np.load(tiles, mmap_mode="r")
        with np.load(truth) as arrays:
            columns = dict(arrays)
    except UNREADABLE as error:
        raise MediaError(
            f"{truth} or {tiles.name} beside it cannot be read: {error}",
            hint="Delete both and make them again: `python -m training.dataset`.",
        ) from error
    for name in ("recipe", "sources"):
        columns.pop(name, None)
    if str(columns.pop("scales", "")) != _scales() or "swatch" not in columns:
        raise _unlike(
            truth,
            "its intensities are on other scales than effect.SCALES, or it is "
            "from before samples had swatches",
        )
    return mapped, columns


def _unlike(truth: Path, why: str) -> MediaError:
    hint = f"Delete {truth.parent} and make them again: `python -m training.dataset`."
    return MediaError(f"{truth}: {why}", hint=hint)


def refuse_others(folder: Path, recipe: Recipe, sources: str = "") -> None:
    """Raise MediaError when a folder has samples of the recipe as it was, or of other `sources`
    (see `sources_of`): beside new ones they would be learned from as if nothing had changed, those
    of a source that is in the test by now among them. Older shards do not say what they are of.
    """
    for truth in sorted(folder.glob("*.truth.npz")):
        try:
            with np.load(truth) as arrays:
                of, scales = str(arrays.get("recipe", "{}")), str(arrays.get("scales", ""))
                drawn_from = str(arrays.get("sources", sources))
        except UNREADABLE as error:
            raise _unlike(truth, f"cannot be read: {error}") from error
        if scales != _scales():
            raise _unlike(truth, "its intensities are on other scales than effect.SCALES")
        if drawn_from != sources:
            raise _unlike(truth, "made of other media, or of others in this split")
        before, now, default = json.loads(of), _asked_for(recipe), _asked_for(Recipe())
        for name, value in now.items() if before else ():
            # What recipes have learned to ask for since then, these samples had not.
            if (had := before.get(name, default[name])) != value:
                raise _unlike(truth, f"made when its recipe had {name} {had}, which is {value} now")


def _asked_for(recipe: Recipe) -> dict[str, str]:
    return {field.name: repr(getattr(recipe, field.name)) for field in fields(recipe)}


def _scales() -> str:
    """What a shard's intensities depend on beside its pixels."""
    return hashlib.sha256(repr(SCALES).encode()).hexdigest()[:12]


def sampling_weights(truth: Truth) -> NDArray[np.float64]:
    """How often to draw each sample: the rarer what it shows, the more often; adds up to 1."""
    present = truth.presence == 1
    rarity = 1 / np.maximum(present.mean(0), 0.01)
    weights = 1 + 0.15 * (present * rarity).sum(1)
    return weights / weights.sum()


def write_shard(
    folder: Path,
    number: int,
    library: Scenes,
    split: str,
    recipe: Recipe,
    sources: str = "",
    size: int = SHARD,
) -> None:
    """Make and store samples number*size .. (number+1)*size - 1 of the `sources` of a library."""
    made = [
        make_sample(library, split, index, recipe)
        for index in range(number * size, (number + 1) * size)
    ]
    with whole(folder / f"{number:05d}.tiles.npy") as tiles:
        np.save(tiles, np.stack([s.tile for s in made]))
    with whole(_truth(folder, number)) as truth:
        np.savez(
            truth,
            swatch=np.stack([s.swatch for s in made]),
            presence=np.stack([s.presence for s in made]),
            intensity=np.stack([s.intensity for s in made]),
            quality=np.array([s.quality for s in made], np.float32),
            vmaf=np.array([s.vmaf for s in made], np.float32),
            note=np.array([s.note for s in made]),
            scales=np.array(_scales()),
            recipe=np.array(json.dumps(_asked_for(recipe))),
            sources=np.array(sources),
        )


def _truth(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.truth.npz"


def shard_folder(cache: Path, split: str, recipe: Recipe, data: str = "") -> Path:
    """Where the samples of a split lie: train, train-hard, train-vimeo, train-hard-vimeo."""
    return cache / "shards" / "-".join(part for part in (split, recipe.name, data) if part)


@dataclass(frozen=True)
class Order:
    """Samples that are asked for, and where their scenes come from (see `training.supply`)."""

    media: Path
    cache: Path
    split: str
    recipe: Recipe
    samples: int
    data: tuple[str, Path] | None = None

    @property
    def folder(self) -> Path:
        return shard_folder(self.cache, self.split, self.recipe, self.data[0] if self.data else "")

    @property
    def shards(self) -> int:
        return -(-self.samples // SHARD)

    @property
    def missing(self) -> list[int]:
        return [n for n in range(self.shards) if not _truth(self.folder, n).exists()]

    def library(self) -> Scenes:
        return library_of(self.data, self.media, self.cache, self.split)


def complete(order: Order, processes: int) -> Shards:
    """All samples of an order, made where they are missing; whatever else lies there is left out.

    Raises MediaError where the folder has samples of another recipe or other sources.
    """
    sources = sources_of(order.data, order.media, order.split)
    refuse_others(order.folder, order.recipe, sources)
    if missing := order.missing:
        order.library()  # cuts the clips, which takes minutes: once for all processes
        together(partial(_write_shards, order, sources), missing, processes)
    return Shards(order.folder, order.shards)


def _write_shards(order: Order, sources: str, numbers: Sequence[int]) -> None:
    """One process's share of the shards, with a line after each on how far all of them are."""
    library = order.library()
    for number in numbers:
        began = time.monotonic()
        write_shard(order.folder, number, library, order.split, order.recipe, sources)
        rate = SHARD / (time.monotonic() - began)
        done = min((order.shards - len(order.missing)) * SHARD, order.samples)
        print(f"{order.folder.name} {done}/{order.samples}  {rate:.1f}/s a process", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make training samples; resumable.")
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--cache", type=Path, default=Path("training/cache"))
    parser.add_argument("--split", choices=["train", "val", *FOLDS, "test"], required=True)
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--recipe", choices=list(RECIPES), default="standard")
    parser.add_argument("--processes", type=int, default=usable_cores())
    parser.add_argument(
        "--data",
        type=data_source,
        metavar="vimeo:PATH|found:PATH|patterns",
        help="take the scenes from Vimeo-90K septuplets, from what training.found has fetched, or "
        "from ffmpeg's test pictures, instead of --media; kept in a set apart",
    )
    args = parser.parse_args()
    if args.samples:
        recipe = RECIPES[args.recipe]
        order = Order(args.media, args.cache, args.split, recipe, args.samples, args.data)
        complete(order, args.processes)


if __name__ == "__main__":
    plainly(main)
