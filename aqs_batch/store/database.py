"""An open database: where it is, how it is migrated, and what a transaction is."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa

from aqs_batch.errors import RefusedRow, SettingsError, StoreError, reason_and_place
from aqs_batch.store.engine import open_engine
from aqs_batch.store.sqlite_file import READING, identity, is_file, is_for_reading
from aqs_batch.wording import size, without_password

_LOG = logging.getLogger(__name__)

BUSY_TIMEOUT_S = 60.0
AT_ONCE = 500  # values of a list in one statement: SQLite before 3.32 takes 999
# Drivers whose package is not called as their module is.
_DRIVERS = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary"}
_SERVER = "Is its server up, and are its address, user and password right?"
_SERVER_LOST = "Is its server up, and has its disk room? Nothing finished is lost."
_MIGRATIONS = Path(__file__).resolve().parent / "migrations"
HEAD = max(file.name[:4] for file in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


class Database:
    """A connection pool to one database URL; opening it migrates it."""

    def __init__(self, url: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.url = without_password(url)
        self._joined = threading.local()
        try:
            parsed = sa.make_url(url)
        except (sa.exc.ArgumentError, ValueError) as error:  # a port that is no number
            raise _no_url(self.url) from error
        self.path = Path(parsed.database or "") if is_file(parsed) else None
        if parsed.get_backend_name() == "sqlite" and self.path is None:  # in memory: all is lost
            raise _no_url(self.url)
        try:
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._engine = open_engine(parsed, busy_timeout_s)
            self._migrate()
            self._file = identity(self.path)
        except (ImportError, sa.exc.NoSuchModuleError) as error:  # no fault of folder or disk
            name = getattr(error, "name", None) or "a driver that SQLAlchemy knows"
            raise SettingsError(
                f"the database {self.url} needs a driver: {_first_line(error)}",
                hint=f"Install {_DRIVERS.get(name, name)}, or leave --db out: a file needs none.",
            ) from error
        except (sa.exc.ArgumentError, ValueError) as error:  # sqlite://aqs.db: a slash too few
            raise _no_url(self.url) from error
        except (OSError, sqlite3.Error, sa.exc.SQLAlchemyError) as error:
            raise StoreError(
                f"cannot open the database {self.url}: {_first_line(error)}",
                hint=_advice(error)
                or (_SERVER if self.path is None else "")
                or "Check that the folder exists, is writable and has free space.",
            ) from error

    def _migrate(self) -> None:
        """Bring an older database up to date, keeping a copy of it; refuse a newer one."""
        with self._engine.connect().execution_options(**{READING: True}) as connection:
            if _revision(connection) == HEAD:
                return
        with self._engine.begin() as connection:  # of two processes, the second waits here
            revision = _revision(connection)
            if revision == HEAD:
                return
            if revision > HEAD:
                raise StoreError(
                    f"{self.url} was made by a newer aqs-batch "
                    f"(its tables are of version {revision}, this one knows {HEAD})",
                    hint="Use that version, or another --output_dir. Nothing was changed.",
                )
            if revision and self.path is not None:
                self._back_up(self.path, self.path.with_name(f"{self.path.name}.before-{HEAD}"))
            _upgrade(connection)

    def _back_up(self, path: Path, target: Path) -> None:
        """Keep a copy, or raise StoreError; what is left of a copy that was not made goes."""
        what = f"the database {self.url} is of an earlier version and has to be upgraded"
        if is_for_reading(path):
            raise StoreError(
                f"{what}, but it or its folder is read-only",
                hint="Once a user who may write there has opened it, it can be read again.",
            )
        part = target.with_name(f".{target.name}.part")
        part.unlink(missing_ok=True)
        room = size(path.stat().st_size)
        # Heard on standard error, whatever the command: of a large one it takes minutes.
        _LOG.warning(
            "upgrading the database %s; a copy of its %s is kept as %s", self.url, room, target.name
        )
        try:
            with closing(sqlite3.connect(path)) as source:
                source.execute("VACUUM INTO ?", (str(part),))
            part.replace(target)
        except sqlite3.Error as error:
            # An upgrade that was killed, or itself had no room, has kept one: it takes the room.
            earlier = f" {target.name} is the copy of an upgrade that did not end, and may go."
            raise StoreError(
                f"{what}, but no copy of it could be made first: {error}",
                hint=_damage(error)
                or f"{path.parent} needs {room} of free space for the copy; nothing was changed."
                + (earlier if target.exists() else ""),
            ) from error
        finally:
            for rest in (part, part.with_name(f"{part.name}-journal")):
                rest.unlink(missing_ok=True)  # half a copy had filled the disk for good

    def close(self) -> None:
        self._engine.dispose()

    def _stay_with_the_file(self) -> None:
        """Go on in the file that bears the name now, if any does: SQLite writes on into one that
        was deleted or replaced, or whose disk went, and all that a service scored since was lost.
        """
        if self._file is None or self._file == (now := identity(self.path)):
            return
        self._engine.dispose()
        if now is None:
            raise StoreError(
                f"the database {self.url} is not there any more",
                hint="Mount its disk or put the file back; to begin a new one, start again.",
            )
        self._file = now

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """All that this thread writes inside is one transaction: the disk is waited for once."""
        with self._write() as connection:
            self._joined.connection = connection
            try:
                yield
            finally:
                del self._joined.connection

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        """One write transaction; a database that is full or locked is an error for a person."""
        if joined := getattr(self._joined, "connection", None):
            yield joined
            return
        self._stay_with_the_file()
        try:
            with self._engine.begin() as connection:
                yield connection
        except (sa.exc.IntegrityError, sa.exc.DataError) as error:
            raise RefusedRow(
                f"internal error: the database {self.url} refused a row: {_first_line(error)}",
                hint="Please report it; nothing finished is lost.",
            ) from error
        except sa.exc.DBAPIError as error:
            if _is_readonly(error):
                raise StoreError(
                    f"the database {self.url} or its folder is read-only",
                    hint="Allow this user to write there, or name another --output_dir.",
                ) from error
            raise StoreError(
                f"the database {self.url} refused a write: {_first_line(error)}",
                hint=_damage(error)
                or (_SERVER_LOST if self.path is None else "")
                or "Free disk space, or wait for the other program; nothing finished is lost.",
            ) from error

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        self._stay_with_the_file()
        try:
            with self._engine.connect().execution_options(**{READING: True}) as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise StoreError(
                f"the database {self.url} cannot be read: {_first_line(error)}",
                hint=_damage(error)
                or (_SERVER_LOST if self.path is None else "")
                or "Wait for the other program, or check the disk; nothing was changed.",
            ) from error


def _no_url(url: str) -> SettingsError:
    hint = "For a file: sqlite:////folder/aqs.db, or sqlite:///aqs.db in this folder."
    return SettingsError(f"{url!r} is not the URL of a database", hint=hint)


def missing_file(url: str) -> Path | None:
    """The file of a database that is not there yet: opening it would make it. None: it is there,
    or is no file.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        return None  # opening it says what is wrong
    path = Path(parsed.database or "")
    is_named = is_file(parsed) and not (parsed.host or str(path).startswith("file:"))
    return path if is_named and not path.exists() else None


