"""What a run says of its files, and an audit of their places, on its way to the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aqs_batch.clock import Clock
from aqs_batch.store import Finding, Place, RunFile, Store

LONGEST_S = 1.0  # that a word waits, and so may be lost with its process
MOST_PLACES = 500  # in one transaction: meanwhile a service on the same database cannot write


class Entries:
    """Records what became of files: those of about a second in one transaction.

    For each file of 10,000 that are known a run had waited for its disk, and a first audit thrice.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self.run_id = 0
        self._waiting: list[RunFile] = []
        self._noted: list[Place] = []
        self._settled: list[tuple[Place, tuple[Finding, ...]]] = []
        self._since_s: float | None = None

    def add(self, entry: RunFile) -> None:
        """Record one file, soon."""
        self._waiting.append(entry)
        self._soon()

    def note(self, place: Place) -> None:
        """Note what lies where, soon."""
        self._noted.append(place)
        self._soon()

    def settle(self, place: Place, *found: Finding) -> None:
        """Note that a night has told what it found at a place, soon."""
        self._settled.append((place, found))
        self._soon()

    def _soon(self) -> None:
        now_s = self._clock.steady()
        if self._since_s is None:
            self._since_s = now_s
        places = len(self._noted) + len(self._settled)
        if now_s - self._since_s >= LONGEST_S or places >= MOST_PLACES:
            self.flush()

    def flush(self) -> None:
        """Record what waits, now."""
        if self._since_s is not None:
            with self.along():
                pass

    @contextmanager
    def along(self) -> Iterator[None]:
        """Record what waits together with all that is written to the store inside."""
        with self._store.at_once():
            self._store.record_file(self.run_id, *self._waiting)
            for place in self._noted:
                self._store.note(place)
            for place, found in self._settled:
                self._store.settle(self.run_id, place, *found)
            yield
        for waiting in (self._waiting, self._noted, self._settled):
            waiting.clear()
        self._since_s = None
