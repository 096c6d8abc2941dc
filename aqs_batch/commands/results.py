"""`aqs-batch report`: what the database already knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aqs_batch.commands.flags import EXPORT, THRESHOLD, Load, listed, settings_flags
from aqs_batch.commands.ledger import open_store

if TYPE_CHECKING:
    from aqs_batch.config import Loaded
    from aqs_batch.store import RunRow


@click.command()
@settings_flags
@THRESHOLD
@EXPORT
def report(load: Load, threshold: float | None, export: str | None) -> int:
    """Write the report of the last run again, from the database."""
    from aqs_batch import reporting
    from aqs_batch.errors import StoreError
    from aqs_batch.reports import own

    more: dict[str, Any] = {"analysis.threshold": threshold, "output.export": listed(export)}
    loaded = load(**more)
    with open_store(loaded.settings) as store:
        last = store.last_run()
        if last is None:
            raise StoreError("no run is recorded here yet", hint="Run `aqs-batch run` first.")
        more |= _as_then(last, loaded)
        settings = load(**more).settings
        own.check(Path(settings.output.dir), settings.output.export)
        for path in reporting.write_reports(store, last, settings):
            click.echo(f"wrote {path}")
    return 0


def _as_then(run: RunRow, loaded: Loaded) -> dict[str, Any]:
    """What the run named artifacts by, where nothing else is set now: a report that was only
    written again had named others.
    """
    own = {
        f"{section}.{name}": run.settings.get(section, {}).get(name)
        for section, name in (("analysis", "threshold"), ("model", "checkpoint"))
    }
    return {key: value for key, value in own.items() if loaded.origins[key] == "default"}
