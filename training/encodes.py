"""AQS against true VMAF over real encodes: a ladder of each encoder for each clean test clip.

VMAF is libvmaf's (v0.6.1) of the whole frames against the untouched source, frames paired by
index. Encodes and VMAF are kept under the cache; only the detector's reading depends on weights.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqs_batch import ffmpeg
from aqs_batch.analysis import tiles
from aqs_batch.analysis.engine import usable_cores
from aqs_batch.analysis.tiles import Tile
from aqs_batch.errors import FfmpegError
from aqs_batch.ingest.frames import PipedFrames, PipeFormat
from aqs_batch.ingest.sampling import tile_corners
from aqs_batch.records import FRAMES_PER_SEQUENCE
from training.judge import spearman
from training.manifest import Source
from training.remembered import digest, remembered
from training.sources import read_frames
from training.whole import whole

SEQUENCES = 2
TILES = 16  # with two sequences as many as a run looks at: eight sequences of four at least
FRAMES = SEQUENCES * FRAMES_PER_SEQUENCE
FEWEST_RUNGS = 3

LADDERS: dict[str, tuple[int, ...]] = {
    "libx264": (18, 24, 30, 36, 42),
    "libx265": (18, 24, 30, 36, 42),
    "mpeg2video": (2, 5, 9, 16, 28),
    "libvpx-vp9": (20, 32, 42, 52, 61),
    "libsvtav1": (22, 34, 44, 54, 62),
}
_OPTIONS: dict[str, tuple[str, ...]] = {
    "libx264": ("-preset", "fast"),
    "libx265": ("-preset", "superfast", "-x265-params", "log-level=error:pools=1"),
    "mpeg2video": ("-g", "12"),
    "libvpx-vp9": ("-b:v", "0", "-deadline", "realtime", "-cpu-used", "6"),
    "libsvtav1": ("-preset", "10", "-svtav1-params", "lp=1"),
}
_BY_INDEX = "settb=1/25,setpts=N"

Aqs = Callable[[list[Tile]], NDArray[np.float64]]


@dataclass(frozen=True)
class Encode:
    """One encode of one source: its true VMAF (mean of frames, 0-100) and our AQS."""

    source: str
    codec: str
    quality: int
    vmaf: float
    aqs: float


def encodes(sources: list[Source], cache: Path, aqs: Aqs) -> Iterator[Encode]:
    """Every rung of every ladder, with a line for each source; what is on disk is kept."""
    for source in sources:
        folder = cache / "encodes" / f"{source.name}-{source.digest()}"
        reference = made(folder / "reference.nut", partial(reference_argv, source.path))
        rungs = [(codec, quality) for codec, ladder in LADDERS.items() for quality in ladder]
        # Of one thread each, so that they are the same everywhere: as many at once as cores.
        with ThreadPoolExecutor(usable_cores()) as pool:
            ready = pool.map(partial(_rung, reference), *zip(*rungs, strict=True))
            for (codec, quality), (target, true) in zip(rungs, ready, strict=True):
                values = aqs(tiles_of(read_frames(target, FRAMES)))
                yield Encode(source.name, codec, quality, true, float(values.mean()))
        print(f"{source.name}: {len(rungs)} encodes", flush=True)


def _rung(reference: Path, codec: str, quality: int) -> tuple[Path, float]:
    """One encode, and its true VMAF."""
    target = reference.with_name(f"{codec}-{quality}.mkv")
    made(target, lambda p: encode_argv(reference, p, codec, quality))
    key = digest(reference, target)
    stored = remembered(
        target.with_suffix(".npz"), key, lambda: {"vmaf": np.array(vmaf(target, reference))}
    )
    return target, float(stored["vmaf"].mean())


def tiles_of(frames: NDArray[np.uint8]) -> list[Tile]:
    """The tiles of consecutive sequences, at the places the tool would look at."""
    cut: list[Tile] = []
    for number in range(len(frames) // FRAMES_PER_SEQUENCE):
        first = number * FRAMES_PER_SEQUENCE
        part = frames[first : first + FRAMES_PER_SEQUENCE]
        height, width = part.shape[1:3]
        whole = PipedFrames(part.reshape(len(part), -1), height, width, PipeFormat.RGB24)
        corners = tile_corners(number, TILES, height, width)
        cut += tiles.cut(whole, corners)
    return cut


def made(target: Path, argv: Callable[[Path], list[str]]) -> Path:
    """`target`, made by running `argv(where to write it)` if it is not there."""
    if not target.exists():
        with whole(target) as unfinished:
            _run(argv(unfinished))
    return target


def reference_argv(clip: Path, target: Path) -> list[str]:
    """The first frames of a clip as 8-bit 4:2:0 with even sides, losslessly, by index."""
    graph = f"crop=trunc(iw/2)*2:trunc(ih/2)*2,setsar=1,format=yuv420p,{_BY_INDEX}"
    argv = [*_ffmpeg(), "-i", f"file:{clip}", "-map", "0:v:0", "-frames:v", str(FRAMES)]
    return [*argv, "-vf", graph, "-c:v", "ffv1", *_whole(), "-f", "nut", f"file:{target}"]


def encode_argv(reference: Path, target: Path, codec: str, quality: int) -> list[str]:
    """One rung; `quality` is CRF, or the fixed quantiser of MPEG-2."""
    rate = ["-q:v", str(quality)] if codec == "mpeg2video" else ["-crf", str(quality)]
    argv = [*_ffmpeg(), "-r", "25", "-i", f"file:{reference}", "-c:v", codec, *rate]
    return [*argv, *_OPTIONS[codec], *_whole(), "-f", "matroska", f"file:{target}"]


def vmaf_argv(distorted: Path, reference: Path, log: Path) -> list[str]:
    """libvmaf with the distorted stream first, as it wants it; both timelines count frames."""
    graph = f"[0:v]{_BY_INDEX}[d];[1:v]{_BY_INDEX}[r];[d][r]libvmaf=n_threads=1:log_fmt=csv"
    argv = [*_ffmpeg(), "-i", f"file:{distorted}", "-i", f"file:{reference}"]
    return [*argv, "-lavfi", f"{graph}:log_path={log}", "-f", "null", "-"]


def vmaf(distorted: Path, reference: Path) -> list[float]:
    """VMAF of each frame; raises FfmpegError when the two differ in length."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "vmaf.csv")
        _run(vmaf_argv(distorted, reference, log))
        with log.open(newline="") as handle:
            values = [float(row["vmaf"]) for row in csv.DictReader(handle)]
    if len(values) != FRAMES:
        raise FfmpegError(f"{distorted}: {len(values)} of {FRAMES} frames could be compared")
    return values


