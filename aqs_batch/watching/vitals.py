"""What the service says of itself: its signs of life, put together from its parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aqs_batch.clock import Clock
from aqs_batch.errors import StoreError
from aqs_batch.settings import Settings
from aqs_batch.store import Store
from aqs_batch.watching.health import Health, Pulse, State
from aqs_batch.watching.intake import Intake


@dataclass
class Tally:
    """What one invocation of the service did."""

    scored: int = 0
    failed: int = 0
    below_gate: int = 0
    unreachable: int = 0  # folders that were not there at the end
    lacks_report: bool = False  # the last one could not be written


class Vitals:
    """Beats for a service, which counts in `tally`."""

    def __init__(
        self, store: Store, settings: Settings, intake: Intake, tally: Tally, clock: Clock
    ) -> None:
        self._store, self._intake, self._tally, self._clock = store, intake, tally, clock
        self._health = Health(Path(settings.output.dir), settings.watch.prometheus_file)

    def beat(self, state: State, file: str = "", *, why: str = "", now: bool = False) -> None:
        """Say so, unless it was said a moment ago; `now`: in any case."""
        steady = self._clock.steady()
        if not now and not self._health.is_due(steady):
            return
        try:
            jobs = self._store.job_counts()
        except StoreError:  # a job in hand must not end because the database is busy
            jobs = {}
        pulse = Pulse(
            state=state,
            file=file.encode(errors="backslashreplace").decode(),
            why=why.encode(errors="backslashreplace").decode(),
            jobs=jobs,
            files=self._intake.files,
            waiting=self._intake.waiting,
            scored=self._tally.scored,
            failed=self._tally.failed,
            scan_s=round(self._intake.scan_s, 3),
        )
        self._health.beat(pulse, self._clock.now(), steady)
