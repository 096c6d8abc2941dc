"""The database: jobs are claimed, results saved and queried here and nowhere else.

A job is claimed in one short write transaction under a lease; its results and its `done` commit
together, so work is saved once or not at all. Times are arguments (seconds since the epoch).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from aqs_batch.errors import StoreError
from aqs_batch.records import (
    Fraction,
    Provenance,
    SequenceScore,
    Status,
    TileScores,
    Video,
)
from aqs_batch.tables import analyses, jobs, run_files, runs, sequences, videos

BUSY_TIMEOUT_S = 60.0
_READING = "aqs_reading"
_TILE_NUMBERS = 23  # x, y, quality, ten probabilities, ten intensities
_MIGRATIONS = Path(__file__).resolve().parent / "migrations"


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


@dataclass(frozen=True)
class Analysis:
    """A saved result: everything but the detection threshold, which is applied when reading."""

    fingerprint: str
    settings_key: str
    video: Video
    sequences: tuple[SequenceScore, ...]
    provenance: Provenance
    processing_time_s: float
    warnings: tuple[str, ...]
    created_at: str


@dataclass(frozen=True)
class RunFile:
    """What one run found out about one file."""

    file: str
    fingerprint: str
    settings_key: str
    status: Status
    reason: str = ""
    hint: str = ""


@dataclass(frozen=True)
class RunRow:
    """One invocation as stored."""

    id: int
    started_at: str
    finished_at: str
    input_dir: str
    command: str
    settings: Mapping[str, Any]


class Store:
    """An open database, migrated to this version's tables."""

    def __init__(self, url: str) -> None:
        self.url = url
        parsed = sa.make_url(url)
        self.path = Path(parsed.database or "") if _is_file(parsed) else None
        try:
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._engine = sa.create_engine(url)
            if parsed.get_backend_name() == "sqlite":
                _set_up_sqlite(self._engine)
            self._migrate()
        except (OSError, sa.exc.SQLAlchemyError, ImportError) as error:
            raise StoreError(
                f"cannot open the database {url}: {_first_line(error)}",
                hint="Check that the folder exists, is writable and has free space.",
            ) from error

    def _migrate(self) -> None:
        import alembic.command
        import alembic.config
        import alembic.util

        config = alembic.config.Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        with self._engine.begin() as connection:
            config.attributes["connection"] = connection
            try:
                alembic.command.upgrade(config, "head")
            except alembic.util.CommandError as error:
                raise StoreError(
                    f"{self.url} was made by a newer aqs-batch ({error})",
                    hint="Use that version, or another --output_dir.",
                ) from error

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        """One write transaction; a database that is full or locked is an error for a person."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.OperationalError as error:
            raise StoreError(
                f"the database {self.url} refused a write: {_first_line(error)}",
                hint="Free disk space, or wait for the other program; nothing finished is lost.",
            ) from error

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with self._engine.connect().execution_options(**{_READING: True}) as connection:
            yield connection

    # --- runs --------------------------------------------------------------------------------

    def start_run(
        self, started_at: str, input_dir: str, command: str, settings: Mapping[str, Any]
    ) -> int:
        """Record an invocation; returns its id."""
        values = {
            "started_at": started_at,
            "finished_at": "",
            "input_dir": os.fsencode(input_dir),
            "command": command.encode(errors="backslashreplace").decode(),
            "settings": dict(settings),
        }
        with self._write() as connection:
            key = connection.execute(sa.insert(runs).values(values)).inserted_primary_key
            assert key is not None
            return int(key[0])

    def finish_run(self, run_id: int, finished_at: str) -> None:
        with self._write() as connection:
            connection.execute(
                sa.update(runs).where(runs.c.id == run_id).values(finished_at=finished_at)
            )

    def record_file(self, run_id: int, entry: RunFile) -> None:
        """Say what became of one file; a second word on the same file replaces the first."""
        where = (run_files.c.run_id == run_id) & (run_files.c.file == os.fsencode(entry.file))
        with self._write() as connection:
            connection.execute(sa.delete(run_files).where(where))
            connection.execute(
                sa.insert(run_files).values(
                    run_id=run_id,
                    file=os.fsencode(entry.file),
                    fingerprint=entry.fingerprint,
                    settings_key=entry.settings_key,
                    status=entry.status.value,
                    reason=entry.reason,
                    hint=entry.hint,
                )
            )

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
        """AQS that the same file name had in an earlier run under the same settings key."""
        earlier = (
            sa.select(run_files.c.fingerprint)
            .where(
                (run_files.c.run_id < run_id)
                & (run_files.c.file == os.fsencode(entry.file))
                & (run_files.c.settings_key == entry.settings_key)
                & (run_files.c.status != Status.FAILED.value)
            )
            .order_by(run_files.c.run_id.desc())
            .limit(1)
        )
        with self._read() as connection:
            found = connection.execute(earlier).scalar()
            query = sa.select(analyses.c.aqs).where(
                (analyses.c.fingerprint == found) & (analyses.c.settings_key == entry.settings_key)
            )
            return connection.execute(query).scalar() if found else None

    # --- jobs --------------------------------------------------------------------------------

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

    # --- results -----------------------------------------------------------------------------

    def save(self, job: Job, analysis: Analysis, aqs: float) -> None:
        """Commit a result and the end of its job together; an older result is replaced."""
        same = (analyses.c.fingerprint == analysis.fingerprint) & (
            analyses.c.settings_key == analysis.settings_key
        )
        with self._write() as connection:
            connection.execute(sa.delete(analyses).where(same))
            known = sa.delete(videos).where(videos.c.fingerprint == analysis.fingerprint)
            if not connection.execute(
                sa.select(analyses.c.id).where(analyses.c.fingerprint == analysis.fingerprint)
            ).first():
                connection.execute(known)
                connection.execute(
                    sa.insert(videos).values(
                        fingerprint=analysis.fingerprint, probe=_video_json(analysis.video)
                    )
                )
            result = connection.execute(
                sa.insert(analyses).values(
                    fingerprint=analysis.fingerprint,
                    settings_key=analysis.settings_key,
                    aqs=aqs,
                    provenance=asdict(analysis.provenance),
                    processing_time_s=analysis.processing_time_s,
                    warnings=list(analysis.warnings),
                    created_at=analysis.created_at,
                )
            )
            assert result.inserted_primary_key is not None
            key = result.inserted_primary_key[0]
            connection.execute(sa.insert(sequences), list(_rows(key, analysis.sequences)))
            connection.execute(
                sa.update(jobs).where(jobs.c.id == job.id).values(status=JobStatus.DONE.value)
            )

    def has_analysis(self, fingerprint: str, settings_key: str) -> bool:
        query = sa.select(analyses.c.id).where(
            (analyses.c.fingerprint == fingerprint) & (analyses.c.settings_key == settings_key)
        )
        with self._read() as connection:
            return connection.execute(query).first() is not None

    def analysis(self, fingerprint: str, settings_key: str) -> Analysis | None:
        """The saved result of one content under one settings key."""
        query = (
            sa.select(analyses, videos.c.probe)
            .join(videos, videos.c.fingerprint == analyses.c.fingerprint)
            .where(
                (analyses.c.fingerprint == fingerprint) & (analyses.c.settings_key == settings_key)
            )
        )
        with self._read() as connection:
            row = connection.execute(query).first()
            if row is None:
                return None
            parts = connection.execute(
                sa.select(sequences)
                .where(sequences.c.analysis_id == row.id)
                .order_by(sequences.c.number)
            ).all()
        return Analysis(
            fingerprint,
            settings_key,
            _video(row.probe),
            tuple(_sequence(part) for part in parts),
            Provenance(**row.provenance),
            row.processing_time_s,
            tuple(row.warnings),
            row.created_at,
        )

    def counts(self) -> dict[str, int]:
        """Rows per table that a person may care about."""
        with self._read() as connection:
            return {
                table.name: connection.execute(
                    sa.select(sa.func.count()).select_from(table)
                ).scalar_one()
                for table in (videos, runs, analyses, sequences)
            }


def _is_file(url: sa.URL) -> bool:
    return url.get_backend_name() == "sqlite" and bool(url.database) and url.database != ":memory:"


def _set_up_sqlite(engine: sa.Engine) -> None:
    @sa.event.listens_for(engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        # Transactions are begun below by hand: the driver's own begin is lazy, and two processes
        # could then both read a job as free before either writes.
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "foreign_keys=ON",
            f"busy_timeout={int(BUSY_TIMEOUT_S * 1000)}",
            "synchronous=FULL",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def on_begin(connection: sa.Connection) -> None:
        reading = connection.get_execution_options().get(_READING)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]


def _run(row: Any) -> RunRow:
    return RunRow(
        row.id,
        row.started_at,
        row.finished_at,
        os.fsdecode(row.input_dir),
        row.command,
        row.settings,
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
    )


def _video_json(video: Video) -> dict[str, Any]:
    parts = asdict(video)
    parts["path"] = os.fsencode(video.path).hex()
    for heavy in ("frame_times_s", "keyframe_times_s"):
        parts[heavy] = []  # needed to sample, not to report; a long film has 200,000 of them
    return parts


def _video(parts: Mapping[str, Any]) -> Video:
    fixed: dict[str, Any] = dict(parts)
    fixed["path"] = Path(os.fsdecode(bytes.fromhex(fixed["path"])))
    fixed["sar"], fixed["frame_rate"] = Fraction(**fixed["sar"]), Fraction(**fixed["frame_rate"])
    lists: dict[str, Any] = {k: tuple(v) for k, v in fixed.items() if isinstance(v, list)}
    return Video(**(fixed | lists))


def _rows(key: int, parts: Iterable[SequenceScore]) -> Iterator[dict[str, Any]]:
    for number, part in enumerate(parts):
        numbers = [(t.x, t.y, t.quality, *t.probability, *t.intensity) for t in part.tiles]
        yield {
            "analysis_id": key,
            "number": number,
            "t_s": part.t_s,
            "scene": part.scene,
            "aqs": part.aqs,
            "quality": part.quality,
            "artifact_component": part.artifact_component,
            "tiles": np.array(numbers, "<f4").tobytes(),
            "thumbnail": part.thumbnail,
        }


def _sequence(row: Any) -> SequenceScore:
    table = np.frombuffer(row.tiles, "<f4").reshape(-1, _TILE_NUMBERS).astype(float)
    tiles = tuple(
        TileScores(r[0], r[1], r[2], tuple(r[3:13]), tuple(r[13:23])) for r in table.tolist()
    )
    return SequenceScore(
        row.t_s,
        row.aqs,
        row.quality,
        row.artifact_component,
        tuple(table[:, 3:13].mean(0).tolist()),
        tuple(table[:, 13:23].mean(0).tolist()),
        tiles,
        row.scene,
        row.thumbnail,
    )
