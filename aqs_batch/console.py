"""What a person or a program sees of a run: a progress bar, plain lines, or JSON events."""

from __future__ import annotations

import errno
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

import click

from aqs_batch.config import Loaded, flatten
from aqs_batch.events import Event, EventKind, Unheard
from aqs_batch.records import QualityLevel
from aqs_batch.wording import aqs_words, count, cut, kbps, none_recommended, shown, without_password

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


QUIET_S = 60.0
# What becomes of a job that was neither finished nor failed, by the event's `end`.
_LATER = {
    "later": "is tried again later",
    "stale": "left for now",
    "lost": "let go",
    "released": "waits for the next start",
}
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Voice:
    """Says what happens on `stream`. Where its disk is full the words are lost, not the work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._is_lost = stream, False

    def __call__(self, text: str) -> bool:
        """Write `text`; False: it was lost. Raises Unheard when nobody reads any more."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError as error:
            raise Unheard from error
        except OSError as error:
            if error.errno not in _FULL:
                raise
            if not self._is_lost:
                with suppress(OSError):  # it may be the same disk
                    words = f"WARNING the output is lost, the work goes on: {error.strerror}"
                    click.echo(words, err=True)
            self._is_lost = True
            return False
        self._is_lost = False
        return True


@contextmanager
def listener(
    *, as_json: bool, stream: TextIO, now: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[Event], None]]:
    """A callable that shows events on `stream` in the way that suits it."""
    if as_json:
        say = Voice(stream)
        yield lambda event: _json_line(event, say)
    elif stream.isatty():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}", markup=False),  # names of files, brackets and all
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(file=stream), transient=True) as progress:
            yield _Bar(progress)
    else:
        yield _Plain(stream, now)


