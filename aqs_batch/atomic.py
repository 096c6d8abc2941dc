"""Files that are either the old one or the new one, whole, whatever happens in between."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from aqs_batch.identity import ABANDONED_AFTER_S

_WRITTEN = (".html", ".json", ".csv", ".gz", ".prom")  # what our names in such folders end with


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """Where to write what becomes `target` when the block ends well.

    On any error (a full disk, an interrupt) `target` keeps its old content, nothing is left
    beside it, and the error goes on to the caller.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno:
            # A full disk names nothing, and a temporary file is gone when somebody looks for it.
            place = {None: target.parent, str(temporary): target}.get(error.filename)
            if place is not None:
                raise OSError(error.errno, error.strerror, str(place)) from error
        raise


@contextmanager
def atomic_file(target: Path, *, synced: bool = True) -> Iterator[TextIO]:
    """A UTF-8 stream that becomes `target`, as `unfinished` does.

    Not `synced`, a power cut may leave it empty.
    """
    with (
        unfinished(target) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        yield stream
        stream.flush()
        if synced:
            os.fsync(stream.fileno())


def replace_text(target: Path, text: str, *, synced: bool = True) -> bool:
    """Make `text` the content of `target`; False when it already was and nothing was written."""
    try:
        if target.read_bytes() == text.encode("utf-8"):
            return False
    except OSError:
        pass  # missing or unreadable: writing it says what is wrong, if anything is
    with atomic_file(target, synced=synced) as stream:
        stream.write(text)
    return True


def sync(files: Iterable[Path]) -> None:
    """Wait until files that were written without it are on the disk; most are by then."""
    for file in files:
        with file.open("r+b") as stream:
            os.fsync(stream.fileno())


def remove_abandoned(folder: Path, *, now_s: float, of_dead: bool = False) -> None:
    """Remove the temporary files of writers killed more than a day before `now_s` (Unix time).

    `of_dead`: also younger ones whose writer's process is not running here. Should it be running
    on another machine that shares the folder, its write fails and is tried again.
    """
    for temporary in folder.glob(".*.tmp"):
        target, pid, _ = temporary.name.rsplit(".", 2)
        is_ours = target.endswith(_WRITTEN) and pid.isdigit()  # ".budget.2026.tmp" is not
        try:
            if is_ours and (
                now_s - temporary.stat().st_mtime > ABANDONED_AFTER_S
                or (of_dead and not _is_running(int(pid)))
            ):
                temporary.unlink()
        except FileNotFoundError:
            continue  # its writer was alive after all, or another run was here first


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
