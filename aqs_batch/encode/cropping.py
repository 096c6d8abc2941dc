"""Whether a container shows less of a picture than is coded, which no encode of ours passes on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aqs_batch.encode import command
from aqs_batch.errors import FfmpegError
from aqs_batch.ffmpeg import child
from aqs_batch.records import Video

_SIZE = re.compile(rb"YUV4MPEG2 W(\d+) H(\d+) ")


def told(ffmpeg_path: str, video: Video) -> tuple[str, ...]:
    """What is not carried over, in words; nothing where the container does not crop."""
    shown = _size(command.header_argv(ffmpeg_path, video, cropped=True))
    if shown in (None, (video.coded_width, video.coded_height)):
        return ()
    if shown == _size(command.header_argv(ffmpeg_path, video, cropped=False)):
        return ()  # the first frame is not of the size that the header says
    return ("the container's crop to {}x{}".format(*shown or ()),)


def _size(argv: Sequence[str]) -> tuple[int, int] | None:
    """Of the first frame; None where it does not decode: the encode will tell of that."""
    line = bytearray(64)
    try:
        with child(argv) as running:
            running.read_into(memoryview(line))
    except FfmpegError:
        return None
    found = _SIZE.match(line)
    return (int(found[1]), int(found[2])) if found else None
