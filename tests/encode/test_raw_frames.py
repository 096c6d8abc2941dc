"""Raw frames through pipes: every format ffmpeg reads back as it was, at its own time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aqs_batch import ffmpeg
from aqs_batch.encode.raw_frames import (
    RawFormat,
    RawFrame,
    frame_bytes,
    input_options,
    read_frames,
    stream_header,
)

FORMATS = [f"yuv{chroma}p{depth}" for chroma in (420, 422, 444) for depth in ("", "10le", "12le")]


def frames(raw: RawFormat, count: int) -> list[RawFrame]:
    rng = np.random.default_rng(1)
    kind = np.uint8 if raw.bit_depth == 8 else np.uint16
    size = (raw.height, raw.width)
    chroma = (raw.frame_bytes - raw.luma_bytes) // raw.sample_bytes
    return [
        RawFrame(
            rng.integers(0, 2**raw.bit_depth, size).astype(kind),
            rng.integers(0, 2**raw.bit_depth, chroma).astype(kind).tobytes(),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_ffmpeg_reads_what_was_written(name: str, ffmpeg_path: str, tmp_path: Path) -> None:
    raw = RawFormat(name, 34, 18)
    sent, times_s = frames(raw, 4), [0.0, 1 / 24, 0.5, 0.51]
    target = tmp_path / "out.nut"
    argv = [ffmpeg_path, "-hide_banner", "-copyts", *input_options(), "-fps_mode", "passthrough"]
    argv += ["-enc_time_base", "demux"]  # else times are rounded to a guessed frame rate
    with ffmpeg.child([*argv, "-c:v", "rawvideo", f"file:{target}"], fed=True) as running:
        running.write(stream_header(raw))
        for frame, time_s in zip(sent, times_s, strict=True):
            running.write(*frame_bytes(frame, raw, time_s))
        running.close_input()
        assert running.wait(30).returncode == 0
    argv = [ffmpeg_path, "-hide_banner", "-i", f"file:{target}", "-f", "rawvideo", "pipe:1"]
    with ffmpeg.child([*argv[:-3], "-fps_mode", "passthrough", *argv[-3:]]) as running:
        got = list(read_frames(running, raw))
    assert [g.luma.tolist() for g in got] == [s.luma.tolist() for s in sent]
    assert [g.chroma for g in got] == [s.chroma for s in sent]
    assert times(ffmpeg_path, target) == pytest.approx(times_s, abs=1e-3)


def times(ffmpeg_path: str, path: Path) -> list[float]:
    """Presentation times as ffmpeg's showinfo tells them."""
    found: list[float] = []
    argv = [ffmpeg_path, "-hide_banner", "-copyts", "-i", f"file:{path}", "-vf", "showinfo"]

    def note(line: str) -> None:
        if "pts_time:" in line:
            found.append(float(line.split("pts_time:")[1].split()[0]))

    with ffmpeg.child([*argv, "-fps_mode", "passthrough", "-f", "null", "-"], on_line=note) as run:
        run.wait(30)
    return found


def test_sizes_of_odd_pictures_round_chroma_up() -> None:
    assert RawFormat("yuv420p", 5, 3).frame_bytes == 15 + 2 * 3 * 2
    assert RawFormat("yuv422p10le", 5, 3).frame_bytes == 2 * (15 + 2 * 3 * 3)
    assert json.dumps(RawFormat("yuv444p12le", 4, 4).bit_depth) == "12"


def test_writing_to_a_child_that_ended_says_so(ffmpeg_path: str) -> None:
    with ffmpeg.child([ffmpeg_path, "-hide_banner", "-nope"], fed=True) as running:
        finished = running.wait(30)
        assert finished.returncode != 0
        assert not all(running.write(b"x" * 100_000) for _ in range(20))
