"""Encodes of a source, saved together with the end of their job and found again by their key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from aqs_batch.records import Check, Rung, Vmaf, WorstFrame
from aqs_batch.store.jobs import Job, Jobs
from aqs_batch.store.tables import ITS_KEY, ITS_PRINT, rung_frames, rungs

_AS_MADE = sa.select(rungs).order_by(rungs.c.id)
_OF_KEY = _AS_MADE.where(rungs.c.rung_key == ITS_KEY)
_OF_SOURCE = _AS_MADE.where(rungs.c.fingerprint == ITS_PRINT)
_POOLED = ("vmaf", "vmaf_neg", "vmaf_v1")


@dataclass(frozen=True)
class StoredRung:
    """A rung with the key of all that made it, and the fingerprint of its kept file, if any."""

    rung: Rung
    key: str
    output_fingerprint: str = ""


class Rungs(Jobs):
    """Rungs by source and by key."""

    def save_rungs(self, job: Job, made: Sequence[StoredRung], created_at: str) -> None:
        """Commit the rungs of one source and the end of their job together.

        A rung of the same key is replaced; the content of its kept file stays known as an encode
        of ours. Of a source's rungs only those of the newest call may be recommended, so that a
        report never names two. Raises LostJob, and saves nothing, when the job is no longer this
        worker's.
        """
        with self._write() as connection:
            self._done(connection, job)
            _withdraw(connection, job.fingerprint)
            _put(connection, job, made, created_at)

    def spare_rungs(self, job: Job, made: Sequence[StoredRung], created_at: str) -> None:
        """Commit rungs of a job that fails, so that its next attempt need not make them again.

        What is known stays as it is: it may be kept, or another request's choice.
        """
        with self._write() as connection:
            keys = sa.select(rungs.c.rung_key).where(rungs.c.fingerprint == job.fingerprint)
            known = set(connection.execute(keys).scalars())
            new = [stored for stored in made if stored.key not in known]
            _put(connection, job, new, created_at)

    def rung(self, key: str) -> Rung | None:
        """The rung made before with the same key, None where there is none."""
        found = self._rungs(_OF_KEY, {"its_key": key})
        return found[0] if found else None

    def rungs(self, fingerprint: str) -> tuple[Rung, ...]:
        """Every rung of one source in the order in which they were first made; of what was made
        twice, the best: taken, kept, later.

        Earlier versions knew CRF 22 and CRF 22.0 as two rungs.
        """
        once: dict[tuple[object, ...], Rung] = {}
        for r in self._rungs(_OF_SOURCE, {"its_print": fingerprint}):
            same = r.crf, r.codec, r.preset, r.params, r.preprocess, r.plan, r.frames, r.model
            if _worth(r) >= _worth(once.get(same, r)):
                once[same] = r
        return tuple(once.values())

    def move_output(self, fingerprint: str, old: str, new: str) -> None:
        """Note that a source's kept encode lies elsewhere now, as when it took its place."""
        mine = rungs.c.fingerprint == fingerprint
        with self._write() as connection:
            for row in connection.execute(sa.select(rungs.c.id, rungs.c.rung).where(mine)).all():
                if row.rung.get("output") == old:
                    change = sa.update(rungs).where(rungs.c.id == row.id)
                    connection.execute(change.values(rung={**row.rung, "output": new}))

    def is_encode(self, fingerprint: str) -> bool:
        """Whether a content is an encode that this database knows the making of."""
        query = sa.select(rungs.c.id).where(rungs.c.output_fingerprint == fingerprint).limit(1)
        with self._read() as connection:
            return bool(fingerprint) and connection.execute(query).first() is not None

    def _rungs(self, query: sa.Select[Any], asked: dict[str, str]) -> list[Rung]:
        with self._read() as connection:
            rows = connection.execute(query, asked).all()
            if not rows:
                return []
            frames = connection.execute(
                sa.select(rung_frames)
                .where(rung_frames.c.rung_id.in_([row.id for row in rows]))
                .order_by(rung_frames.c.number)
            ).all()
        return [_rung(row, [f for f in frames if f.rung_id == row.id]) for row in rows]


def _worth(rung: Rung) -> tuple[bool, bool]:
    return bool(rung.recommended), bool(rung.output)


def _put(connection: sa.Connection, job: Job, made: Sequence[StoredRung], created_at: str) -> None:
    """Write rungs in place of those of the same keys; they stay as old as these were."""
    for stored in made:
        same = rungs.c.rung_key == stored.key
        before = connection.execute(
            sa.select(rungs.c.id, rungs.c.output_fingerprint, rungs.c.rung).where(same)
        ).first()
        ours = stored.output_fingerprint or (before.output_fingerprint if before else "")
        asked_by = before.rung.get("asked_by", ()) if before else ()
        connection.execute(sa.delete(rungs).where(same))
        result = connection.execute(
            sa.insert(rungs).values(
                **({"id": before.id} if before else {}),
                fingerprint=job.fingerprint,
                rung_key=stored.key,
                crf=stored.rung.crf,
                rung=_json(stored.rung, job.settings_key, asked_by),
                output_fingerprint=ours,
                created_at=created_at,
            )
        )
        assert result.inserted_primary_key is not None
        key = result.inserted_primary_key[0]
        frames = [
            {"rung_id": key, "number": n, "t_s": w.t_s, "vmaf": w.vmaf,
             "picture": w.picture}
            for n, w in enumerate(stored.rung.worst)
        ]  # fmt: skip
        if frames:
            connection.execute(sa.insert(rung_frames), frames)


def _withdraw(connection: sa.Connection, fingerprint: str) -> None:
    mine = rungs.c.fingerprint == fingerprint
    for row in connection.execute(sa.select(rungs.c.id, rungs.c.rung).where(mine)).all():
        if row.rung.get("recommended"):
            parts = {**row.rung, "recommended": ""}
            connection.execute(sa.update(rungs).where(rungs.c.id == row.id).values(rung=parts))


def _json(rung: Rung, key: str, asked_by: Sequence[str]) -> dict[str, Any]:
    parts = asdict(rung) | {"chosen_by": key if rung.recommended else ""}
    parts["asked_by"] = sorted({*asked_by, key})
    del parts["worst"], parts["on_hull"]
    return parts


def _rung(row: Any, frames: Sequence[Any]) -> Rung:
    parts: dict[str, Any] = dict(row.rung)
    for name in _POOLED:
        parts[name] = _vmaf(parts.get(name))
    parts["checks"] = tuple(Check(**part) for part in parts.get("checks", ()))
    for name in ("strip", "warnings", "asked_by"):
        parts[name] = tuple(parts.get(name, ()))
    parts["worst"] = tuple(WorstFrame(f.t_s, f.vmaf, f.picture) for f in frames)
    return Rung(**parts)


def _vmaf(parts: Mapping[str, float] | None) -> Vmaf | None:
    return None if parts is None else Vmaf(**parts)
