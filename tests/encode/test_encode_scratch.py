"""The folder a ladder works in: gone afterwards, and swept away after kill -9."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aqs_batch.encode.scratch import PREFIX, scratch

DIES = """
import os, sys
from pathlib import Path
from aqs_batch.encode.scratch import scratch
with scratch(Path(sys.argv[1])) as folder:
    (folder / "half.mkv").write_bytes(b"half")
    os.kill(os.getpid(), 9)
"""


def left(folder: Path) -> list[Path]:
    return list(folder.glob(f"{PREFIX}*"))


def test_it_goes_however_the_work_ends(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), scratch(tmp_path / "out") as folder:
        (folder / "half.mkv").write_bytes(b"half")
        raise KeyboardInterrupt
    assert left(tmp_path / "out") == []


def test_what_a_killed_process_left_is_swept_and_a_living_ones_is_not(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=False)
    (abandoned,) = left(tmp_path)
    with scratch(tmp_path) as ours:
        assert not abandoned.exists()
        with scratch(tmp_path) as second:
            assert ours.exists() and second.exists()
    assert left(tmp_path) == []


def test_what_was_left_where_else_it_may_lie_is_swept(tmp_path: Path) -> None:
    """What is kept is made in another folder than what is not."""
    elsewhere = tmp_path / "encodes"
    subprocess.run([sys.executable, "-c", DIES, str(elsewhere)], check=False)
    assert left(elsewhere)
    with scratch(tmp_path, [elsewhere]):
        assert not left(elsewhere)


def test_what_a_container_left_is_swept_once_it_is_a_day_old(tmp_path: Path) -> None:
    """Its process cannot be asked after, and gigabytes had stayed of each that was killed."""
    folder = tmp_path / f"{PREFIX}other"
    folder.mkdir()
    for name, text in (("owner", "elsewhere/1:7:7"), ("half.mkv", "half")):
        (folder / name).write_text(text)
    for path in (folder / "owner", folder):
        os.utime(path, (1, 1))
    with scratch(tmp_path):
        assert folder.exists()  # its encode is being written
    os.utime(folder / "half.mkv", (1, 1))
    with scratch(tmp_path):
        assert not folder.exists()
    with scratch(tmp_path) as asleep:
        for path in (asleep / "owner", asleep):
            os.utime(path, (1, 1))
        with scratch(tmp_path):
            assert asleep.exists()