def insert_unless_there(
    connection: sa.Connection, table: sa.Table, values: Mapping[str, object]
) -> bool:
    """Insert a row; False where another process has put one there since it was looked for."""
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(table).values(values))
    except sa.exc.IntegrityError:
        return False
    return True


def _revision(connection: sa.Connection) -> str:
    """The version of the tables that are there; "" where there are none."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return ""
    text = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return str(text or "")


def _upgrade(connection: sa.Connection) -> None:
    import alembic.command
    import alembic.config

    config = alembic.config.Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, "head")


def _is_readonly(error: Exception) -> bool:
    return _code(error) == sqlite3.SQLITE_READONLY


def _damage(error: Exception) -> str:
    """What to do about a file that is damaged, or no database; "" where it is neither."""
    if _code(error) not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return ""
    return "The file is damaged. Put a copy of it back, or move it away: all is then scored anew."


def _advice(error: Exception) -> str:
    """What to do about a file that cannot be opened, where its folder is not to blame."""
    if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "Another program is at work in it, upgrading it or making it smaller: wait for it."
    if _code(error) == sqlite3.SQLITE_IOERR:  # SQLite's word for a disk without a byte left, too
        return "Is its disk full? Then free some space; nothing was changed."
    return _damage(error)


def _code(error: Exception) -> int:
    code: int = getattr(getattr(error, "orig", None) or error, "sqlite_errorcode", 0)
    return code & 0xFF  # the higher bits say why


def _first_line(error: Exception) -> str:
    return reason_and_place(getattr(error, "orig", None) or error).splitlines()[0]
