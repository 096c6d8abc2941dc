"""Children that run ffmpeg: none is waited for longer than it takes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aqs_batch import ffmpeg

OnPath = Callable[[str], tuple[Path, ffmpeg.Ffmpeg]]


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OnPath]:
    """Puts a shell script first on PATH as ffmpeg; its place, and which ffmpeg is found then."""

    def find(script: str) -> tuple[Path, ffmpeg.Ffmpeg]:
        mine = tmp_path / "ffmpeg"
        mine.write_text(f"#!/bin/sh\n{script}")
        mine.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        ffmpeg.find.cache_clear()
        return mine, ffmpeg.find()

    yield find
    ffmpeg.find.cache_clear()


def test_a_child_that_waits_to_write_ends_when_it_is_left(ffmpeg_path: str) -> None:
    """Blocked on a full pipe, ffmpeg had sat out TERM's grace: seconds for every glance."""
    endless = ["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25", "-f", "rawvideo", "-"]
    with ffmpeg.child([ffmpeg_path, "-hide_banner", "-nostdin", *endless]) as running:
        head = memoryview(bytearray(64))
        assert running.read_into(head) == len(head)
        began = time.monotonic()
    assert time.monotonic() - began < ffmpeg.TERM_GRACE_S


@pytest.mark.parametrize(
    ("filters", "chosen"), [("libvmaf", False), ("libvmaf xpsnr", True), ("xpsnr", False)]
)
def test_an_ffmpeg_that_cannot_measure_is_not_taken_from_path(
    on_path: OnPath, filters: str, chosen: bool
) -> None:
    """One before 7.1 was called good, and every re-encode ended in "No such filter: 'xpsnr'"."""
    listed = "".join(f" .. {name} VV->V x\n" for name in filters.split())
    mine, found = on_path(
        "case $2 in\n-version) echo 'ffmpeg version 7.0.2';;\n"
        f"-filters) printf '{listed}';;\n-encoders) echo ' V libx265 x';;\nesac\n"
    )
    assert (found.path == str(mine)) is chosen
    assert not found.missing
    assert chosen or str(mine) in found.origin


def test_an_ffmpeg_that_does_not_run_is_not_taken_from_path(on_path: OnPath) -> None:
    mine, found = on_path("echo 'libx265.so.199: cannot open shared object' >&2\nexit 127\n")
    assert f"{mine} does not run" in found.origin


def test_after_its_time_a_child_ends_like_any_other(ffmpeg_path: str) -> None:
    """Its pipe was closed under a reader that was busy: ValueError instead of an end."""
    endless = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-f", "rawvideo", "-"]
    argv = [ffmpeg_path, "-hide_banner", "-nostdin", *endless]
    with ffmpeg.child(argv, wall_limit_s=0.2) as running:
        running.wait(30)  # busy elsewhere meanwhile
        room = memoryview(bytearray(1 << 20))
        assert running.read_into(room) < len(room)
