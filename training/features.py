"""Features of samples kept on disk, so that what stays as it is is computed once.

Three parts by what they depend on: the front (the shallowest map, what changes between frames,
facts about pixels), the close look (the deeper maps of two frames), and facts about whole frames,
which know no weights. Tuning the deeper blocks changes the second alone.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from collections.abc import Sequence as Rows
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from aqs_batch.analysis import facts
from aqs_batch.analysis.facts import LOOKED_AT
from aqs_batch.analysis.model import AqsNet, Front, seen
from aqs_batch.analysis.transform import transform
from aqs_batch.errors import MediaError
from training.dataset import SHARD, Shards, Truth, joined
from training.whole import whole

BATCH = 8
KIND = "aqsnet-b0-8"  # the architecture that first had these features; new ones need a new name
SAMPLES = "samples"  # in a file's header: the digest of what its features are of
WHOLE = "whole-aqsnet-b0-10"  # the same of whole frames
SETS = (
    "train", "train-hard", "train-wild", "train-used", "train-varied", "train-varied-found",
    "train-wild-found", "train-patterns", "train-wild-patterns", "train-varied-patterns",
    "train-vimeo", "train-hard-vimeo", "train-wild-vimeo", "train-varied-vimeo", "train-used-vimeo",
)  # fmt: skip

Parts = dict[str, Tensor]


@dataclass(frozen=True)
class Features:
    """Of N samples, float16: every [N,T,E], close [N,D,P], still [N,D,S], moved [N,T-1,G],
    whole [N,SWATCH_FACTS] and trails [N,TRAIL_FACTS].
    """

    every: Tensor
    close: Tensor
    still: Tensor
    moved: Tensor
    whole: Tensor
    trails: Tensor

    def rows(self, chosen: NDArray[np.int64] | slice) -> tuple[Tensor, Tensor]:
        """What a juror is given of some samples: seen [B,T,F] and moved [B,T-1,G], float32."""
        return self.rows_with(chosen, self.close[chosen].float())

    def beside(self, chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """What the heads beside the jury are given of some samples: moved, trails and whole."""
        return self.moved[chosen].float(), self.trails[chosen].float(), self.whole[chosen].float()

    def rows_with(self, chosen: NDArray[np.int64] | slice, close: Tensor) -> tuple[Tensor, Tensor]:
        """The same with a close look that was taken just now."""
        return (
            seen(self.every[chosen].float(), close, self.still[chosen].float()),
            self.moved[chosen].float(),
        )


@dataclass(frozen=True)
class Pool:
    """Samples of one or more shard folders with their features, in the same order."""

    folders: tuple[Shards, ...]
    truth: Truth
    features: Features

    def __len__(self) -> int:
        return len(self.truth.quality)

    def among(self, names: Rows[str]) -> NDArray[np.bool_]:
        """Which samples lie in the shard folders named."""
        return np.concatenate(
            [np.full(len(shards), shards.name in names) for shards in self.folders]
        )

    def looked_at(self, index: int) -> NDArray[np.uint8]:
        """The frames of a sample that are looked at closely: uint8[D,H,W,3]."""
        for shards in self.folders:
            if index < len(shards):
                return shards.frames(index, LOOKED_AT)
            index -= len(shards)
        raise IndexError(index)


def gather(model: AqsNet, cache: Path, names: Rows[str]) -> Pool:
    """Features and truth of all shards of the folders named; a folder that is not there is left."""
    folders, features = [], []
    for name in names:
        folder = cache / "shards" / name
        if not any(folder.glob("*.truth.npz")):
            print(f"{name}: no samples")
            continue
        shards = Shards(folder)
        folders.append(shards)
        features.append(_features(model, shards, cache / "features", name))
    if not folders:
        raise MediaError(
            f"{cache / 'shards'} has no samples of {', '.join(names)}",
            hint="Make them first: `python -m training.dataset`, or `make samples` for all.",
        )
    truth = joined([shards.truth for shards in folders])
    columns = {f.name: torch.cat([getattr(p, f.name) for p in features]) for f in fields(Features)}
    return Pool(tuple(folders), truth, Features(**columns))


def _features(model: AqsNet, shards: Shards, cache: Path, name: str) -> Features:
    parts: Parts = {}
    front, deep = digests(model)
    for folder, names, compute in (
        (cache / f"front-{front}" / name, set(Front._fields), _front),
        (cache / f"close-{deep}" / name, {"close"}, _close),
        (cache / WHOLE / name, {"whole"}, _whole),
    ):
        parts |= _kept(shards, folder, names, partial(compute, model, shards))
    return Features(**parts)


def digests(model: AqsNet) -> tuple[str, str]:
    """What the two parts depend on: the stem with the first block, and the whole backbone."""
    totals = hashlib.sha256(KIND.encode()), hashlib.sha256(KIND.encode())
    for name, tensor in sorted(model.backbone.state_dict().items()):
        raw = tensor.half().contiguous().numpy().tobytes()  # as checkpoints keep it
        totals[1].update(raw)
        if not name.startswith("blocks.") or name.startswith("blocks.0."):
            totals[0].update(raw)
    return totals[0].hexdigest()[:12], totals[1].hexdigest()[:12]


def _kept(shards: Shards, folder: Path, names: set[str], compute: Callable[[int], Parts]) -> Parts:
    """One part of the features of all whole shards, computed where it is not on disk yet."""
    parts: list[Parts] = []
    for number, tiles in enumerate(shards.files):
        file = folder / tiles.name.replace(".tiles.npy", ".safetensors")
        samples = shards.digest(number)
        if not _is_of(file, tiles, samples, names):
            began = time.monotonic()
            made = {k: v.half().contiguous() for k, v in compute(number).items()}
            with whole(file) as unfinished:
                save_file(made, unfinished, {SAMPLES: samples})
            print(f"{file}  {SHARD / (time.monotonic() - began):.1f}/s", flush=True)
        parts.append(load_file(file))
    return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}


def _is_of(file: Path, tiles: Path, samples: str, names: set[str]) -> bool:
    """Whether the features in `file` are those of the samples in `tiles`, as they are now.

    Samples that were made again had kept the features of those before them, and their jurors
    learned new labels for old pictures.
    """
    if not file.exists():
        return False
    try:
        with safe_open(file, "pt") as stored:
            of, kept = (stored.metadata() or {}).get(SAMPLES), set(stored.keys())
    except SafetensorError as error:
        print(f"{file}: {error}; made again", flush=True)
        return False
    # Older files do not say what they are of, and go by their age.
    right = of == samples if of else file.stat().st_mtime_ns >= tiles.stat().st_mtime_ns
    return right and kept == names


@torch.no_grad()
def _front(model: AqsNet, shards: Shards, number: int) -> Parts:
    found: list[Parts] = []
    for first in range(number * SHARD, (number + 1) * SHARD, BATCH):
        tiles = [shards.tile(n) for n in range(first, first + BATCH)]
        pixels = transform(np.stack([tile.pixels for tile in tiles]))
        front, _ = model.front(pixels)
        found.append(front._asdict())
    return {key: torch.cat([part[key] for part in found]) for key in found[0]}


@torch.no_grad()
def _close(model: AqsNet, shards: Shards, number: int) -> Parts:
    found = []
    for first in range(number * SHARD, (number + 1) * SHARD, BATCH):
        frames = np.stack([shards.frames(n, LOOKED_AT) for n in range(first, first + BATCH)])
        found.append(model.close(model.shallow(transform(frames))))
    return {"close": torch.cat(found)}


@torch.no_grad()
def _whole(_: AqsNet, shards: Shards, number: int) -> Parts:
    return {"whole": of_swatches(shards.swatches(number))}


def of_swatches(swatches: NDArray[np.uint8]) -> Tensor:
    """Facts about whole frames: uint8[N,64,64,3] -> [N,SWATCH_FACTS]."""
    return facts.of_swatches(transform(swatches[:, None]))
