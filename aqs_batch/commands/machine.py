"""`aqs-batch doctor` and `config`: what this machine and these settings are."""

from __future__ import annotations

from pathlib import Path

import click

from aqs_batch.commands.frame import EXIT_USAGE, load, plain_errors, settings_flags


@click.command()
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(
    config: Path | None, output_dir: str | None, db: str | None, debug: bool, as_json: bool
) -> int:
    """Check ffmpeg, model, device, database and disk.

    The exit code is 2 when something is missing.
    """
    from aqs_batch import doctor as examination

    with plain_errors(debug):
        settings = load(config, output_dir, db).settings
        findings = examination.examine(settings)
    click.echo(examination.as_json(findings) if as_json else examination.as_text(findings))
    return 0 if all(f.ok for f in findings) else EXIT_USAGE


@click.command()
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def config(
    config: Path | None, output_dir: str | None, db: str | None, debug: bool, as_json: bool
) -> int:
    """Show every setting, its value, and where it came from."""
    from aqs_batch import console

    with plain_errors(debug):
        console.show_settings(load(config, output_dir, db), as_json=as_json)
    return 0
