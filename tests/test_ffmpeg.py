"""Children that run ffmpeg: none is waited for longer than it takes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aqs_batch import ffmpeg
from aqs_batch.errors import FfmpegError, SettingsError

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
    ("filters", "chosen"),
    [
        ("libvmaf zscale", False),
        ("libvmaf xpsnr zscale", True),
        ("xpsnr zscale", False),
        ("libvmaf xpsnr", False),
    ],
)
def test_an_ffmpeg_that_cannot_measure_is_not_taken_from_path(
    on_path: OnPath, filters: str, chosen: bool
) -> None:
    """One before 7.1 was called good, and every re-encode ended in "No such filter: 'xpsnr'"; one
    without zimg scored no HDR.
    """
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


@pytest.mark.parametrize(
    ("script", "why"), [("exit 3", "it ends with 3"), (None, "No such file or directory")]
)
def test_an_ffmpeg_that_does_not_run_is_told_in_plain_words(
    tmp_path: Path, script: str | None, why: str
) -> None:
    """Python's own words had been told: "Command '['./mine', '-version']' returned non-zero"."""
    mine = tmp_path / "mine"
    if script:
        mine.write_text(f"#!/bin/sh\n{script}\n")
        mine.chmod(0o755)
    with pytest.raises(SettingsError) as caught:
        ffmpeg.find(str(mine))
    assert str(caught.value) == f"ffmpeg at {mine} does not run: {why}"


def test_a_command_that_cannot_be_told_is_named_in_plain_words() -> None:
    with pytest.raises(FfmpegError, match=r"^no-mail: No such file or directory$"):
        ffmpeg.tell(["no-mail"], "", timeout_s=5)
    with pytest.raises(FfmpegError, match=r"^sleep: it does not end within 0\.1 s$"):
        ffmpeg.tell(["sleep", "20"], "", timeout_s=0.1)


def test_after_its_time_a_child_ends_like_any_other(ffmpeg_path: str) -> None:
    """Its pipe was closed under a reader that was busy: ValueError instead of an end."""
    endless = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-f", "rawvideo", "-"]
    argv = [ffmpeg_path, "-hide_banner", "-nostdin", *endless]
    with ffmpeg.child(argv, wall_limit_s=0.2) as running:
        running.wait(30)  # busy elsewhere meanwhile
        room = memoryview(bytearray(1 << 20))
        assert running.read_into(room) < len(room)


def test_a_command_that_hangs_is_ended_when_its_time_is_over() -> None:
    """Its time began once it had closed its output, which what hangs never does."""
    with pytest.raises(FfmpegError, match=r"within 0\.2 s"):
        ffmpeg.run(["/bin/sh", "-c", "exec sleep 20"], timeout_s=0.2)


def test_a_command_that_writes_much_is_not_held_up() -> None:
    argv = ["/bin/sh", "-c", "head -c 1000000 /dev/zero; cat; echo end >&2"]
    assert ffmpeg.run(argv, timeout_s=20) == ffmpeg.Finished(0, ("end",))


def test_a_child_that_will_not_end_is_killed_with_its_own_children(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ffmpeg, "TERM_GRACE_S", 0.1)
    deaf = "trap '' TERM; sleep 600 & echo $$ $!; while :; do wait; done"
    with ffmpeg.child(["/bin/sh", "-c", deaf]) as running:
        numbers = [int(word) for word in next(running.lines()).split()]
    assert len(numbers) == 2
    assert not [number for number in numbers if is_there(number)]


def is_there(number: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def test_a_child_that_complains_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "STDERR_LIMIT_BYTES", 1 << 20)
    with ffmpeg.child(["/bin/sh", "-c", "exec yes >&2"]) as running:
        finished = running.wait(timeout_s=30)
    assert finished.returncode != 0
    assert finished.tail[-1] == "stopped: it wrote more than 1 MiB"


@pytest.mark.skipif(not ffmpeg.confinement().takes, reason="not root, or no setpriv")
def test_a_child_takes_no_real_time_priority() -> None:
    """As root SVT-AV1 does: a run beside such encodes had hardly any time left."""
    take = "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))"
    with ffmpeg.child([sys.executable, "-S", "-c", take]) as running:
        assert any("PermissionError" in line for line in running.wait(timeout_s=60).tail)


@pytest.mark.skipif(not ffmpeg.confinement().prlimit, reason="there is no prlimit")
@pytest.mark.parametrize(("mib", "has_room"), [(256, False), (2048, True), (0, True)])
def test_a_child_has_as_much_memory_as_it_is_given(mib: int, has_room: bool) -> None:
    argv = [sys.executable, "-S", "-c", "bytearray(512 << 20)"]
    with ffmpeg.child(argv, memory_bytes=mib << 20) as running:
        assert (running.wait(timeout_s=60).returncode == 0) is has_room
