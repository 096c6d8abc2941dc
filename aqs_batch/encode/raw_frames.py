"""Raw frames between two ffmpeg children: planes out of one pipe, timed frames into another.

The container is IVF: ffmpeg reads raw pictures in it too, and each frame carries its own time, so
that a variable frame rate survives the pipe (plain rawvideo knows only a constant one).

Its clock is said to tick once a frame, for encoders go by the frame rate that ffmpeg takes from it.
Guessed from the few frames of 1080p that ffmpeg looks ahead, it was 720,000 a second, and x265 gave
half the bytes. The true times, in finer ticks, are put right behind the pipe (`shown_as`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from aqs_batch.encode import codec
from aqs_batch.ffmpeg import Child
from aqs_batch.media.turning import UPRIGHT, Turn
from aqs_batch.records import Video

TICKS_S = 720_000  # of the times in the pipe: finer than any container of ours keeps
_CHROMA = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}
# ffmpeg's raw tags; those with letters are of 8 bits, the others name chroma and depth in bytes.
_TAGS = {"yuv420p": b"I420", "yuv422p": b"Y42B", "yuv444p": b"444P"}
_TRANSFERS = {"srgb": "iec61966-2-1"}  # ffmpeg's names where ours differ
_MOST_SAR = 65535  # of HEVC's two numbers; unsaid, setsar makes 427/320 a 4/3
_SUBSAMPLING = {"420": 11, "422": 10, "444": 0}

Luma = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class RawFormat:
    """Planar YUV as it goes through a pipe: "yuv420p", "yuv422p10le", ..., its size and rate."""

    pixel_format: str
    width: int
    height: int
    rate: Fraction | None = None  # frames a second that encoders go by, None: it is not known
    says_sar: bool = False  # whether the source tells the shape of its pixels

    @property
    def bit_depth(self) -> int:
        digits = self.pixel_format.removeprefix("yuv")[4:].removesuffix("le")
        return int(digits) if digits else 8

    @property
    def clock(self) -> Fraction:
        """Ticks a second that the pipe is said to have."""
        return self.rate or Fraction(TICKS_S)

    @property
    def sample_bytes(self) -> int:
        return 1 if self.bit_depth == 8 else 2

    @property
    def luma_bytes(self) -> int:
        return self.width * self.height * self.sample_bytes

    @property
    def frame_bytes(self) -> int:
        wide, high = _CHROMA[self.pixel_format[3:6]]
        chroma = -(-self.width // wide) * -(-self.height // high)
        return self.luma_bytes + 2 * chroma * self.sample_bytes

    @property
    def tag(self) -> bytes:
        """The four bytes by which ffmpeg's rawvideo decoder knows the format."""
        if self.bit_depth == 8:
            return _TAGS[self.pixel_format]
        return b"Y3" + bytes([_SUBSAMPLING[self.pixel_format[3:6]], self.bit_depth])


@dataclass(frozen=True)
class RawFrame:
    """One frame: luma [H,W] and the bytes of both chroma planes, which nobody looks into."""

    luma: Luma
    chroma: bytes

    def with_luma(self, luma: Luma) -> RawFrame:
        return replace(self, luma=luma)


def read_frames(running: Child, raw: RawFormat) -> Iterator[RawFrame]:
    """Frames from a child that writes rawvideo to stdout, until it ends."""
    while True:
        buffer = bytearray(raw.frame_bytes)
        if running.read_into(memoryview(buffer)) < raw.frame_bytes:
            return
        yield RawFrame(
            _luma(buffer, raw).reshape(raw.height, raw.width), bytes(buffer[raw.luma_bytes :])
        )


def _luma(buffer: bytearray, raw: RawFormat) -> Luma:
    count = raw.width * raw.height
    if raw.sample_bytes == 1:
        return np.frombuffer(buffer, np.uint8, count)
    return np.frombuffer(buffer, "<u2", count).astype(np.uint16, copy=False)


def stream_header(raw: RawFormat) -> bytes:
    """What comes once, before all frames."""
    clock = raw.clock.numerator, raw.clock.denominator
    return struct.pack(
        "<4sHH4sHHIIII", b"DKIF", 0, 32, raw.tag, raw.width, raw.height, *clock, 0, 0
    )


def frame_bytes(frame: RawFrame, raw: RawFormat, time_s: float) -> Sequence[bytes]:
    """One frame with its time, as the pieces to be written one after another."""
    head = struct.pack("<Iq", raw.frame_bytes, round(time_s * TICKS_S))
    kind = "u1" if raw.sample_bytes == 1 else "<u2"
    return head, np.ascontiguousarray(frame.luma, kind).tobytes(), frame.chroma


def input_options(turn: Turn = UPRIGHT) -> list[str]:
    """ffmpeg's options to read such a stream from stdin."""
    # -noautorotate: the frames stay as coded, and the muxer writes the display matrix on.
    turned = []
    if turn != UPRIGHT:
        turned = ["-noautorotate", "-display_rotation", str(turn.rotation_deg)]
        turned += ["-display_vflip"] if turn.is_mirrored else []
    # -seek_timestamp: or ffmpeg would move the first frame to nought, away from its sound.
    argv = ["-f", "ivf", "-c:v", "rawvideo", "-seek_timestamp", "1", *turned]
    # The rate is the header's, not guessed; between two of its ticks years seem to pass.
    return [*argv, "-fpsprobesize", "0", "-dts_error_threshold", "1e12", "-i", "pipe:0"]


def shown_as(video: Video, raw: RawFormat) -> str:
    """The filters that say of a piped picture what its source said: times, colours, pixel shape.

    They only name things; as encoder options the same names would make ffmpeg convert the pixels.
    """
    matrix, levels = codec.colours(video)
    named = {
        "color_primaries": video.color_primaries,
        "color_trc": _TRANSFERS.get(video.color_transfer, video.color_transfer),
        "colorspace": matrix,
        "range": levels,
        "chroma_location": video.chroma_location,
    }
    known = ":".join(f"{key}={value}" for key, value in named.items() if value)
    parts = [f"settb=1/{TICKS_S}", f"setpts=round(PTS*{raw.clock}/{TICKS_S})"]
    parts += [f"setparams={known}"] if known else []
    if raw.says_sar:
        parts.append(f"setsar={video.sar.num}/{video.sar.den}:max={_MOST_SAR}")
    return ",".join(parts)
