"""The filters that are compared: nothing, four of ffmpeg's, and ours. Luma only, all of them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from aqs_batch.encode.preprocess import FrameFilter
from aqs_batch.ffmpeg import find
from training.preprocess.clips import Plane, YuvClip, read_raw
from training.preprocess.encoders import raw_input

# ffmpeg's chroma parameters default to the luma's or act on all planes; ours alone decides here.
FFMPEG: Mapping[str, str] = {
    "unsharp 0.25": "unsharp=5:5:0.25:5:5:0",
    "unsharp 0.5": "unsharp=5:5:0.5:5:5:0",
    "cas": "cas=strength=0.3:planes=1",
    "hqdn3d": "hqdn3d",
}
NOTHING, OURS = "nothing", "ours"

LumaFilter = Callable[[YuvClip, int], YuvClip]


def through_ffmpeg(clip: YuvClip, graph: str) -> YuvClip:
    """The clip through one of ffmpeg's filters; its luma is taken, chroma stays."""
    height, width = clip.size
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "in.yuv")
        clip.write(raw)
        argv = [find().path, "-hide_banner", "-nostdin", "-loglevel", "error"]
        argv += raw_input(raw, height, width, clip.frame_rate)
        argv += ["-vf", graph, "-fps_mode", "passthrough", "-f", "rawvideo"]
        done = read_raw([*argv, "-pix_fmt", "yuv420p", "pipe:1"], height, width, clip.name)
    return clip.with_luma(done.y)


def through_ours(
    clip: YuvClip, frame_filter: FrameFilter, crf: float, strength: float = 1.0
) -> YuvClip:
    """The clip through the learned filter, told the CRF."""
    last = len(clip.y) - 1
    planes: list[Plane] = []
    for t in range(last + 1):
        window = [clip.y[max(t - 1, 0)], clip.y[t], clip.y[min(t + 1, last)]]
        planes.append(np.asarray(frame_filter(window, crf, strength), np.uint8))
    return clip.with_luma(np.stack(planes))


def by_name(name: str, frame_filter: FrameFilter | None, strength: float = 1.0) -> LumaFilter:
    """A filter as a function of clip and CRF; `ours` needs the trained one."""
    if name == NOTHING:
        return lambda clip, crf: clip
    if name == OURS:
        if frame_filter is None:
            raise ValueError("ours needs a checkpoint")
        return lambda clip, crf: through_ours(clip, frame_filter, crf, strength)
    graph = FFMPEG[name]
    return lambda clip, crf: through_ffmpeg(clip, graph)
