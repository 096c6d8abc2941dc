"""Cover art on its way into Matroska, where it must be attached.

Copied as the stream that it is read as, it became a second film of one frame, and `--replace`
refused every file that had a cover.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aqs_batch.encode import child, command
from aqs_batch.encode.child import Tool
from aqs_batch.encode.inventory import Stream
from aqs_batch.encode.plan import WHOLE
from aqs_batch.encode.target import Cover
from aqs_batch.media.containers import input_name

# What Matroska's readers know for cover art, by ffmpeg's name: the MIME type, and a name for one
# that has none.
KINDS: Mapping[str, tuple[str, str]] = {
    "mjpeg": ("image/jpeg", "cover.jpg"),
    "png": ("image/png", "cover.png"),
    "gif": ("image/gif", "cover.gif"),
    "tiff": ("image/tiff", "cover.tiff"),
}


def take_out(
    tool: Tool, source: Path, streams: Sequence[Stream], folder: Path
) -> tuple[Cover, ...]:
    """Write each cover as it is to a file in `folder`; raises EncodeError when that fails."""
    return tuple(_taken_out(tool, source, stream, folder) for stream in streams)


def argv(ffmpeg_path: str, source: Path, stream: int, target: Path) -> list[str]:
    """The command that writes one cover's bytes as they are."""
    said = [*command.quiet(ffmpeg_path), "-y", *command.opened(source, WHOLE)]
    said += ["-map", f"0:{stream}", "-c", "copy", "-frames:v", "1"]
    return [*said, "-f", "data", input_name(target)]


def _taken_out(tool: Tool, source: Path, stream: Stream, folder: Path) -> Cover:
    path = folder / f"cover-{stream.index}"
    what = f"reading the cover of {source.name}"
    child.run(argv(tool.path, source, stream.index, path), what, stall_s=tool.stall_s)
    mime, name = KINDS[stream.codec]
    return Cover(path, {"mimetype": mime, "filename": name, **stream.tags})
