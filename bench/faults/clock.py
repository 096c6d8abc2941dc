"""A clock of our own: waiting takes no time, and what happens meanwhile happens in it."""

from __future__ import annotations

from collections.abc import Callable


class FakeClock:
    """Time that passes only when somebody waits; `on_wait` lets the world go on meanwhile."""

    def __init__(self, start_s: float = 1_700_000_000.0) -> None:
        self._start_s, self._passed_s = start_s, 0.0
        self.on_wait: Callable[[float], None] = lambda seconds: None

    def now(self) -> float:
        return self._start_s + self._passed_s

    def steady(self) -> float:
        return self._passed_s

    def advance(self, seconds: float) -> None:
        self._passed_s += seconds

    def wait(self, seconds: float) -> None:
        # At least a tick: rounding must not make a due time unreachable.
        self.advance(max(seconds, 0.001))
        self.on_wait(seconds)

    def ring(self) -> None:
        pass
