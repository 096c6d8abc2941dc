"""What is where: the files of watched and audited folders, and which content each of them held."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from aqs_batch.records import Stamp
from aqs_batch.store.database import AT_ONCE, insert_unless_there
from aqs_batch.store.jobs import Job, Jobs
from aqs_batch.store.tables import analyses, files, jobs, of_content

PAGE = 1000  # places read at a time
_IS_THERE = (files.c.missing_since == 0.0) & (files.c.moved_to == b"")
_STAYS = _IS_THERE & (files.c.problem == "")
_AS_BYTES = ("folder", "file", "moved_to")  # names of files need not be text


@dataclass(frozen=True)
class Audited:
    """A place as an audit has told it: a service on the same folder may know more by now, and what
    it saw first had never been told.
    """

    stamp: str
    fingerprint: str
    previous_fingerprint: str
    settings_key: str
    missing: bool  # it was told to be missing

    @property
    def last_print(self) -> str:
        """What could last be read here, so that a night without rights makes no changed file."""
        return self.fingerprint or self.previous_fingerprint


@dataclass(frozen=True)
class Place:
    """One file of a folder as it was last recognised; times are seconds since the epoch."""

    folder: str
    file: str  # relative to the folder, "/" between parts
    stamp: str  # size, times and inode, see records.Stamp
    fingerprint: str  # "" when it could not be read, `problem` then says why
    settings_key: str = ""
    previous_fingerprint: str = ""
    content_hash: str = ""  # of every byte; "" until an audit has read it all
    hashed_at: float = 0.0
    problem: str = ""
    missing_since: float = 0.0  # 0: it is there
    moved_to: str = ""  # where the service put it when it had been processed
    mounted: bool = False  # it lay on another device than the folder around the watched one
    audited: Audited | None = None  # noted by `settle` alone; None: no audit has told of it

    @property
    def is_expected(self) -> bool:
        """Whether it was there at the last look of an audit or, where none was, of a service."""
        return not (self.audited.missing if self.audited else self.missing_since)

    @property
    def path(self) -> Path:
        return Path(self.moved_to) if self.moved_to else Path(self.folder, self.file)


_SEEN = [part.name for part in fields(Place) if part.name != "audited"]


class Places(Jobs):
    """Places: one row a file of a folder."""

    def take(self, place: Place) -> Job | None:
        """Note what lies where and queue the work it needs, at once or not at all.

        Returns the job, or None where the result is known or the file has no fingerprint.
        """
        key = place.settings_key
        known = sa.select(analyses.c.id).where(of_content(analyses, place.fingerprint, key))
        with self._write() as connection:
            self._note(connection, place)
            if not place.fingerprint or connection.execute(known).first():
                return None
            path = Path(place.folder, place.file)
            return self._enqueue(connection, place.fingerprint, key, path, force=False, again=False)

    def note(self, place: Place) -> None:
        """Note what lies where; the content it replaces is remembered as the previous one."""
        with self._write() as connection:
            self._note(connection, place)

    def _note(self, connection: sa.Connection, place: Place) -> None:
        where = _is(place.folder, place.file)
        before = connection.execute(sa.select(files).where(where)).first()
        values = _values(place)
        if before is None:
            if insert_unless_there(connection, files, values):
                return
            before = connection.execute(sa.select(files).where(where)).one()
        if before.fingerprint == place.fingerprint:
            values["previous_fingerprint"] = before.previous_fingerprint
            # Of a large file the fingerprint sees samples only: after a write, which is meant, the
            # hash of all its bytes is no longer known.
            is_same = Stamp.parse(before.stamp).written == Stamp.parse(place.stamp).written
            # A newer hash is kept: it came along with a file that was renamed.
            if is_same and before.hashed_at >= place.hashed_at:
                values |= {"content_hash": before.content_hash, "hashed_at": before.hashed_at}
        else:
            values["previous_fingerprint"] = before.fingerprint or before.previous_fingerprint
        connection.execute(sa.update(files).where(where).values(values))

    def _tell(self, connection: sa.Connection, place: Place) -> None:
        """Note that an audit has told of a place as it is now."""
        where = _is(place.folder, place.file)
        had = _audited(connection.execute(sa.select(files).where(where)).one())
        previous = ""
        if had is not None:
            is_same = had.fingerprint == place.fingerprint
            previous = had.previous_fingerprint if is_same else had.last_print
        told = Audited(place.stamp, place.fingerprint, previous, place.settings_key, missing=False)
        values = {f"audited_{name}": value for name, value in asdict(told).items()}
        connection.execute(sa.update(files).where(where).values(values))

    def verified(self, place: Place, content_hash: str, at: float) -> None:
        """Note what every byte of a file comes to, unless another lies there by now."""
        where = _is(place.folder, place.file) & (files.c.stamp == place.stamp)
        found = {"content_hash": content_hash, "hashed_at": at}
        with self._write() as connection:
            connection.execute(sa.update(files).where(where).values(found))

    def moved(self, place: Place, to: Path) -> None:
        """Remember where a processed file was put; its jobs find it there when tried again."""
        where = _is(place.folder, place.file) & (files.c.stamp == place.stamp)
        was = os.fsencode(os.path.join(place.folder, place.file))
        of_it = (jobs.c.fingerprint == place.fingerprint) & (jobs.c.path == was)
        with self._write() as connection:
            # What is put there next is another file, of which no audit has told.
            values = {"moved_to": os.fsencode(to), "audited_stamp": ""}
            connection.execute(sa.update(files).where(where).values(values))
            connection.execute(sa.update(jobs).where(of_it).values(path=os.fsencode(to)))

    def mark_missing(
        self, folder: str, names: Iterable[str], since: float, *, told: bool = False
    ) -> None:
        """Say that files are not where they were; `told`: by an audit.

        Not of those that were moved: another service had put them elsewhere, and they had been gone
        from the report of both.
        """
        todo = [os.fsencode(name) for name in names]
        first = sa.case((files.c.missing_since > 0.0, files.c.missing_since), else_=since)
        values = {"missing_since": first} | ({"audited_missing": True} if told else {})
        for start in range(0, len(todo), AT_ONCE):
            some = files.c.file.in_(todo[start : start + AT_ONCE])
            where = (files.c.folder == os.fsencode(folder)) & some & (files.c.moved_to == b"")
            with self._write() as connection:
                connection.execute(sa.update(files).where(where).values(values))

    def forget(self, folder: str, name: str) -> None:
        """Delete a place, not its results."""
        with self._write() as connection:
            connection.execute(sa.delete(files).where(_is(folder, name)))

    def places(self, folder: str, *, staying: bool = False) -> Iterator[Place]:
        """The places of one folder by name, read a page at a time.

        `staying`: only files that are there, can be read and were not moved.
        """
        after = b""
        query = sa.select(files).where(files.c.folder == os.fsencode(folder))
        query = query.where(_STAYS) if staying else query
        query = query.order_by(files.c.file).limit(PAGE)
        while True:
            with self._read() as connection:
                rows = connection.execute(query.where(files.c.file > after)).all()
            if not rows:
                return
            for row in rows:
                yield _place(row)
            after = rows[-1].file

    def unreadable(self) -> list[Place]:
        """The files of all folders that are there and cannot be read: no job tells of them."""
        where = (files.c.problem != "") & (files.c.missing_since == 0.0)
        query = sa.select(files).where(where).order_by(files.c.folder, files.c.file)
        with self._read() as connection:
            return [_place(row) for row in connection.execute(query)]

    def stamps(self, folder: str, settings_key: str) -> Iterator[tuple[str, str, bool]]:
        """(name, stamp, mounted) of the files that are there; "" for those to be recognised anew.

        Such are those of other settings, with a problem, or that have neither result nor job: one
        whose disk had gone when it was its turn had been forgotten for ever.
        """
        known = [
            sa.exists().where(
                (table.c.fingerprint == files.c.fingerprint)
                & (table.c.settings_key == settings_key)
            )
            for table in (analyses, jobs)
        ]
        settled = (files.c.settings_key == settings_key) & (files.c.problem == "") & sa.or_(*known)
        query = sa.select(
            files.c.file,
            sa.case((settled, files.c.stamp), else_="").label("stamp"),
            files.c.mounted,
        ).where((files.c.folder == os.fsencode(folder)) & _IS_THERE)
        with self._read() as connection:
            for row in connection.execute(query):
                yield os.fsdecode(row.file), row.stamp, row.mounted

    def places_of(self, fingerprint: str) -> list[Place]:
        """Every place that holds one content now."""
        where = (files.c.fingerprint == fingerprint) & _IS_THERE
        with self._read() as connection:
            return [_place(row) for row in connection.execute(sa.select(files).where(where))]


def _is(folder: str, file: str) -> sa.ColumnElement[bool]:
    return (files.c.folder == os.fsencode(folder)) & (files.c.file == os.fsencode(file))


def _values(place: Place) -> dict[str, Any]:
    values = {name: getattr(place, name) for name in _SEEN}
    return values | {name: os.fsencode(values[name]) for name in _AS_BYTES}


def _place(row: Any) -> Place:
    values = {name: getattr(row, name) for name in _SEEN}
    names = {name: os.fsdecode(values[name]) for name in _AS_BYTES}
    return Place(**values | names, audited=_audited(row))


def _audited(row: Any) -> Audited | None:
    told = {part.name: getattr(row, f"audited_{part.name}") for part in fields(Audited)}
    return Audited(**told) if told["stamp"] else None
