"""kill -9 and SIGTERM at random instants, with files arriving and two processes at work."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

from bench.faults.scene import Row, Scene, content, counted, kill, orphans, wait_for
from bench.standin import StandIn


def killed(place: Path, kills: int, seed: int = 1) -> list[Row]:
    """Two processes on one database; one of them, by chance, is killed again and again."""
    random_ = random.Random(seed)
    child = f"86400.{os.getpid()}1"
    scene = Scene(place, StandIn(pace_s=0.02, child=child))
    workers = [scene.start(), scene.start()]
    arrived = 0
    for _ in range(kills):
        for _ in range(random_.randint(0, 3)):
            data = content(random_)
            for copy in range(1 + (random_.random() < 0.1)):  # some contents lie there twice
                (scene.inbox / f"{arrived}-{copy}.mp4").write_bytes(data)
            arrived += 1
        time.sleep(random_.uniform(0.0, 1.0) ** 2)
        number = random_.randrange(2)
        kill(workers[number])
        workers[number] = scene.start()
    for worker in workers:
        kill(worker)
    scene.finish()
    problems = scene.problems()
    left = orphans(child)
    starts = Counter(scene.begun.read_text().split()[1::2])
    repeated = sum(starts.values()) - len(starts)
    limit = kills + 2
    return [
        Row(
            f"kill -9, {kills} times, {arrived} contents, two processes",
            f"{counted(problems, 'problems')}, {len(left)} orphans, "
            f"{repeated} jobs begun again (at most one a kill: {limit})",
            not problems and not left and repeated <= limit,
        )
    ]


def shared(place: Path, files: int, seed: int = 2) -> list[Row]:
    """Two processes, nobody killed: no job is begun twice."""
    random_ = random.Random(seed)
    scene = Scene(place, StandIn(pace_s=0.002))
    workers = [scene.start(), scene.start()]
    for number in range(files):
        (scene.inbox / f"{number}.mp4").write_bytes(content(random_))
    store = scene.store()
    wait_for(lambda: store.job_counts()["done"] >= files, 300)
    store.close()
    for worker in workers:
        assert worker.pid
        os.kill(worker.pid, signal.SIGTERM)
        worker.join(30)
    problems = scene.problems()
    starts = Counter(scene.begun.read_text().split()[1::2])
    twice = sum(1 for n in starts.values() if n > 1)
    figure = f"{counted(problems, 'problems')}, {twice} begun twice of {files}"
    return [Row(f"two processes share {files} files", figure, not problems and not twice)]


def terminated(place: Path, times: int, seed: int = 3) -> list[Row]:
    """SIGTERM while a long job is in hand."""
    random_ = random.Random(seed)
    child = f"86400.{os.getpid()}2"
    scene = Scene(place, StandIn(pace_s=0.2, child=child), watch__stop_grace_s=1.0)
    slowest, held = 0.0, 0
    wrong: list[str] = []
    for number in range(times):
        blocks = random_.randint(1, 100)  # up to 20 s of work
        (scene.inbox / f"{number}.mp4").write_bytes(random_.randbytes(blocks * 64 * 1024))
        worker = scene.start()
        time.sleep(random_.uniform(0.0, 1.5))
        began = time.monotonic()
        assert worker.pid
        os.kill(worker.pid, signal.SIGTERM)
        worker.join(30)
        slowest = max(slowest, time.monotonic() - began)
        if worker.exitcode not in (0, -signal.SIGTERM):
            wrong.append(f"exit {worker.exitcode}")
        if (scene.output / "aqs.db").exists() and worker.exitcode == 0:
            store = scene.store()
            counts, jobs = store.job_counts(), store.open_jobs()
            store.close()
            held += counts["running"]
            wrong += [f"attempts {job.attempts}" for job in jobs if job.attempts]
        for file in scene.inbox.iterdir():
            file.unlink()
    left = orphans(child)
    figure = (
        f"slowest stop {slowest:.1f} s, {held} jobs not released, {len(left)} orphans, "
        f"{counted(wrong, 'jobs held against their files')}"
    )
    ok = slowest < 10 and not held and not left and not wrong
    return [Row(f"SIGTERM, {times} times", figure, ok)]
