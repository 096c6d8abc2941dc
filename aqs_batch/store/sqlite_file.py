"""A database that is a file of SQLite: who may write to it, and how it is opened."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from aqs_batch.errors import SettingsError

READING = "aqs_reading"
_RETRY_S = 0.02
_OURS = {"alembic_version", "analyses", "run_files"}  # in every version; the first is others' too


def is_file(url: sa.URL) -> bool:
    return url.get_backend_name() == "sqlite" and bool(url.database) and url.database != ":memory:"


def identity(path: Path | None) -> tuple[int, int] | None:
    """Device and inode of a file; None: it is not there."""
    try:
        info = os.stat(path) if path is not None else None
    except OSError:
        return None
    return None if info is None else (info.st_dev, info.st_ino)


def is_for_reading(path: Path) -> bool:
    """Whether a database is there that we may not write to: a monitoring user asks for `status`."""
    return path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def reader(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing, not even beside the file where nobody else has it open."""
    is_open = path.with_name(f"{path.name}-shm").exists()
    how = "mode=ro" if is_open else "immutable=1"
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?{how}", uri=True, check_same_thread=False
    )
    _refuse_others(connection, path)
    return connection


def set_up(engine: sa.Engine, path: Path, busy_timeout_s: float) -> None:
    @sa.event.listens_for(engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        # Transactions are begun below by hand: the driver's own begin is lazy, and two processes
        # could then both read a job as free before either writes.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={int(busy_timeout_s * 1000)}")
        _to_wal(connection, path, busy_timeout_s)
        for pragma in ("foreign_keys=ON", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def on_begin(connection: sa.Connection) -> None:
        reading = connection.get_execution_options().get(READING)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _to_wal(connection: Any, path: Path, busy_timeout_s: float) -> None:
    """Switch to write-ahead logging, which SQLite refuses at once while another does the same."""
    until = time.monotonic() + busy_timeout_s
    while True:
        try:
            _refuse_others(connection, path)
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(_RETRY_S)


def _refuse_others(connection: Any, path: Path) -> None:
    """Raises SettingsError where another program's tables are, before a byte is written: ours had
    been put among them, and the file switched to another kind of log.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if tables and not tables >= _OURS:
        raise SettingsError(
            f"{path} is a database of another program",
            hint="Name another file with --db; nothing was changed in this one.",
        )
