"""Store and report at scale: `python -m bench.scale --videos 10000 --sequences 200`.

Invented results of the real shape go through the real store and the real index page.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aqs_batch import ffmpeg, reporting
from aqs_batch.config import load
from aqs_batch.ingest.probe import probe
from aqs_batch.machine.measure import SECONDS, test_clip
from aqs_batch.records import Artifact, Provenance, SequenceScore, Status, TileScores, Video
from aqs_batch.reports.render import render_index
from aqs_batch.reports.summary import row_of
from aqs_batch.store import Analysis, RunFile, Store

TILES = 4
KEY = "scale"
THRESHOLDS = (0.5,) * len(Artifact)


@dataclass(frozen=True)
class Row:
    """One figure with its unit."""

    what: str
    value: float
    unit: str


def sequences(rng: np.random.Generator, count: int) -> tuple[SequenceScore, ...]:
    """Scores that wander over the whole scale, with all their tiles."""
    values = rng.random((count, 21), dtype=np.float32)
    found = []
    for number, row in enumerate(values.tolist()):
        probability, intensity = tuple(row[1:11]), tuple(row[11:21])
        tile = TileScores(0.5, 0.5, row[0], probability, intensity)
        found.append(
            SequenceScore(float(number), row[0], row[0], row[1], probability, intensity,
                          tuple(p * i for p, i in zip(probability, intensity, strict=True)),
                          (tile,) * TILES)
        )  # fmt: skip
    return tuple(found)


def fill(store: Store, video: Video, videos: int, per_video: int) -> Row:
    """Enqueue, claim and save every video as a run does, one transaction each."""
    rng = np.random.default_rng(0)
    provenance = Provenance("scale", KEY, "cpu", "none", TILES, "none", "0")
    run_id = store.start_run("2026-01-01T00:00:00+00:00", "/archive", "bench.scale", {})
    variants = [sequences(rng, per_video) for _ in range(16)]
    spent = 0.0
    for number in range(videos):
        print_ = f"{number:032x}"
        path = Path(f"/archive/{number // 100:03d}/clip {number:05d}.mp4")
        scores = variants[number % len(variants)]
        analysis = Analysis(
            print_, KEY, replace(video, path=path, duration_s=float(per_video)), scores,
            provenance, 1.0, (), "2026-01-01T00:00:00+00:00",
        )  # fmt: skip
        began = time.perf_counter()
        queued = store.enqueue(print_, KEY, path, force=False)
        job = store.claim(queued.id, "bench", 0.0, 900.0, 3)
        assert job is not None
        store.save(job, analysis, float(np.mean([s.aqs for s in scores])))
        file = path.relative_to("/archive").as_posix()
        store.record_file(run_id, RunFile(file, print_, KEY, Status.SCORED))
        spent += time.perf_counter() - began
    store.finish_run(run_id, "2026-01-01T01:00:00+00:00")
    return Row("sequences saved", videos * per_video / spent, "1/s")


def index(store: Store, folder: Path) -> tuple[list[Row], Path]:
    """Read every result back and write the index page."""
    run = store.last_run()
    assert run is not None
    began = time.perf_counter()
    rows = [row_of(outcome) for outcome in reporting.outcomes(store, run, lambda _: THRESHOLDS)]
    read_s = time.perf_counter() - began
    began = time.perf_counter()
    page = render_index(folder / "report", rows, reporting.run_record(store, run))
    return [
        Row("results read back", read_s, "s"),
        Row("index rendered", time.perf_counter() - began, "s"),
        Row("index page", page.stat().st_size / 1e6, "MB"),
    ], page


def opened(page: Path, folder: Path) -> list[Row]:
    """Open, then open sorted by AQS, in headless Chromium; less what an empty page takes."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print("no Chromium here: opening is not measured")
        return []
    empty = folder / "empty.html"
    empty.write_text("<!doctype html><title>empty</title>")

    def seconds(address: str) -> float:
        argv = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
        argv += [f"--user-data-dir={folder / 'browser'}", "--dump-dom", address]
        began = time.perf_counter()
        subprocess.run(argv, capture_output=True, check=True, timeout=120)
        return time.perf_counter() - began

    seconds(empty.as_uri())  # the first start makes a profile
    start = min(seconds(empty.as_uri()) for _ in range(3))
    return [
        Row("index opened", min(seconds(page.as_uri()) for _ in range(3)) - start, "s"),
        Row("index opened and sorted",
            min(seconds(page.as_uri() + "#sort=-aqs") for _ in range(3)) - start, "s"),
    ]  # fmt: skip


def measured(videos: int, per_video: int) -> list[Row]:
    """All figures for `videos` videos of `per_video` sequences each."""
    with (
        tempfile.TemporaryDirectory(prefix="aqs-scale-") as scratch,
        test_clip(ffmpeg.find().path) as clip,
    ):
        folder = Path(scratch)
        times = tuple(n / 25 for n in range(25 * SECONDS))
        video = replace(probe(clip), frame_times_s=times)
        store = Store(load(None, {}, {"output.dir": scratch}).settings.output.url)
        try:
            rows = [fill(store, video, videos, per_video)]
            size = sum(f.stat().st_size for f in folder.glob("aqs.db*"))
            rows.append(Row("database", size / 1e6, "MB"))
            began = time.perf_counter()
            for number in range(0, videos, max(videos // 1000, 1)):
                store.aqs(f"{number:032x}", KEY)
            looked = len(range(0, videos, max(videos // 1000, 1)))
            rows.append(Row("is it known?", (time.perf_counter() - began) / looked * 1e3, "ms"))
            figures, page = index(store, folder)
            return [*rows, *figures, *opened(page, folder)]
        finally:
            store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--sequences", type=int, default=200)
    parser.add_argument("--json", type=Path, help="Write the figures here too.")
    options = parser.parse_args()
    rows = measured(options.videos, options.sequences)
    print(f"{options.videos} videos of {options.sequences} sequences")
    for row in rows:
        print(f"{row.what:<28} {row.value:>12.2f} {row.unit}", flush=True)
    if options.json:
        figures = {row.what: {"value": row.value, "unit": row.unit} for row in rows}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
