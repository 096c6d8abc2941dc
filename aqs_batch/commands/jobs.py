"""`aqs-batch status`, `retry`, `cancel` and `prune`: the ledger, looked at and put right."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aqs_batch.commands.frame import EXIT_FAILED, load, open_store, plain_errors, settings_flags

if TYPE_CHECKING:
    from aqs_batch.settings import Settings
    from aqs_batch.store import Store

FOLLOW_S = 2.0
LONGEST_RUN_S = 30 * 86400.0  # a run that began before and has no end was killed


@click.command()
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--follow", is_flag=True, help="Show it again whenever it changes, until Ctrl-C.")
@click.option("--check", is_flag=True, help="For monitoring: exit 1 unless the service is well.")
def status(
    config: Path | None,
    output_dir: str | None,
    db: str | None,
    debug: bool,
    as_json: bool,
    follow: bool,
    check: bool,
) -> int:
    """Show jobs by state, the last run, and what failed."""
    from aqs_batch import console

    with plain_errors(debug):
        settings = load(config, output_dir, db).settings
        if check:
            return _check(settings)
        with open_store(settings) as store:
            console.show_status(store, as_json=as_json)
            shown = store.job_counts()
            while follow:
                time.sleep(FOLLOW_S)
                if (now := store.job_counts()) != shown:
                    shown = now
                    click.echo()
                    console.show_status(store, as_json=as_json)
    return 0


def _check(settings: Settings) -> int:
    """One line in the way of monitoring plugins, and its exit code."""
    from aqs_batch import health

    wrong = health.check(Path(settings.output.dir), time.time(), settings.watch.check_s)
    with open_store(settings) as store:
        counts = store.job_counts()
    figures = ", ".join(f"{n} {name}" for name, n in counts.items())
    click.echo(f"{'WRONG: ' + '; '.join(wrong) if wrong else 'OK'} ({figures})")
    return EXIT_FAILED if wrong else 0


@click.command()
@click.argument("files", nargs=-1)
@settings_flags
def retry(
    files: tuple[str, ...], config: Path | None, output_dir: str | None, db: str | None, debug: bool
) -> int:
    """Queue failed and quarantined jobs again: all, or those of FILES."""
    with plain_errors(debug):
        settings = load(config, output_dir, db).settings
        with open_store(settings) as store:
            count = store.retry(_ids(store, files))
    click.echo(f"{_jobs(count)} queued again for the watch folder or the next run")
    return 0


@click.command()
@click.argument("files", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Cancel every queued and running job.")
@settings_flags
def cancel(
    files: tuple[str, ...],
    everything: bool,
    config: Path | None,
    output_dir: str | None,
    db: str | None,
    debug: bool,
) -> int:
    """End queued and running jobs: those of FILES, or --all. Files are not touched."""
    if bool(files) == everything:
        raise click.UsageError("name files, or say --all")
    with plain_errors(debug):
        settings = load(config, output_dir, db).settings
        with open_store(settings) as store:
            count = store.cancel(_ids(store, files))
    click.echo(f"{_jobs(count)} cancelled")
    return 0


@click.command()
@settings_flags
@click.option("--keep-runs", type=click.IntRange(1), default=100, help="Newest runs to keep (100).")
@click.option("--missing-days", type=float, default=365.0, help="Files gone so long (365).")
@click.option("--folder", help="Forget which files this folder held, e.g. as it is empty now.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
def prune(
    config: Path | None,
    output_dir: str | None,
    db: str | None,
    debug: bool,
    keep_runs: int,
    missing_days: float,
    folder: str | None,
    dry_run: bool,
) -> int:
    """Forget old runs and files long gone. Results are kept."""
    from aqs_batch.clock import iso

    with plain_errors(debug):
        now_s = time.time()
        settings = load(config, output_dir, db).settings
        with open_store(settings) as store:
            gone: list[tuple[str, Callable[..., int], tuple[object, ...]]] = [
                ("runs", store.prune_runs, (keep_runs, iso(now_s - LONGEST_RUN_S))),
                ("missing files", store.prune_missing, (now_s - missing_days * 86400,)),
            ]
            if folder:
                place = os.path.abspath(folder)
                gone.append((f"files of {place}", store.prune_folder, (place,)))
            gone.append(("jobs without a file", store.prune_jobs, ()))
            for name, forget, arguments in gone:
                count = forget(*arguments, dry_run=dry_run)
                click.echo(f"{name}: {count} {'would be ' if dry_run else ''}forgotten")
    return 0


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
            raise StoreError(f"{name} has no open job", hint="`aqs-batch status` lists them.")
    return [number for path in wanted for number in found[path]]


def _jobs(count: int) -> str:
    return f"{count} job{'s' if count != 1 else ''}"
