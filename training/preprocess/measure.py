"""True quality from libvmaf, frame by frame, frames paired by index, the distorted clip first."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aqs_batch.errors import FfmpegError
from aqs_batch.ffmpeg import find, run
from training.preprocess.clips import YuvClip
from training.preprocess.encoders import raw_input

MODELS = {"vmaf": "vmaf_v0.6.1", "neg": "vmaf_v0.6.1neg", "v1": "vmaf_v1.0.16_3d0h"}
FEATURES = {"ms_ssim": "float_ms_ssim", "psnr": "psnr"}
KEYS = {"ms_ssim": "float_ms_ssim", "psnr": "psnr_y"}
MS_SSIM_EVERY = 4
_DEFAULT = "version=vmaf_v0.6.1"


@dataclass(frozen=True)
class Quality:
    """Per-frame scores by name (vmaf, neg, v1, ms_ssim, psnr)."""

    frames: Mapping[str, tuple[float, ...]]

    def mean(self, name: str) -> float:
        """The mean over frames; MS-SSIM in decibels (-10 log10(1 - x)), as BD-rate wants it."""
        values = np.asarray(self.frames[name])
        if name == "ms_ssim":
            return float(-10 * np.log10(np.maximum(1 - values.mean(), 1e-9)))
        return float(values.mean())


def libvmaf_filter(log: Path, names: Sequence[str]) -> str:
    """The filter graph: input 0 is the distorted clip, input 1 the reference, both renumbered."""
    model = "|".join(f"version={MODELS[n]}\\:name={n}" for n in names if n in MODELS)
    feature = "|".join(f"name={FEATURES[n]}" for n in names if n in FEATURES)
    renumber = "settb=1/1000,setpts=N"
    options = f"log_fmt=json:log_path={log}:n_threads=1:model='{model or _DEFAULT}'"
    if feature:
        options += f":feature='{feature}'"
    return f"[0:v]{renumber}[d];[1:v]{renumber}[r];[d][r]libvmaf={options}"


def measure(
    distorted: YuvClip,
    reference: YuvClip,
    names: Sequence[str] = (*MODELS, *FEATURES),
) -> Quality:
    """Score a clip against its reference, both held in memory and equally long.

    MS-SSIM, which costs more than all else together, is taken from every fourth frame.
    """
    quick = [n for n in names if n != "ms_ssim"]
    found = dict(_measure(distorted, reference, quick).frames)
    if "ms_ssim" in names:
        few = [
            c.cut(slice(None, None, MS_SSIM_EVERY), 0, 0, *c.size) for c in (distorted, reference)
        ]
        found |= _measure(few[0], few[1], ["ms_ssim"]).frames
    return Quality(found)


def _measure(distorted: YuvClip, reference: YuvClip, names: Sequence[str]) -> Quality:
    if distorted.y.shape != reference.y.shape:
        raise ValueError(f"{distorted.y.shape} against {reference.y.shape}: not one clip")
    height, width = reference.size
    with tempfile.TemporaryDirectory() as folder:
        raws = Path(folder, "d.yuv"), Path(folder, "r.yuv")
        for clip, raw in zip((distorted, reference), raws, strict=True):
            clip.write(raw)
        argv = [find().path, "-hide_banner", "-nostdin", "-loglevel", "error"]
        for raw in raws:
            argv += raw_input(raw, height, width, 25.0)
        log = Path(folder, "log.json")
        argv += ["-filter_complex", libvmaf_filter(log, names), "-f", "null", "-"]
        finished = run(argv, timeout_s=600)
        if finished.returncode:
            raise FfmpegError(f"libvmaf failed: {' | '.join(finished.tail[-3:])}")
        return _parse(json.loads(log.read_text()), names, len(reference.y))


def _parse(
    log: Mapping[str, list[Mapping[str, Mapping[str, float]]]], names: Sequence[str], count: int
) -> Quality:
    rows = [frame["metrics"] for frame in log["frames"]]
    if len(rows) != count:
        raise FfmpegError(f"libvmaf scored {len(rows)} of {count} frames")
    return Quality({n: tuple(float(row[KEYS.get(n, n)]) for row in rows) for n in names})
