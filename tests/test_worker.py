"""One job: its lease, and what becomes of it when it is lost."""

from __future__ import annotations

import errno
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from aqs_batch import worker as workers
from aqs_batch.clock import SystemClock
from aqs_batch.config import load
from aqs_batch.errors import MediaError, RefusedRow, StoreError
from aqs_batch.events import Event, EventKind, hourly
from aqs_batch.ingest.fingerprint import fingerprint
from aqs_batch.stop import Stop
from aqs_batch.store import Analysis, Job, JobStatus, Store
from aqs_batch.worker import End, Worker, scoring
from bench.faults.clock import FakeClock
from bench.standin import KEY, StandIn


def claimed(store: Store, file: Path, worker: str = "me") -> Job:
    file.write_bytes(b"content")
    queued = store.enqueue(fingerprint(file), KEY, file, force=False)
    job = store.claim(queued.id, worker, SystemClock().now(), 300.0, 3)
    assert job is not None
    return job


def worker(store: Store, process, **limits: float) -> Worker:
    clock = SystemClock()
    flags = {f"limits.{name}": value for name, value in limits.items()}
    settings = load(None, {}, flags).settings
    task = scoring(store, process)
    return Worker(store, settings.limits, task, clock, Stop(clock, 0.0))


def quiet(done: int, of: int) -> None:
    pass


def test_a_lost_job_is_noticed_at_its_next_progress(store: Store, tmp_path: Path) -> None:
    job = claimed(store, tmp_path / "a.mp4")
    beaten = threading.Event()
    heartbeat = store.heartbeat

    def noticing(*arguments) -> bool:
        held = heartbeat(*arguments)
        beaten.set()
        return held

    store.heartbeat = noticing

    def process(path: Path, print_: str, progress):
        store.cancel([job.id])
        assert beaten.wait(30)
        while True:  # the very next progress after the heartbeat raises
            progress(1, 2)

    ended = worker(store, process, lease_s=0.05).work(job, quiet, patient=True)
    assert ended.end is End.LOST
    assert store.counts()["analyses"] == 0


def test_a_lease_is_renewed_before_it_ends_and_after_the_database_was_locked(
    store: Store, tmp_path: Path
) -> None:
    job, beats, lease_s = claimed(store, tmp_path / "a.mp4"), [], 1.0
    beaten = threading.Event()

    def beat(*_: object) -> bool:
        beats.append(time.monotonic())
        if len(beats) == 1:
            raise StoreError("database is locked")
        beaten.set()
        return True

    store.heartbeat = beat

    def process(path: Path, print_: str, progress):
        began_s = time.monotonic()
        assert beaten.wait(30)
        assert beats[0] - began_s < lease_s
        return StandIn()(path, print_, progress)

    ended = worker(store, process, lease_s=lease_s).work(job, quiet, patient=False)
    assert (ended.end, ended.reason) == (End.SAVED, "")


def test_a_taken_over_job_is_not_saved_twice(store: Store, tmp_path: Path) -> None:
    job = claimed(store, tmp_path / "a.mp4")

    def process(path: Path, print_: str, progress):
        now = SystemClock().now() + 1000
        other = store.claim(job.id, "other", now, 300.0, 3)
        assert other is not None
        store.save(other, StandIn()(path, print_, progress), 0.5)
        return StandIn()(path, print_, progress)

    ended = worker(store, process).work(job, quiet, patient=True)
    assert ended.end is End.LOST
    assert store.counts()["analyses"] == 1
    assert store.aqs(job.fingerprint, KEY) == 0.5


def test_a_job_that_stands_still_is_let_go(store: Store, tmp_path: Path) -> None:
    job = claimed(store, tmp_path / "a.mp4")
    beats: list[float] = []
    store.heartbeat = lambda *a: bool(beats.append(1.0)) or True

    def process(path: Path, print_: str, progress):
        lease = next(t for t in threading.enumerate() if t.name == "lease")
        lease.join(30)  # it ends by itself, as nothing moves
        assert not lease.is_alive()
        return StandIn()(path, print_, progress)

    worker(store, process, lease_s=0.04, stall_s=0.1).work(job, quiet, patient=True)
    assert len(beats) < 60


