"""`aqs-batch status`, `retry`, `cancel` and `prune`: the ledger, looked at and put right."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aqs_batch.commands.endings import EXIT_FAILED
from aqs_batch.commands.flags import Load, settings_flags
from aqs_batch.commands.ledger import open_store

if TYPE_CHECKING:
    from aqs_batch.settings import Settings
    from aqs_batch.store import Job, RunRow, Store

FOLLOW_S = 2.0
QUEUED_SHOWN = 10  # thousands that only wait had hidden what failed
LONGEST_RUN_S = 30 * 86400.0  # a run that began before and has no end was killed


@click.command()
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--follow", is_flag=True, help="Show it again whenever it changes, until Ctrl-C.")
@click.option("--check", is_flag=True, help="For monitoring: exit 1 unless the service is well.")
def status(load: Load, as_json: bool, follow: bool, check: bool) -> int:
    """Show jobs by state, the last run, and what failed."""
    settings = load().settings
    if check and (as_json or follow):
        raise click.UsageError(
            "--check says one line for monitoring: leave out --json and --follow"
        )
    if check:
        return _check(settings)
    with open_store(settings) as store:
        before = store.job_counts()  # first: what changes while it is shown is shown next
        _show(store, as_json=as_json)
        while follow:
            time.sleep(FOLLOW_S)
            if (now := store.job_counts()) != before:
                before = now
                if not as_json:  # an object a line
                    click.echo()
                _show(store, as_json=as_json)
    return 0


def _show(store: Store, *, as_json: bool) -> None:
    """Jobs by state, the last run, why jobs failed, and what never became a job."""
    from aqs_batch.store import JobStatus
    from aqs_batch.wording import count, moment, shown

    last = store.last_run()
    unreadable = _unreadable(store, last)
    jobs = [job for job in store.open_jobs() if job.status is not JobStatus.RUNNING]
    if as_json:
        click.echo(json.dumps(_as_json(store, last, jobs, unreadable)))
        return
    click.echo("jobs: " + ", ".join(f"{n} {name}" for name, n in store.job_counts().items()))
    if unreadable:
        files = f"unreadable files, which have no job: {len(unreadable)}"
        click.echo(f"{files} (looked at again once they change or can be read)")
    rows = store.counts()
    analyses = count(rows["analyses"], "analysis", "analyses")
    click.echo(f"results: {analyses}, {count(rows['sequences'], 'sequence')}")
    if last is not None:
        ends = {True: "goes on", False: "was cut off", None: "not finished"}
        state = f"finished {moment(last.finished_at)}" if last.finished_at else ends[_goes_on(last)]
        click.echo(f"last run: {last.id}, started {moment(last.started_at)}, {state}")
    queued = [job for job in jobs if job.status is JobStatus.QUEUED]
    queued.sort(key=lambda job: not job.reason)  # what went wrong before and is tried again
    for line in [
        *(_line(job) for job in jobs if job.status is not JobStatus.QUEUED),
        *(f"unreadable  {name}: {shown(why)}" for name, why in unreadable),
        *(_line(job) for job in queued[:QUEUED_SHOWN]),
    ]:
        click.echo(f"  {line}")
    if len(queued) > QUEUED_SHOWN:
        click.echo(f"  queued  and {len(queued) - QUEUED_SHOWN:,} more; --json lists them all")


def _goes_on(run: RunRow) -> bool | None:
    """Whether a run's process is at it yet; None: it ran elsewhere, and may."""
    from aqs_batch.identity import is_at_work, is_gone

    if run.finished_at or is_gone(run.worker):
        return False
    return is_at_work(run.worker) or None


def _line(job: Job) -> str:
    from aqs_batch.wording import shown

    reason = f": {shown(job.reason)}" if job.reason else ""
    hint = f" ({shown(job.hint)})" if job.hint else ""
    return f"{job.status.value}  {_work_of(job)}  {shown(str(job.path))}{reason}{hint}"


def _as_json(
    store: Store,
    last: RunRow | None,
    jobs: Sequence[Job],
    unreadable: Sequence[tuple[str, str]],
) -> dict[str, object]:
    from aqs_batch.wording import shown

    return {
        "jobs": store.job_counts(),
        "rows": store.counts(),
        "last_run": None
        if last is None
        else {
            "id": last.id,
            "started_at": last.started_at,
            "finished_at": last.finished_at,
            "goes_on": _goes_on(last),
        },
        "open": [
            {
                "file": shown(str(job.path)),
                "work": _work_of(job),
                "status": job.status.value,
                "reason": job.reason,
                "hint": job.hint,
            }
            for job in jobs
        ],
        "unreadable": [{"file": name, "reason": why} for name, why in unreadable],
    }


def _unreadable(store: Store, last: RunRow | None) -> list[tuple[str, str]]:
    """Files that the last run, or who watches or audits a folder, could not even recognise."""
    from aqs_batch.store import RunKind
    from aqs_batch.wording import shown

    found = [(str(place.path), place.problem) for place in store.unreadable()]
    if last is not None and last.kind is RunKind.RUN:
        entries = store.run_files(last.id)
        # Names are relative to the folder of the run: of one folder all say where they are.
        base = "" if os.pathsep in last.input_dir else last.input_dir
        found += [
            (os.path.join(base, e.file), e.reason)
            for e in entries
            if e.reason and not e.fingerprint
        ]
    return [(shown(name), why) for name, why in found]


