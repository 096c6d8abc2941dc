"""A source's picture in a container that finds its frames: MPEG-TS and PS land elsewhere.

They have no index, and ffmpeg counts their start twice where the sound begins first: a window
began 35 frames late, and a long file measured in parts had other frames than its encode.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from aqs_batch.encode import child, command
from aqs_batch.encode.child import Tool
from aqs_batch.encode.ladder import LadderProgress
from aqs_batch.encode.plan import WHOLE
from aqs_batch.ingest.probe import probe
from aqs_batch.ingest.stream_time import STARTS_OVER
from aqs_batch.media.containers import input_name
from aqs_batch.records import Video
from aqs_batch.settings import LimitSettings


def seekable(
    tool: Tool, video: Video, folder: Path, limits: LimitSettings, progress: LadderProgress
) -> Video:
    """The video itself, or a copy of its packets in Matroska in `folder`, as large as they are.

    `progress` is told of frames. Raises EncodeError when the copy fails or stands still.
    """
    if video.container not in STARTS_OVER:
        return video
    copy = folder / "source.mkv"
    frames, what = len(video.frame_times_s), f"copying the picture of {video.path.name}"

    def count(frame: int) -> None:
        progress(frame, frames, "copying the picture")

    child.run(copy_argv(tool.path, video, copy), what, count, tool.stall_s)
    found = probe(copy, limits)
    # What the copy's container does not say, and what it says in its own way.
    return replace(
        video, path=copy, container=found.container, stream_index=found.stream_index,
        frame_times_s=found.frame_times_s, keyframe_times_s=found.keyframe_times_s,
        duration_s=found.duration_s, held_s=found.held_s,
    )  # fmt: skip


def copy_argv(ffmpeg_path: str, video: Video, target: Path) -> list[str]:
    """The command that copies the picture alone, frame by frame as it is."""
    argv = [*command.quiet(ffmpeg_path), "-y", "-progress", "pipe:1"]
    argv += ["-fflags", "+genpts", *command.opened(video.path, WHOLE)]
    argv += ["-map", f"0:{video.stream_index}", "-c", "copy", "-map_metadata", "-1"]
    return [*argv, "-f", "matroska", input_name(target)]
