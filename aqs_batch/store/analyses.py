"""Results: saved together with the end of their job, so once or not at all."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Sequence as Rows
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from aqs_batch.records import Fraction, Provenance, SequenceScore, TileScores, Video
from aqs_batch.store.jobs import Job, Jobs
from aqs_batch.store.tables import (
    ITS_AQS,
    ITS_KEY,
    ITS_PRINT,
    analyses,
    of_content,
    runs,
    sequences,
    videos,
)

_Table = npt.NDArray[Any]
_TILE_NUMBERS = 23  # x, y, quality, ten probabilities, ten intensities
_KNOWN = (
    sa.select(analyses, videos.c.probe)
    .join(videos, videos.c.fingerprint == analyses.c.fingerprint)
    .where(of_content(analyses, ITS_PRINT, ITS_KEY))
)
_OF_IT = sequences.c.analysis_id == sa.bindparam("its_id")
_ALL = sa.select(sequences).where(_OF_IT).order_by(sequences.c.number)
_GIST = _ALL.with_only_columns(
    sequences.c.tiles, sequences.c.quality, sequences.c.artifact_component
)


@dataclass(frozen=True)
class Analysis:
    """A saved result; artifacts are named when it is read, by its checkpoint's `thresholds` (ten,
    in Artifact order; none in results of earlier versions) or by what is asked for then.
    """

    fingerprint: str
    settings_key: str
    video: Video
    sequences: tuple[SequenceScore, ...]
    provenance: Provenance
    processing_time_s: float
    warnings: tuple[str, ...]
    created_at: str
    thresholds: tuple[float, ...] = ()


class Analyses(Jobs):
    """Analyses and their sequences."""

    def save(self, job: Job, analysis: Analysis, aqs: float) -> None:
        """Commit a result and the end of its job together; an older result is replaced.

        Raises LostJob, and saves nothing, when the job is no longer this worker's.
        """
        same = of_content(analyses, analysis.fingerprint, analysis.settings_key)
        with self._write() as connection:
            self._done(connection, job)
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
                    thresholds=list(analysis.thresholds),
                )
            )
            assert result.inserted_primary_key is not None
            key = result.inserted_primary_key[0]
            connection.execute(sa.insert(sequences), list(_rows(key, analysis.sequences)))

    def aqs(self, fingerprint: str, settings_key: str) -> float | None:
        """The AQS of one content under one settings key; None: not analysed."""
        asked = {"its_print": fingerprint, "its_key": settings_key}
        with self._read() as connection:
            found: float | None = connection.execute(ITS_AQS, asked).scalar()
            return found

    def scored_at(self, fingerprint: str, settings_key: str) -> str:
        """When that was analysed, ISO 8601; "": it was not."""
        its = of_content(analyses, fingerprint, settings_key)
        with self._read() as connection:
            return connection.execute(sa.select(analyses.c.created_at).where(its)).scalar() or ""

    def analysis(self, fingerprint: str, settings_key: str) -> Analysis | None:
        """The saved result of one content under one settings key."""
        return self._analysis(fingerprint, settings_key, _ALL, _sequences)

    def gist(self, fingerprint: str, settings_key: str) -> Analysis | None:
        """The same with the mean of its sequences in their place: to say in a line what is known of
        a film took a good part of what its page takes.
        """
        return self._analysis(fingerprint, settings_key, _GIST, _mean_sequence)

    def _analysis(
        self,
        fingerprint: str,
        settings_key: str,
        select: sa.Select[Any],
        read: Callable[[Rows[Any], float], Iterable[SequenceScore]],
    ) -> Analysis | None:
        asked = {"its_print": fingerprint, "its_key": settings_key}
        with self._read() as connection:
            row = connection.execute(_KNOWN, asked).first()
            if row is None:
                return None
            parts = connection.execute(select, {"its_id": row.id}).all()
        return Analysis(
            fingerprint,
            settings_key,
            _video(row.probe),
            tuple(read(parts, row.aqs)),
            Provenance(**row.provenance),
            row.processing_time_s,
            tuple(row.warnings),
            row.created_at,
            tuple(row.thresholds or ()),  # NULL in rows older than migration 0005
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


def _tables(rows: Rows[Any]) -> tuple[_Table, list[int], _Table]:
    """All tiles of an analysis, where those of each sequence end, and their means by sequence with
    the ten severities after them; decoded together, which is twice as quick.
    """
    table = np.frombuffer(b"".join(row.tiles for row in rows), "<f4").astype(float)
    table = table.reshape(-1, _TILE_NUMBERS)
    table = np.hstack([table, table[:, 3:13] * table[:, 13:]])
    counts = np.array([len(row.tiles) // (4 * _TILE_NUMBERS) for row in rows], int)
    ends = np.cumsum(counts)
    means = np.add.reduceat(table, ends - counts) / counts[:, None] if len(rows) else table
    return table, ends.tolist(), means


def _mean_sequence(rows: Rows[Any], aqs: float) -> Iterator[SequenceScore]:
    """One sequence of one tile with the means of all; `aqs` is that of the video."""
    _, _, means = _tables(rows)
    mean = means.mean(axis=0).tolist()
    quality, damage = (
        math.fsum(column) / len(rows)
        for column in zip(*((row.quality, row.artifact_component) for row in rows), strict=True)
    )
    yield SequenceScore(
        0.0, aqs, quality, damage, tuple(mean[3:13]), tuple(mean[13:23]), tuple(mean[23:]), ()
    )


def _sequences(rows: Rows[Any], _: float) -> Iterator[SequenceScore]:
    """All sequences of an analysis."""
    table, ends, means = _tables(rows)
    # By columns: a film has ten thousands of tuples, which one by one took twice as long.
    numbers = table[:, :3].T.tolist()
    tiles = list(map(TileScores, *numbers, _tens(table, 3), _tens(table, 13)))
    of_each = [tuple(tiles[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    vectors = (_tens(means, first) for first in (3, 13, 23))
    for row, own, chances, strengths, severity in zip(rows, of_each, *vectors, strict=True):
        _, _, t_s, scene, aqs, quality, damage, _, thumbnail = row
        yield SequenceScore(
            t_s, aqs, quality, damage, chances, strengths, severity, own, scene, thumbnail
        )


def _tens(table: _Table, first: int) -> Iterator[tuple[float, ...]]:
    """Ten numbers of each row, from column `first` on."""
    return map(tuple, table[:, first : first + 10].tolist())
