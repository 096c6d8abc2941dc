"""What a database that lives for years may forget: old runs and files long gone, never results."""

from __future__ import annotations

import glob
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing

import sqlalchemy as sa

from aqs_batch.errors import StoreError
from aqs_batch.store.database import AT_ONCE, HEAD, Database
from aqs_batch.store.jobs import JobStatus
from aqs_batch.store.runs import RunKind
from aqs_batch.store.tables import analyses, files, jobs, runs


class Pruning(Database):
    """Deletes history; each method returns how many rows went, or would with `dry_run`."""

    def prune_runs(
        self,
        keep: int,
        going_since: str,
        is_at_work: Callable[[str], bool] = lambda worker: False,
        *,
        dry_run: bool = False,
    ) -> int:
        """Forget all but the newest `keep` runs, and what they said of each file.

        What goes on is written to until it ends: a service's run for as long as the service, others
        that have no end and began after `going_since` (as every record keeps time). A run whose
        process `is_at_work` stays too: it may have ended and still be read, for its report and its
        gate.
        """
        newest = sa.select(runs.c.id).order_by(runs.c.id.desc()).limit(keep)
        may_go_on = (runs.c.kind == RunKind.WATCH.value) | (runs.c.started_at > going_since)
        goes_on = may_go_on & (runs.c.finished_at == "")
        old = runs.c.id.not_in(newest.scalar_subquery())
        with self._read() as connection:
            rows = connection.execute(sa.select(runs.c.id, runs.c.worker).where(old)).all()
        reports = [row.id for row in rows if is_at_work(row.worker)]
        return self._prune(runs, old & ~goes_on & runs.c.id.not_in(reports), dry_run)

    def prune_missing(self, before: float, *, dry_run: bool = False) -> int:
        """Forget files that have been missing since before `before` (seconds since the epoch)."""
        gone = (files.c.missing_since > 0) & (files.c.missing_since < before)
        return self._prune(files, gone, dry_run)

    def prune_folder(self, folder: str, *, dry_run: bool = False) -> int:
        """Forget which files a folder held."""
        return self._prune(files, files.c.folder == os.fsencode(folder), dry_run)

    def folders(self) -> list[str]:
        """The folders of whose files something is known."""
        query = sa.select(files.c.folder).distinct().order_by(files.c.folder)
        with self._read() as connection:
            return [os.fsdecode(folder) for folder in connection.execute(query).scalars()]

    def prune_jobs(self, *, dry_run: bool = False) -> int:
        """Forget ended jobs that left no result and whose file is gone.

        What is set aside stays so for good: a file that killed a process may come back.
        """
        placed = sa.select(files.c.fingerprint)
        known = sa.select(analyses.c.fingerprint)
        lone = jobs.c.fingerprint.not_in(placed) & jobs.c.fingerprint.not_in(known)
        ended = jobs.c.status.in_([JobStatus.DONE.value, JobStatus.FAILED.value])
        with self._read() as connection:
            rows = connection.execute(sa.select(jobs.c.id, jobs.c.path).where(lone & ended)).all()
        gone = [row.id for row in rows if not os.path.lexists(row.path)]
        return sum(
            self._prune(jobs, jobs.c.id.in_(gone[first : first + AT_ONCE]) & lone & ended, dry_run)
            for first in range(0, len(gone), AT_ONCE)
        )

    def prune_copies(self, *, dry_run: bool = False) -> int:
        """Delete the copies that upgrades kept, but for the newest: they are whole databases."""
        if self.path is None:
            return 0
        # No more than the number: "aqs.db.before-2026-04-move" is a copy of somebody's own.
        ours = f"{glob.escape(self.path.name)}.before-{'[0-9]' * len(HEAD)}"
        copies = sorted(self.path.parent.glob(ours))
        for copy in [] if dry_run else copies[:-1]:
            copy.unlink(missing_ok=True)
        return len(copies[:-1])

    def room(self) -> tuple[int, int]:
        """Bytes of the database's file, and how many of them hold nothing; 0 where it is none."""
        if self.path is None:
            return 0, 0
        with self._read() as connection:
            names = ("page_size", "page_count", "freelist_count")
            page, count, free = (
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names
            )
        return page * count, page * free

    def shrink(self) -> None:
        """Write the file anew without what holds nothing; others wait meanwhile.

        Raises StoreError where there is no room for the copy, or another program holds it.
        """
        try:
            with closing(self._engine.raw_connection()) as connection:
                cursor = connection.cursor()
                cursor.execute("VACUUM")  # which no transaction may be around
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise StoreError(
                f"the database {self.url} cannot be made smaller: {error}",
                hint="It needs as much free disk as it will take; nothing of it was changed.",
            ) from error

    def _prune(self, table: sa.Table, where: sa.ColumnElement[bool], dry_run: bool) -> int:
        if dry_run:
            with self._read() as connection:
                query = sa.select(sa.func.count()).select_from(table).where(where)
                return connection.execute(query).scalar_one()
        with self._write() as connection:
            return connection.execute(sa.delete(table).where(where)).rowcount
