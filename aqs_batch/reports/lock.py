"""One writer at a time in an output folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LOCK = ".report.lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Within this no other process writes reports into `folder`; waits for one that does.

    Two runs that ended together had removed each other's pages, and the index led to nowhere. The
    lock goes with the process that holds it, however that ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("ab") as handle:
        if sys.platform != "win32":  # which has no such lock
            import fcntl

            with suppress(OSError):  # nor has every share
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