def _work_of(job: Job) -> str:
    from aqs_batch.settings import ENCODE_KEY

    return "re-encode" if job.settings_key.startswith(ENCODE_KEY) else "score"


def _check(settings: Settings) -> int:
    """One line in the way of monitoring plugins, and its exit code."""
    from aqs_batch.watching import health

    wrong = health.check(Path(settings.output.dir), time.time(), settings.watch.check_s)
    with open_store(settings) as store:
        counts = store.job_counts()
    figures = ", ".join(f"{n} {name}" for name, n in counts.items())
    click.echo(f"{'WRONG: ' + '; '.join(wrong) if wrong else 'OK'} ({figures})")
    return EXIT_FAILED if wrong else 0


@click.command()
@click.argument("files", nargs=-1)
@settings_flags
def retry(files: tuple[str, ...], load: Load) -> int:
    """Queue failed and quarantined jobs again.

    All of them, or those of FILES.
    """
    from aqs_batch.wording import count

    with open_store(load().settings) as store:
        number = store.retry(_ids(store, files))
    click.echo(f"{count(number, 'job')} queued again for the watch folder or the next run")
    return 0


@click.command()
@click.argument("files", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Cancel every queued and running job.")
@settings_flags
def cancel(files: tuple[str, ...], everything: bool, load: Load) -> int:
    """End queued and running jobs: those of FILES, or --all. Files are not touched."""
    from aqs_batch.wording import count

    if bool(files) == everything:
        raise click.UsageError("name files, or say --all")
    with open_store(load().settings) as store:
        number = store.cancel(_ids(store, files))
    click.echo(f"{count(number, 'job')} cancelled")
    return 0


@click.command()
@settings_flags
@click.option(
    "--keep-runs",
    type=click.IntRange(1),
    default=100,
    help="How many of the newest runs to keep (100).",
)
@click.option(
    "--missing-days",
    type=float,
    default=365.0,
    help="Forget files that have been gone for this many days (365).",
)
@click.option("--folder", help="Forget which files this folder held, when it is empty on purpose.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
def prune(
    load: Load,
    keep_runs: int,
    missing_days: float,
    folder: str | None,
    dry_run: bool,
) -> int:
    """Forget old runs and files long gone; results are kept."""
    from aqs_batch.clock import iso
    from aqs_batch.identity import is_at_work

    if not missing_days >= 0:  # which "nan" is not either: it forgot nothing, and said so
        raise click.UsageError(f"--missing-days {missing_days:g}: days are 0 or more")
    now_s = time.time()
    since = iso(now_s - LONGEST_RUN_S)
    with open_store(load().settings) as store:
        gone: list[tuple[str, Callable[..., int], tuple[object, ...]]] = [
            ("runs", store.prune_runs, (keep_runs, since, is_at_work)),
            ("missing files", store.prune_missing, (now_s - missing_days * 86400,)),
        ]
        if folder is not None:
            place = _known_folder(store, folder)
            gone.append((f"files of {place}", store.prune_folder, (place,)))
        gone.append(("jobs without a file", store.prune_jobs, ()))
        gone.append(("copies from before older upgrades", store.prune_copies, ()))
        for name, forget, arguments in gone:
            number = forget(*arguments, dry_run=dry_run)
            click.echo(f"{name}: {number:,} {'would be ' if dry_run else ''}forgotten")
        _give_back(store, dry_run=dry_run)
    return 0


def _known_folder(store: Store, folder: str) -> str:
    """The folder as it is known; one of which nothing is known is an error, not a nothing."""
    from aqs_batch.errors import StoreError
    from aqs_batch.wording import shown

    place, known = os.path.abspath(folder) if folder else "", store.folders()
    if place not in known:
        names = ", ".join(shown(name) for name in known)
        hint = f"Watched or audited were: {names}." if known else "None was watched or audited."
        raise StoreError(f"nothing is known of a folder {shown(place)!r}", hint=hint)
    return place


def _give_back(store: Store, *, dry_run: bool) -> None:
    """Say what of the database's file is free, and shrink it where that is most of it.

    Less is left to the next runs: they fill it again, and while a file is written anew all wait.
    """
    from aqs_batch.wording import size

    whole, free = store.room()
    if free > whole / 2 and not dry_run:
        store.shrink()
        click.echo(f"database: {size(whole)}, now {size(store.room()[0])}")
    elif free:
        click.echo(f"database: {size(whole)}, of which {size(free)} are free for what comes")


def _ids(store: Store, files: tuple[str, ...]) -> list[int] | None:
    """The open jobs of these files; None: all. A name that has none is an error, not a nothing."""
    from aqs_batch.errors import StoreError

    if not files:
        return None
    wanted = {Path(os.path.abspath(file)): file for file in files}
    found: dict[Path, list[int]] = {}  # a file may have two: its score, and its re-encode
    for job in store.open_jobs():
        found.setdefault(Path(os.path.abspath(job.path)), []).append(job.id)
    for path, name in wanted.items():
        if path not in found:
            raise StoreError(
                f"{name} has no open job", hint="`aqs-batch status --json` lists them."
            )
    return [number for path in wanted for number in found[path]]
