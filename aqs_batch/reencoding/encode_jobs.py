"""Re-encodes as jobs of the ledger: claimed, retried and finished like analyses are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aqs_batch.analysis.checkpoint import chosen
from aqs_batch.clock import Clock, iso
from aqs_batch.encode import trash, trial
from aqs_batch.encode.codec import Recipe
from aqs_batch.errors import (
    AqsError,
    EncodeError,
    MediaError,
    Misaligned,
    SettingsError,
    StoreError,
    TargetError,
    reason_and_place,
)
from aqs_batch.events import EventKind, Progress
from aqs_batch.ffmpeg import find as find_ffmpeg
from aqs_batch.ingest.files import ENCODES
from aqs_batch.ingest.probe import probe
from aqs_batch.ingest.wholeness import FIELDS_IN_PART
from aqs_batch.records import RE_ENCODE, Rung
from aqs_batch.reencoding import encoding, preprocessing
from aqs_batch.reencoding.replacing import Replacing
from aqs_batch.settings import Settings
from aqs_batch.stop import Stop, Stopped
from aqs_batch.store import Job, JobStatus, RunFile, Store
from aqs_batch.wording import none_recommended
from aqs_batch.worker import End, Ended, Task, Worker, once_free

if TYPE_CHECKING:
    from aqs_batch.pipeline import Workbench

SCORED_SEQUENCES = 8  # of every rung, spread over its samples
LASTING = (MediaError, Misaligned, TargetError)  # these would come again

Tell = Callable[[EventKind, dict[str, Any]], None]


class EncodeJobs:
    """The re-encodes of one run, where [encode] is on, or of one service."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        settings_key: str,
        worker: str,
        clock: Clock,
        stop: Stop,
    ) -> None:
        self._store, self._settings, self._name = store, settings, worker
        self._settings_key, self._clock, self._stop = settings_key, clock, stop
        self._replacing = Replacing(store, settings, settings_key, clock)
        self._bench: Workbench | None = None

    @property
    def key(self) -> str:
        """The settings key of these jobs."""
        version = find_ffmpeg(self._settings.ffmpeg.path).version
        return self._settings.encode.key(self._settings_key, version)

    def check(self) -> None:
        """Raises SettingsError for an ffmpeg or encoder parameters that would fail every file, and
        CheckpointError for a filter that would.
        """
        asked, found = self._settings.encode, find_ffmpeg(self._settings.ffmpeg.path)
        if asked.strength:
            preprocessing.shipped()
        trial.check(found, Recipe(asked.codec, asked.preset, asked.params))

    def after(self, path: Path, entry: RunFile, tell: Tell, *, force: bool = False) -> RunFile:
        """Re-encode a file whose analysis went well; a failure is told in the entry's reason.

        What this project encoded itself is left alone, or a replaced original would be encoded
        again every night.
        """
        asked = self._settings.encode
        if not asked.enabled or not entry.fingerprint or entry.reason:
            return entry
        if self._store.is_encode(entry.fingerprint):
            why = "is an encode of ours and is not encoded again"
            tell(EventKind.LEFT, {"reason": why, "hint": ""})
            return entry
        try:
            self._now(path, entry.fingerprint, tell, force)
        except (StoreError, SettingsError):
            raise
        except AqsError as error:
            tell(EventKind.ENCODE_FAILED, {"reason": str(error), "hint": error.hint})
            return replace(entry, reason=f"{RE_ENCODE}{error}", hint=error.hint)
        return entry

    def _now(self, path: Path, fingerprint: str, tell: Tell, force: bool) -> None:
        if self._settings.encode.replace:
            trash.check(path)
        for rung in self._store.rungs(fingerprint):
            if rung.output and trash.is_back(path, Path(rung.output)):  # nothing is kept
                self._store.move_output(fingerprint, rung.output, "")
        job = queued = self._queued(path, fingerprint, force)
        if job.status is not JobStatus.DONE:
            job = once_free(
                lambda: self._claimed(queued),
                lambda: tell(EventKind.WAITING, {}),
                self._store,
                self._settings.limits,
                self._clock,
            )
        if job.status is JobStatus.DONE:
            tell(EventKind.ENCODED, self._facts(self._own(fingerprint)) | {"known": True})
            if self._settings.encode.replace:  # a person who restored it would not have it again
                why = "stays where it is: this content was dealt with before with these settings"
                tell(EventKind.LEFT, {"reason": why, "hint": "--force tries it again."})
            return
        if job.status is JobStatus.QUARANTINED:
            raise EncodeError(job.reason, hint=job.hint)
        ended = self.work(job, tell, lambda done, of: None, patient=False, force=force)
        if ended.end is End.RELEASED:
            raise Stopped
        if ended.end is not End.SAVED:
            raise EncodeError(ended.reason, hint=ended.hint)

    def _queued(self, path: Path, fingerprint: str, force: bool) -> Job:
        """The job, queued again where what it had made is not, or not any more, as it is asked."""
        job = self._store.enqueue(fingerprint, self.key, path, force=force)
        if job.status is JobStatus.DONE and (
            self._has_lost_files(fingerprint)
            or self._was_overruled(fingerprint)
            or self._still_waits(fingerprint)
        ):
            job = self._store.enqueue(fingerprint, self.key, path, force=True)
        return job

    def _claimed(self, queued: Job) -> Job | None:
        """The job in our hands, or as another process has done it; None: that one has it still."""
        now, limits = self._clock.now(), self._settings.limits
        if job := self._store.claim(
            queued.id, self._name, now, limits.lease_s, limits.max_attempts
        ):
            return job
        job = self._store.job(queued.fingerprint, queued.settings_key)
        if job is None:
            raise EncodeError("the file changed while another process was encoding it")
        if job.status in (JobStatus.FAILED, JobStatus.QUARANTINED):
            raise EncodeError(job.reason, hint=job.hint)
        return job if job.status is JobStatus.DONE else None

    def _has_lost_files(self, fingerprint: str) -> bool:
        """Whether files that were to be kept are not there any more, so that they are made again.

        Nothing is missed of an encode that took its original's place.
        """
        asked = self._settings.encode
        if asked.keeps == "none" or asked.replace:
            return False
        kept = [rung.output for rung in self._own(fingerprint) if rung.output]
        return not all(Path(output).exists() for output in kept)

    def _was_overruled(self, fingerprint: str) -> bool:
        """Whether the rung to take is what another request chose, so that it is chosen anew.

        All rungs are there: it costs no encode. What took its original's place stays.
        """
        chosen_by = {r.chosen_by for r in self._store.rungs(fingerprint) if r.recommended}
        return not self._settings.encode.replace and not chosen_by <= {"", self.key}

    def _still_waits(self, fingerprint: str) -> bool:
        """Whether the encode to take lies where it was kept, not in its original's place.

        What stood in its way may be gone: a full disk, a folder that was read-only. It costs no
        encode to look again. Who brought an original back has the encode in the trash.
        """
        taken = [r.output for r in self._store.rungs(fingerprint) if r.recommended and r.output]
        kept = Path(self._settings.output.dir) / ENCODES
        waits = any(Path(o).is_relative_to(kept) and Path(o).exists() for o in taken)
        return self._settings.encode.replace and waits

    def work(
        self, job: Job, tell: Tell, progress: Progress, *, patient: bool, force: bool = False
    ) -> Ended:
        """Encode a claimed job's file and record its end, as a worker does; `progress` in frames.

        Not being allowed to replace an original is a failure, though the rungs are saved.
        """
        made: list[encoding.Result] = []

        def process(path: Path, fingerprint: str, moved: Progress) -> encoding.Result:
            if self._settings.encode.replace:
                self._replacing.check(path, fingerprint)
            order = self._order(path, fingerprint, tell, moved, force)
            spare = partial(self._store.spare_rungs, job, created_at=iso(self._clock.now()))
            made.append(encoding.encode(replace(order, spare=spare)))
            return made[-1]

        def save(held: Job, result: encoding.Result) -> None:
            self._store.save_rungs(held, result.rungs, iso(self._clock.now()))

        task = Task(process, save, LASTING)
        limits = self._settings.limits
        worker = Worker(
            self._store, limits, task, self._clock, self._stop, lambda e: tell(e.kind, e.facts)
        )
        ended = worker.work(job, progress, patient=patient)
        if ended.end is not End.SAVED:
            return ended
        rungs = [stored.rung for stored in made[-1].rungs]
        if not self._settings.encode.replace:
            tell(EventKind.ENCODED, self._facts(rungs) | {"known": False})
            return ended
        # Where the one to take lies is told once it has its place: it leaves where it was kept.
        told = [replace(rung, output="") if rung.recommended else rung for rung in rungs]
        tell(EventKind.ENCODED, self._facts(told) | {"known": False})
        return self._replaced(job, made[-1], tell)

    def _replaced(self, job: Job, result: encoding.Result, tell: Tell) -> Ended:
        """How the job ends once its best encode is, or may not be, in its original's place."""
        try:
            tell(EventKind.REPLACED, self._replacing.replace(job.path, job.fingerprint, result))
        except AqsError as error:
            return Ended(End.FAILED, str(error), error.hint)
        except OSError as error:  # it vanished meanwhile, say: the run had ended with it
            why = f"the original could not be replaced: {reason_and_place(error)}"
            return Ended(End.FAILED, why)
        return Ended(End.SAVED)

    def _own(self, fingerprint: str) -> list[Rung]:
        """The rungs of this request, by CRF; of versions that noted none, all there are."""
        rungs = sorted(self._store.rungs(fingerprint), key=lambda r: r.crf)
        return [r for r in rungs if self.key in r.asked_by] or rungs

    def _facts(self, rungs: Sequence[Rung]) -> dict[str, Any]:
        """What an event says of the rungs of this request, each warning once."""
        warnings = [words for rung in rungs for words in rung.warnings]
        if self._settings.encode.keeps == "best" and not any(r.recommended for r in rungs):
            warnings.append(none_recommended(any(r.vmaf for r in rungs)))
        return {"rungs": [_rung_facts(r) for r in rungs], "warnings": list(dict.fromkeys(warnings))}

    def _order(
        self, path: Path, fingerprint: str, tell: Tell, moved: Progress, force: bool
    ) -> encoding.Order:
        def progress(done: float, planned: float, what: str) -> None:
            moved(int(done), max(int(planned), 1))
            tell(EventKind.ENCODING, {"done": done, "planned": planned, "what": what})

        analysis = self._store.gist(fingerprint, self._settings_key)
        return encoding.Order(
            path=path,
            fingerprint=fingerprint,
            settings=self._settings,
            ffmpeg=find_ffmpeg(self._settings.ffmpeg.path),
            known=(lambda key: None) if force else self._store.rung,
            score=self._score if self._settings.encode.aqs else None,
            aqs_key=self._settings_key,
            progress=progress,
            has_fields=analysis is not None and FIELDS_IN_PART in analysis.warnings,
        )

    def _score(self, files: Sequence[Path]) -> float:
        """AQS of an encode: the mean of a few sequences spread over its files."""
        from aqs_batch import pipeline  # with torch, half a gigabyte: not before there is work

        if self._bench is None:
            checkpoint = chosen(self._settings.model.checkpoint)
            self._bench = pipeline.set_up(self._settings, checkpoint)
        few = files[:: max(-(-len(files) // SCORED_SEQUENCES), 1)]
        most = max(SCORED_SEQUENCES // len(few), 1)
        analysis = self._settings.analysis.model_copy(update={"max_sequences": most})
        settings = self._settings.model_copy(update={"analysis": analysis})
        bench = replace(self._bench, settings=settings)
        scores: list[float] = []
        for path in few:
            sequences, _ = pipeline.score(
                probe(path, settings.limits), bench, lambda done, of: None
            )
            scores += [sequence.aqs for sequence in sequences]
        return sum(scores) / len(scores)


def _rung_facts(rung: Rung) -> dict[str, Any]:
    return {
        "crf": rung.crf,
        "codec": rung.codec,
        "preprocess": rung.preprocess,
        "kbps": round(rung.kbps, 6),  # 400.04 is above 400
        "bytes": rung.size_bytes,
        "vmaf": None if rung.vmaf is None else round(rung.vmaf.mean, 6),
        "vmaf_neg": None if rung.vmaf_neg is None else round(rung.vmaf_neg.mean, 6),
        "alignment": rung.alignment,
        "plan": rung.plan,
        "recommended": rung.recommended,
        "output": rung.output,
    }
