"""Features of samples kept on disk, so that what stays as it is is computed once.

Three parts by what they depend on: the front (the shallowest map, what changes between frames,
facts about pixels), the close look (the deeper maps of two frames), and facts about whole frames,
which know no weights. Tuning the deeper blocks changes the second alone.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from collections.abc import Sequence as Rows
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aqs_batch.analysis import facts
from aqs_batch.analysis.engine import usable_cores
from aqs_batch.analysis.facts import LOOKED_AT
from aqs_batch.analysis.model import AqsNet, Front, seen
from aqs_batch.analysis.openvino_cpu import Lanes, compiled
from aqs_batch.analysis.transform import transform
from aqs_batch.errors import MediaError
from aqs_batch.records import FRAMES_PER_SEQUENCE, TILE_PX, Pixels
from training.dataset import SHARD, Shards, Truth, joined
from training.whole import whole

KIND = "aqsnet-b0-8"  # the architecture that first had these features; new ones need a new name
SAMPLES = "samples"  # in a file's header: the digest of what its features are of
WHOLE = "whole-aqsnet-b0-10"  # the same of whole frames
SETS = (
    "train", "train-hard", "train-wild", "train-used", "train-varied", "train-varied-found",
    "train-wild-found", "train-patterns", "train-wild-patterns", "train-varied-patterns",
    "train-vimeo", "train-hard-vimeo", "train-wild-vimeo", "train-varied-vimeo", "train-used-vimeo",
)  # fmt: skip

Parts = dict[str, Tensor]
Look = Callable[[Tensor], tuple[Tensor, ...]]


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
    folders, features, wanted = [], [], _parts_of(model)
    for name in names:
        folder = cache / "shards" / name
        if not any(folder.glob("*.truth.npz")):
            print(f"{name}: no samples")
            continue
        shards = Shards(folder)
        folders.append(shards)
        kept = [_kept(shards, cache / "features" / part.name / name, part) for part in wanted]
        features.append(Features(**{key: value for part in kept for key, value in part.items()}))
    if not folders:
        raise MediaError(
            f"{cache / 'shards'} has no samples of {', '.join(names)}",
            hint="Make them first: `python -m training.dataset`, or `make samples` for all.",
        )
    truth = joined([shards.truth for shards in folders])
    columns = {f.name: torch.cat([getattr(p, f.name) for p in features]) for f in fields(Features)}
    return Pool(tuple(folders), truth, Features(**columns))


class Part(NamedTuple):
    """Features that depend on the same weights: the folder of theirs, their keys, and how they are
    made of a numbered shard.
    """

    name: str
    keys: set[str]
    make: Callable[[Shards, int], Parts]


def _parts_of(model: AqsNet) -> list[Part]:
    front, deep = digests(model)
    every = Eyes(lambda tiles: model.front(tiles)[0], model)
    two = Eyes(lambda tiles: (model.close(model.shallow(tiles)),), model, frames=len(LOOKED_AT))
    return [
        Part(f"front-{front}", set(Front._fields), partial(_front, every)),
        Part(f"close-{deep}", {"close"}, partial(_close, two)),
        Part(WHOLE, {"whole"}, _whole),
    ]


def digests(model: AqsNet) -> tuple[str, str]:
    """What the two parts depend on: the stem with the first block, and the whole backbone."""
    totals = hashlib.sha256(KIND.encode()), hashlib.sha256(KIND.encode())
    for name, tensor in sorted(model.backbone.state_dict().items()):
        raw = tensor.half().contiguous().numpy().tobytes()  # as checkpoints keep it
        totals[1].update(raw)
        if not name.startswith("blocks.") or name.startswith("blocks.0."):
            totals[0].update(raw)
    return totals[0].hexdigest()[:12], totals[1].hexdigest()[:12]


def _kept(shards: Shards, folder: Path, part: Part) -> Parts:
    """One part of the features of all whole shards, computed where it is not on disk yet."""
    found: list[Parts] = []
    for number, tiles in enumerate(shards.files):
        file = folder / tiles.name.replace(".tiles.npy", ".safetensors")
        samples = shards.digest(number)
        if not _is_of(file, tiles, samples, part.keys):
            began = time.monotonic()
            made = {k: v.half().contiguous() for k, v in part.make(shards, number).items()}
            with whole(file) as unfinished:
                save_file(made, unfinished, {SAMPLES: samples})
            print(f"{file}  {SHARD / (time.monotonic() - began):.1f}/s", flush=True)
        found.append(load_file(file))
    return {key: torch.cat([one[key] for one in found]) for key in found[0]}


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


class Eyes:
    """What looks at tiles, run as the tool runs it; `model` holds the weights that it needs.

    Eagerly in torch a tile took seven times as long, more than it takes to make the sample. It is
    traced when it is first asked, which takes some seconds.
    """

    def __init__(
        self,
        look: Look,
        model: nn.Module | None = None,
        *,
        frames: int = FRAMES_PER_SEQUENCE,
        cores: int = 0,
    ) -> None:
        self._network, self._frames = _Looking(look, model), frames
        self._cores = cores or usable_cores()

    @cached_property
    def _lanes(self) -> Lanes:
        facts.prepare(TILE_PX)
        tile = torch.zeros(1, self._frames, TILE_PX, TILE_PX, 3, dtype=torch.uint8)
        return compiled(self._network, tile, self._cores)

    def see(self, tiles: Iterable[Pixels]) -> list[Tensor]:
        """What is seen in tiles uint8[frames,H,W,3]: the outputs of `look`, [N,...] each."""
        self._lanes.start([tile[None] for tile in tiles])
        return [torch.from_numpy(part) for part in self._lanes.finish()]


class _Looking(nn.Module):
    def __init__(self, look: Look, model: nn.Module | None) -> None:
        super().__init__()
        self._look, self.model = look, model  # weights that are not its own cannot be traced

    def forward(self, tiles: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._look(transform(tiles)))


def _front(eyes: Eyes, shards: Shards, number: int) -> Parts:
    tiles = (shards.tile(n).pixels for n in _of(number))
    return dict(zip(Front._fields, eyes.see(tiles), strict=True))


def _close(eyes: Eyes, shards: Shards, number: int) -> Parts:
    (close,) = eyes.see(shards.frames(n, LOOKED_AT) for n in _of(number))
    return {"close": close}


def _of(shard: int) -> range:
    return range(shard * SHARD, (shard + 1) * SHARD)


@torch.no_grad()
def _whole(shards: Shards, number: int) -> Parts:
    return {"whole": of_swatches(shards.swatches(number))}


def of_swatches(swatches: NDArray[np.uint8]) -> Tensor:
    """Facts about whole frames: uint8[N,64,64,3] -> [N,SWATCH_FACTS]."""
    return facts.of_swatches(transform(swatches[:, None]))
