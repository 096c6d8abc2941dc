"""One job from claim to saved result: whatever a file does, it ends here and not the process."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Generic, TypeVar

from aqs_batch.analysis.score import video_aqs
from aqs_batch.clock import Clock
from aqs_batch.errors import (
    AqsError,
    LostJob,
    MediaError,
    RefusedRow,
    SettingsError,
    StoreError,
    reason_and_place,
)
from aqs_batch.events import Event, EventKind, Listener, Progress, Unheard
from aqs_batch.identity import is_gone
from aqs_batch.ingest.fingerprint import fingerprint
from aqs_batch.records import Stamp
from aqs_batch.settings import LimitSettings
from aqs_batch.stop import Stop, Stopped
from aqs_batch.store import Analysis, Job, Store, backoff

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
RUN_WAITS_S = 120.0  # of one call: somebody waits for its end
POLL_S = 1.0  # between two looks at a file that another process has in hand
LONGEST_WAIT_S = float("inf")  # of a service
Process = Callable[[Path, str, Progress], Analysis]


@dataclass(frozen=True)
class Task(Generic[T]):
    """What is done with a file, and how its result is saved together with the end of its job.

    `process` gets path, fingerprint and progress. An error of the kinds in `final` is this
    content's own: it would come again, so it is not tried again.
    """

    process: Callable[[Path, str, Progress], T]
    save: Callable[[Job, T], None]
    final: tuple[type[AqsError], ...] = (MediaError,)


def scoring(store: Store, process: Process) -> Task[Analysis]:
    """The task of an analysis."""

    def save(job: Job, analysis: Analysis) -> None:
        store.save(job, analysis, video_aqs(analysis.sequences))

    return Task(process, save)


class End(Enum):
    """How a job left our hands."""

    SAVED = "saved"
    FAILED = "failed"  # this content cannot be scored
    LATER = "later"  # something else went wrong: it is tried again
    GAVE_UP = "gave up"  # it went wrong too often: quarantined
    STALE = "stale"  # the file is gone or holds something else now: the job is forgotten
    LOST = "lost"  # another process has it, or it was cancelled
    RELEASED = "released"  # we were told to stop: it waits, its attempt not counted


@dataclass(frozen=True)
class Ended:
    """How a job ended, and what a person needs to know of it."""

    end: End
    reason: str = ""
    hint: str = ""


def take_over(store: Store, limits: LimitSettings, clock: Clock) -> list[Job]:
    """Queue, or set aside, what processes had in hand that are gone; returns those jobs."""
    return store.reap(clock.now(), is_gone, limits.backoff_s, limits.max_attempts)


def once_free(
    look: Callable[[], T | None],
    on_wait: Callable[[], None],
    store: Store,
    limits: LimitSettings,
    clock: Clock,
) -> T:
    """What `look` gives once it is not None, which says that another process has the file in hand.

    `on_wait` is called where there is something to wait for. What dead processes had is taken over.
    """
    if (found := look()) is None:
        on_wait()
    while found is None:
        clock.wait(POLL_S)
        take_over(store, limits, clock)
        found = look()
    return found


class Worker(Generic[T]):
    """Works on one claimed job at a time, holding its lease."""

    def __init__(
        self,
        store: Store,
        limits: LimitSettings,
        task: Task[T],
        clock: Clock,
        stop: Stop,
        listen: Listener = lambda event: None,
    ) -> None:
        self._store, self._limits, self._clock, self._stop = store, limits, clock, stop
        self._task, self._listen = task, listen

    def work(self, job: Job, progress: Progress, *, patient: bool) -> Ended:
        """Process a claimed job and record its end; raises StoreError when that cannot be told.

        `patient`: what goes wrong for reasons that may pass is tried again later, up to
        `max_attempts`; else it has failed. A job that was lost meanwhile is left alone.
        """
        try:
            ended, result = self._attempt(job, progress, patient)
            if result is None:
                return self._end(job, ended)
            return self._saved(job, result, LONGEST_WAIT_S if patient else RUN_WAITS_S)
        except Stopped:
            self._store.release(job)
            return Ended(End.RELEASED)
        except (KeyboardInterrupt, Unheard, SettingsError):  # no fault of the file's
            self._store.release(job)
            raise

    def _attempt(self, job: Job, progress: Progress, patient: bool) -> tuple[Ended, T | None]:
        """What becomes of the job: the only place that catches whatever a file may set off."""
        unexpected = End.LATER if patient else End.FAILED
        try:
            with self._stop.interruptible(), self._held(job) as lease:
                return Ended(End.SAVED), self._read_whole(job, lease.through(progress))
        except LostJob as error:
            return Ended(End.LOST, str(error)), None
        except _Stale as error:
            return Ended(End.STALE, str(error), "It is taken again once it is complete."), None
        except SettingsError:
            raise
        except self._task.final as error:
            return Ended(End.FAILED, str(error), error.hint), None
        except AqsError as error:
            return Ended(unexpected, str(error), error.hint), None
        except OSError as error:  # a disk that is full is no fault of the program's to be reported
            hint = "Is a disk full, or a folder not to be written to?"
            return Ended(unexpected, reason_and_place(error), hint), None
        except Exception as error:  # the job boundary: one bad file must not end the run
            _LOG.debug("%s met an internal error", job.path, exc_info=True)  # shown by --debug
            reason = f"internal error: {type(error).__name__}: {error}"
            hint = "Run it alone with --debug for the traceback, and please report it."
            return Ended(unexpected, reason, hint), None

    def _read_whole(self, job: Job, progress: Progress) -> T:
        """Process a file that is, before and after, the one that was queued."""
        before = _look(job.path)
        if _print_of(job.path) != job.fingerprint:
            raise _Stale("the file changed after it was queued")
        try:
            result = self._task.process(job.path, job.fingerprint, progress)
        except self._task.final:
            if _look(job.path) != before:  # what was wrong with it may be that it was being written
                raise _Stale("the file changed while it was being read") from None
            raise
        if _look(job.path) != before:
            raise _Stale("the file changed while it was being read")
        return result

    def _end(self, job: Job, ended: Ended) -> Ended:
        if ended.end is End.FAILED:
            self._store.fail(job, ended.reason, ended.hint)
        elif ended.end is End.STALE:
            self._store.drop(job)
        elif ended.end is End.LATER:
            at = self._clock.now() + backoff(self._limits.backoff_s, job.attempts)
            most = self._limits.max_attempts
            if not self._store.postpone(job, ended.reason, ended.hint, at, most):
                return Ended(End.GAVE_UP, ended.reason, ended.hint)
        return ended

    def _saved(self, job: Job, result: T, longest_s: float) -> Ended:
        """Save, waiting for a full disk or a locked database; each time that is told.

        The job is held on to: another process had done it again once its lease ran out. Raises
        StoreError when told to stop, or after `longest_s`.
        """
        delay_s, began_s, limits = 1.0, self._clock.steady(), self._limits
        while True:
            try:
                self._task.save(job, result)
                return Ended(End.SAVED)
            except LostJob as error:
                return Ended(End.LOST, str(error))
            except RefusedRow as error:
                return self._end(job, Ended(End.FAILED, str(error), error.hint))
            except StoreError as error:
                if self._stop.requested or self._clock.steady() - began_s >= longest_s:
                    raise
                facts = {"reason": f"the result is kept until it can be saved: {error}"}
                self._listen(Event(EventKind.TROUBLE, str(job.path), facts | {"hint": error.hint}))
                with suppress(StoreError):  # where nothing can be written, nobody else can take it
                    self._store.heartbeat(job, self._clock.now(), limits.lease_s)
                self._clock.wait(delay_s)
                delay_s = min(2 * delay_s, 60.0, limits.lease_s / 4)

    @contextmanager
    def _held(self, job: Job) -> Iterator[_Lease]:
        lease = _Lease(self._store, job, self._limits.lease_s, self._limits.stall_s, self._clock)
        lease.start()
        try:
            yield lease
        finally:
            lease.end()


class _Stale(AqsError):
    """The file is not, or not any more, what the job was made for."""


def _print_of(path: Path) -> str:
    """The fingerprint of a queued file; "" where it is empty or no plain file any more.

    It could be read when it was queued: what its disk refuses now may pass, and is an AqsError.
    """
    try:
        return fingerprint(path)
    except MediaError as error:
        _look(path)
        if isinstance(error.__cause__, OSError):
            raise AqsError(str(error), hint="Is its disk or share well?") from error
        return ""


def _look(path: Path) -> Stamp:
    try:
        return Stamp.of(os.stat(path))
    except OSError as error:
        raise _Stale("the file is gone") from error


class _Lease(threading.Thread):
    """Renews a job's lease while it makes progress, so that a hung process loses its job."""

    def __init__(
        self, store: Store, job: Job, lease_s: float, stall_s: float, clock: Clock
    ) -> None:
        super().__init__(name="lease", daemon=True)
        self._store, self._job, self._clock = store, job, clock
        self._lease_s, self._stall_s = lease_s, stall_s
        self._moved = time.monotonic()
        self._over = threading.Event()
        self._lost = False

    def run(self) -> None:
        while not self._over.wait(self._lease_s / 4):
            if time.monotonic() - self._moved > self._stall_s:
                return
            try:
                if not self._store.heartbeat(self._job, self._clock.now(), self._lease_s):
                    self._lost = True
                    return
            except StoreError:
                continue  # locked or full: the lease lasts for some more of these

    def end(self) -> None:
        self._over.set()
        self.join(timeout=2.0)  # it may be waiting for a locked database; it can do no harm

    def through(self, progress: Progress) -> Progress:
        """`progress`, which also keeps the lease alive, or raises LostJob when it is not ours."""

        def moved(done: int, of: int) -> None:
            self._moved = time.monotonic()
            if self._lost:
                raise LostJob(f"the job for {self._job.path} was taken over or cancelled")
            progress(done, of)

        return moved
