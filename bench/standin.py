"""A stand-in for the pipeline that is quick and whose result is a function of the file's bytes.

With it, hundreds of kills of real service processes take minutes: what is on trial is the service.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aqs_batch import ffmpeg
from aqs_batch.clock import SystemClock
from aqs_batch.config import load
from aqs_batch.errors import MediaError
from aqs_batch.events import Event
from aqs_batch.records import (
    Fraction,
    Provenance,
    SequenceScore,
    TileScores,
    Video,
)
from aqs_batch.service import BUSY_TIMEOUT_S, Service
from aqs_batch.settings import Settings
from aqs_batch.stop import Stop
from aqs_batch.store import Analysis, Store
from aqs_batch.watching.vitals import Tally

KEY = "stand-in"
BLOCK = 64 * 1024


@dataclass(frozen=True)
class StandIn:
    """Reads the whole file, a block every `pace_s`; with a real child process beside it."""

    pace_s: float = 0.0
    child: str = ""  # how long its child would sleep: also how to tell an orphan of it
    log: str = ""

    def __call__(
        self, path: Path, fingerprint: str, progress: Callable[[int, int], None]
    ) -> Analysis:
        if self.log:
            note(Path(self.log), f"begin {fingerprint}")
        if not self.child:
            return self._read(path, fingerprint, progress)
        with ffmpeg.child(["sleep", self.child]):
            return self._read(path, fingerprint, progress)

    def _read(self, path: Path, fingerprint: str, progress: Callable[[int, int], None]) -> Analysis:
        content = b""
        with path.open("rb") as handle:
            while block := handle.read(BLOCK):
                content += block
                progress(len(content) // BLOCK, 1 + path.stat().st_size // BLOCK)
                if self.pace_s:
                    time.sleep(self.pace_s)
        if content.startswith(b"bad"):
            raise MediaError("not a readable video (stand-in)")
        return analysis_of(content, fingerprint, path)


def note(file: Path, line: str) -> None:
    """Append one line, whole or not at all, whichever process writes."""
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, f"{line}\n".encode())
    finally:
        os.close(handle)


def analysis_of(content: bytes, fingerprint: str, path: Path) -> Analysis:
    """The result for a content: 1 to 5 sequences whose numbers come from its hash."""
    digest = hashlib.sha256(content).digest()
    rows = []
    for number in range(1 + digest[0] % 5):
        value = digest[number + 1] / 256
        tile = TileScores(0.5, 0.5, value, (value,) * 10, (0.5,) * 10)
        rows.append(
            SequenceScore(
                float(number),
                value,
                value,
                1 - value,
                (value,) * 10,
                (0.5,) * 10,
                (value / 2,) * 10,
                (tile,),
            )
        )
    return Analysis(
        fingerprint=fingerprint,
        settings_key=KEY,
        video=_video(path, len(content)),
        sequences=tuple(rows),
        provenance=Provenance("stand-in", KEY, "cpu", "none", 1, "none", "0"),
        processing_time_s=0.0,
        warnings=(),
        created_at="2026-01-01T00:00:00+00:00",
    )


def _video(path: Path, size: int) -> Video:
    return Video(
        path=path, size_bytes=size, container="none", codec="none", pixel_format="yuv420p",
        bit_depth=8, coded_width=64, coded_height=64, width=64, height=64, sar=Fraction(1, 1),
        frame_rate=Fraction(25, 1), variable_frame_rate=False, field_order="progressive",
        rotation_deg=0, color_primaries="", color_transfer="", color_matrix="", color_range="",
        hdr="", duration_s=1.0, bit_rate_kbps=1.0, stream_index=0,
    )  # fmt: skip


def settings_for(folder: Path, output: Path, **more: object) -> Settings:
    """Settings of a service that settles fast and does not wait long for anything."""
    flags: dict[str, object] = {
        "output.dir": str(output),
        "output.export": ["json"],
        "watch.folders": [str(folder)],
        "watch.settle_s": 0.2,
        "watch.rescan_s": 0.5,
        "watch.report_s": 1.0,
        "limits.backoff_s": 0.05,
        "limits.max_attempts": 1000,  # here it is we who kill it, not the file
        **{key.replace("__", "."): value for key, value in more.items()},
    }
    return load(None, {}, flags).settings


def serve(settings: Settings, process: StandIn, log: Path, *, once: bool = False) -> Tally:
    """Run one service process to its end; its events go to `log`."""

    def listen(event: Event) -> None:
        if event.kind != "progress":
            reason = event.facts.get("reason", event.facts.get("end", ""))
            note(log, f"{event.kind} {event.file} {reason}")

    clock = SystemClock()
    stop = Stop(clock, settings.watch.stop_grace_s)
    with stop.on_signals():
        store = Store(settings.output.url, busy_timeout_s=BUSY_TIMEOUT_S)
        try:
            service = Service(store, settings, KEY, lambda: process, listen, clock, stop)
            return service.run(command="stand-in", once=once)
        finally:
            store.close()
