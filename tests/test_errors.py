"""What the system refuses is told in its words, not in Python's."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from aqs_batch.analysis.checkpoint import inspect
from aqs_batch.errors import AqsError, CheckpointError, reason_and_place, reason_of


def test_a_refusal_has_no_number_and_names_its_files_where_that_is_asked_for() -> None:
    with pytest.raises(OSError) as caught:
        Path("/nowhere/a\udcff.mp4").rename("/nowhere/b.mp4")
    assert reason_of(caught.value) == "No such file or directory"
    both = "No such file or directory: /nowhere/a\udcff.mp4 -> /nowhere/b.mp4"
    assert reason_and_place(caught.value) == both
    full = OSError(errno.ENOSPC, "No space left on device")
    assert reason_and_place(full) == reason_of(full) == "No space left on device"
    assert reason_and_place(OSError("cut short")) == "cut short"
    assert reason_and_place(AqsError("no room")) == "no room"


def test_what_is_no_checkpoint_is_called_that_and_no_more(tmp_path: Path) -> None:
    """It had been "'utf-8' codec can't decode byte 0xa0 in position 43", and "[Errno 21]"."""
    film = tmp_path / "a.mp4"
    film.write_bytes(b"\xff\xa0" * 4000)
    with pytest.raises(CheckpointError, match=r"a\.mp4 is not an aqs-batch checkpoint$"):
        inspect(film)
    with pytest.raises(CheckpointError, match=r"cannot be read: Is a directory$"):
        inspect(tmp_path)
