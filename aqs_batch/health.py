"""Signs of life: a heartbeat file, systemd's watchdog, and figures for Prometheus."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from aqs_batch.clock import iso
from aqs_batch.errors import SettingsError
from aqs_batch.reports.atomic import replace_text

HEARTBEAT_FILE = "heartbeat.json"
BEAT_S = 10.0


@dataclass(frozen=True)
class Pulse:
    """What the service says of itself each time; times in seconds."""

    state: str  # "idle", "working", "waiting" (for the database or the disk), "stopped"
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
        self._prometheus = Path(prometheus_file) if prometheus_file else None
        if self._prometheus is not None:
            _need_prometheus()
        self._last_s = -float("inf")

    def is_due(self, steady_s: float) -> bool:
        return steady_s - self._last_s >= BEAT_S

    def beat(self, pulse: Pulse, now_s: float, steady_s: float) -> None:
        """Write the signs; a disk that is full must not stop the service for want of them."""
        self._last_s = steady_s
        why = f" ({pulse.why})" if pulse.why else ""
        queued = pulse.jobs.get("queued", 0)
        notify(f"WATCHDOG=1\nSTATUS={pulse.state}, {queued} queued{why}")
        text = json.dumps({"at": iso(now_s), "at_s": now_s, "pid": os.getpid(), **asdict(pulse)})
        with contextlib.suppress(OSError):
            _write(self._file, text + "\n")
        with contextlib.suppress(OSError):
            if self._prometheus is not None:
                _write_prometheus(self._prometheus, pulse, now_s)


def _write(file: Path, text: str) -> None:
    """Replace the file, or where its disk is full, what it holds: that takes no room, and who asks
    why nothing goes on had been told that nothing was heard of the service.
    """
    try:
        replace_text(file, text, synced=False)  # what a power cut leaves of it was over anyway
    except OSError:
        with file.open("r+b", buffering=0) as stream:
            stream.write(text.encode().ljust(os.fstat(stream.fileno()).st_size))


def check(output_dir: Path, now_s: float, most_s: float) -> list[str]:
    """What is wrong with the service that writes to `output_dir`; nothing: it is well."""
    file = output_dir / HEARTBEAT_FILE
    try:
        beat = json.loads(file.read_text(encoding="utf-8"))
        state, at_s, jobs = str(beat["state"]), float(beat["at_s"]), dict(beat["jobs"])
    except FileNotFoundError:
        return [f"no service has written {file} yet"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"no heartbeat in {file} ({error})"]
    found = []
    if state == "stopped":
        found.append(f"the service was stopped at {beat.get('at', '?')}")
    elif now_s - at_s > most_s:
        found.append(f"the service was last heard of {now_s - at_s:.0f} s ago, {state}")
    elif state == "waiting":
        why = f": {beat['why']}" if beat.get("why") else ""
        found.append(f"the service waits for its database or disk{why}")
    if jobs.get("quarantined"):
        found.append(f"{jobs['quarantined']} quarantined (see `aqs-batch status`)")
    return found


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
