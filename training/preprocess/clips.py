"""Short 4:2:0 clips as arrays: how every step of this folder reads, cuts and hands on pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aqs_batch.errors import FfmpegError
from aqs_batch.ffmpeg import child, find
from training.manifest import Source, read_manifest

Plane = NDArray[np.uint8]

SIDE_STEP = 16  # sizes are cut to whole multiples, so that no encoder has to pad


@dataclass(frozen=True)
class YuvClip:
    """8-bit limited-range 4:2:0: y uint8[N,H,W], u and v uint8[N,H/2,W/2]."""

    name: str
    y: Plane
    u: Plane
    v: Plane
    frame_rate: float = 25.0

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the luma."""
        return self.y.shape[1], self.y.shape[2]

    def with_luma(self, y: Plane) -> YuvClip:
        """The same clip with another luma (the filter never touches chroma)."""
        if y.shape != self.y.shape:
            raise ValueError(f"{self.name}: luma {y.shape} does not fit {self.y.shape}")
        return replace(self, y=y)

    def cut(self, frames: slice, top: int, left: int, height: int, width: int) -> YuvClip:
        """A crop in time and space; `top`, `left`, `height` and `width` must be even."""
        if any(n % 2 for n in (top, left, height, width)):
            raise ValueError("4:2:0 is cut at even positions")
        rows, columns = slice(top, top + height), slice(left, left + width)
        half = slice(top // 2, (top + height) // 2), slice(left // 2, (left + width) // 2)
        return replace(
            self,
            y=self.y[frames, rows, columns],
            u=self.u[(frames, *half)],
            v=self.v[(frames, *half)],
        )

    def write(self, path: Path) -> None:
        """Raw yuv420p, frame after frame."""
        with path.open("wb") as handle:
            for planes in zip(self.y, self.u, self.v, strict=True):
                for plane in planes:
                    handle.write(np.ascontiguousarray(plane).data)


def read_raw(
    argv: list[str], height: int, width: int, name: str, frame_rate: float = 25.0
) -> YuvClip:
    """Run an ffmpeg command that writes raw yuv420p to stdout."""
    pieces = []
    with child(argv) as running:
        while True:
            frame = np.empty(height * width * 3 // 2, np.uint8)
            if running.read_into(frame.data) < frame.nbytes:
                break
            pieces.append(frame)
        finished = running.wait(60)
    if finished.returncode or not pieces:
        raise FfmpegError(f"{name}: ffmpeg gave no frames: {' | '.join(finished.tail[-3:])}")
    whole = np.stack(pieces)
    luma, chroma = height * width, height * width // 4
    return YuvClip(
        name,
        whole[:, :luma].reshape(-1, height, width),
        whole[:, luma : luma + chroma].reshape(-1, height // 2, width // 2),
        whole[:, luma + chroma :].reshape(-1, height // 2, width // 2),
        frame_rate,
    )


def read_clip(path: Path, height: int, width: int, frames: int, rate: float = 25.0) -> YuvClip:
    """Decode the first `frames` frames, cut to height x width."""
    chain = f"crop={width}:{height},format=yuv420p"
    argv = [find().path, "-hide_banner", "-nostdin", "-i", f"file:{path}", "-an"]
    argv += ["-frames:v", str(frames), "-fps_mode", "passthrough"]
    argv += ["-vf", f"scale=out_range=tv,{chain}", "-f", "rawvideo", "pipe:1"]
    return read_raw(argv, height, width, path.stem, rate)


def clip_size(path: Path) -> tuple[int, int, float]:
    """Height, width and frame rate as shown (rotation applied)."""
    from aqs_batch.ingest.probe import probe

    video = probe(path)
    return video.height, video.width, video.frame_rate.value or 25.0


def native(path: Path, frames: int) -> YuvClip:
    """A clip's first frames at native size, cut to whole multiples of SIDE_STEP."""
    height, width, rate = clip_size(path)
    return read_clip(
        path,
        height // SIDE_STEP * SIDE_STEP,
        width // SIDE_STEP * SIDE_STEP,
        frames,
        rate=rate,
    )


def sources(media: Path, split: str, cleanest: int = 3) -> list[Source]:
    """The clips of one split that are at least this free of visible damage (1-5)."""
    return [
        s
        for s in read_manifest(media)
        if s.kind == "clip" and s.split == split and s.clean >= cleanest
    ]
