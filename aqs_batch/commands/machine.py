"""`aqs-batch doctor` and `config`: what this machine and these settings are."""

from __future__ import annotations

import click

from aqs_batch.commands.endings import EXIT_USAGE
from aqs_batch.commands.flags import Load, settings_flags


@click.command()
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(load: Load, as_json: bool) -> int:
    """Check ffmpeg, model, device, database and disk.

    The exit code is 2 when something is missing.
    """
    from aqs_batch.machine import doctor as examination

    findings = examination.examine(load().settings)
    click.echo(examination.as_json(findings) if as_json else examination.as_text(findings))
    return 0 if all(f.ok for f in findings) else EXIT_USAGE


@click.command()
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def config(load: Load, as_json: bool) -> int:
    """Show every setting, its value, and where it came from."""
    from aqs_batch import console

    console.show_settings(load(), as_json=as_json)
    return 0
