"""Tests for work in shares."""

from __future__ import annotations

from collections.abc import Sequence
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
