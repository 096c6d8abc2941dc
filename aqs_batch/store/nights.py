"""What audit nights found: kept as it is found, since a night may be killed before it tells."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from aqs_batch.store.places import Place, Places
from aqs_batch.store.runs import RunKind
from aqs_batch.store.tables import findings, runs
from aqs_batch.wording import moment, shown


class FindingKind(StrEnum):
    """What an audit can say of a file, as it stands in the database and in `--json`."""

    NEW = "new"
    CHANGED = "changed"
    RENAMED = "renamed"
    MISSING = "missing"
    DEGRADED = "degraded"
    CORRUPT = "corrupt"
    FAILED = "failed"
    RESCORED = "re-scored"


@dataclass(frozen=True)
class Finding:
    """One file, what an audit says of it and, where it needs saying, why."""

    kind: FindingKind
    file: str
    why: str = ""
    night: str = ""  # when the night began that found it and told nobody; "": this night

    @property
    def words(self) -> str:
        """One line for a mail or a page."""
        why = f": {shown(self.why)}" if self.why else ""
        night = f" (found by the night of {moment(self.night)}, which was cut off)"
        return f"{self.kind}: {shown(self.file)}{why}{night if self.night else ''}"


class Nights(Places):
    """Findings by run; they outlive the run's process."""

    def night_at_work(self, folder: str, is_at_work: Callable[[str], bool]) -> str:
        """When the night over a folder began that goes on in another process; "": there is none."""
        audits = (runs.c.kind == RunKind.AUDIT.value) & (runs.c.input_dir == os.fsencode(folder))
        query = sa.select(runs.c.started_at, runs.c.worker).where(audits, runs.c.finished_at == "")
        with self._read() as connection:
            rows = connection.execute(query).all()
        return next((row.started_at for row in rows if is_at_work(row.worker)), "")

    def settle(self, run_id: int, place: Place, *found: Finding) -> None:
        """Note what lies where together with what was found there: the next night, which takes the
        place as known, does not find it again.
        """
        with self._write() as connection:
            self._note(connection, place)
            self._tell(connection, place)
            _add(connection, run_id, found)

    def find(self, run_id: int, *found: Finding) -> None:
        """Keep what a night found; found again, it is no longer that of an earlier night."""
        with self._write() as connection:
            _add(connection, run_id, found)

    def inherit(self, run_id: int, is_at_work: Callable[[str], bool]) -> None:
        """Take over what earlier nights over the same folder found and told nobody.

        A night whose process, as `is_at_work` says, goes on tells it itself.
        """
        folder = sa.select(runs.c.input_dir).where(runs.c.id == run_id).scalar_subquery()
        untold = (
            sa.select(findings, runs.c.started_at, runs.c.worker)
            .join(runs, runs.c.id == findings.c.run_id)
            .where((runs.c.input_dir == folder) & (runs.c.id < run_id) & ~findings.c.told)
            .order_by(runs.c.id)
        )
        with self._write() as connection:
            rows = connection.execute(untold).all()
            over = {row.run_id for row in rows if not is_at_work(row.worker)}
            rows = [row for row in rows if row.run_id in over]
            _add(connection, run_id, [_finding(row, row.night or row.started_at) for row in rows])
            connection.execute(
                sa.update(findings).where(findings.c.run_id.in_(over)).values(told=True)
            )

    def inherited(self, run_id: int) -> list[Finding]:
        """What a night tells of nights before it."""
        mine = (findings.c.run_id == run_id) & (findings.c.night != "")
        query = sa.select(findings).where(mine).order_by(findings.c.kind, findings.c.file)
        with self._read() as connection:
            return [_finding(row, row.night) for row in connection.execute(query)]

    def told(self, run_id: int) -> None:
        """Say that what a night found has been told."""
        with self._write() as connection:
            connection.execute(
                sa.update(findings).where(findings.c.run_id == run_id).values(told=True)
            )


def _add(connection: sa.Connection, run_id: int, found: Iterable[Finding]) -> None:
    # Thousands at once: all in two statements.
    rows = {(one.kind.value, one.file): one for one in found}
    if not rows:
        return
    columns = (findings.c.run_id, findings.c.kind, findings.c.file)
    same = [column == sa.bindparam(f"its_{column.name}") for column in columns]
    keys = [
        {"its_run_id": run_id, "its_kind": kind, "its_file": os.fsencode(file)}
        for kind, file in rows
    ]
    new = [
        {"run_id": run_id, "kind": one.kind.value, "file": os.fsencode(one.file), "why": one.why,
         "night": one.night, "told": False}
        for one in rows.values()
    ]  # fmt: skip
    connection.execute(sa.delete(findings).where(*same), keys)
    connection.execute(sa.insert(findings), new)


def _finding(row: Any, night: str) -> Finding:
    return Finding(FindingKind(row.kind), os.fsdecode(row.file), row.why, night)
