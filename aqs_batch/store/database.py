"""An open database: where it is, how it is migrated, and what a transaction is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from aqs_batch.errors import StoreError

BUSY_TIMEOUT_S = 60.0
_READING = "aqs_reading"
_MIGRATIONS = Path(__file__).resolve().parent / "migrations"


class Database:
    """A connection pool to one database URL; opening it migrates it."""

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
