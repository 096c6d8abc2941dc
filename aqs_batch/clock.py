"""Time and waiting, as one argument: a test hands in another and a day passes in a second."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the service asks of time."""

    def now(self) -> float:
        """Seconds since the epoch; may jump when the machine's clock is set."""

    def steady(self) -> float:
        """Seconds that only ever go forward."""

    def wait(self, seconds: float) -> None:
        """Wait, at most `seconds`, less when rung."""

    def ring(self) -> None:
        """End a wait early; safe to call from a signal handler and from any thread."""


class SystemClock:
    """The machine's clock; its bell is a socket, since a signal handler must not take a lock."""

    def __init__(self) -> None:
        self._ear, self._bell = socket.socketpair()
        self._ear.setblocking(False)
        self._bell.setblocking(False)

    def now(self) -> float:
        return time.time()

    def steady(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        if select.select([self._ear], [], [], max(0.0, seconds))[0]:
            with contextlib.suppress(BlockingIOError):
                while self._ear.recv(4096):
                    pass

    def ring(self) -> None:
        with contextlib.suppress(OSError):  # full: it is ringing already; closed: nobody waits
            self._bell.send(b"!")

    def close(self) -> None:
        self._ear.close()
        self._bell.close()


def iso(now_s: float) -> str:
    """A time as every record keeps it: ISO 8601, UTC, to the second."""
    return datetime.fromtimestamp(now_s, UTC).isoformat(timespec="seconds")


def next_at(text: str, now_s: float) -> float:
    """The next moment the local wall clock shows `text` ("06:00"), in seconds since the epoch.

    Raises ValueError when `text` is not a time of day. Right across a change to summer time: it is
    the wall clock that counts, not the hours in between.
    """
    hour, minute = (int(part) for part in text.split(":"))
    here = datetime.fromtimestamp(now_s)
    found = here.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if found.timestamp() <= now_s:
        found += timedelta(days=1)
    return found.timestamp()
