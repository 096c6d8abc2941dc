"""A watched folder, the processes that serve it, and what must be true of it afterwards."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from aqs_batch.ingest.fingerprint import fingerprint
from aqs_batch.settings import Settings
from aqs_batch.store import Store
from bench.standin import KEY, StandIn, analysis_of, serve, settings_for

# Forked, not spawned: a start costs a hundredth, so that kills also fall into its first instants.
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Row:
    """One figure of the table, and whether it is what it must be; None: it could not be tried."""

    fault: str
    figure: str
    ok: bool | None


def counted(found: Sequence[object], what: str) -> str:
    """How many of something, and the first three: "0 problems", "2 problems (a; b)"."""
    return f"{len(found)} {what}" + (f" ({'; '.join(map(str, found[:3]))})" if found else "")


class Scene:
    """One folder, one database, any number of service processes."""

    def __init__(self, place: Path, process: StandIn, **settings: object) -> None:
        self.inbox, self.output = place / "in", place / "out"
        self.inbox.mkdir(parents=True)
        self.events, self.begun = place / "events.log", place / "begun.log"
        self.process = StandIn(process.pace_s, process.child, str(self.begun))
        self.settings: Settings = settings_for(self.inbox, self.output, **settings)

    def start(self) -> BaseProcess:
        """A service process of its own."""
        child = _FORK.Process(target=self._serve, args=(False,))
        child.start()
        return child

    def finish(self) -> None:
        """Let more processes do whatever is left, to its end.

        One is not enough where it takes a job out of dead hands late: it ends without waiting for
        the job's backoff, as a slow machine showed.
        """
        for _ in range(3):
            child = _FORK.Process(target=self._serve, args=(True,))
            child.start()
            child.join(300)
            assert child.exitcode == 0, f"the last process ended with {child.exitcode}"
            store = self.store()
            left = store.job_counts()["queued"]
            store.close()
            if not left:
                return

    def _serve(self, once: bool) -> None:
        os.setsid()
        serve(self.settings, self.process, self.events, once=once)

    def store(self) -> Store:
        return Store(self.settings.output.url)

    def told(self, kind: str) -> list[str]:
        """The files that events of one kind were about."""
        if not self.events.exists():
            return []
        lines = self.events.read_text(errors="surrogateescape").splitlines()
        return [line.split(" ")[1] for line in lines if line.startswith(f"{kind} ")]

    def problems(self, expected: set[str] | None = None) -> list[str]:
        """What is wrong with the database and the folders, file by file against their bytes.

        `expected`: the fingerprints there must be and no others; None: those of the files there.
        """
        files = [p for p in self.inbox.rglob("*.mp4") if p.is_file()]
        by_print = {fingerprint(path): path for path in files}
        expected = set(by_print) if expected is None else expected
        found = _database_problems(self.output / "aqs.db")
        store = self.store()
        try:
            for print_, path in by_print.items():
                analysis = store.analysis(print_, KEY)
                if analysis is None:
                    found.append(f"no result for {path.name}")
                elif analysis.sequences != analysis_of(path.read_bytes(), print_, path).sequences:
                    found.append(f"half or foreign rows for {path.name}")
            counts = store.job_counts()
            if counts["running"] or counts["queued"] or counts["quarantined"]:
                found.append(f"jobs left over: {counts}")
        finally:
            store.close()
        known = _prints(self.output / "aqs.db")
        found += [f"missing {p}" for p in expected - known] + [
            f"extra {p}" for p in known - expected
        ]
        leftovers = [p for p in self.output.rglob("*") if p.name.endswith((".tmp", ".part"))]
        found += [f"temporary file {p.name}" for p in leftovers]
        return found


def _database_problems(file: Path) -> list[str]:
    connection = sqlite3.connect(file)
    try:
        found = [r[0] for r in connection.execute("PRAGMA integrity_check") if r[0] != "ok"]
        found += [f"foreign key {r}" for r in connection.execute("PRAGMA foreign_key_check")]
        doubled = connection.execute(
            "SELECT fingerprint FROM analyses GROUP BY 1 HAVING count(*) > 1"
        ).fetchall()
        bare = connection.execute(
            "SELECT id FROM analyses WHERE id NOT IN (SELECT analysis_id FROM sequences)"
        ).fetchall()
        return found + [f"doubled {r}" for r in doubled] + [f"no sequences {r}" for r in bare]
    finally:
        connection.close()


def _prints(file: Path) -> set[str]:
    connection = sqlite3.connect(file)
    try:
        return {r[0] for r in connection.execute("SELECT fingerprint FROM analyses")}
    finally:
        connection.close()


def kill(process: BaseProcess) -> None:
    """kill -9, and wait until it is gone."""
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def wait_for(condition: Callable[[], bool], timeout_s: float = 60.0) -> bool:
    """Wait for a condition of another process; False when the time is up."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def orphans(child: str) -> list[int]:
    """Stand-in children, told by how long they sleep, that are still there."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and child.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def content(random_: random.Random, blocks: int = 3) -> bytes:
    """The bytes of one file, of up to `blocks` blocks of the stand-in."""
    return random_.randbytes(random_.randint(1, blocks * 64 * 1024))
