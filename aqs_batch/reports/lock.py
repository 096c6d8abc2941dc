"""One writer at a time in an output folder."""

from __future__ import annotations

import errno
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_LOG = logging.getLogger(__name__)
_LOCK = ".report.lock"
_POLL_S = 0.5


@contextmanager
def alone(
    folder: Path, at_each: Callable[[], None] = lambda: None, *, patient: bool = True
) -> Iterator[None]:
    """Within this no other process writes reports into `folder`.

    Two runs that ended together had removed each other's pages, and the index led to nowhere. The
    lock goes with the process that holds it, however that ends. One that does is waited for, which
    is told, with `at_each` called meanwhile; not `patient`, it raises BlockingIOError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("ab") as handle:
        waits = False
        while _is_taken(handle):
            if not patient:
                why = "another process is writing it"
                raise BlockingIOError(errno.EWOULDBLOCK, why, str(folder))
            if not waits:
                waits = True
                _LOG.warning("another process is writing the report in %s: waiting for it", folder)
            at_each()
            time.sleep(_POLL_S)
        yield


def _is_taken(handle: BinaryIO) -> bool:
    """Take the lock, or say that another process has it."""
    if sys.platform == "win32":  # which has no such lock
        return False
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # nor has every share
        return False
    return False
