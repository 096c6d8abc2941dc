"""A filtered copy that loses nothing else: FFV1 in Matroska, for use with any other encoder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from aqs_batch.encode import filtered, raw_frames
from aqs_batch.encode.filtered import LumaFilter
from aqs_batch.encode.raw_frames import RawFormat
from aqs_batch.errors import MediaError
from aqs_batch.ffmpeg import DEMUXERS
from aqs_batch.records import Video

_TRANSFERS = {"srgb": "iec61966-2-1"}  # ffmpeg's names where ours differ
_DEEPEST = 12


def write(
    ffmpeg_path: str,
    video: Video,
    target: Path,
    luma_filter: LumaFilter,
    on_frame: Callable[[int], None] = lambda count: None,
) -> int:
    """Filter `video` into `target` (.mkv); returns its frames. The source is only read.

    Written under a temporary name and renamed when whole. Sound, subtitles, chapters, attachments,
    tags and times are kept. Raises RefusedMedia for HDR and FfmpegError when a child fails.
    """
    filtered.admit(video)
    if target.suffix.lower() != ".mkv":
        raise MediaError(f"{target.name} cannot hold it", hint="Name the output something.mkv.")
    if target.exists() and target.samefile(video.path):
        raise MediaError("the output is the source", hint="Name another output.")
    raw = raw_format(video)
    partial = target.with_name(f".{target.name}.part")
    try:
        count = filtered.run(
            decoder_argv(ffmpeg_path, video, raw),
            encoder_argv(ffmpeg_path, video, partial),
            raw,
            luma_filter,
            video.frame_times_s,
            on_frame,
        )
        if not count:
            raise MediaError("no frame could be decoded", hint="The stream may be damaged.")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return count


def raw_format(video: Video) -> RawFormat:
    """Planar YUV of the video's own chroma and depth; RGB becomes 4:4:4."""
    source = video.pixel_format
    chroma = "420"
    if source.startswith(("gbr", "rgb", "bgr", "argb", "abgr", "0rgb")) or "444" in source:
        chroma = "444"
    elif "422" in source or "440" in source or source.startswith(("uyvy", "yuyv")):
        chroma = "422"
    depth = next((d for d in (8, 10, _DEEPEST) if d >= video.bit_depth), _DEEPEST)
    name = f"yuv{chroma}p" + ("" if depth == 8 else f"{depth}le")
    return RawFormat(name, video.coded_width, video.coded_height)


def decoder_argv(ffmpeg_path: str, video: Video, raw: RawFormat) -> list[str]:
    """The frames as coded (not turned, not stretched), raw, on stdout."""
    chain = ["bwdif=mode=send_frame:deint=interlaced"] if video.interlaced else []
    chain += [f"scale={raw.width}:{raw.height}", f"format={raw.pixel_format}"]
    argv = [*_quiet(ffmpeg_path), "-noautorotate", *_source(video)]
    argv += ["-map", f"0:{video.stream_index}", "-filter:v", ",".join(chain)]
    return [*argv, "-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1"]


def encoder_argv(ffmpeg_path: str, video: Video, target: Path) -> list[str]:
    """FFV1 of the frames on stdin, with everything else of the source beside it."""
    # The times of both inputs are the source's own, so picture and sound stay together.
    argv = [*_quiet(ffmpeg_path), "-y", "-copyts", *raw_frames.input_options(video.rotation_deg)]
    argv += [*_source(video), "-map", "0:v:0", "-map", "1", "-map", "-1:v", "-map", "-1:d"]
    argv += ["-c", "copy", "-c:v:0", "ffv1", "-level:v:0", "3", "-g:v:0", "1"]
    argv += ["-slices:v:0", "4", "-fps_mode:v:0", "passthrough", "-enc_time_base:v:0", "demux"]
    argv += ["-filter:v:0", shown_as(video), "-map_metadata", "1", "-map_chapters", "1"]
    argv += ["-avoid_negative_ts", "make_non_negative", "-f", "matroska", _file(target)]
    return argv


def shown_as(video: Video) -> str:
    """The filters that say of a piped picture what its source said: colours and pixel shape.

    They only name things; as encoder options the same names would make ffmpeg convert the pixels.
    """
    named = {
        "color_primaries": video.color_primaries,
        "color_trc": _TRANSFERS.get(video.color_transfer, video.color_transfer),
        # RGB has become YUV on the way; ffmpeg's conversion says by which matrix.
        "colorspace": "" if video.color_matrix == "rgb" else video.color_matrix,
        "range": video.color_range,
    }
    known = ":".join(f"{key}={value}" for key, value in named.items() if value)
    parts = [f"setparams={known}"] if known else []
    if video.sar.value not in (0.0, 1.0):
        parts.append(f"setsar={video.sar.num}/{video.sar.den}")
    return ",".join(parts) or "null"


def _source(video: Video) -> list[str]:
    argv = ["-protocol_whitelist", "file,pipe", "-format_whitelist", DEMUXERS]
    return [*argv, "-i", _file(video.path)]


def _file(path: Path) -> str:
    return f"file:{os.path.abspath(path)}"


def _quiet(ffmpeg_path: str) -> list[str]:
    return [ffmpeg_path, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning"]
