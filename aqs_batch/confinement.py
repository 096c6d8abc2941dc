"""What holds a child that we start: argument lists for util-linux's setpriv and prlimit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DIES_WITH_US = ("--pdeathsig", "KILL")
# SVT-AV1's threads, run as root, take the highest real-time priority there is: to all else on the
# machine, our own heartbeat with it, the kernel then leaves a twentieth of the time.
NO_REAL_TIME = "--bounding-set=-sys_nice"


@dataclass(frozen=True)
class Confinement:
    """Paths of setpriv and prlimit, "" where missing, and what setpriv can take away here."""

    setpriv: str = ""
    prlimit: str = ""
    takes: tuple[str, ...] = ()

    def argv(self, argv: Sequence[str], memory_bytes: int, parent: int) -> list[str]:
        """`argv`, dying with us (by kill -9 too) and bounded in address space; 0: unbounded.

        The kernel's promise to kill the child holds from setpriv on; `parent` (our process id) is
        compared after it, or a kill between our fork and setpriv would leave an orphan. The shell
        sees the command as its parameters only.
        """
        bounded = list(argv)
        if self.prlimit and memory_bytes:
            bounded = [self.prlimit, f"--as={memory_bytes}", "--core=0", *bounded]
        if self.setpriv:
            guard = ["/bin/sh", "-c", 'test "$PPID" = "$0" && exec "$@"', str(parent)]
            bounded = [self.setpriv, *DIES_WITH_US, *self.takes, "--", *guard, *bounded]
        return bounded
