"""Disks that are full or read-only, and a database that somebody else holds."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from aqs_batch import ffmpeg
from bench.faults.scene import Row, Scene, content, counted, wait_for
from bench.standin import StandIn


@contextmanager
def small_disk(place: Path, size: str = "6m") -> Iterator[None]:
    """A file system of its own at `place`; needs the right to mount (root). Raises OSError."""
    place.mkdir(parents=True)
    done = ffmpeg.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)])
    if done.returncode:
        raise OSError(f"no right to mount: {' '.join(done.tail)}")
    try:
        yield
    finally:
        ffmpeg.run(["umount", "-l", str(place)])


def full(place: Path, files: int, seed: int = 5) -> list[Row]:
    """The disk of results and reports fills up while files wait, and is freed again."""
    random_ = random.Random(seed)
    scene = Scene(place, StandIn())
    try:
        with small_disk(scene.output):
            worker = _first(scene, random_)
            filler = scene.output / "filler"
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as handle:
                while True:
                    handle.write(bytes(4096))
            _drop(scene, random_, files)
            wait_for(lambda: len(scene.told("trouble")) >= 3)
            said = [r for r in _reasons(scene) if "full" in r or "No space" in r]
            filler.unlink()
            problems = _end(scene, worker, files + 1)
    except OSError as error:
        return [Row("disk full", f"not run: {error}", None)]
    figure = (
        f"told {len(said)} times ({said[0][-60:] if said else 'never'}), after it was freed "
        f"{files + 1} scored, {counted(problems, 'problems')}"
    )
    ok = bool(said) and not problems
    return [Row(f"disk full while {files} files wait", figure, ok)]


def read_only(place: Path, files: int) -> list[Row]:
    """The folder of the database lies on a read-only disk: the command says so and ends."""
    inbox, output = place / "in", place / "out"
    inbox.mkdir()
    for number in range(files):
        (inbox / f"{number}.mp4").write_bytes(b"x")
    try:
        with small_disk(output):
            _remount(output, "ro")
            argv = [sys.executable, "-m", "aqs_batch", "watch", "--watch_dir", str(inbox)]
            done = ffmpeg.run([*argv, "--output_dir", str(output)], timeout_s=120)
    except OSError as error:
        return [Row("read-only", f"not run: {error}", None)]
    said = " ".join(done.tail).replace(str(place), "...")
    ok = done.returncode == 1 and "cannot open the database" in said and "Traceback" not in said
    return [Row("database on a read-only disk", f"exit {done.returncode}: {said[:160]}", ok)]


def locked(place: Path, seconds: int, seed: int = 7) -> list[Row]:
    """Another program holds the database for a while."""
    random_ = random.Random(seed)
    scene = Scene(place, StandIn())
    worker = _first(scene, random_)
    other = sqlite3.connect(scene.output / "aqs.db", isolation_level=None, timeout=30)
    other.execute("BEGIN EXCLUSIVE")
    _drop(scene, random_, 5)
    time.sleep(seconds)
    other.execute("ROLLBACK")
    other.close()
    problems = _end(scene, worker, 6)
    figure = f"waited, 6 files scored, {counted(problems, 'problems')}"
    return [Row(f"database locked for {seconds} s", figure, not problems)]


def _first(scene: Scene, random_: random.Random) -> BaseProcess:
    """A running service that has scored one file."""
    (scene.inbox / "first.mp4").write_bytes(content(random_, blocks=1))
    worker = scene.start()
    assert wait_for(lambda: bool(scene.told("scored"))), "the first file was not scored"
    return worker


def _drop(scene: Scene, random_: random.Random, files: int) -> None:
    for number in range(files):
        (scene.inbox / f"{number}.mp4").write_bytes(content(random_, blocks=1))


def _end(scene: Scene, worker: BaseProcess, files: int) -> list[str]:
    store = scene.store()
    wait_for(lambda: store.job_counts()["done"] >= files, 120)
    store.close()
    problems = [] if worker.is_alive() else [f"the service ended with {worker.exitcode}"]
    if worker.pid and worker.is_alive():
        os.kill(worker.pid, signal.SIGTERM)
    worker.join(30)
    return problems + scene.problems()


def _reasons(scene: Scene) -> list[str]:
    lines = scene.events.read_text(errors="surrogateescape").splitlines()
    return [line.removeprefix("trouble ").strip() for line in lines if line.startswith("trouble ")]


def _remount(place: Path, how: str) -> None:
    done = ffmpeg.run(["mount", "-o", f"remount,{how}", str(place)])
    if done.returncode:
        raise OSError(f"no right to remount: {' '.join(done.tail)}")
