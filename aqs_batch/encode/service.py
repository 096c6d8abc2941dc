"""What an MPEG-TS says of its programmes, which PyAV does not tell: read off ffmpeg's log.

A recording's channel and who sends it had been lost in Matroska, which has no programmes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from aqs_batch.encode import command, inventory
from aqs_batch.encode.inventory import Inventory
from aqs_batch.errors import FfmpegError
from aqs_batch.ffmpeg import child

_TAGS = ("service_name", "service_provider")
_PROGRAMME = re.compile(r"\[info\]   Program (\d+)")
_TAG = re.compile(r"\[info\]       (\w+) *: (.*)")
_STREAM = re.compile(r"\[info\]   Stream #0:(\d+)\D")
_LONGEST_S = 60.0  # for one frame; the encode will tell what is wrong with it


def take(ffmpeg_path: str, path: Path, video_stream: int) -> Inventory:
    """What `inventory.take` tells, with the names of programmes among the tags of the file."""
    held = inventory.take(path, video_stream)
    if held.container != "mpegts":
        return held
    lines: list[str] = []
    argv = command.first_frame_argv(ffmpeg_path, path, video_stream)
    try:
        with child(argv, on_line=lines.append) as running:
            running.wait(_LONGEST_S)
    except FfmpegError:
        return held
    return replace(held, tags={**held.tags, **_tags(lines, video_stream)})


def own(tags: Mapping[str, str]) -> dict[str, str]:
    """Those of a file's tags that ffmpeg does not take over by itself."""
    return {name: words for name, words in tags.items() if name.startswith(_TAGS)}


def _tags(lines: list[str], picture: int) -> dict[str, str]:
    """By name; those of a programme that does not show the picture have its number behind it."""
    programme, ours = "", ""
    found: dict[tuple[str, str], str] = {}
    for line in lines:
        if line.startswith("[info] Output"):
            break
        if match := _PROGRAMME.match(line):
            programme = match[1]
        elif (match := _STREAM.match(line)) and int(match[1]) == picture:
            ours = ours or programme
        elif (match := _TAG.match(line)) and match[1] in _TAGS:
            found[programme, match[1]] = match[2]
    return {n if p == ours else f"{n}_{p}": words for (p, n), words in found.items()}
