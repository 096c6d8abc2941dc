"""The command line. Importing this is cheap: what a command needs is imported when it runs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aqs_batch import __version__

if TYPE_CHECKING:
    from aqs_batch.config import Loaded, Settings
    from aqs_batch.store import Store

EXIT_FAILED, EXIT_USAGE, EXIT_GATE, EXIT_INTERRUPTED = 1, 2, 3, 130

# --input_dir and --input-dir are the same flag, here and everywhere.
_CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "token_normalize_func": lambda token: token.replace("_", "-"),
    "max_content_width": 100,
}


def main() -> None:
    """Entry point: errors become one plain message and an exit code."""
    try:
        code = commands.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted: what was finished is saved; run again to go on", err=True)
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


@contextmanager
def _plain_errors(debug: bool) -> Iterator[None]:
    """Our own errors as a message for a person; with --debug as a traceback."""
    from aqs_batch.errors import AqsError, SettingsError
    from aqs_batch.wording import shown

    try:
        yield
    except AqsError as error:
        if debug:
            raise
        click.echo(f"error: {shown(str(error))}", err=True)
        if error.hint:
            click.echo(f"  {error.hint}", err=True)
        raise click.exceptions.Exit(
            EXIT_USAGE if isinstance(error, SettingsError) else EXIT_FAILED
        ) from error
    except OSError as error:
        if debug:
            raise
        click.echo(f"error: {error.strerror or error}: {shown(str(error.filename))}", err=True)
        raise click.exceptions.Exit(EXIT_FAILED) from error


def _settings_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """The flags of every command that reads or writes results."""
    for option in reversed(
        (
            click.option("--config", type=click.Path(path_type=Path), help="Settings file."),
            click.option("--output-dir", help="Folder of database, exports and report."),
            click.option("--db", help="Database URL; default: aqs.db in the output folder."),
            click.option("--debug", is_flag=True, help="Show tracebacks."),
        )
    ):
        function = option(function)
    return function


def _load(config: Path | None, output_dir: str | None, db: str | None, **more: Any) -> Loaded:
    from aqs_batch import config as settings

    flags = {"output.dir": output_dir, "output.db": db, **more}
    return settings.load(config, settings.environment(), flags)


@click.group(context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="aqs-batch")
def commands() -> None:
    """How good do these videos look, what is wrong with them, and where.

    No reference needed. Results go to a database, CSV, JSON and an HTML report.
    """


@commands.command()
@click.argument("paths", nargs=-1, type=click.Path())
@click.option("--input-dir", type=click.Path(), help="Folder to take videos from, recursively.")
@click.option("--video", "videos", multiple=True, type=click.Path(), help="One video; repeatable.")
@_settings_flags
@click.option("--threshold", type=float, help="Severity from which an artifact is detected (0.2).")
@click.option("--export", help="Comma-separated: json,csv,html (all).")
@click.option("--fail-under", type=float, help="Exit 3 if any file scores below this AQS.")
@click.option("--device", help="auto, cpu, cuda, cuda:N.")
@click.option("--backend", help="auto, openvino or torch.")
@click.option("--checkpoint", help="A .safetensors checkpoint instead of the shipped one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON event per line.")
@click.option("--force", is_flag=True, help="Analyse again what is already known.")
def run(
    paths: tuple[str, ...],
    input_dir: str | None,
    videos: tuple[str, ...],
    config: Path | None,
    output_dir: str | None,
    db: str | None,
    debug: bool,
    threshold: float | None,
    export: str | None,
    fail_under: float | None,
    device: str | None,
    backend: str | None,
    checkpoint: str | None,
    as_json: bool,
    force: bool,
) -> int:
    """Score videos and write the report."""
    with _plain_errors(debug):
        loaded = _load(
            config,
            output_dir,
            db,
            **{
                "analysis.threshold": threshold,
                "output.export": export.split(",") if export else None,
                "run.fail_under": fail_under,
                "model.device": device,
                "model.backend": backend,
                "model.checkpoint": checkpoint,
            },
        )
        return _score(loaded.settings, [*paths, *videos], input_dir, as_json, force)


def _score(
    settings: Settings, named: list[str], input_dir: str | None, as_json: bool, force: bool
) -> int:
    """Run over everything named, write the reports, and give the exit code."""
    from aqs_batch import console, service
    from aqs_batch.ingest.files import gather
    from aqs_batch.store import Store
    from aqs_batch.wording import shown

    if not named and input_dir is None:
        raise click.UsageError("name videos, or a folder with --input_dir")
    if input_dir is not None and not Path(input_dir).is_dir():
        raise click.UsageError(f"--input_dir {shown(input_dir)}: no such folder")
    run, skip = settings.run, Path(settings.output.dir)
    names = [*([input_dir] if input_dir else []), *named]
    found = gather(names, run.extensions, follow_symlinks=run.follow_symlinks, skip=skip)
    store = Store(settings.output.url)
    try:
        with console.listener(as_json=as_json, stream=sys.stdout) as listen:
            batch = service.Batch(store, settings, listen)
            run_id = batch.run(
                found, input_dir=input_dir or "", command=shlex.join(sys.argv), force=force
            )
            written = service.write_reports(store, store.run(run_id), settings)
            listen(service.Event("report", facts={"written": [str(p) for p in written]}))
        return _exit_code(store, run_id, settings)
    finally:
        store.close()


def _exit_code(store: Store, run_id: int, settings: Settings) -> int:
    """1 when files failed, 3 when the gate failed (which outranks), else 0."""
    from aqs_batch import service
    from aqs_batch.wording import shown

    last, gate = store.run(run_id), settings.run.fail_under
    below = service.scores_below(store, last, gate) if gate else []
    for file, aqs in below:
        click.echo(f"gate: {shown(file)} scores {aqs:.3f}, below {gate:g}", err=True)
    if below:
        return EXIT_GATE
    return EXIT_FAILED if service.run_record(store, last).counts["failed"] else 0


@contextmanager
def _open_store(settings: Settings) -> Iterator[Store]:
    """The database of an earlier run; asking about one that is not there does not create it."""
    from aqs_batch.errors import StoreError
    from aqs_batch.store import Store

    if not settings.output.db and not (Path(settings.output.dir) / "aqs.db").exists():
        raise StoreError(
            f"no results in {settings.output.dir}",
            hint="Run `aqs-batch run` first, or name its folder with --output_dir.",
        )
    store = Store(settings.output.url)
    try:
        yield store
    finally:
        store.close()


@commands.command()
@_settings_flags
@click.option("--threshold", type=float, help="Severity from which an artifact is detected (0.2).")
@click.option("--export", help="Comma-separated: json,csv,html (all).")
def report(
    config: Path | None,
    output_dir: str | None,
    db: str | None,
    debug: bool,
    threshold: float | None,
    export: str | None,
) -> int:
    """Write the report of the last run again, from the database."""
    from aqs_batch import service
    from aqs_batch.errors import StoreError

    with _plain_errors(debug):
        formats = export.split(",") if export else None
        more = {"analysis.threshold": threshold, "output.export": formats}
        settings = _load(config, output_dir, db, **more).settings
        with _open_store(settings) as store:
            last = store.last_run()
            if last is None:
                raise StoreError("no run is recorded here yet", hint="Run `aqs-batch run` first.")
            for path in service.write_reports(store, last, settings):
                click.echo(path)
    return 0


@commands.command()
@_settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(
    config: Path | None, output_dir: str | None, db: str | None, debug: bool, as_json: bool
) -> int:
    """Show jobs by state, the last run, and what failed."""
    from aqs_batch import console

    with _plain_errors(debug):
        settings = _load(config, output_dir, db).settings
        with _open_store(settings) as store:
            console.show_status(store, as_json=as_json)
    return 0


@commands.command()
@_settings_flags
def retry(config: Path | None, output_dir: str | None, db: str | None, debug: bool) -> int:
    """Queue failed and quarantined jobs again, for the next run."""
    with _plain_errors(debug):
        settings = _load(config, output_dir, db).settings
        with _open_store(settings) as store:
            count = store.retry()
    click.echo(f"{count} job{'s' if count != 1 else ''} queued again; run `aqs-batch run`")
    return 0


@commands.command()
@_settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(
    config: Path | None, output_dir: str | None, db: str | None, debug: bool, as_json: bool
) -> int:
    """Check ffmpeg, model, device, database and disk; exit 2 when something is missing."""
    from aqs_batch import doctor as examination

    with _plain_errors(debug):
        settings = _load(config, output_dir, db).settings
        findings = examination.examine(settings)
    click.echo(examination.as_json(findings) if as_json else examination.as_text(findings))
    return 0 if all(f.ok for f in findings) else EXIT_USAGE


@commands.command()
@_settings_flags
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the demo clips here.")
def demo(
    config: Path | None, output_dir: str | None, db: str | None, debug: bool, keep: Path | None
) -> int:
    """Make short clips with one known damage each, score them and write the report."""
    import tempfile

    from aqs_batch import demo as clips
    from aqs_batch import ffmpeg

    with _plain_errors(debug):
        settings = _load(config, output_dir or "reports", db).settings
        with tempfile.TemporaryDirectory(prefix="aqs-demo-") as scratch:
            folder = keep or Path(scratch)
            clips.make(ffmpeg.find(settings.ffmpeg.path).path, folder)
            return _score(settings, [], str(folder), as_json=False, force=False)


@commands.command()
@_settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def config(
    config: Path | None, output_dir: str | None, db: str | None, debug: bool, as_json: bool
) -> int:
    """Show every setting, its value, and where it came from."""
    from aqs_batch import console

    with _plain_errors(debug):
        console.show_settings(_load(config, output_dir, db), as_json=as_json)
    return 0


if __name__ == "__main__":
    main()
