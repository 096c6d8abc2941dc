"""`python -m bench.faults [--scale 1.0] [--only NAME] [--write FILE]`: the table of faults."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench.faults import arrivals, disks, hostile, kills, scale
from bench.faults.scene import Row

Fault = Callable[[Path, int], list[Row]]

# Name, what is called, how many at scale 1.
FAULTS: tuple[tuple[str, Fault, int], ...] = (
    ("kill", kills.killed, 200),
    ("share", kills.shared, 200),
    ("sigterm", kills.terminated, 50),
    ("arrivals", arrivals.arrive, 1000),
    ("full", disks.full, 30),
    ("read-only", disks.read_only, 30),
    ("locked", disks.locked, 30),
    ("names", scale.names, 100_000),
    ("day", scale.day, 24),
    ("hostile", hostile.fuzz, 10_000),
)


HELD = {True: "yes", False: "**no**", None: "not run"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="Share of the full counts.")
    parser.add_argument("--only", action="append", help="Name of one fault; repeatable.")
    parser.add_argument("--write", type=Path, help="Markdown file to write the table to.")
    options = parser.parse_args()
    rows: list[Row] = []
    for name, fault, count in FAULTS:
        if options.only and name not in options.only:
            continue
        began, before = time.monotonic(), len(rows)
        with tempfile.TemporaryDirectory(prefix=f"aqs-fault-{name}-") as place:
            rows += fault(Path(place), max(1, round(count * options.scale)))
        for row in rows[before:]:
            print(f"{HELD[row.ok]}: {row.fault}: {row.figure}", flush=True)
        print(f"    {name} took {time.monotonic() - began:.0f} s", flush=True)
        if options.write:
            write(options.write, rows)
    return 0 if all(row.ok is not False for row in rows) else 1


def write(file: Path, rows: list[Row]) -> None:
    """The table, with the command that made it."""
    command = shlex.join(["python", "-m", "bench.faults", *sys.argv[1:]])
    lines = [
        "# Faults",
        "",
        f"Measured {datetime.now(UTC):%Y-%m-%d} with `{command}` (or `make faults`).",
        "The service processes are real; the model is a stand-in that reads the whole file and",
        "derives its rows from the bytes, so that every row can be checked against its file.",
        "",
        "| fault | figure | held |",
        "| --- | --- | --- |",
        *(f"| {row.fault} | {row.figure} | {HELD[row.ok]} |" for row in rows),
        "",
    ]
    file.write_text("\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
