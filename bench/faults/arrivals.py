"""Files that come in every way a file can come, and change or go while they are looked at."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aqs_batch.ingest.fingerprint import fingerprint
from bench.faults.scene import Row, Scene, content, counted, wait_for
from bench.standin import StandIn

Arrival = Callable[[Path, bytes, random.Random, Path], None]


def slowly(target: Path, data: bytes, random_: random.Random, scratch: Path) -> None:
    """A copy that pauses for longer than the quiet time, its handle open."""
    with target.open("wb") as handle:
        for part in range(4):
            handle.write(data[part * len(data) // 4 : (part + 1) * len(data) // 4])
            handle.flush()
            time.sleep(random_.uniform(0.1, 1.0))


def at_once(target: Path, data: bytes, random_: random.Random, scratch: Path) -> None:
    target.write_bytes(data)


def renamed(target: Path, data: bytes, random_: random.Random, scratch: Path) -> None:
    """Written under a partial name in the watched folder, then renamed."""
    part = target.with_name(f"{target.name}.part")
    part.write_bytes(data)
    time.sleep(random_.uniform(0.0, 0.6))
    part.rename(target)


def moved(target: Path, data: bytes, random_: random.Random, scratch: Path) -> None:
    """Moved in from another file system."""
    source = scratch / target.name
    source.write_bytes(data)
    shutil.move(source, target)


def overwritten(target: Path, data: bytes, random_: random.Random, scratch: Path) -> None:
    """A complete file, replaced in place while it is waited for, read or processed."""
    target.write_bytes(random_.randbytes(len(data)))
    time.sleep(random_.uniform(0.2, 1.5))
    target.write_bytes(data)


def truncated(target: Path, data: bytes, random_: random.Random, scratch: Path) -> None:
    target.write_bytes(data + data)
    time.sleep(random_.uniform(0.2, 1.5))
    os.truncate(target, len(data))


def deleted(target: Path, data: bytes, random_: random.Random, scratch: Path) -> None:
    target.write_bytes(data)
    time.sleep(random_.uniform(0.2, 1.5))
    target.unlink()


WAYS: tuple[Arrival, ...] = (
    slowly, at_once, at_once, renamed, moved, overwritten, truncated, deleted,
)  # fmt: skip
ONCE = (slowly, at_once, renamed, moved)  # what comes so is complete from the start


def arrive(place: Path, files: int, seed: int = 4) -> list[Row]:
    """`files` arrivals, 24 at a time, into a folder that a real process watches."""
    random_ = random.Random(seed)
    scene = Scene(place, StandIn(pace_s=0.001), watch__settle_s=0.3)
    worker = scene.start()
    memory = Path("/dev/shm")
    other = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    ways: dict[str, Arrival] = {}

    def one(number: int, seed: int) -> None:
        way, mine = WAYS[number % len(WAYS)], random.Random(seed)
        data = content(mine, blocks=1)
        ways[_print(data, other)] = way
        way(scene.inbox / f"{number}.mp4", data, mine, other)

    with ThreadPoolExecutor(24) as pool:
        list(pool.map(one, range(files), [random_.randrange(1 << 30) for _ in range(files)]))
    expected = {fingerprint(p) for p in scene.inbox.iterdir()}
    store = scene.store()
    wait_for(lambda: sum(store.aqs(p, "stand-in") is not None for p in expected) >= len(expected))
    store.close()
    assert worker.pid
    os.kill(worker.pid, signal.SIGTERM)
    worker.join(30)
    scene.finish()
    shutil.rmtree(other)
    problems = [p for p in scene.problems() if not p.startswith("extra ")]
    starts = Counter(scene.begun.read_text().split()[1::2])
    partial = _partial(scene, ways, starts)
    doubled = sum(starts[print_] > 1 for print_, way in ways.items() if way in ONCE)
    figure = (
        f"{counted(problems, 'problems')}, {partial} incomplete contents taken, "
        f"{doubled} taken twice; {len(expected)} of {files} files left, all scored"
    )
    ok = not problems and not partial and not doubled
    return [Row(f"{files} files in {len(set(WAYS))} ways", figure, ok)]


def _print(data: bytes, folder: Path) -> str:
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".x") as handle:
        handle.write(data)
        handle.flush()
        return fingerprint(Path(handle.name))


def _partial(scene: Scene, ways: dict[str, Arrival], starts: Counter[str]) -> int:
    """Contents worked on that nobody ever meant to be a whole file.

    What was there before an overwriting or a truncation was whole in its time; there is at most
    one such content a file.
    """
    spare = sum(way in (overwritten, truncated) for way in ways.values())
    return max(0, len([p for p in starts if p not in ways]) - spare)
