"""Figures of this machine: `make bench`. Nothing passes or fails; compare ratios, not seconds."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from aqs_batch import ffmpeg, pipeline
from aqs_batch.analysis.checkpoint import chosen
from aqs_batch.config import load
from aqs_batch.ingest.probe import probe
from aqs_batch.machine.measure import RATE, SECONDS, decoding_s, make_clip, noise_tiles

SIZES = {"360p": "640x360", "1080p": "1920x1080", "2160p": "3840x2160"}
BATCHES = 6


@dataclass(frozen=True)
class Row:
    """One figure with its unit."""

    what: str
    value: float
    unit: str


def model_alone(bench: pipeline.Workbench) -> Row:
    """Sequences per second of the network on ready tiles, in the batch size of the settings."""
    tiles = noise_tiles(bench.engine.batch)
    bench.engine.backend.run(tiles)
    began = time.perf_counter()
    for _ in range(BATCHES):
        bench.engine.backend.run(tiles)
    rate = BATCHES * len(tiles) / (time.perf_counter() - began)
    return Row(f"model alone, {bench.engine.backend.name}", rate, "tiles/s")


def end_to_end(path: Path, name: str, bench: pipeline.Workbench) -> list[Row]:
    """One file from probe to result, without the database."""
    began = time.perf_counter()
    analysis = pipeline.process(path, bench)
    spent = time.perf_counter() - began
    tiles = sum(len(s.tiles) for s in analysis.sequences)
    return [
        Row(f"end to end, {name}", tiles / spent, "tiles/s"),
        Row(f"end to end, {name}", SECONDS / spent, "x real time"),
    ]


def decoding(path: Path, name: str) -> Row:
    """What `ffmpeg -f null` decodes in a second on this machine."""
    rate = SECONDS * RATE / decoding_s(probe(path), ffmpeg.find().path)
    return Row(f"ffmpeg -f null, {name}", rate, "frames/s")


def peak_memory(path: Path, name: str, folder: Path) -> Row:
    """Peak resident memory of a whole `aqs-batch run` on one file, ffmpeg's own not counted.

    From /proc, not from getrusage: there a child's peak begins at what its parent held when it
    forked, so that a large bench once measured itself.
    """
    code = (
        "import os, re; from aqs_batch.cli import invoke; code = invoke(); "
        "print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1], flush=True); "
        "os._exit(code)"
    )
    argv = [sys.executable, "-c", code, "run", str(path), "--output_dir", str(folder / name)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return Row(f"peak memory, {name}", int(done.stdout.split()[-1]) / 1024, "MB")


def start_up() -> Row:
    """`aqs-batch --help`, the best of five."""
    best = min(_timed([sys.executable, "-m", "aqs_batch", "--help"]) for _ in range(5))
    return Row("aqs-batch --help", best, "s")


def _timed(argv: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(argv, capture_output=True, check=True)
    return time.perf_counter() - began


def main() -> None:
    settings = load(None, {}, {}).settings
    rows = [start_up()]
    with tempfile.TemporaryDirectory(prefix="aqs-bench-") as scratch:
        folder, tool = Path(scratch), ffmpeg.find().path
        paths = {name: make_clip(tool, folder, size) for name, size in SIZES.items()}
        rows += [peak_memory(path, name, folder) for name, path in paths.items()]
        bench = pipeline.set_up(settings, chosen(settings.model.checkpoint))
        rows.append(model_alone(bench))
        for name, path in paths.items():
            rows += [*end_to_end(path, name, bench), decoding(path, name)]
    for row in rows:
        print(f"{row.what:<28} {row.value:>10.2f} {row.unit}", flush=True)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{'largest child process':<28} {children:>10.2f} MB")


if __name__ == "__main__":
    main()
