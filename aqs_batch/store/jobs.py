"""The ledger: durable work claimed under a lease; times are arguments, seconds since the epoch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from aqs_batch.store.database import Database
from aqs_batch.store.tables import jobs


class JobStatus(Enum):
    """Where a job stands; quarantined means its process died too often."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    QUARANTINED = "quarantined"


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


class Jobs(Database):
    """Jobs: one content under one settings key each."""

    def enqueue(self, fingerprint: str, settings_key: str, path: Path, *, force: bool) -> Job:
        """Queue a job unless it is there; a failed one, or any with `force`, is queued anew.

        A quarantined job stays so until `retry`, and a running one keeps running.
        """
        where = (jobs.c.fingerprint == fingerprint) & (jobs.c.settings_key == settings_key)
        again = {"status": JobStatus.QUEUED.value, "attempts": 0, "reason": "", "hint": ""}
        place = {"path": os.fsencode(path)}
        with self._write() as connection:
            row = connection.execute(sa.select(jobs).where(where)).first()
            if row is None:
                keys = {"fingerprint": fingerprint, "settings_key": settings_key}
                connection.execute(
                    sa.insert(jobs).values(**keys, **place, **again, worker="", lease_until=0.0)
                )
            elif row.status == JobStatus.FAILED.value or (
                force and row.status != JobStatus.RUNNING.value
            ):
                connection.execute(sa.update(jobs).where(where).values(**place, **again))
            elif row.status == JobStatus.QUEUED.value:
                connection.execute(sa.update(jobs).where(where).values(**place))
            return _job(connection.execute(sa.select(jobs).where(where)).one())

    def claim(
        self, job_id: int, worker: str, now_s: float, lease_s: float, max_attempts: int
    ) -> Job | None:
        """Take a job that is queued, or running under a lease that ran out; None: not to be had.

        A job that was claimed `max_attempts` times without an end is quarantined instead.
        """
        free = (jobs.c.status == JobStatus.QUEUED.value) | (
            (jobs.c.status == JobStatus.RUNNING.value) & (jobs.c.lease_until < now_s)
        )
        with self._write() as connection:
            row = connection.execute(sa.select(jobs).where((jobs.c.id == job_id) & free)).first()
            if row is None:
                return None
            values: dict[str, Any] = {
                "status": JobStatus.RUNNING.value,
                "attempts": row.attempts + 1,
                "worker": worker,
                "lease_until": now_s + lease_s,
            }
            if row.attempts >= max_attempts:
                values = {
                    "status": JobStatus.QUARANTINED.value,
                    "reason": f"the process died {row.attempts} times while working on this file",
                    "hint": "`aqs-batch retry` queues it again.",
                }
            connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(values))
            return _job(connection.execute(sa.select(jobs).where(jobs.c.id == job_id)).one())

    def heartbeat(self, job: Job, worker: str, now_s: float, lease_s: float) -> None:
        """Hold on to a running job."""
        mine = (jobs.c.id == job.id) & (jobs.c.worker == worker)
        with self._write() as connection:
            connection.execute(sa.update(jobs).where(mine).values(lease_until=now_s + lease_s))

    def release(self, job: Job) -> None:
        """Put an interrupted job back, its attempt not counted."""
        running = (jobs.c.id == job.id) & (jobs.c.status == JobStatus.RUNNING.value)
        with self._write() as connection:
            connection.execute(
                sa.update(jobs)
                .where(running)
                .values(status=JobStatus.QUEUED.value, attempts=job.attempts - 1, lease_until=0.0)
            )

    def fail(self, job: Job, reason: str, hint: str) -> None:
        """End a job without a result."""
        with self._write() as connection:
            connection.execute(
                sa.update(jobs)
                .where(jobs.c.id == job.id)
                .values(status=JobStatus.FAILED.value, reason=reason, hint=hint)
            )

    def retry(self) -> int:
        """Queue every failed and quarantined job again; returns how many."""
        ended = jobs.c.status.in_([JobStatus.FAILED.value, JobStatus.QUARANTINED.value])
        with self._write() as connection:
            return connection.execute(
                sa.update(jobs)
                .where(ended)
                .values(status=JobStatus.QUEUED.value, attempts=0, reason="", hint="")
            ).rowcount

    def job_counts(self) -> dict[str, int]:
        """Number of jobs by status, every status named."""
        query = sa.select(jobs.c.status, sa.func.count()).group_by(jobs.c.status)
        with self._read() as connection:
            found = {row[0]: row[1] for row in connection.execute(query)}
        return {status.value: found.get(status.value, 0) for status in JobStatus}

    def open_jobs(self) -> list[Job]:
        """Jobs that are queued, failed or quarantined."""
        query = sa.select(jobs).where(jobs.c.status != JobStatus.DONE.value).order_by(jobs.c.id)
        with self._read() as connection:
            return [_job(row) for row in connection.execute(query)]


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
    )
