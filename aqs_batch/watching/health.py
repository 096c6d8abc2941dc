"""Signs of life: a heartbeat file, systemd's watchdog, and figures for Prometheus."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from aqs_batch.atomic import replace_text
from aqs_batch.clock import iso
from aqs_batch.errors import SettingsError, reason_of
from aqs_batch.identity import is_at_work, own_name

HEARTBEAT_FILE = "heartbeat.json"  # of a second service of one folder heartbeat-2.json, and so on
BEAT_S = 10.0


class State(StrEnum):
    """What a service is at; the values are what its heartbeat says, a public interface."""

    IDLE = "idle"
    WORKING = "working"
    WAITING = "waiting"  # for the database or the disk
    STOPPED = "stopped"


@dataclass(frozen=True)
class Pulse:
    """What the service says of itself each time; times in seconds."""

    state: State
    why: str  # what is waited for, or done instead of a file
    file: str
    jobs: dict[str, int]
    files: int  # in the watched folders
    waiting: int  # not complete yet, or not recognised
    scored: int  # since the service began
    failed: int
    scan_s: float


class Health:
    """Tells the world that the service lives, at most every ten seconds."""

    def __init__(self, output_dir: Path, prometheus_file: str) -> None:
        self._file = output_dir / HEARTBEAT_FILE
        self._service = own_name()
        self._prometheus = Path(prometheus_file) if prometheus_file else None
        if self._prometheus is not None:
            _need_prometheus()
            _need_folder(self._prometheus.absolute().parent)
        self._last_s = -float("inf")

    def is_due(self, steady_s: float) -> bool:
        return steady_s - self._last_s >= BEAT_S

    def beat(self, pulse: Pulse, now_s: float, steady_s: float) -> None:
        """Write the signs; a disk that is full must not stop the service for want of them."""
        self._last_s = steady_s
        why = f" ({pulse.why})" if pulse.why else ""
        queued = pulse.jobs.get("queued", 0)
        notify(f"WATCHDOG=1\nSTATUS={pulse.state}, {queued} queued{why}")
        who = {"at": iso(now_s), "at_s": now_s, "pid": os.getpid(), "service": self._service}
        with contextlib.suppress(OSError):
            self._file = _free(self._file)
            _write(self._file, json.dumps({**who, **asdict(pulse)}) + "\n")
        with contextlib.suppress(OSError):
            if self._prometheus is not None:
                _write_prometheus(self._prometheus, pulse, now_s)


def _free(wanted: Path) -> Path:
    """The heartbeat file that is this service's: of two on one folder each wrote over the other's,
    and monitoring was not told when one of them died.
    """
    numbered = (wanted.with_name(f"heartbeat-{number}.json") for number in itertools.count(2))
    return next(file for file in itertools.chain([wanted], numbered) if not _is_taken(file))


def _is_taken(file: Path) -> bool:
    """Whether another service of this machine is at work that beats there."""
    try:
        beat = json.loads(file.read_bytes())
        return beat["state"] != State.STOPPED and is_at_work(str(beat["service"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write(file: Path, text: str) -> None:
    """Replace the file; where its disk is full, overwrite it in place, which takes no room.

    Else monitoring is told that the service is silent, not what it waits for.
    """
    try:
        replace_text(file, text, synced=False)  # what a power cut leaves of it was over anyway
    except OSError:
        with file.open("r+b", buffering=0) as stream:
            stream.write(text.encode().ljust(os.fstat(stream.fileno()).st_size))


def check(output_dir: Path, now_s: float, most_s: float) -> list[str]:
    """What is wrong with the services that write to `output_dir`; nothing: all is well."""
    files = sorted(output_dir.glob("heartbeat*.json"))
    if not files:
        return [f"no service has written {output_dir / HEARTBEAT_FILE} yet"]
    beats = [_beat(file) for file in files]
    if len(beats) > 1:  # one that was stopped on purpose is no matter while another goes on
        beats = [beat for beat in beats if beat.state != State.STOPPED] or beats[:1]
    found = [beat.wrong(now_s, most_s, is_one_of_many=len(files) > 1) for beat in beats]
    quarantined = max(beat.quarantined for beat in beats)
    if quarantined:
        found.append(f"{quarantined} quarantined (see `aqs-batch status`)")
    return [words for words in found if words]


@dataclass(frozen=True)
class _Beat:
    """What one heartbeat file says; `unread` is why it says nothing."""

    file: Path
    state: str = ""
    why: str = ""
    at: str = "?"
    at_s: float = 0.0
    quarantined: int = 0
    unread: str = ""

    def wrong(self, now_s: float, most_s: float, *, is_one_of_many: bool) -> str:
        """What is wrong with its service, or nothing; of many, one may have been killed for good.

        Nothing but its file tells of that one then, and it would be told for ever.
        """
        who = "the service" if self.file.name == HEARTBEAT_FILE else f"that of {self.file.name}"
        if self.unread:
            return f"no heartbeat in {self.file} ({self.unread})"
        if self.state == State.STOPPED:
            return f"{who} was stopped at {self.at}"
        if now_s - self.at_s < -most_s:  # or a dead one had been well until then
            return f"{who} was last heard of at {self.at}, which is yet to come: was the clock set?"
        if now_s - self.at_s > most_s:
            end = f" (if it is not to come back, delete {self.file})" if is_one_of_many else ""
            return f"{who} was last heard of {now_s - self.at_s:.0f} s ago, {self.state}{end}"
        if self.state == State.WAITING:
            return f"{who} waits for its database or disk{self.why and ': '}{self.why}"
        return ""


def _beat(file: Path) -> _Beat:
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        at, why = str(said.get("at", "?")), str(said.get("why", ""))
        quarantined = int(dict(said["jobs"]).get("quarantined", 0))
        return _Beat(file, str(said["state"]), why, at, float(said["at_s"]), quarantined)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return _Beat(file, unread=reason_of(error) if isinstance(error, OSError) else "damaged")


def notify(text: str) -> None:
    """Tell systemd, where it started us with Type=notify; nothing elsewhere."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name or not hasattr(socket, "AF_UNIX"):
        return
    address = "\0" + name[1:] if name.startswith("@") else name
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line,
    ):
        line.sendto(text.encode(errors="replace"), address)


