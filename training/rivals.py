"""What a user could run instead: ffmpeg's measuring filters, CAMBI, NIQE and BRISQUE, tile by tile.

Each shard of tiles is read by ffmpeg as it lies on disk, since an .npy is raw video after its
header. Scores are kept under the cache, one file per shard and instrument.
"""

from __future__ import annotations

import csv
import re
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from aqs_batch.analysis.engine import usable_cores
from aqs_batch.errors import FfmpegError
from aqs_batch.ffmpeg import Ffmpeg, child
from aqs_batch.records import FRAMES_PER_SEQUENCE
from training import naturalness
from training.remembered import Arrays, digest, remembered

Floats = NDArray[np.float64]

MIDDLE = FRAMES_PER_SEQUENCE // 2

FILTERS = (
    "blockdetect",
    "blurdetect",
    "bitplanenoise=bitplane=1",
    "bitplanenoise=bitplane=2",
    "bitplanenoise=bitplane=3",
    "siti",
    "signalstats=stat=tout+vrep+brng",
)
_STATS = (
    *("YMIN", "YLOW", "YAVG", "YHIGH", "YMAX", "SATMIN", "SATLOW", "SATAVG", "SATHIGH", "SATMAX"),
    *("UAVG", "VAVG", "HUEMED", "HUEAVG", "TOUT", "VREP", "BRNG"),
)
# Name in the results -> ffmpeg's metadata key. The second table compares a frame with the one
# before, which for a tile's first frame is another tile: that frame is left out.
SPATIAL = {
    "blockdetect": "lavfi.block",
    "blurdetect": "lavfi.blur",
    **{f"bitplanenoise {n} Y": f"lavfi.bitplanenoise.0.{n}" for n in (1, 2, 3)},
    **{f"bitplanenoise {n} U": f"lavfi.bitplanenoise.1.{n}" for n in (1, 2, 3)},
    "siti SI": "lavfi.siti.si",
    **{f"signalstats {name}": f"lavfi.signalstats.{name}" for name in _STATS},
}
TEMPORAL = {
    "siti TI": "lavfi.siti.ti",
    **{f"signalstats {name}": f"lavfi.signalstats.{name}" for name in ("YDIF", "UDIF", "VDIF")},
}
# CAMBI's window follows the picture's size, so a tile gets one of 5 pixels. Mirrored to twice the
# size and with the widest window it sees about what it would in a 720p frame.
CAMBI = {
    "CAMBI": ("null", "name=cambi"),
    "CAMBI wide": (
        "split[a][b];[b]hflip[c];[a][c]hstack,split[d][e];[e]vflip[f];[d][f]vstack",
        r"'name=cambi\:window_size=127'",
    ),
}


@dataclass(frozen=True)
class Instrument:
    """Something that gives each tile of a shard one number per name; `version` dates its cache."""

    name: str
    version: str
    measure: Callable[[Path], Arrays]


def instruments(ffmpeg: Ffmpeg) -> list[Instrument]:
    """Every instrument that can be run here."""
    found = [
        Instrument(
            "ffmpeg",
            f"1 {ffmpeg.version} {FILTERS} {SPATIAL} {TEMPORAL}",
            lambda shard: filter_scores(ffmpeg.path, shard),
        ),
        Instrument("cambi", f"1 {CAMBI}", lambda shard: cambi_scores(ffmpeg.path, shard)),
    ]
    for name, measure in (("NIQE", naturalness.niqe), ("BRISQUE", naturalness.brisque)):
        if naturalness.installed(name):
            found.append(Instrument(name.lower(), "1", partial(_stills, name, measure)))
    return found


def missing() -> list[str]:
    """Rivals whose package is not installed here."""
    return [name for name in naturalness.PACKAGES if not naturalness.installed(name)]


def scores(shards: list[Path], cache: Path, chosen: list[Instrument]) -> dict[str, Floats]:
    """Rival name -> one number per tile over all `shards` (NNNNN.tiles.npy), in order."""
    columns: dict[str, list[Floats]] = {}
    # Threads: most of the work is ffmpeg's, in processes of one thread each.
    with ThreadPoolExecutor(usable_cores()) as pool:
        asked = zip(*product(shards, chosen), strict=True)
        for arrays in pool.map(partial(_measured, cache), *asked):
            for name, values in arrays.items():
                columns.setdefault(name, []).append(values)
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def _measured(cache: Path, shard: Path, instrument: Instrument) -> Arrays:
    """What one instrument says of a shard, from disk where it has been asked before."""
    number = shard.name.split(".")[0]
    path = cache / "rivals" / shard.parent.name / f"{number}.{instrument.name}.npz"
    key = f"{digest(shard)} {instrument.version}"

    def measured() -> Arrays:
        arrays = instrument.measure(shard)
        print(path, flush=True)
        return arrays

    return remembered(path, key, measured)


