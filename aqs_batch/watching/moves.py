"""Putting a processed file elsewhere: by rename, never over another file, never across disks."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from aqs_batch.errors import MediaError

MOST_NAMESAKES = 1000


def move(source: Path, folder: Path, name: str, note: Callable[[Path], None]) -> Path:
    """Move `source` to `folder`/`name`, or beside a namesake as "name (2).mp4"; returns where.

    The file is linked under its new name before the old one goes, so that it has a name at every
    instant and no other file is replaced. In between `note` is told the new one: where it raises,
    the old one stays, and the move is gone on with the next time. Raises MediaError across file
    systems, and OSError.
    """
    for number in range(1, MOST_NAMESAKES + 1):
        target = folder / (name if number == 1 else _numbered(name, number))
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _link(source, target)
        except FileExistsError:
            if not _is_same(source, target):  # else ours, from a move that was cut short
                continue
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise MediaError(
                    f"{folder} is on another file system",
                    hint="Choose move_done and move_failed on the disk of the watched folder.",
                ) from error
            raise
        note(target)
        _drop(source, target)
        return target
    raise MediaError(f"{folder} holds {MOST_NAMESAKES} files named {name}")


def _is_same(source: Path, target: Path) -> bool:
    """Whether both are one file, or links to one.

    A link in the way that leads nowhere is looked at itself: followed, it is "no such file", by
    which the caller would take the source for gone.
    """
    if source.is_symlink():
        return os.path.realpath(source) == os.path.realpath(target)
    return os.path.samestat(os.lstat(source), os.lstat(target))


def _drop(source: Path, target: Path) -> None:
    """Take the old name away, unless a newcomer has been put there meanwhile."""
    with suppress(FileNotFoundError):
        if source.is_symlink() or os.path.samestat(os.lstat(source), os.lstat(target)):
            source.unlink()


def _link(source: Path, target: Path) -> None:
    if source.is_symlink():  # as it is it would lead elsewhere from its new place
        target.symlink_to(os.path.realpath(source))
        return
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
            raise
        if os.path.lexists(target):  # exFAT and its like know no links
            raise FileExistsError(errno.EEXIST, "exists", str(target)) from error
        source.rename(target)


def _numbered(name: str, number: int) -> str:
    path = Path(name)
    return str(path.with_name(f"{path.stem} ({number}){path.suffix}"))
