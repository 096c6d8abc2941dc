"""The watch folder's service: look, claim, process, tell; until told to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from aqs_batch.atomic import remove_abandoned
from aqs_batch.clock import Clock, iso
from aqs_batch.errors import StoreError, reason_and_place
from aqs_batch.events import Event, EventKind, Listener
from aqs_batch.identity import own_name
from aqs_batch.reencoding.encode_jobs import EncodeJobs, Tell
from aqs_batch.reporting import joined, thresholds_of, told, write_reports
from aqs_batch.settings import Settings
from aqs_batch.stop import AFTER_HOURS_S, Stop, Stopped
from aqs_batch.store import Analysis, Job, JobStatus, Place, RunKind, Store
from aqs_batch.watching.health import BEAT_S, State, notify
from aqs_batch.watching.intake import Intake
from aqs_batch.watching.onward import Onward, is_encoding
from aqs_batch.watching.vitals import Tally, Vitals
from aqs_batch.worker import End, Ended, Process, Worker, scoring, take_over

BUSY_TIMEOUT_S = 5.0  # shorter than a stop may take; waiting longer is the loop's business
REAP_S = 15.0
SHARE_FOR_REPORTS = 20  # of the time, one part in so many may go into reports
LONGEST_WAIT_S = 60.0
CONVERTING = "the network is converted, once on this machine"


class Service:
    """One process that watches and works; several may share one database and its folders."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        settings_key: str,
        make_process: Callable[[], Process],
        listen: Listener,
        clock: Clock,
        stop: Stop,
    ) -> None:
        self._store, self._settings, self._key = store, settings, settings_key
        self._make_process = make_process
        self._worker: Worker[Analysis] | None = None  # with its model, once there is work
        self._listen, self._clock, self._stop = listen, clock, stop
        self._thresholds = thresholds_of(settings)
        self._name = own_name()
        self._encodes = EncodeJobs(store, settings, settings_key, self._name, clock, stop)
        self._is_encoding = any(is_encoding(folder, settings) for folder in settings.watch.folders)
        self._keys = [settings_key]  # of the jobs that are taken here, the most urgent first
        if self._is_encoding:
            self._keys.append(self._encodes.key)
        self._intake = Intake(store, settings, settings_key, listen, clock)
        self._onward = Onward(
            store, settings, settings_key, self._encodes.key, self._intake, listen
        )
        self._tally = Tally()
        self._vitals = Vitals(store, settings, self._intake, self._tally, clock)
        self._until, self._once = float("inf"), False
        self._reap_at = -float("inf")
        self._report_at = clock.steady() + settings.watch.report_s
        self._dirty = True  # something changed since the last report; at first nobody knows
        self._is_news = False  # something was scored, and this process has not reported yet
        self._run_id, self._delay_s = 0, 1.0

    def run(self, *, command: str, once: bool = False, until: float = float("inf")) -> Tally:
        """Work until told to stop, until `until` (epoch, s), or with `once` until all is done.

        Raises AqsError when there is nothing to work with: no model, no database.
        """
        self._until, self._once = until, once
        if self._is_encoding:
            self._encodes.check()
        for folder in (self._settings.output.dir, Path(self._settings.output.dir, "videos")):
            remove_abandoned(Path(folder), now_s=time.time(), of_dead=True)
        self._run_id = self._store.start_run(
            iso(self._clock.now()),
            joined(self._intake.folders),
            command,
            self._settings.model_dump(mode="json"),
            kind=RunKind.WATCH,
            worker=self._name,
        )
        with self._intake:
            notify("READY=1")
            self._vitals.beat(State.IDLE)
            try:
                for place in self._onward.left():
                    self._onward.pass_on(place)
                while not self._is_over():
                    if not self._guarded_step() and once and self._is_done():
                        break
            finally:
                notify("STOPPING=1")
                self._close()
        self._tally.unreachable = self._intake.unreachable
        return self._tally

    def _is_over(self) -> bool:
        return self._stop.requested or self._clock.now() >= self._until

    def _is_ending(self) -> bool:
        """Whether the end comes next, which writes a report itself: one now would be a second."""
        return self._is_over() or (self._once and self._is_done())

    def _is_done(self) -> bool:
        """Nothing is left that this process could do without waiting for a backoff."""
        if not self._intake.has_looked or self._intake.waiting or self._onward.left():
            return False
        retry_at = self._next_retry_at()
        return retry_at is None or retry_at > self._clock.now()

    def _next_retry_at(self) -> float | None:
        times = [self._store.next_retry_at(key) for key in self._keys]
        return min((at for at in times if at is not None), default=None)

    def _guarded_step(self) -> bool:
        """One step; while the database is locked or its disk full, wait and try again."""
        try:
            busy = self._step()
            self._delay_s = 1.0
        except StoreError as error:
            self._tell_trouble(str(error), error.hint)
            self._vitals.beat(State.WAITING, why=str(error), now=True)
            self._clock.wait(self._delay_s)
            self._delay_s = min(2 * self._delay_s, LONGEST_WAIT_S)
            return True
        return busy

    def _step(self) -> bool:
        """Look, take one job, report; waits when there is nothing to do. False: it waited."""
        for place in self._intake.look():
            self._finish(place, is_known=True)
        self._reap()
        self._report_if_due()
        if self._worker is None and self._store.next_retry_at(self._key) is not None:
            try:
                with self._stop.interruptible():  # to convert the network takes minutes
                    process = self._make_process()
            except Stopped:
                return False
            limits, task = self._settings.limits, scoring(self._store, process)
            self._worker = Worker(self._store, limits, task, self._clock, self._stop, self.hear)
        if job := self._claim():
            self._work(job)
            return True
        if self._is_news and not (self._intake.waiting or self._is_ending()) and self._report():
            return True  # the first results are shown as soon as there is a moment
        self._vitals.beat(State.IDLE)
        idle_s = self._idle_s()
        if idle_s > 0 and not (self._once and self._is_done()):
            self._clock.wait(idle_s)
        return False

    def _claim(self) -> Job | None:
        if self._is_over():  # it was told so while the model was loaded, or a report written
            return None
        now, lease_s = self._clock.now(), self._settings.limits.lease_s
        for key in self._keys:
            if job := self._store.claim_next(key, self._name, now, lease_s):
                return job
        return None

    def _idle_s(self) -> float:
        steady, now = self._clock.steady(), self._clock.now()
        waits = [self._intake.idle_s(), BEAT_S, self._until - now]
        if self._dirty:
            waits.append(self._report_at - steady)
        if (retry_at := self._next_retry_at()) is not None:
            waits.append(retry_at - now)
        return max(0.0, min(waits))

    def _reap(self) -> None:
        """Take over what dead processes left behind."""
        if self._clock.steady() < self._reap_at:
            return
        self._reap_at = self._clock.steady() + REAP_S
        self._onward.again()
        for place in self._onward.left():  # scored by a run, or by a service of other folders
            self._finish(place, is_known=True)
        for job in take_over(self._store, self._settings.limits, self._clock):
            if job.status is JobStatus.QUARANTINED:
                self._tell_failed(job.path, job.reason, job.hint, key=job.settings_key)
                self._finish_all(job)

    def _work(self, job: Job) -> None:
        name = str(job.path)
        self._listen(Event(EventKind.STARTED, name, {"attempt": job.attempts}))
        self._vitals.beat(State.WORKING, name, now=True)

        def progress(done: int, of: int) -> None:
            self._vitals.beat(State.WORKING, name)
            if job.settings_key == self._key:  # of an encode its frames are told otherwise
                self._listen(Event(EventKind.PROGRESS, name, {"done": done, "planned": of}))
            if self._clock.now() >= self._until + AFTER_HOURS_S:
                raise Stopped

        if job.settings_key == self._key:
            assert self._worker is not None
            ended = self._worker.work(job, progress, patient=True)
        else:
            ended = self._encodes.work(job, self._teller(name), progress, patient=True)
        self._tell(job, ended)
        if ended.end in (End.SAVED, End.FAILED, End.GAVE_UP):
            self._dirty = True
            self._finish_all(job, is_scored=ended.end is End.SAVED)
        if ended.end is End.STALE:
            for place in self._store.places_of(job.fingerprint):
                self._intake.again(place)

    def hear(self, event: Event) -> None:
        """Tell what happens to the job in hand, or before it; its result may wait for hours to be
        saved, and a service that was silent meanwhile had been killed for dead.
        """
        self._listen(event)
        if event.kind is EventKind.CONVERTING:
            self._vitals.beat(State.WORKING, why=CONVERTING, now=True)
        elif event.kind is EventKind.TROUBLE:
            self._vitals.beat(State.WAITING, event.file, why=event.facts["reason"], now=True)

    def _teller(self, name: str) -> Tell:
        return lambda kind, facts: self.hear(Event(kind, name, facts))

    def _tell(self, job: Job, ended: Ended) -> None:
        if ended.end is End.SAVED and job.settings_key != self._key:
            return  # the encoder has told it
        if ended.end is End.SAVED:
            self._is_news = self._is_news or not self._tally.scored
            self._tally.scored += 1
            facts = told(self._store, job.fingerprint, job.settings_key, self._thresholds)
            self._listen(Event(EventKind.SCORED, str(job.path), facts))
        elif ended.end in (End.FAILED, End.GAVE_UP):
            self._tell_failed(job.path, ended.reason, ended.hint, key=job.settings_key)
        else:
            facts = {"end": ended.end.value, "reason": ended.reason, "hint": ended.hint}
            self._listen(Event(EventKind.LATER, str(job.path), facts))

    def _tell_failed(self, path: Path, reason: str, hint: str, *, key: str = "") -> None:
        """`key`: of the job that failed; a file whose re-encode did has its score all the same."""
        self._tally.failed += 1
        self._dirty = True
        kind = EventKind.ENCODE_FAILED if key == self._encodes.key else EventKind.FAILED
        self._listen(Event(kind, str(path), {"reason": reason, "hint": hint}))

    def _tell_trouble(self, reason: str, hint: str) -> None:
        self._listen(Event(EventKind.TROUBLE, facts={"reason": reason, "hint": hint}))

    def _finish_all(self, job: Job, *, is_scored: bool = False) -> None:
        for place in self._store.places_of(job.fingerprint):
            if place.folder not in self._intake.folders:
                continue
            if is_scored and place.path != job.path:  # a copy: nothing else would be told of it
                facts = told(self._store, job.fingerprint, self._key, self._thresholds)
                self._listen(Event(EventKind.UNCHANGED, str(place.path), facts))
            self._finish(place)

    def _finish(self, place: Place, *, is_known: bool = False) -> None:
        """A file is dealt with: tell what was wrong with it, and pass it on.

        `is_known`: not by a job that has just been told of.
        """
        self._dirty = True
        job = self._store.job(place.fingerprint, self._key) if is_known else None
        if place.problem:
            self._tell_failed(place.path, place.problem, "")
        elif job is not None and job.has_failed:
            self._tell_failed(place.path, job.reason, job.hint)
        self._tally.below_gate += self._onward.is_below_gate(place)
        self._onward.pass_on(place)

    def _report_if_due(self) -> None:
        """Write the report when something changed and the last one is old enough."""
        is_due = self._dirty and self._clock.steady() >= self._report_at
        if is_due and not self._is_ending():
            self._report()

    def _report(self, *, is_last: bool = False) -> bool:
        """Write the report; False when it could not be: it is tried again."""
        began = self._clock.steady()
        self._dirty, self._is_news = False, False
        try:
            with self._stop.interruptible():
                written = write_reports(
                    self._store, self._store.run(self._run_id), self._settings, self._beat_on,
                    waiting=self._intake.waiting, patient=is_last,
                )  # fmt: skip
            facts = {"written": [str(path) for path in written]}
            self._listen(Event(EventKind.REPORT, facts=facts))
        except Stopped:
            self._dirty = True
        except StoreError:
            self._dirty = True
            raise
        except OSError as error:
            self._dirty = True
            reason = f"the report could not be written: {reason_and_place(error)}"
            then = "Mend that and run `aqs-batch report`" if is_last else "It is tried again"
            self._tell_trouble(reason, f"{then}; what was scored is in the database.")
        took_s = self._clock.steady() - began
        pause = max(self._settings.watch.report_s, SHARE_FOR_REPORTS * took_s, 1.0)
        self._report_at = self._clock.steady() + pause
        return not self._dirty

    def _beat_on(self) -> None:
        """Beat between the files of a report: thousands take longer than monitoring waits."""
        self._vitals.beat(State.WORKING, why="writing the report")

    def _close(self) -> None:
        """End the run; its last report, unless it was told to stop, also says when it ended."""
        try:
            self._store.finish_run(self._run_id, iso(self._clock.now()))
            if not self._stop.requested:
                self._tally.lacks_report = not self._report(is_last=True)
            self._vitals.beat(State.STOPPED, now=True)
        except StoreError as error:
            self._tally.lacks_report = True
            self._tell_trouble(str(error), error.hint)
