"""`aqs-batch report`: what the database already knows."""

from __future__ import annotations

from pathlib import Path

import click

from aqs_batch.commands.frame import listed, load, open_store, plain_errors, settings_flags


@click.command()
@settings_flags
@click.option(
    "--threshold", type=float, help="One probability for all, above which an artifact is detected."
)
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
    from aqs_batch import reporting
    from aqs_batch.errors import StoreError

    with plain_errors(debug):
        more = {"analysis.threshold": threshold, "output.export": listed(export)}
        settings = load(config, output_dir, db, **more).settings
        with open_store(settings) as store:
            last = store.last_run()
            if last is None:
                raise StoreError("no run is recorded here yet", hint="Run `aqs-batch run` first.")
            for path in reporting.write_reports(store, last, settings):
                click.echo(path)
    return 0
