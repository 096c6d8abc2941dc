"""Where 4:2:0's chroma lies beside its luma, which PyAV does not tell: read off ffmpeg's log.

UHD's lies at the top left, as DV's does in PAL, that of MPEG-1 and Motion JPEG in the middle. Lost,
all colours are shown half a pixel aside.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from aqs_batch.encode import command, pixels
from aqs_batch.encoders import Codec
from aqs_batch.errors import FfmpegError
from aqs_batch.ffmpeg import child
from aqs_batch.records import Video

USUAL = "left"  # what is meant where none is said
_UNSAID = (USUAL, "unspecified", "unknown")
_LINE = re.compile(r"\[Parsed_showinfo_\d+ @ [^]]+\] \[info\] n: .* cl:(\w+) ")
_LONGEST_S = 60.0  # for one frame; the encode will tell what is wrong with it


def of(ffmpeg_path: str, path: Path, stream: int, pixel_format: str) -> str:
    """By the first frame, in ffmpeg's word; "" for the usual one and for chroma that is not 4:2:0,
    of which no encoder could say any.
    """
    if not pixels.is_420(pixel_format):
        return ""
    told: list[str] = []

    def on_line(line: str) -> None:
        if match := _LINE.match(line):
            told.append(match[1])

    argv = command.first_frame_argv(ffmpeg_path, path, stream)
    try:
        with child(argv, on_line=on_line) as running:
            running.wait(_LONGEST_S)
    except FfmpegError:
        return ""
    return told[0] if told and told[0] not in _UNSAID else ""


def told(ffmpeg_path: str, video: Video) -> Video:
    """The same video with what `of` says of it."""
    where = of(ffmpeg_path, video.path, video.stream_index, video.pixel_format)
    return replace(video, chroma_location=where)


def left_out(video: Video, codec: Codec, container: str) -> tuple[str, ...]:
    """What an encode cannot say: AV1 has no word for the middle, though Matroska has."""
    where = video.chroma_location
    if codec is not Codec.SVTAV1 or container == "matroska" or where in ("", "topleft"):
        return ()
    return (f"the siting of chroma ({where})",)
