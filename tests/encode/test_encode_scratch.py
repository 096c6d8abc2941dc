"""The folder a ladder works in: gone afterwards, and swept away after kill -9."""

from __future__ import annotations

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
