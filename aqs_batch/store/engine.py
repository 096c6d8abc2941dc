"""How each kind of database is connected to, so that all of them have one writer at a time."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import sqlalchemy as sa

from aqs_batch.errors import SettingsError
from aqs_batch.store.sqlite_file import READING, is_for_reading, reader, set_up
from aqs_batch.wording import without_password

_WRITERS = 0x415153  # any number of our own: who holds this lock of a PostgreSQL database writes


def open_engine(url: sa.URL, busy_timeout_s: float) -> sa.Engine:
    """A pool of connections; raises SettingsError where the tables could not be made."""
    kind = url.get_backend_name()
    if kind == "postgresql":
        # A connection from before the server was started again is found out before it is used.
        engine = sa.create_engine(url, pool_pre_ping=True)
        _set_up_postgresql(engine, busy_timeout_s)
        return engine
    if kind != "sqlite":  # others take no file name of any length as a key
        raise SettingsError(
            f"results are kept in SQLite or PostgreSQL, not in {kind}: "
            f"{without_password(url.render_as_string())}",
            hint="Name postgresql+psycopg://user@host/database, or leave --db out: a file.",
        )
    path = Path(url.database or "")
    if is_for_reading(path):
        return sa.create_engine(url, creator=partial(reader, path))
    engine = sa.create_engine(url)
    set_up(engine, path, busy_timeout_s)
    return engine


def _set_up_postgresql(engine: sa.Engine, busy_timeout_s: float) -> None:
    """The same as SQLite's BEGIN and BEGIN IMMEDIATE: who reads sees one moment, and of those who
    write the second waits. Two runs with other settings had lost results of the same video, and
    of two that met a new database one had failed.
    """

    @sa.event.listens_for(engine, "begin")
    def on_begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get(READING):
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(busy_timeout_s * 1000)}")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")
