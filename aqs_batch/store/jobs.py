"""The ledger: durable work claimed under a lease; times are arguments, seconds since the epoch."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from aqs_batch.errors import LostJob
from aqs_batch.store.database import Database, insert_unless_there
from aqs_batch.store.tables import jobs, of_content

CANCELLED = "cancelled"
LONGEST_BACKOFF_S = 6 * 3600.0


class JobStatus(Enum):
    """Where a job stands; quarantined means its process died, or it went wrong, too often."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    QUARANTINED = "quarantined"


_QUEUED, _RUNNING, _DONE, _FAILED, _QUARANTINED = (status.value for status in JobStatus)
_SEEN = ("status", "attempts", "worker", "lease_until")
_ANEW = {"status": _QUEUED, "attempts": 0, "reason": "", "hint": "", "retry_at": 0.0}


@dataclass(frozen=True)
class Job:
    """A unit of durable work: one content under one settings key, found at `path`."""

    id: int
    fingerprint: str
    settings_key: str
    path: Path
    status: JobStatus
    attempts: int
    reason: str
    hint: str
    worker: str
    retry_at: float

    @property
    def has_failed(self) -> bool:
        """Whether it was tried in vain; who cancelled it said nothing of the file."""
        ended = self.status in (JobStatus.FAILED, JobStatus.QUARANTINED)
        return ended and self.reason != CANCELLED


def backoff(base_s: float, attempts: int) -> float:
    """Seconds until the next attempt, doubling from `base_s`, six hours at most."""
    return min(base_s * 2.0 ** (attempts - 1), LONGEST_BACKOFF_S)