def filter_scores(ffmpeg_path: str, shard: Path) -> Arrays:
    """ffmpeg's filters over one shard: the mean of the frames, and extremes of the changes."""
    argv = [*_open(ffmpeg_path, shard), "-vf"]
    argv += [",".join(["format=yuv420p", *FILTERS, "metadata=print:file=-"]), "-f", "null", "-"]
    rows = metadata(_text(argv))
    if len(rows) % FRAMES_PER_SEQUENCE:
        raise FfmpegError(f"ffmpeg measured {len(rows)} frames of {shard}: not whole tiles")
    columns: Arrays = {}
    for name, key in SPATIAL.items():
        columns[name] = _mean(_tilewise(rows, key))
    for name, key in TEMPORAL.items():
        changes = _tilewise(rows, key)[:, 1:]
        for how, pool in (("", np.mean), (" min", np.min), (" max", np.max)):
            columns[name + how] = pool(changes, axis=1)
    return columns


def cambi_scores(ffmpeg_path: str, shard: Path) -> Arrays:
    """libvmaf's banding index, mean over the frames of each tile."""
    columns: Arrays = {}
    for name, (before, feature) in CAMBI.items():
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "cambi.csv")
            graph = f"format=yuv420p,{before},split[x][y];[x][y]libvmaf=model=:feature={feature}"
            graph += f":n_threads=1:log_fmt=csv:log_path={log}"
            _text([*_open(ffmpeg_path, shard), "-lavfi", graph, "-f", "null", "-"])
            with log.open(newline="") as handle:
                table = list(csv.reader(handle))
        # With options the column is called cambi_ and their abbreviations.
        column = next(n for n, head in enumerate(table[0]) if head.startswith("cambi"))
        values = np.array([float(row[column]) for row in table[1:]])
        columns[name] = values.reshape(-1, FRAMES_PER_SEQUENCE).mean(1)
    return columns


def metadata(text: str) -> list[dict[str, float]]:
    """What `metadata=print` wrote, one dict of numbers per frame."""
    rows: list[dict[str, float]] = []
    for line in text.splitlines():
        if line.startswith("frame:"):
            rows.append({})
        elif match := re.fullmatch(r"(lavfi\.[\w.]+)=(\S+)", line):
            rows[-1][match[1]] = float(match[2])
    return rows


def _tilewise(rows: list[dict[str, float]], key: str) -> Floats:
    return np.array([row[key] for row in rows]).reshape(-1, FRAMES_PER_SEQUENCE)


def _mean(values: Floats) -> Floats:
    """Mean over the frames that could be measured (a frame without edges has no blur); or nan."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(1)
    return np.where(known.any(1), total / np.maximum(known.sum(1), 1), np.nan)


def _stills(name: str, measure: Callable[[NDArray[np.uint8]], float], shard: Path) -> Arrays:
    """A still-picture measure on the middle frame of each tile; nan where it has no answer."""
    tiles = np.load(shard, mmap_mode="r")
    with np.errstate(all="ignore"):
        return {name: np.array([measure(np.array(tile[MIDDLE])) for tile in tiles])}


def _open(ffmpeg_path: str, shard: Path) -> list[str]:
    """ffmpeg reading an .npy of uint8[N,7,H,W,3] as raw video."""
    with shard.open("rb") as handle:
        npy.read_magic(handle)
        shape, fortran, dtype = npy.read_array_header_1_0(handle)
        header_bytes = handle.tell()
    if fortran or dtype != np.uint8 or len(shape) != 5 or shape[1] != FRAMES_PER_SEQUENCE:
        raise ValueError(f"{shard} does not hold tiles")
    argv = [ffmpeg_path, "-hide_banner", "-nostdin", "-loglevel", "error", "-threads", "1"]
    argv += ["-f", "rawvideo", "-skip_initial_bytes", str(header_bytes), "-pixel_format", "rgb24"]
    return [*argv, "-video_size", f"{shape[3]}x{shape[2]}", "-i", f"file:{shard}"]


def _text(argv: list[str]) -> str:
    """Everything a command wrote to stdout; raises FfmpegError when it failed."""
    parts: list[bytes] = []
    block = memoryview(bytearray(1 << 16))
    with child(argv) as running:
        while got := running.read_into(block):
            parts.append(bytes(block[:got]))
        finished = running.wait(600)
    if finished.returncode != 0:
        raise FfmpegError(f"ffmpeg failed: {' '.join(finished.tail)[-300:]}")
    return b"".join(parts).decode(errors="replace")
