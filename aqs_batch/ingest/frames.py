"""Frames as they came over the pipe: RGB is made of the places that are looked at, not of all.

A 1080p frame has forty times the pixels of a tile, and turning all of them into RGB took ffmpeg as
long as decoding them. The conversion is swscale's either way, with the same flags.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from aqs_batch.records import SWATCH_PX, Pixels

SWS_FLAGS = "bicubic+accurate_rnd+full_chroma_int"
_SWS_BICUBIC, _SWS_AREA, _SWS_EXACT = 0x4, 0x20, 0x40000 | 0x2000  # the numbers of the same flags
_MARGIN_PX = 4  # what chroma is interpolated from beyond a crop's border
# swscale's numbers of matrices; what a file does not say is taken as BT.601, as ffmpeg does.
_MATRICES = {"bt709": 1, "fcc": 4, "bt470bg": 5, "smpte170m": 5, "smpte240m": 7, "bt2020nc": 9}
_UNKNOWN_MATRIX = 5


class PipeFormat(StrEnum):
    """What ffmpeg sends over the pipe: the frames' own planes (of even sides), or RGB."""

    YUV420P = "yuv420p"
    YUVJ420P = "yuvj420p"  # the same in full range
    RGB24 = "rgb24"

    def frame_bytes(self, height: int, width: int) -> int:
        """Size of one frame."""
        if self is PipeFormat.RGB24:
            return 3 * height * width
        return height * width * 3 // 2  # of even sides


@dataclass(frozen=True)
class Colour:
    """How a frame's planes are to be read: ffmpeg's names of its matrix and its range."""

    matrix: str = "unknown"
    range: str = "unknown"


