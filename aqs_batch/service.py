"""A run over files: recognise, claim, process, save, report. Interrupt it anywhere."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aqs_batch import pipeline
from aqs_batch.analysis.score import score_video
from aqs_batch.config import Settings
from aqs_batch.errors import AqsError, MediaError, StoreError
from aqs_batch.ingest.files import Found
from aqs_batch.ingest.fingerprint import fingerprint
from aqs_batch.lookahead import Lookahead
from aqs_batch.records import Outcome, RunRecord, Status
from aqs_batch.reports.export import export
from aqs_batch.reports.render import render
from aqs_batch.store import Analysis, Job, JobStatus, RunFile, RunRow, Store

LEASE_S = 900.0
HEARTBEAT_S = 20.0
LOOK_AT = 16  # files after the one in hand, to find the next that is new


@dataclass(frozen=True)
class Event:
    """Something a person may want to see while a run goes on."""

    kind: str  # "found", "started", "progress", "scored", "unchanged", "failed", "report"
    file: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


Listener = Callable[[Event], None]


def now_iso() -> str:
    """The time as every record keeps it: ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Batch:
    """One run over a list of files against one store."""

    def __init__(self, store: Store, settings: Settings, listener: Listener) -> None:
        self._store, self._settings, self._listen = store, settings, listener
        self._checkpoint = pipeline.checkpoint_of(settings)
        self._key = settings.key(self._checkpoint.digest)
        self._ahead: Lookahead | None = None
        self._upcoming: list[Found] = []
        self._worker = f"{socket.gethostname()}:{os.getpid()}:{time.monotonic_ns()}"

    def run(self, found: Iterable[Found], *, input_dir: str, command: str, force: bool) -> int:
        """Process every file and return the run's id; what failed is recorded, not raised."""
        run_id = self._store.start_run(
            now_iso(), input_dir, command, self._settings.model_dump(mode="json")
        )
        files = list(found)
        self._listen(Event("found", facts={"files": len(files)}))
        for number, item in enumerate(files, start=1):
            place = {"number": number, "of": len(files)}
            self._upcoming = [f for f in files[number : number + LOOK_AT] if not f.problem]
            self._listen(Event("started", item.file, place))
            entry = self._one(item, force)
            self._store.record_file(run_id, entry)
            self._tell(entry, place)
        if self._ahead is not None:
            self._ahead.close()
        self._store.finish_run(run_id, now_iso())
        return run_id

    def _tell(self, entry: RunFile, place: dict[str, Any]) -> None:
        facts: dict[str, Any] = dict(place)
        if entry.status is Status.FAILED:
            facts |= {"reason": entry.reason, "hint": entry.hint}
        else:
            analysis = self._store.analysis(entry.fingerprint, entry.settings_key)
            assert analysis is not None
            score = score_video(analysis.sequences, self._settings.analysis.threshold)
            facts |= {
                "aqs_score": round(score.aqs, 4),
                "quality_level": score.level.value,
                "detected": [a.value for a in score.detected],
                "processing_time": round(analysis.processing_time_s, 3),
            }
        self._listen(Event(entry.status.value, entry.file, facts))

    def _one(self, item: Found, force: bool) -> RunFile:
        """What becomes of one file: the only place that catches whatever a job may throw."""
        print_ = ""
        try:
            if item.problem:
                raise MediaError(item.problem)
            print_ = fingerprint(item.path)
            if not force and self._store.aqs(print_, self._key) is not None:
                return RunFile(item.file, print_, self._key, Status.UNCHANGED)
            return self._work(item, print_, force)
        except StoreError:
            raise
        except AqsError as error:
            return RunFile(item.file, print_, self._key, Status.FAILED, str(error), error.hint)

    def _work(self, item: Found, print_: str, force: bool) -> RunFile:
        queued = self._store.enqueue(print_, self._key, item.path, force=force)
        limits = self._settings.limits
        job = self._store.claim(queued.id, self._worker, time.time(), LEASE_S, limits.max_attempts)
        if job is None:
            return self._elsewhere(item, print_)
        if job.status is JobStatus.QUARANTINED:
            return RunFile(item.file, print_, self._key, Status.FAILED, job.reason, job.hint)
        try:
            analysis = self._process(item, job)
        except KeyboardInterrupt:
            self._store.release(job)
            raise
        except AqsError as error:
            self._store.fail(job, str(error), error.hint)
            raise
        except Exception as error:  # the job boundary: one bad file must not end the run
            reason = f"internal error: {type(error).__name__}: {error}"
            hint = "Run with --debug for the traceback, and please report it."
            self._store.fail(job, reason, hint)
            raise MediaError(reason, hint=hint) from error
        score = score_video(analysis.sequences, self._settings.analysis.threshold)
        self._store.save(job, analysis, score.aqs)
        return RunFile(item.file, print_, self._key, Status.SCORED)

    def _process(self, item: Found, job: Job) -> Analysis:
        if self._ahead is None:
            self._ahead = pipeline.look_ahead(pipeline.set_up(self._settings, self._checkpoint))
        if job.attempts <= 1:  # else this one, or one begun beside it, may have killed a process
            self._ahead.begin(itertools.islice(self._unknown(job), self._ahead.depth))
        last = time.monotonic()

        def progress(done: int, of: int) -> None:
            nonlocal last
            if time.monotonic() - last > HEARTBEAT_S:
                self._store.heartbeat(job, self._worker, time.time(), LEASE_S)
                last = time.monotonic()
            self._listen(Event("progress", item.file, {"done": done, "planned": of}))

        analysis = self._ahead.finish(item.path, progress)
        return replace(analysis, fingerprint=job.fingerprint)

    def _unknown(self, job: Job) -> Iterator[Path]:
        """The files after this one that still have to be scored, in order."""
        for item in self._upcoming:
            with contextlib.suppress(MediaError):  # told when it is its turn
                print_ = fingerprint(item.path)
                if print_ != job.fingerprint and self._store.aqs(print_, self._key) is None:
                    yield item.path

    def _elsewhere(self, item: Found, print_: str) -> RunFile:
        """The job was not to be had: done meanwhile, set aside, or in another process's hands."""
        if self._store.aqs(print_, self._key) is not None:
            return RunFile(item.file, print_, self._key, Status.UNCHANGED)
        job = self._store.enqueue(print_, self._key, item.path, force=False)
        if job.status is JobStatus.QUARANTINED:
            return RunFile(item.file, print_, self._key, Status.FAILED, job.reason, job.hint)
        raise MediaError(
            "another process is working on this file", hint="Run again when it has finished."
        )


