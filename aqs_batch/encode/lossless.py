"""A filtered copy that loses nothing else: lossless in Matroska, for use with any other encoder."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from aqs_batch.encode import (
    codec,
    command,
    covers,
    cropping,
    filtered,
    output,
    service,
    siting,
    unread,
)
from aqs_batch.encode.admission import OPAQUE
from aqs_batch.encode.child import Tool
from aqs_batch.encode.codec import Recipe
from aqs_batch.encode.filtered import LumaFilter
from aqs_batch.encode.inventory import Stream
from aqs_batch.encode.plan import WHOLE
from aqs_batch.encode.raw_frames import RawFormat, input_options, shown_as
from aqs_batch.encode.scratch import scratch
from aqs_batch.encode.target import Cover
from aqs_batch.encoders import Codec
from aqs_batch.errors import MediaError
from aqs_batch.media.containers import input_name
from aqs_batch.media.turning import Turn
from aqs_batch.records import Video
from aqs_batch.wording import count as counted

_FFV1 = ("-c:v:0", "ffv1", "-level:v:0", "3", "-g:v:0", "1", "-slices:v:0", "4")
# FFV1 knows no full range: ffmpeg would squeeze 256 levels into 220 on the way.
_FULL = ("-c:v:0", "libx265", "-preset:v:0", "ultrafast",
         "-x265-params:v:0", "lossless=1:bframes=0:log-level=error")  # fmt: skip
_LIKE = Recipe(Codec.X265, "medium")  # the copy holds what x265 would be given


def write(
    tool: Tool,
    video: Video,
    target: Path,
    luma_filter: LumaFilter,
    on_frame: Callable[[int], None] = lambda count: None,
) -> tuple[int, tuple[str, ...]]:
    """Filter `video` into `target` (.mkv); its frames, and what the copy lacks in words.

    The source is only read. Written in a temporary folder beside `target` and moved when whole.
    Sound, subtitles (MP4's as SubRip), chapters, attachments, tags and times are kept. Raises
    RefusedMedia for light that the filter was not trained for, MediaError for a target that cannot
    be written or a source without a frame, and EncodeError when a child fails or stands still.
    """
    filtered.admit(video)
    video = siting.told(tool.path, video)
    _check_target(target, video.path)
    raw = filtered.raw_format(video, _LIKE.codec)
    held = service.take(tool.path, video.path, video.stream_index)
    beside = [s for s in held.streams if s.index != video.stream_index]
    taken = [s for s in beside if _is_text(s) or output.takes("matroska", s)]
    copied = [s for s in taken if not s.is_cover]
    decoding = functools.partial(
        command.decoder_argv, tool.path, video, WHOLE, _LIKE,
        planar=raw.pixel_format, others=[s.index for s in copied],
    )  # fmt: skip
    with scratch(target.parent) as folder:  # a name beside it may be too long, or another call's
        partial = folder / "copy.mkv"
        pictures = [s for s in taken if s.is_cover]
        attached = covers.take_out(tool, video.path, pictures, folder)
        encoding = encoder_argv(
            tool.path, video, raw, partial, copied, attached, service.own(held.tags)
        )
        count = filtered.run(decoding, encoding, raw, luma_filter, folder, on_frame, tool.stall_s)
        if not count:
            raise MediaError("no frame could be decoded", hint="The stream may be damaged.")
        _check_target(target, video.path)  # another call may have been quicker
        partial.replace(target)
    left = output.left_out(held, {video.stream_index, *(s.index for s in taken)})
    lost = [f"{words} was left out: Matroska has none" for words in left]
    gone = *cropping.told(tool.path, video), *unread.told(video.path, held)
    lost += [f"{words} was left out" for words in gone]
    if less := codec.coarser(video, _LIKE.codec):
        lost.append(less)
    if (missing := len(video.frame_times_s) - count) > 0:
        verb = "does" if missing == 1 else "do"
        lost.append(f"{counted(missing, 'frame')} of the source {verb} not decode")
    return count, (*lost, *([OPAQUE] if held.picture.transparent else []))


def _check_target(target: Path, source: Path) -> None:
    if target.suffix.lower() != ".mkv":
        raise MediaError(f"{target.name} cannot hold it", hint="Name the output something.mkv.")
    if target.exists() and target.samefile(source):
        raise MediaError("the output is the source", hint="Name another output.")
    if os.path.lexists(target):  # somebody's original, or a link to one whose disk is not there
        raise MediaError(f"{target.name} exists already", hint="Move it away, or name another.")
    if not os.access(target.parent, os.W_OK):
        raise MediaError(f"{target.parent} cannot be written to", hint="Name another folder.")


def _is_text(stream: Stream) -> bool:
    """MP4's own subtitles, which Matroska takes as SubRip."""
    return stream.codec == "mov_text"


def encoder_argv(
    ffmpeg_path: str,
    video: Video,
    raw: RawFormat,
    target: Path,
    beside: Sequence[Stream],
    attached: Sequence[Cover],
    tags: Mapping[str, str],
) -> list[str]:
    """FFV1 (x265 for full range) of the frames on stdin, with the streams that come along."""
    argv = [*command.quiet(ffmpeg_path), "-y"]
    argv += input_options(Turn(video.rotation_deg, video.is_mirrored))
    argv += command.opened(video.path, WHOLE)
    argv += ["-map", "0:v:0", *(_FULL if codec.colours(video)[1] == "full" else _FFV1)]
    for number, stream in enumerate(beside, start=1):
        argv += ["-map", f"1:{stream.index}"]
        argv += [f"-c:{number}", "srt" if _is_text(stream) else "copy"]
    argv += ["-fps_mode:v:0", "passthrough", "-enc_time_base:v:0", "filter"]
    argv += command.last_lasts(video)
    argv += ["-filter:v:0", shown_as(video, raw), "-map_metadata", "1", "-map_chapters", "1"]
    argv += command.tags_of_file(tags)
    argv += command.tags_of_each("1", [video.stream_index, *(s.index for s in beside)])
    argv += command.attached(attached, 1 + len(beside))
    argv += ["-avoid_negative_ts", "make_non_negative", "-f", "matroska"]
    argv.append(input_name(target))
    return [*argv, *command.aside("1", [video.stream_index])] if beside else argv
