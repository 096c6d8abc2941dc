"""Bit rot: every night a share of an archive is read to the last byte."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from aqs_batch.auditing.findings import Findings
from aqs_batch.clock import Clock
from aqs_batch.errors import MediaError
from aqs_batch.ingest.fingerprint import content_hash
from aqs_batch.records import Stamp
from aqs_batch.stop import Stop, Stopped
from aqs_batch.store import Place, Store

Tell = Callable[[Place, str], None]  # a file that could not be read or is not what it was, and why


class Reading:
    """One night's share of the files listed, what was not read for longest first.

    What is rotten is told every night and is no part of the share, nor is what cannot be opened at
    all: they would take up all of it in the end.
    """

    def __init__(
        self,
        known: Iterable[Place],
        listed: Mapping[str, Stamp],
        nights: int,
        store: Store,
        now_s: float,
    ) -> None:
        self._store = store
        self._share = math.ceil(len(listed) / nights) if nights else 0
        there = [p for p in known if p.file in listed and not p.problem]
        unchanged = [place for place in there if listed[place.file].text == place.stamp]
        # Dates in the future, of a clock that was ahead, count as never: else it is years to them.
        self._due = deque(sorted(unchanged, key=lambda p: p.hashed_at * (p.hashed_at <= now_s)))

    def go_on(
        self, found: Findings, until: float, clock: Clock, stop: Stop, tell_rotten: Tell
    ) -> None:
        """Read until the share is done or `until`, epoch seconds; raises Stopped when told to."""
        while self._due and found.verified < self._share and clock.now() < until:
            if stop.requested:
                raise Stopped
            before = self._due.popleft()
            try:
                with stop.interruptible():
                    digest = content_hash(before.path)
            except MediaError as error:
                tell_rotten(before, str(error))
                continue
            if not before.content_hash or digest == before.content_hash:
                found.verified += 1
                found.verified_bytes += Stamp.parse(before.stamp).size_bytes
                self._store.verified(before, digest, clock.now())
            elif _is_untouched(before):
                tell_rotten(before, "its content changed while nothing wrote to it")


def _is_untouched(place: Place) -> bool:
    with suppress(OSError):
        return Stamp.of(os.stat(place.path)).text == place.stamp
    return False