@contextmanager
def count_frames(total: int) -> Iterator[Callable[[int], None]]:
    """A callable that takes the running count of frames: a bar on a terminal, else nothing."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("frames", total=total)
        yield lambda count: progress.update(task, completed=count)


def _json_line(event: Event, say: Voice, more: Mapping[str, Any] | None = None) -> None:
    parts: dict[str, Any] = {**(more or {}), "event": event.kind}
    if event.file:
        parts["file"] = event.file
    # Names that are not UTF-8 spelled out in facts too: strict readers refused the whole line.
    say(json.dumps(_spelled_out(parts | event.facts)) + "\n")


def _spelled_out(part: Any) -> Any:
    """The same with every text as `shown`."""
    if isinstance(part, Mapping):
        return {key: _spelled_out(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_spelled_out(value) for value in part]
    return shown(part) if isinstance(part, str) else part


class _Plain:
    """A line an event; long work says now and then how far it is, or a log would look dead."""

    def __init__(self, stream: TextIO, now: Callable[[], float]) -> None:
        self._say, self._now = Voice(stream), now
        self._said = now()

    def __call__(self, event: Event) -> None:
        line = describe(event)
        if not line and event.kind in (EventKind.PROGRESS, EventKind.ENCODING):
            line = self._how_far(event) if self._now() - self._said >= QUIET_S else ""
        if line:
            self._said = self._now()
            self._say(line + "\n")

    def _how_far(self, event: Event) -> str:
        share = event.facts["done"] / max(event.facts["planned"], 1)
        what = event.facts.get("what", "scoring")
        return f"{shown(event.file)}  {what}: {min(share, 0.99):.0%}"


def describe(event: Event) -> str:
    """One line about an event, empty for those that only move a bar."""
    facts, place = event.facts, ""
    if "of" in facts:
        place = f"[{facts['number']}/{facts['of']}] "
    name = shown(event.file)
    if event.kind is EventKind.FOUND:
        why = "" if facts["files"] else ": there is no file whose ending is in [run] extensions"
        return f"{count(facts['files'], 'file')} to look at{why}"
    if event.kind is EventKind.CONVERTING:
        return "the network is converted for this machine first, once: half a minute or more"
    if event.kind is EventKind.WAITING:
        return f"{name}  waits for another process that is working on it"
    if event.kind is EventKind.FAILED:
        return f"{place}{name}  FAILED: {shown(facts['reason'])}{_hint(facts)}"
    if event.kind in (EventKind.SCORED, EventKind.UNCHANGED):
        seen = ", ".join(facts["detected"]) or "no artifact"
        is_known = event.kind is EventKind.UNCHANGED
        spent = "known" if is_known else f"{facts['processing_time']:.1f} s"
        if "copy_of" in facts:
            spent = f"a copy of {shown(facts['copy_of'])}"
        level = QualityLevel(facts["quality_level"])
        verdict = f"AQS {aqs_words(facts['aqs_score'], level)} {level.value}"
        return f"{place}{name}  {verdict}: {seen} ({spent})"
    if event.kind is EventKind.REPORT:
        counts = ", ".join(f"{n:,} {status}" for status, n in facts.get("counts", {}).items())
        if lost := facts.get("encodes_failed"):  # their files are scored, but not all is well
            counts += f", {count(lost, 're-encode')} failed"
        return "\n".join([*([counts] if counts else []), *(f"wrote {p}" for p in facts["written"])])
    return _describe_encode(event.kind, name, facts) or _describe_service(event.kind, name, facts)


def _hint(facts: Mapping[str, Any]) -> str:
    """What to do, in brackets; it may name a file, whose bytes had ended a whole service."""
    return f" ({shown(facts['hint'])})" if facts.get("hint") else ""


def _describe_encode(kind: EventKind, name: str, facts: Mapping[str, Any]) -> str:
    """One line about a re-encode, or one a rung."""
    if kind is EventKind.ENCODE_FAILED:
        return f"{name}  RE-ENCODE FAILED: {shown(facts['reason'])}{_hint(facts)}"
    if kind is EventKind.ENCODED:
        lines = [_rung_words(rung) for rung in facts["rungs"]]
        if (none := _none_taken(facts["rungs"])) not in facts["warnings"]:
            lines += filter(None, [none])
        lines += [f"WARNING {shown(words)}" for words in facts["warnings"]]
        return "\n".join(f"{name}  {words}" for words in lines)
    if kind is EventKind.LEFT:
        return f"{name}  {facts['reason']}{_hint(facts)}"
    if kind is EventKind.REPLACED:
        return f"{name}  replaced by {shown(facts['by'])}; the original is {shown(facts['kept'])}"
    return ""


def _describe_service(kind: EventKind, name: str, facts: Mapping[str, Any]) -> str:
    """One line about what only a service meets."""
    why = shown(facts.get("reason", ""))
    hint = _hint(facts)
    if kind is EventKind.WATCHING:
        how = f"by looking only: {facts['silent']}" if facts["silent"] else "events are on"
        return f"watching {name}: {count(facts['files'], 'file')}, {how}"
    if kind is EventKind.LATER:
        how = _LATER.get(facts["end"], facts["end"])
        return f"{name}  {how}{': ' if why else ''}{why}{hint}"
    if kind is EventKind.GATE:
        aqs = cut(facts["aqs_score"], 3)
        return f"{name}  below the gate: AQS {aqs} < {facts['fail_under']:g}"
    if kind is EventKind.MOVED:
        return f"{name}  moved to {shown(facts['to'])}"
    if kind is EventKind.VANISHED:
        return f"WARNING {why}{hint}; what was known of it is kept"
    if kind is EventKind.RETURNED:
        return f"{name} is there again"
    if kind is EventKind.TROUBLE:
        return f"WARNING {name + '  ' if name else ''}{why}{hint}"
    if kind is EventKind.STOPPED:
        return f"stopped: {facts['scored']} scored, {facts['failed']} failed"
    return ""


def _rung_words(rung: Mapping[str, Any]) -> str:
    vmaf = "VMAF not measured" if rung["vmaf"] is None else f"VMAF {cut(rung['vmaf'], 2)}"
    filtered = " with preprocess" if rung["preprocess"] else ""
    words = f"{rung['codec']} CRF {rung['crf']:g}{filtered}: {vmaf}, {kbps(rung['kbps'])} kbit/s"
    words += f", {rung['alignment']} ({rung['plan']})"
    kept = f", kept as {shown(rung['output'])}" if rung["output"] else ""
    return words + kept + (f"  <- take this: {rung['recommended']}" if rung["recommended"] else "")


def _none_taken(rungs: Sequence[Mapping[str, Any]]) -> str:
    """Why no rung is the one to take, "" where one is; silence had looked like a fault."""
    if any(rung["recommended"] for rung in rungs):
        return ""
    return none_recommended(any(rung["vmaf"] is not None for rung in rungs))


def log_listener(form: str, stream: TextIO) -> Callable[[Event], None]:
    """Events of a service as lines with their time; `form` "text" or "json"."""
    say = Voice(stream)

    def listen(event: Event) -> None:
        at = datetime.now().astimezone().isoformat(timespec="milliseconds")
        if form == "json":
            _json_line(event, say, {"at": at})
        elif lines := describe(event).splitlines():
            say("".join(f"{at[:19].replace('T', ' ')}  {line}\n" for line in lines))

    return listen


class _Bar:
    """A bar over files, with the current file's progress inside the step."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._sequences = 0
        self._ladder = (0.0, 0.0)  # when its progress began, and with what
        self._encoded = math.inf  # frames at the last word of a ladder: fewer are of another one

    def __call__(self, event: Event) -> None:
        if event.kind is EventKind.FOUND:
            self._task = self._progress.add_task("scoring", total=event.facts["files"], rate="")
        line = describe(event)
        if line:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        if self._task is None:
            return
        if event.kind is EventKind.STARTED:
            self._progress.update(self._task, description=_end_of(shown(event.file), 40))
        elif event.kind is EventKind.PROGRESS:
            self._sequences += event.facts["done"] > 0
            spent = self._progress.tasks[0].elapsed or 0.0
            rate = f"{self._sequences / spent:.1f} seq/s" if spent > 1 else ""
            whole = self._progress.tasks[0].completed // 1
            part = whole + min(event.facts["done"] / event.facts["planned"], 0.99)
            self._progress.update(self._task, completed=part, rate=rate)
        elif event.kind is EventKind.ENCODING:
            self._encoding(event)
        elif event.kind in (EventKind.SCORED, EventKind.UNCHANGED, EventKind.FAILED):
            self._progress.update(self._task, completed=event.facts["number"])

    def _encoding(self, event: Event) -> None:
        """Rate and time left of one file's whole ladder."""
        assert self._task is not None
        done, planned = event.facts["done"], max(event.facts["planned"], 1.0)
        now = self._progress.get_time()
        if done < self._encoded:
            self._ladder = (now, done)
        self._encoded = done
        began, before = self._ladder
        rate = (done - before) / max(now - began, 1e-3)
        left = f", {(planned - done) / rate:.0f} s left" if rate > 0 else ""
        words = f"{event.facts['what']}  {rate:.1f} fps{left}"
        self._progress.update(self._task, description=_end_of(words, 60))


def _end_of(text: str, most: int) -> str:
    return text if len(text) <= most else f"…{text[1 - most :]}"


def show_settings(loaded: Loaded, *, as_json: bool) -> None:
    """Every setting with its value, passwords of URLs starred out, and its origin."""
    rows = [
        (key, without_password(value) if isinstance(value, str) else value)
        for key, value in flatten(loaded.settings.model_dump(mode="json"))
    ]
    if as_json:
        parts = {k: {"value": v, "origin": loaded.origins[k]} for k, v in rows}
        click.echo(json.dumps(parts, indent=1))
        return
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        click.echo(f"{key:<{width}}  {json.dumps(value):<24} ({loaded.origins[key]})")
