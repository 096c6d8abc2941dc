"""Real ladders of short crops: what the codec proxy, the VMAF proxy and the filter are fitted to.

`python -m training.preprocess.ladders --split train` cuts one region from every clip of a split at
native size, encodes it with the real x265 at several CRFs and scores the decodes with the real
libvmaf. One .npz a clip; clips that are there are kept, so it may be stopped and run again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aqs_batch.errors import MediaError
from training.command import plainly
from training.manifest import Source
from training.preprocess.clips import YuvClip, native, sources
from training.preprocess.encoders import Encoding, round_trip
from training.preprocess.measure import measure
from training.sources import seed
from training.whole import whole

CRFS = (22, 27, 32, 37, 42)
REGION = (256, 384)  # rows, columns
FRAMES = 20
STILLEST = 0.02  # bits a pixel at the lowest CRF; a still screen has nothing to teach
FLATTEST = 2.0  # standard deviation of a region worth learning from, in levels


@dataclass(frozen=True)
class RealLadder:
    """One region with its encodes: luma only, CRFs along the first axis of all but `y` and `flow`.

    y uint8[N,H,W]; decoded uint8[C,N,H,W]; size_bytes[C]; vmaf and neg float[C,N];
    flow float16[N,2,H/8,W/8]: where a pixel of frame n lay in frame n-1, in pixels.
    """

    name: str
    y: NDArray[np.uint8]
    u: NDArray[np.uint8]
    v: NDArray[np.uint8]
    decoded: NDArray[np.uint8]
    size_bytes: NDArray[np.int64]
    vmaf: NDArray[np.float32]
    neg: NDArray[np.float32]
    flow: NDArray[np.float16]
    frame_rate: float

    @property
    def clip(self) -> YuvClip:
        return YuvClip(self.name, self.y, self.u, self.v, self.frame_rate)


def motion(y: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Dense flow from every frame to the one before it (the first to itself), an eighth of size."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    y = np.ascontiguousarray(y)  # DIS takes no views
    out = [np.zeros((2, y.shape[1] // 8, y.shape[2] // 8), np.float32)]
    for before, now in pairwise(y):
        flow = search.calc(now, before, None)
        small = cv2.resize(flow, (y.shape[2] // 8, y.shape[1] // 8), interpolation=cv2.INTER_AREA)
        out.append(small.transpose(2, 0, 1))
    return np.stack(out).astype(np.float16)


def region(source: Source, number: int = 0) -> YuvClip | None:
    """A crop of REGION x FRAMES at a place drawn by name; None where all is flat."""
    rng = np.random.default_rng(seed("region", source.name, number))
    clip = native(source.path, 60)
    height, width = (min(a, b) for a, b in zip(REGION, clip.size, strict=True))
    count = min(FRAMES, len(clip.y))
    for _ in range(6):
        start = int(rng.integers(0, len(clip.y) - count + 1))
        top, left = (
            int(rng.integers(0, (whole - part) // 2 + 1)) * 2
            for whole, part in zip(clip.size, (height, width), strict=True)
        )
        cut = clip.cut(slice(start, start + count), top, left, height, width)
        if cut.y.std() > FLATTEST:
            return cut
    return None


def build(clip: YuvClip) -> RealLadder:
    """Encode and score one region at every CRF."""
    decoded, sizes, vmaf, neg = [], [], [], []
    for crf in CRFS:
        coded = round_trip(clip, Encoding(crf))
        quality = measure(coded.decoded, clip, ("vmaf", "neg"))
        decoded.append(coded.decoded.y)
        sizes.append(coded.size_bytes)
        vmaf.append(quality.frames["vmaf"])
        neg.append(quality.frames["neg"])
    return RealLadder(
        clip.name, clip.y, clip.u, clip.v, np.stack(decoded), np.array(sizes),
        np.array(vmaf, np.float32), np.array(neg, np.float32), motion(clip.y), clip.frame_rate,
    )  # fmt: skip


def save(ladder: RealLadder, path: Path) -> None:
    columns: dict[str, Any] = {k: np.asarray(v) for k, v in vars(ladder).items()}
    with whole(path) as unfinished:
        np.savez(unfinished, **columns)


def load(path: Path) -> RealLadder:
    with np.load(path, allow_pickle=False) as stored:
        parts = {key: stored[key] for key in stored.files}
    parts["name"], parts["frame_rate"] = str(parts["name"]), float(parts["frame_rate"])
    return RealLadder(**parts)


def load_all(cache: Path, split: str) -> Iterator[RealLadder]:
    """Every ladder of a split that moves, by name; raises MediaError where none was made."""
    files = sorted((cache / "ladders" / split).glob("*.npz"))
    if not files:
        raise MediaError(
            f"{cache / 'ladders' / split} has no ladders",
            hint=f"Make them first: `python -m training.preprocess.ladders --split {split}`.",
        )
    for path in files:
        ladder = load(path)
        if ladder.size_bytes[0] * 8 > STILLEST * ladder.y.size:
            yield ladder


def refuse_others(folder: Path, wanted: Iterable[Source]) -> None:
    """Raise MediaError where a folder has ladders of other clips: all that is there is learned
    from, what a new manifest puts into the test among it.
    """
    names = {source.name for source in wanted}
    for path in sorted(folder.glob("*.npz")):
        if path.stem.rpartition("__")[0] not in names:
            raise MediaError(
                f"{path}: its clip is none of this split, or not as clean as is asked for",
                hint="Delete it, or name another folder with --cache.",
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--cache", type=Path, default=Path("training/cache/preprocess"))
    parser.add_argument("--split", choices=("train", "val"), default="train")
    parser.add_argument("--cleanest", type=int, default=3, help="the manifest's `clean`, at least")
    parser.add_argument("--regions", type=int, default=1, help="regions a clip")
    args = parser.parse_args()
    folder = args.cache / "ladders" / args.split
    wanted = [
        (s, n) for n in range(args.regions) for s in sources(args.media, args.split, args.cleanest)
    ]
    refuse_others(folder, (source for source, _ in wanted))
    for number, (source, index) in enumerate(wanted, 1):
        target = folder / f"{source.name}__{index}.npz"
        if target.exists():
            continue
        clip = region(source, index)
        print(
            f"{number}/{len(wanted)} {source.name}" + ("" if clip else ": flat, left out"),
            flush=True,
        )
        if clip is not None:
            save(build(clip), target)


if __name__ == "__main__":
    plainly(main)