@dataclass(frozen=True)
class PipedFrames:
    """Frames of one size and colour in one format: `data` is uint8[T, bytes of a frame]."""

    data: Pixels
    height: int
    width: int
    format: PipeFormat
    colour: Colour = Colour()

    @cached_property
    def _reformatter(self) -> VideoReformatter:
        """One for all tiles of a size: it keeps what swscale prepares."""
        return VideoReformatter()

    def crop(self, y: int, x: int, height: int, width: int) -> Pixels:
        """RGB of the same place in all frames, uint8[T,height,width,3]; it must lie inside."""
        if self.format is PipeFormat.RGB24:
            whole = self.data.reshape(len(self.data), self.height, self.width, 3)
            return np.ascontiguousarray(whole[:, y : y + height, x : x + width])
        top, high = (y - _MARGIN_PX) // 2 * 2, (height + 2 * _MARGIN_PX + 3) // 2 * 2
        left, wide = _inside(x, width, self.width)
        # All frames under each other in one picture: one call, and the margin keeps them apart.
        rgb = self._rgb(
            self._picture(slice(None), (top, left), (high, wide)), _SWS_BICUBIC | _SWS_EXACT
        )
        rows = rgb.reshape(len(self.data), -1, wide, 3)
        return np.ascontiguousarray(
            rows[:, y - top : y - top + height, x - left : x - left + width]
        )

    def small(self, number: int, max_px: int) -> Pixels:
        """One frame as RGB, no side longer than `max_px`; never enlarged."""
        factor = min(max_px / max(self.height, self.width), 1.0)
        height, width = (max(round(side * factor), 1) for side in (self.height, self.width))
        if self.format is PipeFormat.RGB24:
            picture = VideoFrame(self.width, self.height, "rgb24")
            _rows(picture, 0)[:, : 3 * self.width] = self.data[number].reshape(self.height, -1)
        else:
            picture = self._picture(slice(number, number + 1), (0, 0), (self.height, self.width))
        return self._rgb(picture, _SWS_AREA | _SWS_EXACT, height, width)

    def swatch(self) -> Pixels:
        """Single pixels of the middle frame, spread over all of it: uint8[64,64,3] RGB.

        Points, not means of places: a mean hides how pure the purest colours are.
        """
        middle = self.data[len(self.data) // 2 :][:1]
        rows, columns = _spread(self.height), _spread(self.width)
        if self.format is PipeFormat.RGB24:
            points: Pixels = middle.reshape(self.height, self.width, 3)[np.ix_(rows, columns)]
            return points
        picture = VideoFrame(SWATCH_PX, SWATCH_PX, "yuv444p")
        for number, (step, plane) in enumerate(self._planes(middle)):
            chosen = plane[0][np.ix_(rows // step, columns // step)]
            _rows(picture, number)[:, :SWATCH_PX] = chosen
        return self._rgb(picture, _SWS_BICUBIC | _SWS_EXACT)

    def _planes(self, frames: Pixels) -> Iterator[tuple[int, Pixels]]:
        """Three planes of some frames: how many pixels a sample is for, uint8[T,rows,columns]."""
        begin = 0
        for step in (1, 2, 2):
            rows, columns = self.height // step, self.width // step
            yield step, frames[:, begin : begin + rows * columns].reshape(-1, rows, columns)
            begin += rows * columns

    def _picture(
        self, numbers: slice, corner: tuple[int, int], size: tuple[int, int]
    ) -> VideoFrame:
        """A place of some of the frames, one under the other; `corner` and its height are even.

        Rows beyond the frame repeat its last one, as swscale would have it.
        """
        (top, left), (high, wide) = corner, size
        chosen = self.data[numbers]
        picture = VideoFrame(wide, len(chosen) * high, "yuv420p")
        for number, (step, plane) in enumerate(self._planes(chosen)):
            seen = np.clip(np.arange(top // step, (top + high) // step), 0, plane.shape[1] - 1)
            part = plane[:, :, left // step : (left + wide) // step].take(seen, axis=1)
            _rows(picture, number)[:, : part.shape[2]] = part.reshape(-1, part.shape[2])
        return picture

    def _rgb(
        self, picture: VideoFrame, flags: int, height: int | None = None, width: int | None = None
    ) -> Pixels:
        """A picture through swscale, read as its colour says: uint8[H,W,3]."""
        matrix = _MATRICES.get(self.colour.matrix, _UNKNOWN_MATRIX)
        full = self.colour.range == "pc" or self.format is PipeFormat.RGB24
        out = self._reformatter.reformat(
            picture,
            width,
            height,
            "gbrp",  # the same bytes as rgb24, for which swscale takes eight times as long
            src_colorspace=matrix,
            dst_colorspace=matrix,
            interpolation=flags,
            src_color_range=2 if full else 1,
            dst_color_range=2,
            threads=1,
        )
        rgb = np.empty((out.height, out.width, 3), np.uint8)
        for number, channel in enumerate((1, 2, 0)):  # the planes are green, blue, red
            rgb[..., channel] = _rows(out, number)[:, : out.width]
        return rgb


@dataclass(frozen=True)
class Sequence:
    """Seven consecutive decoded frames at native resolution, starting at t_s."""

    t_s: float
    frames: PipedFrames
    scene: int = 0


def _inside(start: int, length: int, whole: int) -> tuple[int, int]:
    """Where a stretch with its margin begins, an even place, and how long it is, in a frame.

    Of the same length wherever there is room, so that swscale prepares one size.
    """
    wanted = min(length + 2 * _MARGIN_PX + 2, whole)
    begin = max(min(start - _MARGIN_PX, whole - wanted), 0) // 2 * 2
    return begin, min(wanted, whole - begin)


def _spread(side: int) -> NDArray[np.int64]:
    """SWATCH_PX places spread evenly over a side."""
    return (2 * np.arange(SWATCH_PX) + 1) * side // (2 * SWATCH_PX)


def _rows(picture: VideoFrame, number: int) -> Pixels:
    """A plane's memory as uint8[rows, bytes of a row]; writing to it writes to the picture."""
    plane = picture.planes[number]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height]
