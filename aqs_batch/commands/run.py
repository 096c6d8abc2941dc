"""`aqs-batch run` and `aqs-batch demo`: score videos and write the report."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence as Rows
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aqs_batch.commands.endings import (
    EXIT_FAILED,
    EXIT_GATE,
    EXIT_INTERRUPTED,
    INTERRUPTED,
    complain,
)
from aqs_batch.commands.flags import (
    CHECKPOINT,
    EXPORT,
    FAIL_UNDER,
    PROFILE,
    THRESHOLD,
    Load,
    listed,
    profile_flags,
    settings_flags,
)

if TYPE_CHECKING:
    from aqs_batch.settings import Settings
    from aqs_batch.store import RunRow, Store


@click.command()
@click.argument("paths", nargs=-1, type=click.Path())
@click.option("--input-dir", "input_dirs", multiple=True, type=click.Path(),
              help="Folder to take videos from, recursively; repeatable.")  # fmt: skip
@click.option("--video", "videos", multiple=True, type=click.Path(), help="One video; repeatable.")
@settings_flags
@PROFILE
@THRESHOLD
@EXPORT
@FAIL_UNDER
@click.option("--device", help="Where the model runs: auto, cpu, mps, cuda or cuda:N (auto).")
@click.option("--backend", help="What runs it: auto, openvino or torch (auto).")
@CHECKPOINT
@click.option("--encode", is_flag=True, default=None, help="Re-encode too, as [encode] says.")
@click.option(
    "--preprocess",
    help="With --encode, the learned filter first: off, auto or a strength from 0 to 2 (off).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON event per line.")
@click.option("--force", is_flag=True, help="Analyse again what is already known.")
def run(
    paths: tuple[str, ...],
    input_dirs: tuple[str, ...],
    videos: tuple[str, ...],
    load: Load,
    profile: str | None,
    threshold: float | None,
    export: str | None,
    fail_under: float | None,
    device: str | None,
    backend: str | None,
    checkpoint: str | None,
    encode: bool | None,
    preprocess: str | None,
    as_json: bool,
    force: bool,
) -> int:
    """Score videos and write the report."""
    loaded = load(
        **profile_flags(profile),
        **{
            "analysis.threshold": threshold,
            "output.export": listed(export),
            "run.fail_under": fail_under,
            "model.device": device,
            "model.backend": backend,
            "model.checkpoint": checkpoint,
            "encode.enabled": encode,
            "encode.preprocess": preprocess,
        },
    )
    if preprocess is not None and not loaded.settings.encode.enabled:
        raise click.UsageError("--preprocess works on re-encodes: add --encode")
    return score(loaded.settings, [*paths, *videos], input_dirs, as_json, force)


def score(
    settings: Settings, named: list[str], input_dirs: Rows[str], as_json: bool, force: bool
) -> int:
    """Run over everything named, write the reports, and give the exit code."""
    from aqs_batch import batch as batches
    from aqs_batch import console, reporting
    from aqs_batch.events import Event, EventKind
    from aqs_batch.ingest.files import base_of, gather
    from aqs_batch.reports import own
    from aqs_batch.store import Store
    from aqs_batch.wording import links_left_out, shown

    names = [*input_dirs, *named]
    if not names or "" in names:  # an empty name is a variable that was never set, not this folder
        raise click.UsageError("name videos, or a folder with --input_dir")
    for folder in input_dirs:
        if not Path(folder).is_dir():
            raise click.UsageError(f"--input_dir {shown(folder)}: no such folder")
    run, skip, links = settings.run, Path(settings.output.dir), list[str]()
    found = gather(
        names, run.extensions, follow_symlinks=run.follow_symlinks, skip=skip, left=links.append
    )
    if links:
        complain(links_left_out(links))
    own.check(skip, settings.output.export)
    store = Store(settings.output.url)
    try:
        with console.listener(as_json=as_json, stream=sys.stdout) as listen:
            batch = batches.Batch(store, settings, listen)
            run_id = batch.run(
                found,
                input_dir=base_of(names),
                command=shlex.join(sys.argv),
                force=force,
            )
            last = store.run(run_id)
            written = [str(p) for p in reporting.write_reports(store, last, settings)]
            counts = dict(reporting.run_record(store, last).counts)
            lost = sum(entry.encode_failed for entry in store.run_files(run_id))
            facts = {"written": written, "counts": counts, "encodes_failed": lost}
            listen(Event(EventKind.REPORT, facts=facts))
        return _exit_code(store, last, settings)
    except KeyboardInterrupt:
        complain(INTERRUPTED)
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
    finally:
        store.close()


def _exit_code(store: Store, last: RunRow, settings: Settings) -> int:
    """1 when files failed, 3 when the gate failed (which outranks), else 0."""
    from aqs_batch import reporting

    below = reporting.below_gate(store, last, settings.run.fail_under)
    for words in below:
        complain(f"gate: {words}")
    if below:
        return EXIT_GATE
    troubled = any(entry.reason for entry in store.run_files(last.id))
    return EXIT_FAILED if troubled else 0


@click.command()
@settings_flags
@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    help="Folder to keep the clips in (they are deleted).",
)
def demo(load: Load, keep: Path | None) -> int:
    """Make clips with one known damage each, and report on them."""
    import tempfile

    from aqs_batch import demo as clips
    from aqs_batch import ffmpeg

    settings = load().settings
    with tempfile.TemporaryDirectory(prefix="aqs-demo-") as scratch:
        folder = keep or Path(scratch)
        clips.make(ffmpeg.find(settings.ffmpeg.path).path, folder)
        return score(settings, [], [str(folder)], as_json=False, force=False)