def test_impatient_work_fails_at_once_and_patient_work_is_postponed(
    store: Store, tmp_path: Path
) -> None:
    def process(path: Path, print_: str, progress):
        raise RuntimeError("out of luck")

    ended = worker(store, process).work(claimed(store, tmp_path / "a.mp4"), quiet, patient=False)
    assert ended.end is End.FAILED
    assert "RuntimeError: out of luck" in ended.reason
    ended = worker(store, process).work(claimed(store, tmp_path / "a.mp4"), quiet, patient=True)
    assert ended.end is End.LATER
    (job,) = store.open_jobs()
    assert job.status is JobStatus.QUEUED
    assert job.retry_at > SystemClock().now()


def test_ctrl_c_releases_the_job(store: Store, tmp_path: Path) -> None:
    def process(path: Path, print_: str, progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker(store, process).work(claimed(store, tmp_path / "a.mp4"), quiet, patient=False)
    (job,) = store.open_jobs()
    assert (job.status, job.attempts) == (JobStatus.QUEUED, 0)


@pytest.mark.parametrize("now", [b"something else", b""])
def test_a_file_that_holds_something_else_now_is_not_scored_under_the_old_name(
    store: Store, tmp_path: Path, now: bytes
) -> None:
    job = claimed(store, tmp_path / "a.mp4")
    (tmp_path / "a.mp4").write_bytes(now)
    ended = worker(store, StandIn()).work(job, quiet, patient=False)
    assert ended.end is End.STALE
    assert store.open_jobs() == []


def test_an_error_of_ours_fails_the_file_alone_and_its_traceback_is_in_the_log(
    store: Store, tmp_path: Path, caplog
) -> None:
    """The hint had promised a traceback, and --debug showed none."""
    caplog.set_level("DEBUG", "aqs_batch")

    def process(path: Path, print_: str, progress):
        raise ZeroDivisionError("of no use")

    ended = worker(store, process).work(claimed(store, tmp_path / "a.mp4"), quiet, patient=False)
    assert (ended.end, ended.reason) == (
        End.FAILED,
        "internal error: ZeroDivisionError: of no use",
    )
    assert "--debug" in ended.hint
    assert "Traceback" in caplog.text and 'raise ZeroDivisionError("of no use")' in caplog.text
    assert {record.levelname for record in caplog.records} == {"DEBUG"}


def test_a_full_disk_is_no_error_of_ours(store: Store, tmp_path: Path) -> None:
    """It was "internal error: OSError: [Errno 28]", and to be reported."""

    def process(path: Path, print_: str, progress):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/out/.scratch")

    ended = worker(store, process).work(claimed(store, tmp_path / "a.mp4"), quiet, patient=False)
    assert (ended.end, ended.reason) == (End.FAILED, "No space left on device: /out/.scratch")
    assert "report" not in ended.hint


def test_media_that_fail_while_being_written_are_not_condemned(
    store: Store, tmp_path: Path
) -> None:
    job = claimed(store, tmp_path / "a.mp4")

    def process(path: Path, print_: str, progress):
        path.write_bytes(b"the rest arrives")
        raise MediaError("cut short")

    assert worker(store, process).work(job, quiet, patient=False).end is End.STALE


@pytest.mark.parametrize("patient", [False, True])
def test_a_result_that_cannot_be_saved_is_told_and_a_run_gives_up(
    store: Store, tmp_path: Path, patient: bool
) -> None:
    """It had waited for ever without a word."""
    job, clock, told = claimed(store, tmp_path / "a.mp4"), FakeClock(), []
    settings, stop = load(None, {}, {}).settings, Stop(clock, 0.0)
    task = scoring(store, StandIn())

    def refused(*_: object) -> None:
        raise StoreError("the disk is full")

    def hear(event: Event) -> None:
        told.append((event.kind, event.facts["reason"]))
        if len(told) > 20:
            stop.request()

    refusing = replace(task, save=refused)
    with pytest.raises(StoreError, match="disk is full"):
        Worker(store, settings.limits, refusing, clock, stop, hear).work(
            job, quiet, patient=patient
        )
    assert told[0] == ("trouble", "the result is kept until it can be saved: the disk is full")
    assert (len(told) > 20) is patient


def test_a_disk_that_is_full_for_a_night_is_told_once_an_hour(store: Store, tmp_path: Path) -> None:
    """A service's log had 480 lines of it in the morning."""
    job, clock, told = claimed(store, tmp_path / "a.mp4"), FakeClock(), []
    limits, stop = load(None, {}, {}).settings.limits, Stop(clock, 0.0)
    began_s = clock.steady()

    def refused(*_: object) -> None:
        if clock.steady() > began_s + 8 * 3600:
            stop.request()
        raise StoreError("the disk is full")

    task = replace(scoring(store, StandIn()), save=refused)
    listen = hourly(told.append, clock.steady)
    with pytest.raises(StoreError):
        Worker(store, limits, task, clock, stop, listen).work(job, quiet, patient=True)
    assert len(told) == 8
    listen(replace(told[0], facts={"reason": "the disk is gone"}))  # another trouble
    listen(Event(EventKind.MOVED, told[0].file))
    assert len(told) == 10


def test_a_result_that_no_database_takes_is_a_failed_file(store: Store, tmp_path: Path) -> None:
    """A run had waited for ever to save it."""
    job, clock = claimed(store, tmp_path / "a.mp4"), FakeClock()
    clock.on_wait = lambda seconds: pytest.fail("waited")

    def refused(*_: object) -> None:
        raise RefusedRow("a sequence without a time")

    refusing = replace(scoring(store, StandIn()), save=refused)
    limits = load(None, {}, {}).settings.limits
    ended = Worker(store, limits, refusing, clock, Stop(clock, 0.0)).work(job, quiet, patient=True)
    assert (ended.end, ended.reason) == (End.FAILED, "a sequence without a time")
    (job,) = store.open_jobs()
    assert (job.status, job.reason) == (JobStatus.FAILED, "a sequence without a time")


def test_a_job_whose_result_waits_to_be_saved_is_not_done_by_another_as_well(
    store: Store, tmp_path: Path
) -> None:
    """Its lease ran out after five minutes, and another process took it."""
    job, clock, taken = claimed(store, tmp_path / "a.mp4"), FakeClock(), []
    settings, stop = load(None, {}, {}).settings, Stop(clock, 0.0)
    task, began_s = scoring(store, StandIn()), clock.now()
    store.heartbeat(job, began_s, 300.0)  # claimed by this clock

    def slow_to_save(held: Job, result: Analysis) -> None:
        if clock.now() < began_s + 1000:
            taken.extend(store.reap(clock.now(), lambda worker: False, 60.0, 3))
            raise StoreError("database or disk is full")
        task.save(held, result)

    waiting = replace(task, save=slow_to_save)
    ended = Worker(store, settings.limits, waiting, clock, stop).work(job, quiet, patient=True)
    assert taken == []
    assert ended.end is End.SAVED


def test_a_disk_that_refuses_a_read_for_a_moment_condemns_no_file(
    store: Store, tmp_path: Path, monkeypatch
) -> None:
    """The file had failed for good, and was moved to move_failed."""
    job = claimed(store, tmp_path / "a.mp4")

    def refused(path: Path) -> str:
        raise MediaError("cannot be read: Input/output error") from OSError("Input/output error")

    monkeypatch.setattr(workers, "fingerprint", refused)
    assert worker(store, StandIn()).work(job, quiet, patient=True).end is End.LATER
    (job,) = store.open_jobs()
    assert job.status is JobStatus.QUEUED
