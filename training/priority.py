"""Real-time priority, which encoders that run inside our processes must not take."""

from __future__ import annotations

import ctypes
import os
import sys

_VERSION, _SYS_NICE = 0x20080522, 23  # of linux/capability.h


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    """Effective, permitted and inheritable capabilities, 32 of them."""

    _fields_ = tuple((name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable"))


def forgo_real_time() -> None:
    """Give up for this thread, and those it starts, what lets SVT-AV1 take real-time priority: as
    root it takes it for its threads and for the one that called it, and for good, which leaves a
    twentieth of the time to all else on the machine.

    Children of our own are held by `aqs_batch.confinement`.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        return
    header, sets = _Header(_VERSION, 0), (_Sets * 2)()
    kernel = ctypes.CDLL(None)
    if kernel.capget(ctypes.byref(header), sets) == 0:
        sets[0].effective &= ~(1 << _SYS_NICE)
        sets[0].permitted &= ~(1 << _SYS_NICE)
        kernel.capset(ctypes.byref(header), sets)
