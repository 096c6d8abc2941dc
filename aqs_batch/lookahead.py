"""The next files are begun while this one is still being worked on.

A small file spends more time in opening, probing and starting a decoder than in the model. Begun
ahead, that time is hidden behind the model's work on the file before, and both files' tiles meet
in one batch. What was worked out waits here until it is asked for; an error waits likewise, and
is raised for its own file and no other.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Generic, TypeVar

from aqs_batch.errors import MediaError
from aqs_batch.events import Progress
from aqs_batch.records import Stamp

Probed = TypeVar("Probed")
Result = TypeVar("Result")

STARVED, FED = 0.8, 0.95  # share of time the model was busy: below, more decoders; above, fewer
MOST_SEQUENCES = 64  # a longer file gains nothing by a head start, and a crash would lose more


class _Dropped(BaseException):
    """Raised inside work that nobody wants any more, or not yet."""


class _Ahead(Generic[Probed, Result]):
    """One file's probe and work in their own thread."""

    def __init__(
        self,
        path: Path,
        probe: Callable[[Path], Probed],
        work: Callable[[Probed, Progress], Result],
    ) -> None:
        self.began = stamp(path)
        self._path, self._probe, self._work = path, probe, work
        self._steps: SimpleQueue[tuple[int, int] | None] = SimpleQueue()
        self._dropped = threading.Event()
        self._probed: Probed | None = None
        self._outcome: Result | BaseException = _Dropped()
        # Daemonic: whoever interrupts a run must not wait for a file that was only begun ahead.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._probed = self._probe(self._path)
            self._outcome = self._work(self._probed, self._step)
        except BaseException as error:  # raised again in the thread that asks for the result
            self._outcome = error
        finally:
            self._steps.put(None)

    def _step(self, done: int, of: int) -> None:
        if self._dropped.is_set() or of > MOST_SEQUENCES:
            raise _Dropped
        self._steps.put((done, of))

    def result(self, progress: Progress) -> Result:
        """Wait for it, telling its progress in the caller's thread; raises what it raised there.

        What was left to its own turn is worked on now; a long film had been probed once more.
        """
        try:
            for done, of in iter(self._steps.get, None):
                progress(done, of)
        except BaseException:
            self.drop()
            raise
        if isinstance(self._outcome, _Dropped) and self._probed is not None:
            return self._work(self._probed, progress)
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome

    def drop(self) -> None:
        """Have it end at its next sequence."""
        self._dropped.set()


class Lookahead(Generic[Probed, Result]):
    """Works on a few files at once, as many as keep the model busy.

    `probe` looks into a file, `work` makes the result of what it saw. `busy_s` tells how long the
    model has worked so far; at most `most` files are begun ahead.
    """

    def __init__(
        self,
        probe: Callable[[Path], Probed],
        work: Callable[[Probed, Progress], Result],
        busy_s: Callable[[], float],
        most: int,
    ) -> None:
        self._probe, self._work, self._busy_s, self._most = probe, work, busy_s, max(most, 1)
        self.depth = 1
        self._begun: dict[Path, _Ahead[Probed, Result]] = {}
        self._looked = (time.perf_counter(), busy_s())

    def finish(self, path: Path, progress: Progress, upcoming: Iterable[Path] = ()) -> Result:
        """The result for a file, begun ahead or from here on; raises what `probe` or `work` does.

        Of the `upcoming` files the next are begun meanwhile, as many as `depth` allows; what was
        begun and is no longer among them is forgotten.
        """
        # Taken out first: this file is not among those to come, and had been dropped as such, so
        # that every file of a run was worked on twice.
        begun = self._begun.pop(path, None)
        self._begin(upcoming)
        self._adapt()
        if begun is not None and begun.began == stamp(path):
            return begun.result(progress)
        if begun is not None:
            begun.drop()
        return self._work(self._probe(path), progress)

    def _begin(self, upcoming: Iterable[Path]) -> None:
        """Begin the next files; never raises for a file: its own turn will tell."""
        wanted = list(islice(upcoming, self.depth))
        for path in [p for p in self._begun if p not in wanted]:
            self._begun.pop(path).drop()
        for path in wanted:
            if path not in self._begun:
                with contextlib.suppress(MediaError):
                    self._begun[path] = _Ahead(path, self._probe, self._work)

    def _adapt(self) -> None:
        """One file more ahead while the model starves, one fewer while it is always fed."""
        now, busy = time.perf_counter(), self._busy_s()
        then, was = self._looked
        self._looked = now, busy
        share = (busy - was) / max(now - then, 1e-6)
        if share < STARVED:
            self.depth = min(self.depth + 1, self._most)
        elif share > FED:
            self.depth = max(self.depth - 1, 1)


def stamp(path: Path) -> tuple[int, int]:
    """Size and time of change, by which a file that changes while it is read is noticed."""
    try:
        return Stamp.of(os.stat(path)).written
    except OSError as error:
        raise MediaError("the file is gone", hint="It vanished while it was being read.") from error
