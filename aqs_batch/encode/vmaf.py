"""VMAF, its NEG twin and XPSNR of an encode in one pass over two files, paired by frame number."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from aqs_batch.encode import alignment, child
from aqs_batch.encode.alignment import PICTURE_PX, Alignment, Pictures
from aqs_batch.encode.child import Tool
from aqs_batch.encode.command import Filters, opened, quiet
from aqs_batch.encode.plan import Window
from aqs_batch.errors import EncodeError, Misaligned
from aqs_batch.records import Vmaf

Series = NDArray[np.float64]

UHD_ROWS = 1440  # above this the 4K model, made for a screen seen from half the distance
XPSNR_MOST_DB = 100.0  # for frames without any difference, whose XPSNR is infinite
POOLING = "mean of frames"
CELLS = 8  # the frame is told apart in this many rows and columns when its worst place is named
_LOG, _XPSNR_LOG, _DISTORTED, _REFERENCE = "vmaf.json", "xpsnr.log", "d.raw", "r.raw"
_XPSNR = re.compile(r"XPSNR ([yuv]):\s*(\S+)")


@dataclass(frozen=True)
class Side:
    """One of the two files: its video stream, the part to read, and what is done to its pixels.

    `upright`: turn the picture as its display matrix says, first.
    """

    path: Path
    stream: int
    window: Window
    filters: Filters
    upright: bool = False


@dataclass(frozen=True)
class Measuring:
    """How to measure: which ffmpeg, which models (name in the log to libvmaf's name), threads."""

    tool: Tool
    models: Mapping[str, str]  # empty where no model is valid: then alignment and XPSNR alone
    threads: int
    xpsnr_format: str = ""  # convert to this for XPSNR alone; "": compare as is
    scratch: Path | None = None  # where logs are until they are read; None: the system's folder


@dataclass(frozen=True)
class Frames:
    """Scores of every pair of frames in order: VMAF by model, XPSNR in dB.

    `worst_cell` numbers the place of largest difference in each frame, row by row of CELLS.
    """

    vmaf: Mapping[str, Series]
    xpsnr: Series
    worst_cell: NDArray[np.uint8]
    alignment: Alignment
    libvmaf: str  # its version, "" where no model is valid


def models(width: int, height: int, *, with_v1: bool) -> dict[str, str]:
    """The models for a reference of this size, by the name their scores get."""
    uhd = min(width, height) > UHD_ROWS
    size = "4k_" if uhd else ""
    chosen = {"vmaf": f"vmaf_{size}v0.6.1", "vmaf_neg": f"vmaf_{size}v0.6.1neg"}
    if with_v1:
        chosen["vmaf_v1"] = "vmaf_v1.0.16_3d0h_2160" if uhd else "vmaf_v1.0.16_3d0h"
    return chosen


def xpsnr_format(pixel_format: str, width: int) -> str:
    """8 bits for what ffmpeg 9's xpsnr gets wrong: deep pixels in rows not a multiple of 64 long.

    There it answers about -2 dB for a true 42 (decision 008).
    """
    depth = pixel_format.partition("p")[2]
    return pixel_format.removesuffix(depth) if depth and width % 64 else ""


def pool(series: Series) -> Vmaf:
    """Pool per-frame scores, 0-100; the harmonic mean is libvmaf's, over score + 1."""
    harmonic = 1.0 / float(np.mean(1.0 / (series + 1.0))) - 1.0
    return Vmaf(
        float(series.mean()), harmonic, float(series.min()), float(np.percentile(series, 5))
    )


def argv(distorted: Side, reference: Side, measuring: Measuring, folder: Path) -> list[str]:
    """The command that compares two files; logs and small pictures go to `folder`.

    libvmaf's first input is the distorted one. Both clocks are replaced by the frame number.
    """
    d, d_small = _prepared("0", distorted, 2)
    r, r_small, *r_vmaf = _prepared("1", reference, 3 if measuring.models else 2)
    if measuring.models:
        d = ffmpeg.filter(
            [d, *r_vmaf],
            "libvmaf",
            model="|".join(f"version={v}:name={n}" for n, v in measuring.models.items()),
            log_fmt="json",
            log_path=str(folder / _LOG),
            n_threads=measuring.threads,
        )
    # Copied, rows of deep pixels are as long as xpsnr takes them to be: dav1d's are longer.
    same = ("format", measuring.xpsnr_format) if measuring.xpsnr_format else ("copy",)
    d, r = (node.filter(*same) for node in (d, r))
    compared = ffmpeg.filter([d, r], "xpsnr", stats_file=str(folder / _XPSNR_LOG))
    outputs = (
        ffmpeg.output(compared, "-", format="null", fps_mode="passthrough"),
        _small(d_small, folder / _DISTORTED),
        _small(r_small, folder / _REFERENCE),
    )
    command = ffmpeg.compile(ffmpeg.merge_outputs(*outputs), cmd=measuring.tool.path)
    # The files are put in last: ffmpeg-python hashes names, and cannot hash one that is not UTF-8.
    for name, side in (("0", distorted), ("1", reference)):
        at = next(n for n, word in enumerate(command) if command[n : n + 2] == ["-i", name])
        turn = [] if side.upright else ["-noautorotate"]
        command[at : at + 2] = [*turn, *opened(side.path, side.window)]
    head = [*quiet(measuring.tool.path), "-y", "-progress", "pipe:1", "-stats_period", "1"]
    return [*head, *command[1:]]


def measure(
    distorted: Side,
    reference: Side,
    measuring: Measuring,
    on_frame: Callable[[int], None] = lambda frame: None,
) -> Frames:
    """Measure one encode against its source, both read as their sides say.

    Raises Misaligned where the frames are not the same ones, EncodeError where ffmpeg fails. Under
    a constant shift the frames that both have are measured in a second pass.
    """
    frames, counts = _one_pass(distorted, reference, measuring, on_frame)
    offset = frames.alignment.offset
    if not offset:
        return frames
    first, other, common = alignment.overlap(*counts, offset)
    shifted = [
        replace(
            side,
            filters=[
                ("trim", {"start_frame": skip}), ("trim", {"end_frame": common}), *side.filters
            ],
        )
        for side, skip in ((distorted, first), (reference, other))
    ]  # fmt: skip
    frames, _ = _one_pass(shifted[0], shifted[1], measuring, on_frame)
    if frames.alignment.offset:
        raise Misaligned("no VMAF: the shift between encode and source is not constant")
    return replace(frames, alignment=Alignment(offset))


def _prepared(name: str, side: Side, copies: int) -> list[Any]:
    node = ffmpeg.input(name)[str(side.stream)]
    if side.window.frames is not None:
        node = node.filter("trim", end_frame=side.window.frames)
    for filter_name, options in side.filters:
        node = node.filter(filter_name, **options)
    # 25 is as good as any number: frame n is said to be shown at n/25 s on both sides.
    split = node.filter("settb", "1/25").filter("setpts", "N").filter_multi_output("split", copies)
    return [split[number] for number in range(copies)]


def _small(node: Any, path: Path) -> Any:
    small = node.filter("scale", PICTURE_PX, PICTURE_PX, flags="area").filter("format", "gray")
    return ffmpeg.output(small, f"file:{path}", format="rawvideo", fps_mode="passthrough")


def _one_pass(
    distorted: Side, reference: Side, measuring: Measuring, on_frame: Callable[[int], None]
) -> tuple[Frames, tuple[int, int]]:
    with tempfile.TemporaryDirectory(prefix="aqs-vmaf-", dir=measuring.scratch) as name:
        folder = Path(name)
        command = argv(distorted, reference, measuring, folder)
        what = f"measuring {distorted.path.name}"
        child.run(command, what, on_frame, measuring.tool.stall_s)
        ours, theirs = _pictures(folder / _DISTORTED), _pictures(folder / _REFERENCE)
        found = alignment.verdict(ours, theirs)
        counts = len(ours), len(theirs)
        series, version = _read_log(folder / _LOG, measuring.models)
        xpsnr = _read_xpsnr(folder / _XPSNR_LOG)
    if not found.offset and {len(xpsnr), *map(len, series.values())} != {counts[0]}:
        raise EncodeError(
            f"{counts[0]} frames went in, but scores of {len(xpsnr)} came out",
            hint="This ffmpeg pairs frames otherwise than expected; please report it.",
        )
    cells = _worst_cells(ours, theirs)
    return Frames(series, xpsnr, cells, found, version), counts


def _pictures(path: Path) -> Pictures:
    raw = np.fromfile(path, np.uint8)
    return raw.reshape(-1, PICTURE_PX, PICTURE_PX)


def _read_log(path: Path, wanted: Mapping[str, str]) -> tuple[dict[str, Series], str]:
    if not wanted:
        return {}, ""
    document = json.loads(path.read_bytes())
    frames = [frame["metrics"] for frame in document["frames"]]
    series = {name: np.array([f[name] for f in frames], np.float64) for name in wanted}
    return series, str(document["version"])


def _read_xpsnr(path: Path) -> Series:
    """Per frame (6 Y + U + V) / 8, as VVC's authors weigh it; luma alone where there is no more."""
    values = []
    for line in path.read_text().splitlines():
        found = {plane: _decibel(text) for plane, text in _XPSNR.findall(line)}
        if not line.startswith("n:") or "y" not in found:
            continue
        luma = found["y"]
        values.append((6 * luma + found.get("u", luma) + found.get("v", luma)) / 8)
    return np.array(values, np.float64)


def _decibel(text: str) -> float:
    return min(float(text), XPSNR_MOST_DB)


def _worst_cells(ours: Pictures, theirs: Pictures) -> NDArray[np.uint8]:
    common = min(len(ours), len(theirs))
    gap = np.abs(ours[:common].astype(np.int16) - theirs[:common])
    side = PICTURE_PX // CELLS
    cells = gap.reshape(common, CELLS, side, CELLS, side).sum((2, 4)).reshape(common, -1)
    worst: NDArray[np.uint8] = cells.argmax(1).astype(np.uint8)
    return worst
