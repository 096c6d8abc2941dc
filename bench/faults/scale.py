"""A hundred thousand names, and a day that passes in a minute."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

from bench.faults.scene import Row

KNOWN = (
    "INSERT INTO files (folder, file, stamp, fingerprint, settings_key, moved_to) "
    "VALUES (?, ?, ?, ?, ?, X'')"
)
IDLE_S = 60.0


def names(place: Path, files: int) -> list[Row]:
    """Time, memory and idle CPU of a service over a tree that it knows already."""
    inbox = place / "in"
    for folder in range(max(1, files // 1000)):
        (inbox / f"{folder:03}").mkdir(parents=True)
        for number in range(1000):
            (inbox / f"{folder:03}" / f"a film of some name {number:04}.mp4").write_bytes(b"x")
    found = _in_fresh_process(_watch_names, place, IDLE_S if files >= 100_000 else 5.0)
    figure = (
        f"rescan {found['scan_s']:.2f} s, {found['rss_mb']:.0f} MB resident "
        f"({found['base_mb']:.0f} of them before the first look), "
        f"idle CPU {100 * found['idle']:.2f} % over {found['over_s']:.0f} s"
    )
    ok = found["scan_s"] < 10 and found["rss_mb"] < 300 and found["idle"] < 0.01
    return [Row(f"{found['files']:.0f} names in a watched tree", figure, ok)]


def _watch_names(place: Path, idle_s: float) -> dict[str, float]:
    from aqs_batch.clock import SystemClock
    from aqs_batch.records import Stamp
    from aqs_batch.service import Service
    from aqs_batch.stop import Stop
    from aqs_batch.store import Store
    from bench.standin import KEY, StandIn, settings_for

    settings = settings_for(place / "in", place / "out", watch__rescan_s=60.0, watch__report_s=1e9)
    store = Store(settings.output.url, busy_timeout_s=5.0)
    with sqlite3.connect(place / "out" / "aqs.db") as connection:
        folder = os.fsencode(place / "in")
        for path in (place / "in").rglob("*.mp4"):
            name = os.fsencode(path.relative_to(place / "in"))
            row = (folder, name, Stamp.of(path.stat()).text, "print", KEY)
            connection.execute(KNOWN, row)
    connection.close()
    clock = SystemClock()
    stop = Stop(clock, 1.0)
    service = Service(store, settings, KEY, StandIn, lambda event: None, clock, stop)
    base = _rss_mb()
    found: dict[str, float] = {"base_mb": base}

    def measure() -> None:
        while not service._intake.files:
            time.sleep(0.05)
        time.sleep(2.0)
        cpu, began = time.process_time(), time.monotonic()
        time.sleep(idle_s)
        over = time.monotonic() - began
        # The next look at everything comes after 200 times its own duration; it is idling too.
        pause = max(60.0, 200 * service._intake.scan_s)
        found["over_s"] = over
        found["idle"] = (time.process_time() - cpu) / over + service._intake.scan_s / pause
        found["rss_mb"], found["scan_s"] = _rss_mb(), service._intake.scan_s
        found["files"] = float(service._intake.files)
        stop.request()

    thread = threading.Thread(target=measure)
    thread.start()
    service.run(command="names")
    thread.join()
    store.close()
    return found


def day(place: Path, hours: int) -> list[Row]:
    """A simulated day with a file every ten minutes: nothing may grow."""
    found = _in_fresh_process(_live, place, hours)
    figure = (
        f"{found['scored']:.0f} files scored; from hour {found['from_h']:.0f} on: "
        f"{found['mb']:+.1f} MB resident, {found['fds']:+.0f} descriptors, "
        f"{found['threads']:+.0f} threads, {found['children']:+.0f} children"
    )
    ok = found["mb"] < 10 and not (found["fds"] or found["threads"] or found["children"])
    return [Row(f"{hours} simulated hours", figure, ok)]


def _live(place: Path, hours: int) -> dict[str, float]:
    from aqs_batch.service import Service
    from aqs_batch.stop import Stop
    from aqs_batch.store import Store
    from bench.faults.clock import FakeClock
    from bench.standin import KEY, StandIn, settings_for

    inbox = place / "in"
    inbox.mkdir(parents=True)
    settings = settings_for(
        inbox, place / "out", watch__rescan_s=60.0, watch__settle_s=10.0, watch__report_s=300.0
    )
    store, clock = Store(settings.output.url), FakeClock()
    marks: list[dict[str, float]] = []
    last = [-1]

    def world(seconds: float) -> None:
        number = int(clock.steady() // 600)
        if number == last[0]:
            return
        last[0] = number
        (inbox / f"{number}.mp4").write_bytes(b"%d" % number)
        (inbox / f"{number - 6}.mp4").unlink(missing_ok=True)
        if number % 6 == 5:
            gc.collect()
            marks.append(_marks())

    clock.on_wait = world
    process = StandIn(child="0.01")
    stop = Stop(clock, 1.0)
    service = Service(store, settings, KEY, lambda: process, lambda event: None, clock, stop)
    summary = service.run(command="day", until=clock.now() + hours * 3600)
    store.close()
    warm = len(marks) // 4
    grown = {name: marks[-1][name] - marks[warm][name] for name in marks[-1]}
    return grown | {"scored": float(summary.scored), "from_h": float(warm + 1)}


def _marks() -> dict[str, float]:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {
        "mb": _rss_mb(),
        "fds": float(len(list(Path("/proc/self/fd").iterdir()))),
        "threads": float(threading.active_count()),
        "children": float(len(children)),
    }


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _in_fresh_process(target: Any, *arguments: Any) -> dict[str, float]:
    """What `target` returns, from a process that has loaded nothing yet."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result: dict[str, float] = pool.apply(target, arguments)
        return result