class Jobs(Database):
    """Jobs: one content under one settings key each."""

    def enqueue(
        self, fingerprint: str, settings_key: str, path: Path, *, force: bool, again: bool = True
    ) -> Job:
        """Queue a job unless it is there; any ended one with `force`, a failed one with `again`.

        Without `force` a quarantined job stays so until `retry`; a running one keeps running.
        """
        with self._write() as connection:
            return self._enqueue(connection, fingerprint, settings_key, path, force, again)

    def _enqueue(
        self,
        connection: sa.Connection,
        fingerprint: str,
        settings_key: str,
        path: Path,
        force: bool,
        again: bool,
    ) -> Job:
        where = of_content(jobs, fingerprint, settings_key)
        place = {"path": os.fsencode(os.path.abspath(path))}  # `retry` may run in another folder
        row = connection.execute(sa.select(jobs).where(where)).first()
        if row is None:
            keys = {"fingerprint": fingerprint, "settings_key": settings_key}
            new = {**keys, **place, **_ANEW, "worker": "", "lease_until": 0.0}
            insert_unless_there(connection, jobs, new)
        elif (again and row.status == _FAILED) or (force and row.status != _RUNNING):
            connection.execute(sa.update(jobs).where(where).values(**place, **_ANEW))
        elif row.status == _QUEUED:
            connection.execute(sa.update(jobs).where(where).values(**place))
        return _job(connection.execute(sa.select(jobs).where(where)).one())

    def claim(
        self, job_id: int, worker: str, now_s: float, lease_s: float, max_attempts: int
    ) -> Job | None:
        """Take a job that is queued, or running under a lease that ran out; None: not to be had.

        A job that was claimed `max_attempts` times without an end is quarantined instead.
        """
        lapsed = (jobs.c.status == _RUNNING) & (jobs.c.lease_until < now_s)
        free = (jobs.c.id == job_id) & ((jobs.c.status == _QUEUED) | lapsed)
        with self._write() as connection:
            row = connection.execute(sa.select(jobs).where(free)).first()
            if row is None:
                return None
            if row.attempts >= max_attempts:
                return self._quarantine(connection, row)
            return self._hand_out(connection, row, worker, now_s + lease_s)

    def claim_next(
        self, settings_key: str, worker: str, now_s: float, lease_s: float
    ) -> Job | None:
        """Take the job that has waited longest and may be tried now; None: there is none."""
        # Later than the longest pause: the clock was ahead when it was put off.
        may = (jobs.c.retry_at <= now_s) | (jobs.c.retry_at > now_s + LONGEST_BACKOFF_S)
        free = (jobs.c.status == _QUEUED) & (jobs.c.settings_key == settings_key) & may
        query = sa.select(jobs).where(free).order_by(jobs.c.id).limit(1)
        with self._read() as connection:  # most looks find nothing, and need no write lock
            if connection.execute(query).first() is None:
                return None
        with self._write() as connection:
            row = connection.execute(query).first()
            if row is None:
                return None
            return self._hand_out(connection, row, worker, now_s + lease_s)

    def _hand_out(
        self, connection: sa.Connection, row: Any, worker: str, until: float
    ) -> Job | None:
        mine = {"status": _RUNNING, "attempts": row.attempts + 1, "worker": worker}
        return self._changed(connection, row, **mine, lease_until=until)

    def _quarantine(self, connection: sa.Connection, row: Any) -> Job | None:
        why = f"the process died {row.attempts} times while working on this file"
        hint = "`aqs-batch retry` queues it again."
        return self._changed(connection, row, status=_QUARANTINED, reason=why, hint=hint)

    def _changed(self, connection: sa.Connection, row: Any, **values: Any) -> Job | None:
        """Change a job that still is as it was seen; None: another process was quicker.

        SQLite has one writer at a time; elsewhere two may have seen the same job.
        """
        as_seen = [jobs.c[name] == getattr(row, name) for name in ("id", *_SEEN)]
        if not connection.execute(sa.update(jobs).where(*as_seen).values(**values)).rowcount:
            return None
        return _job(connection.execute(sa.select(jobs).where(jobs.c.id == row.id)).one())

    def reap(
        self, now_s: float, is_gone: Callable[[str], bool], backoff_s: float, max_attempts: int
    ) -> list[Job]:
        """Take jobs out of dead hands: queued again after a backoff, or quarantined; returns them.

        Dead is a worker whose lease ran out, or of whom `is_gone` says that its process has ended.
        """
        query = sa.select(jobs).where(jobs.c.status == _RUNNING)

        def dead(row: Any) -> bool:
            return bool(row.lease_until < now_s or is_gone(row.worker))

        with self._read() as connection:
            if not any(dead(row) for row in connection.execute(query)):
                return []
        taken = []
        with self._write() as connection:
            for row in connection.execute(query).all():
                if not dead(row):
                    continue
                if row.attempts >= max_attempts:
                    taken.append(self._quarantine(connection, row))
                    continue
                at = now_s + backoff(backoff_s, row.attempts)
                again = {"status": _QUEUED, "retry_at": at, "worker": ""}
                taken.append(self._changed(connection, row, **again))
        return [job for job in taken if job is not None]

    def heartbeat(self, job: Job, now_s: float, lease_s: float) -> bool:
        """Hold on to a running job; False: it is no longer this worker's."""
        with self._write() as connection:
            return self._end(connection, job, lease_until=now_s + lease_s)

    def release(self, job: Job) -> None:
        """Put an interrupted job back, its attempt not counted."""
        with self._write() as connection:
            self._end(connection, job, status=_QUEUED, attempts=job.attempts - 1, worker="")

    def fail(self, job: Job, reason: str, hint: str) -> None:
        """End a job without a result."""
        with self._write() as connection:
            self._end(connection, job, status=_FAILED, reason=reason, hint=hint)

    def postpone(
        self, job: Job, reason: str, hint: str, retry_at: float, max_attempts: int
    ) -> bool:
        """Try a job again at `retry_at`; False: it had its attempts and is quarantined."""
        more = job.attempts < max_attempts
        status = _QUEUED if more else _QUARANTINED
        with self._write() as connection:
            self._end(connection, job, status=status, reason=reason, hint=hint, retry_at=retry_at)
        return more

    def drop(self, job: Job) -> None:
        """Forget a job whose file is gone or holds something else now."""
        with self._write() as connection:
            connection.execute(sa.delete(jobs).where(_held(job)))

    def _end(self, connection: sa.Connection, job: Job, **values: Any) -> bool:
        return bool(connection.execute(sa.update(jobs).where(_held(job)).values(**values)).rowcount)

    def _done(self, connection: sa.Connection, job: Job) -> None:
        """End a job whose result is being committed; raises LostJob when it is another's now."""
        if not self._end(connection, job, status=_DONE, reason="", hint=""):
            raise LostJob(f"the job for {job.path} was taken over or cancelled meanwhile")

    def retry(self, job_ids: Collection[int] | None = None) -> int:
        """Queue failed and quarantined jobs again, all or those named; returns how many."""
        where = jobs.c.status.in_([_FAILED, _QUARANTINED]) & _named(job_ids)
        with self._write() as connection:
            return connection.execute(sa.update(jobs).where(where).values(**_ANEW)).rowcount

    def cancel(self, job_ids: Collection[int] | None = None) -> int:
        """End queued and running jobs, all or those named; returns how many.

        A running one learns of it at its next heartbeat; what it finds is not saved.
        """
        where = jobs.c.status.in_([_QUEUED, _RUNNING]) & _named(job_ids)
        ended = {"status": _FAILED, "reason": CANCELLED, "worker": "",
                 "hint": "`aqs-batch retry` queues it again."}  # fmt: skip
        with self._write() as connection:
            return connection.execute(sa.update(jobs).where(where).values(**ended)).rowcount

    def job(self, fingerprint: str, settings_key: str) -> Job | None:
        """The job of one content under one settings key."""
        where = of_content(jobs, fingerprint, settings_key)
        with self._read() as connection:
            row = connection.execute(sa.select(jobs).where(where)).first()
        return None if row is None else _job(row)

    def newest_job(self, fingerprint: str, prefix: str) -> Job | None:
        """The job of one content that was held last of those whose key begins with `prefix`."""
        where = (jobs.c.fingerprint == fingerprint) & jobs.c.settings_key.startswith(prefix)
        # Not the last queued: one that is tried again keeps its id.
        last = (jobs.c.lease_until.desc(), jobs.c.id.desc())
        query = sa.select(jobs).where(where).order_by(*last).limit(1)
        with self._read() as connection:
            row = connection.execute(query).first()
        return None if row is None else _job(row)

    def job_counts(self, settings_key: str | None = None) -> dict[str, int]:
        """Number of jobs by status, every status named; of one settings key, None: of all."""
        mine = sa.true() if settings_key is None else jobs.c.settings_key == settings_key
        query = sa.select(jobs.c.status, sa.func.count()).where(mine).group_by(jobs.c.status)
        with self._read() as connection:
            found = {row[0]: row[1] for row in connection.execute(query)}
        return {status.value: found.get(status.value, 0) for status in JobStatus}

    def waiting(self, settings_key: str) -> set[str]:
        """The contents whose job under one settings key is queued or running."""
        where = (jobs.c.settings_key == settings_key) & jobs.c.status.in_([_QUEUED, _RUNNING])
        with self._read() as connection:
            return set(connection.execute(sa.select(jobs.c.fingerprint).where(where)).scalars())

    def open_jobs(self) -> list[Job]:
        """Jobs that are queued, running, failed or quarantined."""
        query = sa.select(jobs).where(jobs.c.status != _DONE).order_by(jobs.c.id)
        with self._read() as connection:
            return [_job(row) for row in connection.execute(query)]

    def next_retry_at(self, settings_key: str) -> float | None:
        """When the next queued job may be tried, seconds since the epoch; None: none is queued."""
        query = sa.select(sa.func.min(jobs.c.retry_at)).where(
            (jobs.c.status == _QUEUED) & (jobs.c.settings_key == settings_key)
        )
        with self._read() as connection:
            found: float | None = connection.execute(query).scalar()
            return found


def _named(job_ids: Collection[int] | None) -> sa.ColumnElement[bool]:
    return sa.true() if job_ids is None else jobs.c.id.in_(job_ids)


def _held(job: Job) -> sa.ColumnElement[bool]:
    """Still in the hands it was given to, in the same attempt."""
    return (
        (jobs.c.id == job.id)
        & (jobs.c.status == _RUNNING)
        & (jobs.c.worker == job.worker)
        & (jobs.c.attempts == job.attempts)
    )


def _job(row: Any) -> Job:
    return Job(
        row.id,
        row.fingerprint,
        row.settings_key,
        Path(os.fsdecode(row.path)),
        JobStatus(row.status),
        row.attempts,
        row.reason,
        row.hint,
        row.worker,
        row.retry_at,
    )
