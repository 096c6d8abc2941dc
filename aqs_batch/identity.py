"""Who holds a job or a file: a name for this process that outlives it, and whether it is gone."""

from __future__ import annotations

import os
import socket
from pathlib import Path

# What nobody has written to for so long is left behind, where its writer cannot be asked after.
ABANDONED_AFTER_S = 24 * 3600.0
_HOST_CHARACTERS = 24


def own_name() -> str:
    """host/pid-namespace:pid:start, at most 64 characters.

    The start tells this process from a later one with its number, the namespace from another
    container with the same host name.
    """
    return f"{_here()}:{os.getpid()}:{_started(os.getpid())}"


def is_gone(name: str) -> bool:
    """Whether the bearer of `name` ran here and has ended; False when that cannot be known."""
    place, _, rest = name.partition(":")
    pid, _, started = rest.partition(":")
    if place != _here() or not pid.isdigit():
        return False
    if _started(os.getpid()):
        return _started(int(pid)) != started
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False
    return False


def is_at_work(name: str) -> bool:
    """Whether the bearer of `name` is known to go on: another process, and here."""
    here = name.partition(":")[0] == _here()
    return here and name != own_name() and not is_gone(name)


def _here() -> str:
    host = socket.gethostname()[:_HOST_CHARACTERS].replace(":", "-")
    try:
        return f"{host}/{Path('/proc/self/ns/pid').readlink().name.strip('pid:[]')}"
    except OSError:
        return host


def _started(pid: int) -> str:
    """When a process began, in clock ticks since boot; "" where /proc does not say."""
    try:
        line = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    fields = line[line.rindex(b")") + 2 :].split()
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
