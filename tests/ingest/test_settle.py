"""When a file is complete: every law of the tracker, on a clock of our own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqs_batch.ingest.settle import SettleTracker, is_being_written
from aqs_batch.records import Stamp

STAMP = Stamp(10, 1, 1, 7)


def test_a_file_is_taken_at_the_second_look_once_it_was_quiet() -> None:
    tracker = SettleTracker(10.0)
    assert not tracker.look("a", STAMP, 0.0)
    assert not tracker.look("a", STAMP, 9.9)
    assert tracker.look("a", STAMP, 10.0)
    assert len(tracker) == 0


@pytest.mark.parametrize("field", Stamp._fields)
def test_any_change_begins_the_wait_anew(field: str) -> None:
    tracker = SettleTracker(10.0)
    tracker.look("a", STAMP, 0.0)
    changed = STAMP._replace(**{field: 99})
    assert not tracker.look("a", changed, 10.0)
    assert not tracker.look("a", changed, 19.9)
    assert tracker.look("a", changed, 20.0)


def test_one_look_is_never_enough_however_late() -> None:
    assert not SettleTracker(0.0).look("a", STAMP, 1e9)


@given(
    st.lists(st.tuples(st.floats(0.01, 30.0), st.integers(0, 2)), min_size=1, max_size=40),
    st.floats(0.0, 20.0),
)
def test_nothing_is_taken_that_changed_within_the_quiet_time(
    looks: list[tuple[float, int]], settle_s: float
) -> None:
    tracker, now, last_change, before = SettleTracker(settle_s), 0.0, 0.0, None
    for step, size in looks:
        now += step
        stamp = STAMP._replace(size_bytes=size)
        settled = tracker.look("a", stamp, now)
        if stamp != before or before is None:
            last_change = now
        if settled:
            assert stamp == before
            assert now >= last_change + settle_s
            before = None
        else:
            before = stamp


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.01, 5.0)), max_size=60))
def test_every_file_that_stands_still_comes_due(looks: list[tuple[str, float]]) -> None:
    tracker, now, waiting = SettleTracker(3.0), 0.0, set()
    for name, step in looks:
        now += step
        (waiting.discard if tracker.look(name, STAMP, now) else waiting.add)(name)
    due = tracker.due(now + 3.0)
    assert set(due) == waiting
    assert all(tracker.look(name, STAMP, now + 3.0) for name in due)


def test_a_file_that_is_gone_is_not_waited_for() -> None:
    tracker = SettleTracker(1.0)
    tracker.look("a", STAMP, 0.0)
    tracker.forget("a")
    assert len(tracker) == 0
    assert tracker.due(5.0) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="leases are Linux's")
def test_a_writer_is_noticed_while_it_pauses(tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    with file.open("wb") as handle:
        handle.write(b"half of it")
        handle.flush()
        assert is_being_written(str(file))
    assert not is_being_written(str(file))
    with file.open("rb"):
        assert not is_being_written(str(file))


def test_what_cannot_be_asked_is_not_said_to_be_written(tmp_path: Path) -> None:
    assert not is_being_written(str(tmp_path / "none"))
    os.mkfifo(tmp_path / "pipe")
    assert not is_being_written(str(tmp_path / "pipe"))