def _need_prometheus() -> None:
    try:
        import prometheus_client  # noqa: F401
    except ImportError as error:
        raise SettingsError(
            "[watch] prometheus_file needs the package prometheus-client",
            hint="pip install prometheus-client, or leave the setting empty.",
        ) from error


def _need_folder(folder: Path) -> None:
    """Raises SettingsError where the figures can never be written: each time that is passed over,
    for the disk may only be full.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(
            f"[watch] prometheus_file cannot be written: {folder} is not there or is read-only",
            hint="Make it and allow this user to write there (under systemd by ReadWritePaths).",
        )


def _write_prometheus(file: Path, pulse: Pulse, now_s: float) -> None:
    from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

    registry = CollectorRegistry()
    jobs = Gauge("aqs_jobs", "Jobs by status.", ["status"], registry=registry)
    for status, count in pulse.jobs.items():
        jobs.labels(status).set(count)
    for name, text, value in (
        ("aqs_heartbeat_time_seconds", "When the service was last alive.", now_s),
        ("aqs_watched_files", "Files in the watched folders.", pulse.files),
        ("aqs_unsettled_files", "Files not complete or not recognised yet.", pulse.waiting),
        ("aqs_scored_since_start", "Files scored since the service began.", pulse.scored),
        ("aqs_failed_since_start", "Files failed since the service began.", pulse.failed),
        ("aqs_scan_seconds", "Duration of the last look at everything.", pulse.scan_s),
    ):
        Gauge(name, text, registry=registry).set(value)
    write_to_textfile(str(file), registry)
