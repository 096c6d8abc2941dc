"""Invocations, and what each found out about each file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from aqs_batch.records import RE_ENCODE, Status
from aqs_batch.store.database import Database
from aqs_batch.store.tables import ITS_AQS, ITS_KEY, run_files, runs
from aqs_batch.wording import without_password


@dataclass(frozen=True)
class RunFile:
    """What one run found out about one file."""

    file: str
    fingerprint: str
    settings_key: str
    status: Status
    reason: str = ""
    hint: str = ""

    @property
    def encode_failed(self) -> bool:
        """Whether it is of the re-encode that the reason tells, and the file has its score."""
        return self.reason.startswith(RE_ENCODE)


class RunKind(StrEnum):
    """What a run was started as."""

    RUN = "run"
    WATCH = "watch"
    AUDIT = "audit"


@dataclass(frozen=True)
class RunRow:
    """One invocation as stored."""

    id: int
    started_at: str
    finished_at: str
    input_dir: str
    command: str
    settings: Mapping[str, Any]
    kind: RunKind
    files: int | None  # that it is to come to; None: not known
    worker: str = ""  # its process


class Runs(Database):
    """Runs and their files."""

    def start_run(
        self,
        started_at: str,
        input_dir: str,
        command: str,
        settings: Mapping[str, Any],
        kind: RunKind = RunKind.RUN,
        worker: str = "",
    ) -> int:
        """Record an invocation; returns its id. No password of a database URL is kept.

        `worker` names its process: others need to know whether it goes on.
        """
        output = dict(settings.get("output", {}))
        if "db" in output:
            output["db"] = without_password(output["db"])
        values = {
            "started_at": started_at,
            "finished_at": "",
            "input_dir": os.fsencode(input_dir),
            "command": without_password(command.encode(errors="backslashreplace").decode()),
            "settings": {**settings, **({"output": output} if output else {})},
            "kind": kind.value,
            "worker": worker,
        }
        with self._write() as connection:
            key = connection.execute(sa.insert(runs).values(values)).inserted_primary_key
            assert key is not None
            return int(key[0])

    def expect(self, run_id: int, files: int) -> None:
        """Say how many files a run is to come to, whether it will or not."""
        with self._write() as connection:
            connection.execute(sa.update(runs).where(runs.c.id == run_id).values(files=files))

    def finish_run(self, run_id: int, finished_at: str) -> None:
        with self._write() as connection:
            connection.execute(
                sa.update(runs).where(runs.c.id == run_id).values(finished_at=finished_at)
            )

    def record_file(self, run_id: int, *entries: RunFile) -> None:
        """Say what became of files; a second word on the same file replaces the first."""
        last = {os.fsencode(entry.file): entry for entry in entries}
        if not last:
            return
        # All in two statements: a night records every file of an archive.
        same = (run_files.c.run_id == run_id) & (run_files.c.file == sa.bindparam("its_file"))
        rows = [
            {"run_id": run_id, "file": file, "fingerprint": entry.fingerprint,
             "settings_key": entry.settings_key, "status": entry.status.value,
             "reason": entry.reason, "hint": entry.hint}
            for file, entry in last.items()
        ]  # fmt: skip
        with self._write() as connection:
            connection.execute(sa.delete(run_files).where(same), [{"its_file": f} for f in last])
            connection.execute(sa.insert(run_files), rows)

    def last_run(self) -> RunRow | None:
        """The newest run, finished or not."""
        with self._read() as connection:
            row = connection.execute(sa.select(runs).order_by(runs.c.id.desc()).limit(1)).first()
        return None if row is None else _run(row)

    def run(self, run_id: int) -> RunRow:
        """One run by its id."""
        with self._read() as connection:
            return _run(connection.execute(sa.select(runs).where(runs.c.id == run_id)).one())

    def run_files(self, run_id: int) -> list[RunFile]:
        """The files of one run, by name."""
        query = sa.select(run_files).where(run_files.c.run_id == run_id).order_by(run_files.c.file)
        with self._read() as connection:
            return [
                RunFile(
                    os.fsdecode(r.file), r.fingerprint, r.settings_key, Status(r.status), r.reason,
                    r.hint,
                )
                for r in connection.execute(query)
            ]  # fmt: skip

    def previous_aqs(self, run_id: int, entry: RunFile) -> float | None:
        """AQS that the same file name had in an earlier run of the same folder and settings key."""
        key = entry.settings_key
        its = {"its_run": run_id, "its_file": os.fsencode(entry.file), "its_key": key}
        with self._read() as connection:
            found = connection.execute(_EARLIER, its).scalar()
            asked = {"its_print": found, "its_key": key}
            return connection.execute(ITS_AQS, asked).scalar() if found else None


def _earlier() -> sa.Select[str]:
    """The content that a file name had in the newest run of the same folder before another.

    From run to run, each asked for the file by its key: to begin with the files of all runs took a
    quarter of a second a file in an archive of 10,000 after a hundred runs.
    """
    run_id = sa.bindparam("its_run", type_=sa.Integer)
    folder = sa.select(runs.c.input_dir).where(runs.c.id == run_id).scalar_subquery()
    return (
        sa.select(run_files.c.fingerprint)
        .join(runs, runs.c.id == run_files.c.run_id)
        .where(
            (runs.c.id < run_id)
            & (runs.c.input_dir == folder)
            & (run_files.c.file == sa.bindparam("its_file", type_=sa.LargeBinary))
            & (run_files.c.settings_key == ITS_KEY)
            & (run_files.c.status != Status.FAILED.value)
        )
        .order_by(runs.c.id.desc())
        .limit(1)
    )


_EARLIER = _earlier()


def _run(row: Any) -> RunRow:
    return RunRow(
        row.id,
        row.started_at,
        row.finished_at,
        os.fsdecode(row.input_dir),
        row.command,
        row.settings,
        RunKind(row.kind),
        row.files,
        row.worker,
    )
