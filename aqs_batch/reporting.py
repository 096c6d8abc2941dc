"""What the database has to say of a run, as the reports and the gates want it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from aqs_batch.analysis.checkpoint import chosen
from aqs_batch.analysis.score import score_video
from aqs_batch.auditing.findings import worst_first
from aqs_batch.encode import trash
from aqs_batch.encode.bd_rate import anchor_of, bd_rates, with_hull
from aqs_batch.records import RE_ENCODE, Outcome, Rung, RunRecord, Status
from aqs_batch.reports.export import exporting, targets_of
from aqs_batch.reports.lock import alone
from aqs_batch.reports.render import render
from aqs_batch.settings import ENCODE_KEY, Settings
from aqs_batch.store import Analysis, JobStatus, Place, RunKind, RunRow, Store
from aqs_batch.wording import cut, shown

Thresholds = Callable[[Analysis], tuple[float, ...]]  # of a result: ten, in Artifact order

_FAILED = (JobStatus.FAILED, JobStatus.QUARANTINED)


def thresholds_of(settings: Settings) -> Thresholds:
    """The probabilities above which the artifacts of a result are named: one for all, or those of
    the checkpoint that made it.

    Results of earlier versions do not tell theirs and go by the checkpoint that is set now; where
    that is gone, CheckpointError is raised then.
    """
    of_now = cache(lambda: chosen(settings.model.checkpoint).card.threshold)
    return lambda result: settings.analysis.thresholds(result.thresholds or of_now())


def outcomes(store: Store, run: RunRow, thresholds: Thresholds) -> Iterator[Outcome]:
    """What a run has to say, file by file, read back from the store one at a time.

    A watch folder's run has no end, so it tells what lies in its folders now.
    """
    if run.kind is RunKind.WATCH:
        yield from _standing(store, run, thresholds)
        return
    for entry in store.run_files(run.id):
        analysis = (
            store.analysis(entry.fingerprint, entry.settings_key)
            if entry.status is not Status.FAILED
            else None
        )
        if analysis is None:
            yield Outcome(
                entry.file, Status.FAILED, entry.fingerprint, reason=entry.reason, hint=entry.hint,
                previous_aqs=store.previous_aqs(run.id, entry),
            )  # fmt: skip
            continue
        places = [Path(base, entry.file) for base in run.input_dir.split(os.pathsep)]
        scored = _scored(store, entry.file, places, analysis, thresholds)
        if entry.encode_failed:  # what another request took is not this one's
            kept = tuple(replace(rung, recommended="") for rung in scored.encodes)
            scored = replace(scored, encodes=kept)
        yield replace(
            scored,
            status=entry.status,
            reason=entry.reason,
            hint=entry.hint,
            previous_aqs=store.previous_aqs(run.id, entry),
        )


def _scored(
    store: Store, name: str, places: Iterable[Path], analysis: Analysis, thresholds: Thresholds
) -> Outcome:
    """What is known of a scored file: its analysis, and its re-encodes if there are any.

    `places`: where it may lie. An encode that had taken such a place is not there any more: its
    original was brought back.
    """
    made = [
        replace(rung, output="")
        if rung.output and any(trash.is_back(place, Path(rung.output)) for place in places)
        else rung
        for rung in store.rungs(analysis.fingerprint)
    ]
    rungs, unlike = _alike(made, analysis.provenance.settings_key)
    rates, why_not = bd_rates(rungs)
    return Outcome(
        file=name,
        status=Status.SCORED,
        fingerprint=analysis.fingerprint,
        video=analysis.video,
        score=score_video(analysis.sequences, thresholds(analysis)),
        provenance=analysis.provenance,
        processing_time_s=analysis.processing_time_s,
        warnings=(*analysis.warnings, *unlike, *why_not),
        encodes=with_hull(sorted(rungs, key=lambda rung: rung.crf)),
        bd_rate=rates,
        bd_anchor=anchor_of(rungs).name if rates else "",
    )


def _alike(rungs: Sequence[Rung], key: str) -> tuple[list[Rung], list[str]]:
    """Rungs without the AQS that another checkpoint or other settings gave, and a word on it."""
    told = [rung if rung.aqs_key == key else replace(rung, aqs=None) for rung in rungs]
    lost = sum(rung.aqs is not None and rung.aqs_key != key for rung in rungs)
    if not lost:
        return told, []
    what = "one re-encode is" if lost == 1 else f"{lost} re-encodes are"
    why = "of another checkpoint or other settings and not shown; encode with --force to score anew"
    return told, [f"the AQS of {what} {why}"]


def joined(folders: Iterable[str]) -> str:
    """Folders as one text, which `folders_of` takes apart: no name holds the sign between them."""
    return "".join(f"{folder}\0" for folder in folders)


def folders_of(run: RunRow) -> list[str]:
    """The folders a watching run looks at; those of earlier versions were joined like a PATH."""
    if "\0" in run.input_dir:
        return run.input_dir.split("\0")[:-1]
    return run.input_dir.split(os.pathsep)


def labels(folders: Sequence[str]) -> dict[str, str]:
    """What each folder is called before its files: nothing where it is alone, else as much of the
    end of its path as tells it from the others.
    """
    if len(folders) == 1:
        return {folders[0]: ""}
    most = max(len(Path(folder).parts) for folder in folders)
    for length in range(1, most + 1):
        ends = [Path(*Path(folder).parts[-length:]).as_posix() for folder in folders]
        if len(set(ends)) == len(folders):
            break
    return {folder: f"{end}/" for folder, end in zip(folders, ends, strict=True)}


def _standing(store: Store, run: RunRow, thresholds: Thresholds) -> Iterator[Outcome]:
    """What the places of the watched folders hold; what waits for its turn is only counted."""
    called = labels(folders_of(run))
    for place, status in standing(store, run):
        if status is None:
            continue
        name = f"{called[place.folder]}{place.file}"
        analysis = store.analysis(place.fingerprint, place.settings_key)
        # Of a change before this service began the earlier one told: it had been told for good.
        before = place.previous_fingerprint if status is not Status.UNCHANGED else ""
        previous_aqs = store.aqs(before, place.settings_key) if before else None
        if status is Status.FAILED or analysis is None:
            job = store.job(place.fingerprint, place.settings_key)
            reason = place.problem or (job.reason if job else "")
            hint = job.hint if job and not place.problem else ""
            yield Outcome(
                name, Status.FAILED, place.fingerprint, reason=reason, hint=hint,
                previous_aqs=previous_aqs,
            )  # fmt: skip
            continue
        encode = store.newest_job(place.fingerprint, ENCODE_KEY)
        failed = encode is not None and encode.status in _FAILED
        yield replace(
            _scored(store, name, [Path(place.folder, place.file)], analysis, thresholds),
            status=status,
            reason=f"{RE_ENCODE}{encode.reason}" if encode and failed else "",
            hint=encode.hint if encode and failed else "",
            previous_aqs=previous_aqs,
        )


def standing(store: Store, run: RunRow) -> Iterator[tuple[Place, Status | None]]:
    """The files that are there, or were moved on, each with how it went; None: it waits.

    What was scored before the run began is known: in every report all files had been new.
    """
    for place in (place for folder in folders_of(run) for place in store.places(folder)):
        if place.missing_since:
            continue
        if place.problem:
            yield place, Status.FAILED
        elif at := store.scored_at(place.fingerprint, place.settings_key):
            yield place, Status.SCORED if at >= run.started_at else Status.UNCHANGED
        else:
            job = store.job(place.fingerprint, place.settings_key)
            if job is not None and job.status is not JobStatus.DONE:
                yield place, Status.FAILED if job.status in _FAILED else None


def run_record(store: Store, run: RunRow, waiting: int = 0) -> RunRecord:
    """A run as the report tells it; `waiting` files are not in the store yet."""
    counts = {status.value: 0 for status in Status}
    if run.kind is RunKind.WATCH:
        for _, status in standing(store, run):
            if status is None:
                waiting += 1
            else:
                counts[status.value] += 1
    else:
        entries = store.run_files(run.id)
        for entry in entries:
            counts[entry.status.value] += 1
        waiting = max(0, (run.files or 0) - len(entries))
    if waiting:
        counts["pending"] = waiting
    shown_dir = os.pathsep.join(folders_of(run)) if run.kind is RunKind.WATCH else run.input_dir
    earlier = worst_first(store.inherited(run.id))
    return RunRecord(
        run.id, run.started_at, run.finished_at, shown_dir, run.command, counts, run.settings,
        tuple(one.words for one in earlier), run.kind.value,
    )  # fmt: skip


def below_gate(store: Store, run: RunRow, gate: float) -> list[str]:
    """The files of a run whose AQS is below `gate`, in words; 0: there is no gate."""
    entries = store.run_files(run.id) if gate else []
    scores = [
        (entry.file, store.aqs(entry.fingerprint, entry.settings_key))
        for entry in entries
        if entry.status is not Status.FAILED
    ]
    return [
        f"{shown(file)} scores {cut(aqs, 3)}, below {gate:g}"
        for file, aqs in scores
        if aqs is not None and aqs < gate
    ]


def write_reports(
    store: Store,
    run: RunRow,
    settings: Settings,
    at_each: Callable[[], None] = lambda: None,
    *,
    waiting: int = 0,
    patient: bool = True,
) -> list[Path]:
    """Write the exports and the report of one run; returns what was written.

    `at_each` is called at every file: thousands take minutes. `waiting` as in `run_record`,
    `patient` as in `alone`.
    """
    output_dir, wanted = Path(settings.output.dir), set(settings.output.export)
    thresholds = thresholds_of(settings)
    now: dict[str, dict[str, Any]] = {
        "analysis": {"threshold": settings.analysis.threshold},
        "output": {"export": settings.output.export},
    }
    with alone(output_dir, at_each, patient=patient):
        record = run_record(store, run, waiting)  # not before: it may have been a long wait
        told = {part: {**record.settings.get(part, {}), **own} for part, own in now.items()}
        record = replace(record, settings={**record.settings, **told})
        # Read once for exports and pages: reading is a third of the work.
        found = _heard(outcomes(store, run, thresholds), at_each)
        # Closed here: left to Python's tidying, its own failure on a full disk was a traceback.
        with closing(exporting(output_dir, found, record, formats=wanted)) as passing:
            pages = [render(output_dir, passing, record)] if "html" in wanted else []
            deque(passing, maxlen=0)
    return [*targets_of(output_dir, wanted), *pages]


def _heard(found: Iterable[Outcome], at_each: Callable[[], None]) -> Iterator[Outcome]:
    for outcome in found:
        at_each()
        yield outcome


def told(
    store: Store, fingerprint: str, settings_key: str, thresholds: Thresholds
) -> dict[str, Any]:
    """What an event says of a score that is in the store."""
    analysis = store.gist(fingerprint, settings_key)
    assert analysis is not None
    score = score_video(analysis.sequences, thresholds(analysis))
    return {
        "aqs_score": round(score.aqs, 6),  # as in results.json: of four, 0.684993 was shown as 0.69
        "quality_level": score.level.value,
        "detected": [a.value for a in score.detected],
        "processing_time": round(analysis.processing_time_s, 3),
    }
