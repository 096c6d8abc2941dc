"""Files begun ahead: each gets its own answer or its own error, in its own turn."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from aqs_batch.errors import MediaError
from aqs_batch.lookahead import MOST_SEQUENCES, Lookahead


@dataclass
class Answer:
    path: Path
    thread: threading.Thread


def nothing(done: int, of: int) -> None:
    pass


def unprobed(path: Path) -> Path:
    return path


@contextmanager
def noticing(dropped: threading.Event) -> Iterator[None]:
    """Sets `dropped` where the work inside is called off."""
    try:
        yield
    except BaseException:
        dropped.set()
        raise


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{n}.mp4" for n in range(4)]
    for path in paths:
        path.write_text(path.name)
    return paths


class Bench:
    """Work that notes who did it; `trouble` maps a path to what it raises."""

    def __init__(self, planned: int = 3) -> None:
        self.planned, self.trouble, self.began, self.probed = planned, {}, [], []

    def probe(self, path: Path) -> Path:
        self.probed.append(path)
        return path

    def __call__(self, path: Path, progress) -> Answer:
        self.began.append(path)
        for done in range(self.planned + 1):
            progress(done, self.planned)
        if path in self.trouble:
            raise self.trouble[path]
        return Answer(path, threading.current_thread())


def test_the_next_file_is_worked_on_in_another_thread_and_only_once(files: list[Path]) -> None:
    work = Bench()
    ahead = Lookahead(work.probe, work, lambda: 0.0, most=2)
    assert ahead.finish(files[0], nothing, files[1:]).thread is threading.current_thread()
    steps = []
    answer = ahead.finish(files[1], lambda done, of: steps.append((done, of)))
    assert answer.path == files[1]
    assert answer.thread is not threading.current_thread()
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert sorted(work.began) == files[:2]


def test_every_file_of_a_run_is_worked_on_once(files: list[Path]) -> None:
    """What was begun ahead had been dropped in its own turn, as no longer among those to come."""
    work = Bench()
    ahead = Lookahead(work.probe, work, lambda: 0.0, most=2)
    threads = [
        ahead.finish(path, nothing, files[number + 1 :]).thread for number, path in enumerate(files)
    ]
    assert sorted(work.began) == files
    assert threads[0] is threading.current_thread()
    assert threading.current_thread() not in threads[1:]


def test_an_error_waits_for_its_own_file(files: list[Path]) -> None:
    work = Bench()
    work.trouble[files[1]] = MediaError("broken")
    ahead = Lookahead(work.probe, work, lambda: 0.0, most=1)
    assert ahead.finish(files[0], nothing, files[1:]).path == files[0]
    with pytest.raises(MediaError, match="broken"):
        ahead.finish(files[1], nothing)
    assert ahead.finish(files[2], nothing).path == files[2]


@pytest.mark.parametrize("is_longer", [True, False])
def test_a_file_that_changed_since_it_was_begun_is_read_again(
    is_longer: bool, files: list[Path]
) -> None:
    work = Bench()
    ahead = Lookahead(work.probe, work, lambda: 0.0, most=1)
    ahead.finish(files[3], nothing, files[:1])
    if is_longer:
        files[0].write_text("longer than before")
    else:
        os.utime(files[0], (1, 1))
    assert ahead.finish(files[0], nothing).thread is threading.current_thread()


@pytest.mark.parametrize("is_changed", [True, False])
def test_what_nobody_wants_any_more_ends_at_its_next_sequence(
    is_changed: bool, files: list[Path]
) -> None:
    gate, dropped, here = threading.Event(), threading.Event(), threading.current_thread()

    def work(path: Path, progress) -> Answer:
        if path == files[0] and threading.current_thread() is not here:
            gate.wait(30)
            with noticing(dropped):
                progress(1, 2)
        return Answer(path, threading.current_thread())

    ahead = Lookahead(unprobed, work, lambda: 0.0, most=1)
    ahead.finish(files[3], nothing, files[:1])
    if is_changed:
        files[0].write_text("longer than before")
        assert ahead.finish(files[0], nothing).thread is here
    else:
        ahead.finish(files[1], nothing, files[2:])
    gate.set()
    assert dropped.wait(10)


@pytest.mark.parametrize("longer", [0, 1])
def test_a_long_file_waits_for_its_turn_and_is_probed_once(longer: int, files: list[Path]) -> None:
    work = Bench(planned=MOST_SEQUENCES + longer)
    ahead = Lookahead(work.probe, work, lambda: 0.0, most=1)
    ahead.finish(files[3], nothing, files[:1])
    waited = ahead.finish(files[0], nothing).thread is threading.current_thread()
    assert waited is bool(longer)
    assert sorted(work.probed) == [files[0], files[3]]


def test_a_file_that_vanished_is_told_in_its_turn(files: list[Path]) -> None:
    work = Bench()
    ahead = Lookahead(work.probe, work, lambda: 0.0, most=1)
    files[0].unlink()
    ahead.finish(files[3], nothing, files[:1])
    assert ahead.finish(files[0], nothing).path == files[0]  # the work itself would say so


def test_as_many_files_are_begun_as_keep_the_model_busy(files: list[Path], monkeypatch) -> None:
    now = 0.0
    monkeypatch.setattr("aqs_batch.lookahead.time.perf_counter", lambda: now)
    busy = 0.0
    work = Bench()
    ahead = Lookahead(work.probe, work, lambda: busy, most=3)
    depths = []
    for share in (0.1, 0.1, 0.1, 0.9, 1.0, 1.0, 1.0):
        now += 10
        busy += 10 * share
        ahead.finish(files[0], nothing)
        depths.append(ahead.depth)
    assert depths == [2, 3, 3, 3, 2, 1, 1]


def test_an_interrupt_while_waiting_drops_the_work(files: list[Path]) -> None:
    gate = threading.Event()
    dropped = threading.Event()

    def work(path: Path, progress) -> Answer:
        progress(0, 2)
        if path == files[0]:
            gate.wait(30)
        with noticing(dropped):
            progress(1, 2)
        return Answer(path, threading.current_thread())

    def interrupt(done: int, of: int) -> None:
        raise KeyboardInterrupt

    ahead = Lookahead(unprobed, work, lambda: 0.0, most=1)
    ahead.finish(files[3], nothing, files[:1])
    with pytest.raises(KeyboardInterrupt):
        ahead.finish(files[0], interrupt)
    gate.set()
    assert dropped.wait(30)
