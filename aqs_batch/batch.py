"""A run over files: recognise, claim, process, save, report. Interrupt it anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from aqs_batch.analysis.checkpoint import Checkpoint, chosen
from aqs_batch.clock import Clock, SystemClock, iso
from aqs_batch.entries import Entries
from aqs_batch.errors import AqsError, CheckpointError, MediaError, SettingsError, StoreError
from aqs_batch.events import Event, EventKind, Listener, Progress
from aqs_batch.ffmpeg import find as find_ffmpeg
from aqs_batch.identity import own_name
from aqs_batch.ingest.files import Found
from aqs_batch.ingest.fingerprint import fingerprint
from aqs_batch.records import Status
from aqs_batch.reencoding.encode_jobs import EncodeJobs, Tell
from aqs_batch.reporting import thresholds_of, told
from aqs_batch.settings import Settings
from aqs_batch.stop import Stop, Stopped
from aqs_batch.store import Analysis, JobStatus, RunFile, Store
from aqs_batch.worker import End, Process, Worker, once_free, scoring, take_over

LOOK_AT = 16  # files after the one in hand, to find the next that is new


def real_process(
    settings: Settings,
    checkpoint: Checkpoint,
    listen: Listener,
    upcoming: Callable[[str], Iterator[Path]] = lambda fingerprint: iter(()),
) -> Process:
    """The pipeline with its model loaded, ready for one file after another.

    `upcoming` gives the files after the one with a fingerprint: the next are begun beside it.
    `listen` is told where the model has to be converted first.
    """
    from aqs_batch import pipeline  # with torch, half a gigabyte: not before there is work

    bench = pipeline.set_up(settings, checkpoint, lambda: listen(Event(EventKind.CONVERTING)))
    ahead = pipeline.look_ahead(bench)

    def process(path: Path, fingerprint: str, progress: Progress) -> Analysis:
        analysis = ahead.finish(path, progress, upcoming(fingerprint))
        return replace(analysis, fingerprint=fingerprint)

    return process


class Batch:
    """One run over a list of files against one store."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        listener: Listener,
        clock: Clock | None = None,
        stop: Stop | None = None,
    ) -> None:
        self._store, self._settings, self._listen = store, settings, listener
        self._clock = clock or SystemClock()
        self._stop = stop or Stop(self._clock, grace_s=0.0)
        self._checkpoint = chosen(settings.model.checkpoint)
        self.key = settings.key(self._checkpoint.digest)
        self._thresholds = thresholds_of(settings)
        self._worker: Worker[Analysis] | None = None
        self._name = own_name()
        self.entries = Entries(store, self._clock)
        self._upcoming: list[Found] = []
        # In this run, where nothing was known before: the first file of each content.
        self._scored: dict[str, str] = {}
        self._encodes = EncodeJobs(store, settings, self.key, self._name, self._clock, self._stop)

    def run(self, found: Iterable[Found], *, input_dir: str, command: str, force: bool) -> int:
        """Process every file and return the run's id; what failed is recorded, not raised."""
        find_ffmpeg(self._settings.ffmpeg.path)  # without it every file would fail one by one
        if self._settings.encode.enabled:
            self._encodes.check()
        run_id = self.entries.run_id = self._store.start_run(
            iso(self._clock.now()), input_dir, command, self._settings.model_dump(mode="json"),
            worker=self._name,
        )  # fmt: skip
        take_over(self._store, self._settings.limits, self._clock)
        files = list(found)
        self._store.expect(run_id, len(files))
        self._listen(Event(EventKind.FOUND, facts={"files": len(files)}))
        try:
            self._go_through(files, force)
        finally:  # who interrupts a run finds in it all that was told
            self.entries.flush()
        self._store.finish_run(run_id, iso(self._clock.now()))
        return run_id

    def _go_through(self, files: list[Found], force: bool) -> None:
        elsewhere: list[tuple[Found, dict[str, Any]]] = []
        for number, item in enumerate(files, start=1):
            place = {"number": number, "of": len(files)}
            self._upcoming = [f for f in files[number : number + LOOK_AT] if not f.problem]
            self._listen(Event(EventKind.STARTED, item.file, place))
            entry = self.one(item, force=force)
            if entry is None:
                elsewhere.append((item, place))
            else:
                self._finish(item, entry, place, force)
        for item, place in elsewhere:
            self._finish(item, self._once_free(item), place, force=False)

    def _finish(self, item: Found, entry: RunFile, place: dict[str, Any], force: bool) -> None:
        if entry.status is not Status.FAILED:
            entry = self._encodes.after(item.path, entry, self._teller(item), force=force)
        self.entries.add(entry)
        if entry.status is Status.SCORED:
            self.entries.flush()
        self.tell(entry, place)

    def _once_free(self, item: Found) -> RunFile:
        """What becomes of a file that another process had in hand: its result, or our own."""
        self._upcoming = []
        return once_free(
            lambda: self.one(item),
            lambda: self._listen(Event(EventKind.WAITING, item.file)),
            self._store,
            self._settings.limits,
            self._clock,
        )

    def _teller(self, item: Found) -> Tell:
        return lambda kind, facts: self._listen(Event(kind, item.file, facts))

    def tell(self, entry: RunFile, place: dict[str, Any]) -> None:
        facts: dict[str, Any] = dict(place)
        if entry.status is Status.FAILED:
            facts |= {"reason": entry.reason, "hint": entry.hint}
        else:
            facts |= told(self._store, entry.fingerprint, entry.settings_key, self._thresholds)
            if (first := self._scored.get(entry.fingerprint, entry.file)) != entry.file:
                facts["copy_of"] = first
        self._listen(Event(EventKind(entry.status.value), entry.file, facts))

    def one(
        self, item: Found, *, print_: str = "", force: bool = False, again: bool = True
    ) -> RunFile | None:
        """What becomes of one file; None: another process has it in hand.

        `print_` is its fingerprint where that is known. With `again`, what failed before is tried
        again; without, what may pass is tried again another time. Raises Stopped when told to stop.
        """
        try:
            if item.problem:
                raise MediaError(item.problem)
            print_ = print_ or fingerprint(item.path)
            if print_ in self._scored:  # a copy: a first run had called it unchanged
                return RunFile(item.file, print_, self.key, Status.SCORED)
            if not force and self._store.aqs(print_, self.key) is not None:
                return RunFile(item.file, print_, self.key, Status.UNCHANGED)
            return self._work(item, print_, force, again)
        except (StoreError, SettingsError, CheckpointError):
            raise
        except AqsError as error:
            return RunFile(item.file, print_, self.key, Status.FAILED, str(error), error.hint)

    def _work(self, item: Found, print_: str, force: bool, again: bool) -> RunFile | None:
        worker = self._with_model()
        limits = self._settings.limits
        now, most = self._clock.now(), limits.max_attempts
        with self.entries.along():  # this may take hours, and its process may die
            queued = self._store.enqueue(print_, self.key, item.path, force=force, again=again)
            job = self._store.claim(queued.id, self._name, now, limits.lease_s, most)
        if job is None:
            return self._elsewhere(item, print_)
        if job.status is JobStatus.QUARANTINED:
            return RunFile(item.file, print_, self.key, Status.FAILED, job.reason, job.hint)
        if job.attempts > 1:  # this one, or one begun beside it, may have killed a process
            self._upcoming = []

        def progress(done: int, of: int) -> None:
            self._listen(Event(EventKind.PROGRESS, item.file, {"done": done, "planned": of}))

        ended = worker.work(job, progress, patient=not again)
        if ended.end is End.SAVED:
            self._scored[print_] = item.file
            return RunFile(item.file, print_, self.key, Status.SCORED)
        if ended.end is End.LOST:
            return self._elsewhere(item, print_)
        if ended.end is End.RELEASED:
            raise Stopped
        raise MediaError(ended.reason, hint=ended.hint)

    def _with_model(self) -> Worker[Analysis]:
        """The worker, its model loaded once: before a job is claimed, which would stay in hand."""
        if self._worker is None:
            with self._stop.interruptible():  # to convert the network takes minutes
                process = real_process(
                    self._settings, self._checkpoint, self._listen, self._unknown
                )
            task, limits = scoring(self._store, process), self._settings.limits
            self._worker = Worker(self._store, limits, task, self._clock, self._stop, self._listen)
        return self._worker

    def _unknown(self, current: str) -> Iterator[Path]:
        """The files after the current one that still have to be scored, each content once."""
        seen = {current}
        for item in self._upcoming:
            # Its own turn will tell: raised here, it would be held against the file in hand.
            with suppress(MediaError, StoreError):
                print_ = fingerprint(item.path)
                if print_ not in seen and self._store.aqs(print_, self.key) is None:
                    seen.add(print_)
                    yield item.path

    def _elsewhere(self, item: Found, print_: str) -> RunFile | None:
        """The job was not to be had: done meanwhile, set aside, or in another process's hands."""
        if self._store.aqs(print_, self.key) is not None:
            return RunFile(item.file, print_, self.key, Status.UNCHANGED)
        job = self._store.job(print_, self.key)
        if job is not None and job.status in (JobStatus.QUARANTINED, JobStatus.FAILED):
            return RunFile(item.file, print_, self.key, Status.FAILED, job.reason, job.hint)
        return None
