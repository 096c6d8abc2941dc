"""How the service is told to stop, and how a job in hand learns of it in time."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from aqs_batch.clock import Clock

AFTER_HOURS_S = 600.0  # how long the job in hand may go on after `until`


def ending_signals() -> list[int]:
    """The signals by which others ask a process to end: TERM, and HUP as a closed terminal sends.

    A HUP that is ignored stays so, or nohup would be in vain.
    """
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN:
        return [signal.SIGTERM]
    return [signal.SIGTERM, hangup]


class Stopped(BaseException):
    """The grace is over: let go of the job in hand. No Exception, so that nothing swallows it."""


class Stop:
    """A request to stop. The job in hand has `grace_s` to end; then Stopped is raised within it.

    A second signal ends the grace at once.
    """

    def __init__(self, clock: Clock, grace_s: float) -> None:
        self._clock, self._grace_s = clock, grace_s
        self.requested = False
        self.signal = 0
        self._deadline = float("inf")
        self._inside = False

    def request(self, number: int = 0) -> None:
        """Ask for a stop; asked again, the grace is over."""
        now = self._clock.steady()
        self._deadline = now if self.requested else now + self._grace_s
        self.requested, self.signal = True, number
        self._clock.ring()

    def check(self) -> None:
        """Raise Stopped when the grace is over."""
        if self._clock.steady() >= self._deadline:
            raise Stopped

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Within this, Stopped may come at any instant; outside, nothing is torn in the middle."""
        self.check()
        self._inside = True
        try:
            yield
        finally:
            self._inside = False

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGTERM, SIGHUP and SIGINT ask for a stop; main thread only."""
        handled = [*ending_signals(), signal.SIGINT]
        before = {number: signal.signal(number, self._on_signal) for number in handled}
        if hasattr(signal, "SIGALRM"):
            before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._on_alarm)
        try:
            yield
        finally:
            if hasattr(signal, "SIGALRM"):
                signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        again = self.requested
        self.request(number)
        if hasattr(signal, "SIGALRM"):
            # Repeated: an alarm that falls between two interruptible stretches must not be lost.
            signal.setitimer(signal.ITIMER_REAL, 0.001 if again else self._grace_s + 0.001, 0.25)

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        if self._inside and self._clock.steady() >= self._deadline:
            self._inside = False  # once is enough: clean-up must not be interrupted again
            raise Stopped
