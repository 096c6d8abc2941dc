"""`aqs-batch watch`: take what is dropped into folders, until told to stop."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aqs_batch.commands.endings import EXIT_FAILED, EXIT_GATE, EXIT_INTERRUPTED
from aqs_batch.commands.flags import Load, settings_flags

if TYPE_CHECKING:
    from aqs_batch.settings import Settings
    from aqs_batch.stop import Stop
    from aqs_batch.watching.vitals import Tally


@click.command()
@settings_flags
@click.option(
    "--watch-dir", "--input-dir", "watch_dir", multiple=True, help="Folder to watch; repeatable."
)
@click.option("--until", help="Stop at this local time, e.g. 06:00 (never).")
@click.option("--once", is_flag=True, help="Take what is there, wait for it to settle, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON event per line.")
def watch(
    load: Load,
    watch_dir: tuple[str, ...],
    until: str | None,
    once: bool,
    as_json: bool,
) -> int:
    """Watch folders and score what is dropped into them."""
    more = {
        "watch.folders": list(watch_dir) or None,
        "watch.until": until,
        "log.format": "json" if as_json else None,
    }
    return serve(load(**more).settings, once=once)


def serve(settings: Settings, *, once: bool) -> int:
    """Run the service with these settings until it ends, and give the exit code."""
    from aqs_batch import console
    from aqs_batch.analysis.checkpoint import chosen
    from aqs_batch.batch import real_process
    from aqs_batch.clock import SystemClock, next_at
    from aqs_batch.events import Event, EventKind, hourly
    from aqs_batch.reports import own
    from aqs_batch.service import BUSY_TIMEOUT_S, Service
    from aqs_batch.stop import Stop
    from aqs_batch.store import Store
    from aqs_batch.watching.intake import check_folders

    check_folders(settings)
    own.check(Path(settings.output.dir), settings.output.export)
    checkpoint = chosen(settings.model.checkpoint)
    listen = hourly(console.log_listener(settings.log.format, sys.stdout))
    clock = SystemClock()
    stop = Stop(clock, settings.watch.stop_grace_s)
    with stop.on_signals():
        store = Store(settings.output.url, busy_timeout_s=BUSY_TIMEOUT_S)
        try:
            service = Service(
                store,
                settings,
                settings.key(checkpoint.digest),
                lambda: real_process(settings, checkpoint, service.hear),
                listen,
                clock,
                stop,
            )
            at = settings.watch.until
            until = next_at(at, clock.now()) if at else float("inf")
            tally = service.run(command=shlex.join(sys.argv), once=once, until=until)
        finally:
            store.close()
    listen(Event(EventKind.STOPPED, facts={"scored": tally.scored, "failed": tally.failed}))
    return _exit_code(tally, stop, ends=once or bool(settings.watch.until))


def _exit_code(tally: Tally, stop: Stop, *, ends: bool) -> int:
    """A service that is stopped has done well; one that ends by itself tells of its files."""
    if stop.signal == signal.SIGINT:
        return EXIT_INTERRUPTED
    if not ends or stop.requested:
        return 0
    if tally.below_gate:
        return EXIT_GATE
    is_whole = not (tally.failed or tally.unreachable or tally.lacks_report)
    return 0 if is_whole else EXIT_FAILED
