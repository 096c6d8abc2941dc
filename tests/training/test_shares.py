"""Tests for work in shares."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from aqs_batch.errors import MediaError
from training.shares import together


def _written(folder: Path, numbers: Sequence[int]) -> None:
    for number in numbers:
        with (folder / f"{number}").open("x") as file:
            file.write(",".join(map(str, numbers)))


@pytest.mark.parametrize("processes", [0, 1, 2, 7])
def test_everything_is_done_once_in_as_many_shares_as_asked_for(
    tmp_path: Path, processes: int
) -> None:
    together(partial(_written, tmp_path), range(5), processes)
    assert sorted(file.name for file in tmp_path.iterdir()) == list("01234")
    shares = {file.read_text() for file in tmp_path.iterdir()}
    assert len(shares) == min(max(processes, 1), 5)


def _refused(numbers: Sequence[int]) -> None:
    raise MediaError(f"no {numbers[0]}", hint="Take another.")


def test_what_a_share_raises_is_told_where_it_was_asked_for() -> None:
    with pytest.raises(MediaError, match="no 3") as error:
        together(_refused, [3], 2)
    assert error.value.hint == "Take another."


def _held(folder: Path, numbers: Sequence[int]) -> None:
    """Number 0 waits for ever, and says who does; 1 fails once it does."""
    told = folder / "told"
    if numbers[0] == 0:
        os.mkfifo(told)
        print(os.getpid(), flush=True)
        told.read_text()
    while not told.exists():
        pass
    raise MediaError("no 1")


def test_one_share_that_fails_ends_the_others(tmp_path: Path) -> None:
    """They had gone on for hours before it was told."""
    with pytest.raises(MediaError, match="no 1"):
        together(partial(_held, tmp_path), [0, 1], 2)


def _killed(numbers: Sequence[int]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed_is_told_with_what_to_do() -> None:
    """It had been a traceback of the pool's."""
    with pytest.raises(OSError, match="run it again to go on, with fewer --processes"):
        together(_killed, [0], 1)


def test_who_is_left_alone_ends(tmp_path: Path) -> None:
    """Its parent killed, it had gone on beside the next run's, and then waited for ever."""
    code = (
        "from functools import partial; from pathlib import Path\n"
        "from test_shares import _held, together\n"
        f"together(partial(_held, Path({str(tmp_path)!r})), [0], 1)"
    )
    argv = [sys.executable, "-c", code]
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        waits = int(parent.stdout.readline())
        parent.kill()
        try:
            parent.communicate(timeout=60)  # whoever is left holds its output open
        finally:
            with suppress(ProcessLookupError):
                os.kill(waits, signal.SIGKILL)
