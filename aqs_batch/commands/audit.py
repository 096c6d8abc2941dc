"""`aqs-batch audit`: an archive, night after night."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aqs_batch.commands.endings import (
    EXIT_FAILED,
    EXIT_GATE,
    EXIT_INTERRUPTED,
    INTERRUPTED,
    code_of,
    complain,
)
from aqs_batch.commands.flags import FAIL_UNDER, Load, listed, settings_flags

if TYPE_CHECKING:
    from aqs_batch.auditing.findings import Findings
    from aqs_batch.events import Listener
    from aqs_batch.settings import Settings
    from aqs_batch.store import Store

NOTIFY_TIMEOUT_S = 60.0


@click.command()
@click.argument("folder", type=click.Path(file_okay=False))
@settings_flags
@click.option(
    "--until", help="Stop at this local time, e.g. 06:00, and go on the next night (when done)."
)
@FAIL_UNDER
@click.option(
    "--fail-on", help="Exit 3 if any file is one of: degraded,corrupt,missing,failed (none)."
)
@click.option(
    "--notify-cmd",
    help="Command, run without a shell, that gets the summary as JSON on its standard input.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON event per line.")
def audit(
    folder: str,
    load: Load,
    until: str | None,
    fail_under: float | None,
    fail_on: str | None,
    notify_cmd: str | None,
    as_json: bool,
) -> int:
    """Find what is new, changed, missing or corrupt in an archive.

    It is compared with the night before, a part of it is read byte by byte, and what is new
    is scored.
    """
    more = {
        "audit.until": until,
        "run.fail_under": fail_under,
        "audit.fail_on": listed(fail_on),
        "audit.notify_cmd": notify_cmd,
        "log.format": "json" if as_json else None,
    }
    return run(load(**more).settings, folder)


def run(settings: Settings, folder: str) -> int:
    """One night over `folder`, and a notice however it ends; gives the exit code."""
    from aqs_batch.errors import AqsError
    from aqs_batch.wording import shown

    _need(settings.audit.notify_cmd)
    try:
        return _night(settings, folder)
    except AqsError as error:
        # Of all nights' news the ones that must not stay unheard: the archive is gone, or the
        # database was locked until morning, of which no notice had told.
        here = shown(str(Path(folder).absolute()))
        failed = {"folder": here, "error": shown(str(error)), "exit_code": code_of(error)}
        _notify(settings.audit.notify_cmd, failed)
        raise


def _night(settings: Settings, folder: str) -> int:
    """Summary, reports and notice of a night that comes to its end."""
    from aqs_batch import audit as audits
    from aqs_batch import console
    from aqs_batch.clock import SystemClock, next_at
    from aqs_batch.events import hourly
    from aqs_batch.reports import own
    from aqs_batch.stop import Stop
    from aqs_batch.store import Store

    clock, at = SystemClock(), settings.audit.until
    stop = Stop(clock, settings.watch.stop_grace_s)
    began = clock.now()
    until = next_at(at, began) if at else float("inf")
    night_s = until - began if at else settings.audit.night_h * 3600
    own.check(Path(settings.output.dir), settings.output.export)
    listen = hourly(console.log_listener(settings.log.format, sys.stdout))
    store = Store(settings.output.url)
    try:
        with stop.on_signals():
            audit = audits.Audit(store, settings, listen, clock, stop)
            found = audit.run(folder, command=shlex.join(sys.argv), until=until)
        is_written = stop.requested or _report(store, found, settings, listen)
        code, why = _verdict(store, found, settings)
        code = code if is_written else max(code, EXIT_FAILED)
        if stop.requested:  # what was found is told all the same: the next night finds it settled
            complain(INTERRUPTED)
            code = EXIT_INTERRUPTED
        code, is_heard = _tell(found, settings, night_s, code, why)
        if is_heard:
            store.told(found.run)
        return code
    finally:
        store.close()


def _report(store: Store, found: Findings, settings: Settings, listen: Listener) -> bool:
    """Write the reports; False when they could not be: the next night does not tell it again."""
    from aqs_batch import reporting
    from aqs_batch.errors import reason_and_place
    from aqs_batch.events import Event, EventKind

    try:
        written = reporting.write_reports(store, store.run(found.run), settings)
    except OSError as error:
        reason = f"the report could not be written: {reason_and_place(error)}"
        hint = "`aqs-batch report` writes it from the database."
        listen(Event(EventKind.TROUBLE, facts={"reason": reason, "hint": hint}))
        return False
    listen(Event(EventKind.REPORT, facts={"written": [str(path) for path in written]}))
    return True


def _tell(
    found: Findings, settings: Settings, night_s: float, code: int, gates: list[str]
) -> tuple[int, bool]:
    """Summary and notice; gives the exit code, and whether either got out."""
    from aqs_batch.console import Voice

    summary = found.as_json(night_s) | {"exit_code": code, "gates": gates}
    if settings.log.format == "json":
        text = json.dumps({"event": "summary"} | summary)
    else:
        text = "\n".join([found.as_text(night_s), *(f"  gate: {words}" for words in gates)])
    is_said = Voice(sys.stdout)(text + "\n")
    failed = _notify(settings.audit.notify_cmd, summary)
    is_heard = is_said or bool(settings.audit.notify_cmd and not failed)
    return max(code, failed), is_heard


def _verdict(store: Store, found: Findings, settings: Settings) -> tuple[int, list[str]]:
    from aqs_batch import reporting
    from aqs_batch.store import FindingKind

    why = [f"{len(found.kinds[kind])} {kind}" for kind in found.gates(settings.audit.fail_on)]
    why += reporting.below_gate(store, store.run(found.run), settings.run.fail_under)
    if why:
        return EXIT_GATE, why
    lost = any(found.kinds.get(kind) for kind in (FindingKind.FAILED, FindingKind.CORRUPT))
    return (EXIT_FAILED if lost or found.unreachable else 0), why


def _need(command: str) -> None:
    """Raises SettingsError for a notice that nobody could get, now and not in the morning."""
    from aqs_batch.errors import SettingsError

    try:
        program = next(iter(shlex.split(command)), "")
    except ValueError as error:
        raise SettingsError(f"--notify-cmd: {error}", hint=f"It reads: {command}") from error
    if command and not shutil.which(program):
        raise SettingsError(
            f"--notify-cmd: there is no program {program!r} to run",
            hint="Name one on PATH or by its full path; it is run without a shell.",
        )


def _notify(command: str, summary: dict[str, object]) -> int:
    """Hand the summary on; a notice that did not get out is a failure of the night."""
    from aqs_batch import ffmpeg
    from aqs_batch.errors import FfmpegError

    if not command:
        return 0
    try:
        done = ffmpeg.tell(shlex.split(command), json.dumps(summary), timeout_s=NOTIFY_TIMEOUT_S)
    except FfmpegError as error:
        complain(f"error: --notify-cmd: {error}")
        return EXIT_FAILED
    if done.returncode:
        last = done.tail[-1] if done.tail else "no message"
        complain(f"error: --notify-cmd ended with {done.returncode}: {last}")
        return EXIT_FAILED
    return 0
