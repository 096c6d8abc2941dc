"""Real encodes with the ffmpeg at hand: argument lists by pure functions, bytes and decodes out."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from aqs_batch.errors import FfmpegError
from aqs_batch.ffmpeg import find, run
from training.preprocess.clips import YuvClip, read_raw

# One thread per encode: the frame threads of x265 change its decisions with the machine.
_SINGLE = {
    "x265": ["-x265-params", "pools=1:frame-threads=1:log-level=none"],
    "x264": ["-threads", "1"],
    "svtav1": ["-svtav1-params", "lp=1"],
}
LIBRARIES = {"x265": "libx265", "x264": "libx264", "svtav1": "libsvtav1"}
EXTENSIONS = {"x265": "hevc", "x264": "264", "svtav1": "ivf"}


@dataclass(frozen=True)
class Encoding:
    """One way to encode: which encoder, its preset, its CRF."""

    crf: int
    codec: str = "x265"
    preset: str = "medium"

    @property
    def extension(self) -> str:
        return EXTENSIONS[self.codec]


@dataclass(frozen=True)
class Encoded:
    """What an encode cost and what its decode looks like."""

    size_bytes: int
    decoded: YuvClip


def raw_input(path: Path, height: int, width: int, frame_rate: float) -> list[str]:
    """ffmpeg's options for a raw yuv420p file."""
    return [
        "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{width}x{height}",
        "-r", f"{frame_rate:g}", "-i", f"file:{path}",
    ]  # fmt: skip


def encode_argv(ffmpeg: str, source: list[str], target: Path, encoding: Encoding) -> list[str]:
    """The command of one encode to an elementary stream, whose size is the encode's bytes."""
    preset = encoding.preset
    if encoding.codec == "svtav1" and not preset.isdigit():
        preset = "8"
    argv = [ffmpeg, "-hide_banner", "-nostdin", "-y", "-loglevel", "error", *source, "-an"]
    argv += ["-c:v", LIBRARIES[encoding.codec], "-preset", preset, "-crf", str(encoding.crf)]
    return [*argv, *_SINGLE[encoding.codec], "-fps_mode", "passthrough", f"file:{target}"]


def round_trip(clip: YuvClip, encoding: Encoding) -> Encoded:
    """Encode and decode a clip; raises FfmpegError when a frame is missing."""
    height, width = clip.size
    with tempfile.TemporaryDirectory() as folder:
        raw, coded = Path(folder, "in.yuv"), Path(folder, f"out.{encoding.extension}")
        clip.write(raw)
        source = raw_input(raw, height, width, clip.frame_rate)
        finished = run(encode_argv(find().path, source, coded, encoding), timeout_s=600)
        if finished.returncode:
            raise FfmpegError(f"{clip.name}: {encoding}: {' | '.join(finished.tail[-3:])}")
        argv = [find().path, "-hide_banner", "-nostdin", "-threads", "1", "-i", f"file:{coded}"]
        argv += ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "pipe:1"]
        decoded = read_raw(argv, height, width, clip.name, clip.frame_rate)
        if len(decoded.y) != len(clip.y):
            raise FfmpegError(f"{clip.name}: {len(decoded.y)} of {len(clip.y)} frames came back")
        return Encoded(coded.stat().st_size, decoded)
