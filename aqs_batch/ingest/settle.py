"""When a file is complete: one tracker for every way a file may come to our notice."""

from __future__ import annotations

import contextlib
import heapq
import os
import signal
from dataclasses import dataclass

from aqs_batch.records import Stamp

try:
    import fcntl
except ImportError:  # Windows, where a file being written cannot be opened at all
    fcntl = None  # type: ignore[assignment]


@dataclass
class _Watched:
    stamp: Stamp
    due_s: float  # the one sum that everything is compared with, so that rounding cannot differ


class SettleTracker:
    """Files that are waited for until they stand still.

    A file is settled when two looks at least `settle_s` apart found the same size, times and inode.
    The times of the file itself do not count: they are the writer's to set, and a NAS has its own
    clock. All times here are of one steady clock, in seconds.
    """

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._watched: dict[str, _Watched] = {}
        self._due: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._watched)

    def look(self, path: str, stamp: Stamp, now_s: float) -> bool:
        """Note what a file looks like now; True, once, when it has settled."""
        known = self._watched.get(path)
        if known is not None and known.stamp == stamp:
            if now_s < known.due_s:
                return False
            del self._watched[path]
            return True
        self.restart(path, stamp, now_s)
        return False

    def restart(self, path: str, stamp: Stamp, now_s: float) -> None:
        """Begin to wait for a file, again where it was waited for already."""
        due_s = now_s + self._settle_s
        self._watched[path] = _Watched(stamp, due_s)
        heapq.heappush(self._due, (due_s, path))

    def forget(self, path: str) -> None:
        """Stop waiting for a file that is gone."""
        self._watched.pop(path, None)

    def due(self, now_s: float) -> list[str]:
        """The files whose second look is due; each is named once per wait."""
        found = []
        while self._due and self._due[0][0] <= now_s:
            _, path = heapq.heappop(self._due)
            known = self._watched.get(path)
            if known is not None and known.due_s <= now_s:
                found.append(path)
        return list(dict.fromkeys(found))

    def next_due_s(self) -> float | None:
        """When the next second look is due; None: nothing is waited for."""
        return self._due[0][0] if self._due else None


def is_being_written(path: str) -> bool:
    """Whether some process holds the file open for writing, as far as the kernel will say.

    A slow copy may pause for longer than any sensible quiet time. Linux grants a read lease only
    on a file that nobody has open for writing; where leases are not to be had (another's file, a
    network file system, another system) the answer is False and the quiet time alone decides.
    """
    if fcntl is None or not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # A writer that comes now breaks the lease, of which the kernel would tell us with SIGIO,
        # and SIGIO ends a process; SIGURG does nothing.
        fcntl.fcntl(handle, getattr(fcntl, "F_SETSIG", 10), signal.SIGURG)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    else:
        with contextlib.suppress(OSError):
            fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False
    finally:
        os.close(handle)
