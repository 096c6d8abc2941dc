"""Children that run ffmpeg: none is waited for longer than it takes."""

from __future__ import annotations

import time

from aqs_batch import ffmpeg


def test_a_child_that_waits_to_write_ends_when_it_is_left(ffmpeg_path: str) -> None:
    """Blocked on a full pipe, ffmpeg had sat out TERM's grace: seconds for every glance."""
    endless = ["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25", "-f", "rawvideo", "-"]
    with ffmpeg.child([ffmpeg_path, "-hide_banner", "-nostdin", *endless]) as running:
        head = memoryview(bytearray(64))
        assert running.read_into(head) == len(head)
        began = time.monotonic()
    assert time.monotonic() - began < ffmpeg.TERM_GRACE_S
