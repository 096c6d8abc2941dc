"""Re-encodes as jobs of the ledger: claimed, retried and finished like analyses are."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aqs_batch import encoding, pipeline
from aqs_batch.config import Settings
from aqs_batch.encode import trash
from aqs_batch.errors import AqsError, EncodeError, StoreError
from aqs_batch.ffmpeg import find as find_ffmpeg
from aqs_batch.ingest.probe import Limits, probe
from aqs_batch.records import Rung
from aqs_batch.store import Job, JobStatus, RunFile, Store

LEASE_S = 900.0
HEARTBEAT_S = 20.0
SCORED_SEQUENCES = 8  # of every rung, spread over its samples

Tell = Callable[[str, dict[str, Any]], None]  # kind of event, facts


class EncodeJobs:
    """The re-encodes of one run or watch folder; a no-op where [encode] is off."""

    def __init__(self, store: Store, settings: Settings, settings_key: str, worker: str) -> None:
        self._store, self._settings, self._worker = store, settings, worker
        self._settings_key = settings_key
        self._bench: pipeline.Workbench | None = None

    def after(self, path: Path, entry: RunFile, tell: Tell, *, force: bool = False) -> RunFile:
        """Re-encode a file whose analysis went well; a failure is told in the entry's reason.

        What this project encoded itself is left alone, or a replaced original would be encoded
        again every night.
        """
        asked = self._settings.encode
        if not asked.enabled or not entry.fingerprint or entry.reason:
            return entry
        if self._store.is_encode(entry.fingerprint):
            return entry
        try:
            self._work(path, entry.fingerprint, tell, force)
        except StoreError:
            raise
        except AqsError as error:
            tell("encode_failed", {"reason": str(error), "hint": error.hint})
            return replace(entry, reason=f"re-encode: {error}", hint=error.hint)
        return entry

    def _work(self, path: Path, fingerprint: str, tell: Tell, force: bool) -> None:
        ffmpeg = find_ffmpeg(self._settings.ffmpeg.path)
        key = self._settings.encode.key(self._settings_key, ffmpeg.version)
        queued = self._store.enqueue(fingerprint, key, path, force=force)
        if queued.status is JobStatus.DONE:
            tell("encoded", _facts(self._store.rungs(fingerprint)) | {"known": True})
            return
        job = self._store.claim(
            queued.id, self._worker, time.time(), LEASE_S, self._settings.limits.max_attempts
        )
        if job is None:
            raise EncodeError("another process is encoding it", hint="Run again when it is done.")
        if job.status is JobStatus.QUARANTINED:
            raise EncodeError(job.reason, hint=job.hint)
        try:
            result = encoding.encode(self._order(path, job, tell, force))
        except KeyboardInterrupt:
            self._store.release(job)
            raise
        except AqsError as error:
            self._store.fail(job, str(error), error.hint)
            raise
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._store.save_rungs(job, result.rungs, now)
        tell("encoded", _facts([stored.rung for stored in result.rungs]) | {"known": False})
        if self._settings.encode.replace:
            self._replace(path, fingerprint, result, now, tell)

    def _order(self, path: Path, job: Job, tell: Tell, force: bool) -> encoding.Job:
        last = time.monotonic()

        def progress(done: float, planned: float, what: str) -> None:
            nonlocal last
            if time.monotonic() - last > HEARTBEAT_S:
                self._store.heartbeat(job, self._worker, time.time(), LEASE_S)
                last = time.monotonic()
            tell("encoding", {"done": done, "planned": planned, "what": what})

        return encoding.Job(
            path=path,
            fingerprint=job.fingerprint,
            settings=self._settings,
            ffmpeg=find_ffmpeg(self._settings.ffmpeg.path),
            known=(lambda key: None) if force else self._store.rung,
            score=self._score if self._settings.encode.aqs else None,
            progress=progress,
        )

    def _score(self, files: Sequence[Path]) -> float:
        """AQS of an encode: the mean of a few sequences spread over its files."""
        if self._bench is None:
            checkpoint = pipeline.checkpoint_of(self._settings)
            self._bench = pipeline.set_up(self._settings, checkpoint)
        few = files[:: max(-(-len(files) // SCORED_SEQUENCES), 1)]
        most = max(SCORED_SEQUENCES // len(few), 1)
        analysis = self._settings.analysis.model_copy(update={"max_sequences": most})
        settings = self._settings.model_copy(update={"analysis": analysis})
        bench = replace(self._bench, settings=settings)
        limits = Limits(settings.limits.max_pixels, settings.limits.max_streams)
        scores: list[float] = []
        for path in few:
            sequences, _ = pipeline.score(probe(path, limits), bench, lambda done, of: None)
            scores += [sequence.aqs for sequence in sequences]
        return sum(scores) / len(scores)

    def _replace(
        self, path: Path, fingerprint: str, result: encoding.Result, now: str, tell: Tell
    ) -> None:
        """Put the best encode in the original's place, unless something would be lost by it."""
        if result.best is None:
            raise EncodeError(
                "the original stays: no encode was worth taking", hint="Nothing was replaced."
            )
        if result.losses:
            raise EncodeError(
                f"the original stays, for its encode lost something: {'; '.join(result.losses)}",
                hint=f"The encode is {result.best}.",
            )
        entry = trash.replace(path, result.best, fingerprint, now)
        tell("replaced", {"by": str(entry.replacement), "kept": str(entry.kept)})


def worker_name() -> str:
    """Who claims jobs in this process."""
    return f"encode:{os.getpid()}:{time.monotonic_ns()}"


def _facts(rungs: Sequence[Rung]) -> dict[str, Any]:
    return {
        "rungs": [
            {
                "crf": r.crf,
                "codec": r.codec,
                "kbps": round(r.kbps, 1),
                "bytes": r.size_bytes,
                "vmaf": None if r.vmaf is None else round(r.vmaf.mean, 3),
                "vmaf_neg": None if r.vmaf_neg is None else round(r.vmaf_neg.mean, 3),
                "alignment": r.alignment,
                "plan": r.plan,
                "recommended": r.recommended,
                "output": r.output,
            }
            for r in rungs
        ]
    }