def outcomes(store: Store, run: RunRow, threshold: float) -> Iterator[Outcome]:
    """What a run has to say, file by file, read back from the store one at a time."""
    for entry in store.run_files(run.id):
        analysis = (
            store.analysis(entry.fingerprint, entry.settings_key)
            if entry.status is not Status.FAILED
            else None
        )
        if analysis is None:
            yield Outcome(
                entry.file, Status.FAILED, entry.fingerprint, reason=entry.reason, hint=entry.hint
            )
            continue
        yield Outcome(
            file=entry.file,
            status=entry.status,
            fingerprint=entry.fingerprint,
            video=analysis.video,
            score=score_video(analysis.sequences, threshold),
            provenance=analysis.provenance,
            processing_time_s=analysis.processing_time_s,
            warnings=analysis.warnings,
            previous_aqs=store.previous_aqs(run.id, entry),
        )


def run_record(store: Store, run: RunRow) -> RunRecord:
    """A run as the report tells it."""
    counts = {status.value: 0 for status in Status}
    for entry in store.run_files(run.id):
        counts[entry.status.value] += 1
    return RunRecord(
        run.id, run.started_at, run.finished_at, run.input_dir, run.command, counts, run.settings
    )


def scores_below(store: Store, run: RunRow, gate: float) -> list[tuple[str, float]]:
    """The files of a run whose AQS is below `gate`, with their AQS."""
    scores = [
        (entry.file, store.aqs(entry.fingerprint, entry.settings_key))
        for entry in store.run_files(run.id)
        if entry.status is not Status.FAILED
    ]
    return [(file, aqs) for file, aqs in scores if aqs is not None and aqs < gate]


def write_reports(store: Store, run: RunRow, settings: Settings) -> list[Path]:
    """Write the exports and the report of one run; returns what was written."""
    output_dir, wanted = Path(settings.output.dir), set(settings.output.export)
    threshold = settings.analysis.threshold
    record = run_record(store, run)
    written = export(output_dir, outcomes(store, run, threshold), record, formats=wanted)
    if "html" in wanted:
        pages = outcomes(store, run, threshold)
        written.append(render(output_dir, pages, record, threshold=threshold))
    return written
