"""Run a training where its data are not: fetch, run, send back while it runs.

`python -m training.cloud.job --data gs://B/media --work gs://B/runs/1 -- training.train --hours 6`

The folder of the work is fetched first, so that a job that was cut off goes on where it was; what
the training writes there is sent every `--every` seconds and at the end. `{data}` and `{work}` in
the command's arguments become the local folders. With plain paths nothing is copied.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from aqs_batch.errors import SettingsError
from training.cloud.storage import download, is_remote, upload
from training.command import plainly

ALLOWED = ("training.",)  # a job runs trainings of this repository, no other program


def command(module: str, arguments: Sequence[str], data: Path, work: Path) -> list[str]:
    """The training's command; raises SettingsError for anything that is no module of training."""
    if not module.startswith(ALLOWED):
        raise SettingsError(
            f"{module}: only modules of `training` are run",
            hint="Say it whole, as `training.preprocess.ladders`.",
        )
    places = {"{data}": str(data), "{work}": str(work)}
    filled = []
    for argument in arguments:
        for name, place in places.items():
            argument = argument.replace(name, place)
        filled.append(argument)
    return [sys.executable, "-m", module, *filled]


def run(argv: Sequence[str], work: Path, target: str, every_s: float) -> int:
    """Run to the end, sending the work now and then; returns the exit status."""
    with subprocess.Popen(argv) as child:
        # A preempted machine gets SIGTERM: the training stops and what it wrote is still sent.
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        while True:
            try:
                child.wait(every_s)
                break
            except subprocess.TimeoutExpired:
                if target:
                    upload(work, target)
    if target:
        upload(work, target, print)
    return child.returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/media", help="folder or URL of the media")
    parser.add_argument("--work", default="training/cache", help="folder or URL of cache and runs")
    parser.add_argument("--every", type=float, default=300.0, help="seconds between sendings")
    parser.add_argument("module")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aqs-job-")))
        data, work = Path(args.data), Path(args.work)
        if is_remote(args.data):
            data = scratch / "data"
            print(f"{download(args.data, data)} files of data fetched", flush=True)
        if is_remote(args.work):
            work = scratch / "work"
            work.mkdir()
            with contextlib.suppress(FileNotFoundError):  # the first job of this work
                print(f"{download(args.work, work)} files of work fetched", flush=True)
        argv = command(args.module, args.arguments, data, work)
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        sys.exit(run(argv, work, args.work if is_remote(args.work) else "", args.every))


if __name__ == "__main__":
    plainly(main)
