"""What a run says of its files, on its way to the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aqs_batch.clock import Clock
from aqs_batch.store import RunFile, Store

LONGEST_S = 1.0  # that a word waits, and so may be lost with its process


class Entries:
    """Records what became of files: those of about a second in one transaction.

    A run over 10,000 known files had waited for its disk 10,000 times.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self.run_id = 0
        self._waiting: list[RunFile] = []
        self._since_s = 0.0

    def add(self, entry: RunFile) -> None:
        """Record one file, soon."""
        now_s = self._clock.steady()
        if not self._waiting:
            self._since_s = now_s
        self._waiting.append(entry)
        if now_s - self._since_s >= LONGEST_S:
            self.flush()

    def flush(self) -> None:
        """Record what waits, now."""
        if self._waiting:
            with self.along():
                pass

    @contextmanager
    def along(self) -> Iterator[None]:
        """Record what waits together with all that is written to the store inside."""
        with self._store.at_once():
            self._store.record_file(self.run_id, *self._waiting)
            yield
        self._waiting.clear()