def _ffmpeg() -> list[str]:
    binary = ffmpeg.find().path
    return [binary, "-hide_banner", "-nostdin", "-loglevel", "error", "-y", "-threads", "1"]


def _whole() -> list[str]:
    return ["-threads", "1", "-fps_mode", "passthrough", "-an"]


def _run(argv: list[str]) -> None:
    finished = ffmpeg.run(argv, timeout_s=600)
    if finished.returncode != 0:
        raise FfmpegError(f"ffmpeg failed: {' '.join(finished.tail)[-300:]}")


def fidelity(rows: list[Encode], content: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Rank correlation of AQS and VMAF: pooled, within a source, within a ladder, by group.

    `content` gives each source's group under each heading (resolution, codec, content). Within a
    source all encoders are ranked together; within a ladder one encoder of one source.
    """
    by_source = _means(rows, lambda r: (r.source,))
    return {
        "encodes": len(rows),
        "sources": len(by_source),
        "pooled": _srcc(rows),
        "within_source": _mean(by_source),
        "within_ladder": _mean(_means(rows, lambda r: (r.source, r.codec))),
        "by_source": {name[0]: value for name, value in by_source.items()},
        "by_encoder": {k[0]: v for k, v in _means(rows, lambda r: (r.codec,)).items()},
        **{
            f"by_{heading}": {k[0]: v for k, v in _means(rows, partial(_group, groups)).items()}
            for heading, groups in content.items()
        },
    }


def _group(groups: dict[str, str], row: Encode) -> tuple[str, ...]:
    return (groups[row.source],)


def _means(
    rows: list[Encode], key: Callable[[Encode], tuple[str, ...]]
) -> dict[tuple[str, ...], float]:
    parts: dict[tuple[str, ...], list[Encode]] = {}
    for row in rows:
        parts.setdefault(key(row), []).append(row)
    return {name: _srcc(part) for name, part in parts.items() if len(part) >= FEWEST_RUNGS}


def _srcc(rows: list[Encode]) -> float:
    return spearman(np.array([r.aqs for r in rows]), np.array([r.vmaf for r in rows]))


def _mean(values: dict[tuple[str, ...], float]) -> float:
    return float(np.nanmean(list(values.values()))) if values else float("nan")
