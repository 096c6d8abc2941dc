"""Which files of a folder are taken, and under what name they are reported."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PARTIAL_SUFFIXES = (".part", ".tmp", ".crdownload", ".partial", ".download", "~")


@dataclass(frozen=True)
class Found:
    """A file to score; `file` is its name in reports; `problem` says why it cannot be opened."""

    path: Path
    file: str
    problem: str = ""


def gather(
    names: Iterable[str], extensions: Iterable[str], *, follow_symlinks: bool, skip: Path
) -> list[Found]:
    """Folders named are searched, files named are taken whatever their ending; each file once."""
    found: dict[str, Found] = {}
    for name in names:
        path = Path(name)
        inside: Iterable[Found] = (
            find_videos(path, extensions, follow_symlinks=follow_symlinks, skip=skip)
            if path.is_dir()
            else [Found(path, name.replace(os.sep, "/"))]
        )
        for item in inside:
            known = found.setdefault(item.file, item)
            if known.path.absolute() != item.path.absolute():  # two folders, one relative name
                found.setdefault(str(item.path), Found(item.path, str(item.path), item.problem))
    return list(found.values())


def find_videos(
    folder: Path, extensions: Iterable[str], *, follow_symlinks: bool, skip: Path | None = None
) -> Iterator[Found]:
    """Every video below `folder`, by file name ending, in a stable order.

    Hidden and partial files are left out, and so is `skip` (our own output folder). A folder that
    cannot be read, or that is named like a video, is reported as a problem rather than passed over.
    """
    endings = tuple(f".{e.lower()}" for e in extensions)
    problems: list[Found] = []

    def unreadable(error: OSError) -> None:
        path = Path(os.fsdecode(error.filename))
        problems.append(Found(path, _name(path, folder), f"cannot be read: {error.strerror}"))

    for here, folders, files in os.walk(folder, onerror=unreadable, followlinks=follow_symlinks):
        folders[:] = sorted(
            d for d in folders if not d.startswith(".") and not _is_same(Path(here, d), skip)
        )
        for name in folders:
            if name.lower().endswith(endings):
                path = Path(here, name)
                yield Found(path, _name(path, folder), "a directory, not a file")
        for name in sorted(files):
            path = Path(here, name)
            if not _is_taken(name, endings) or (path.is_symlink() and not follow_symlinks):
                continue
            yield Found(path, _name(path, folder))
    yield from problems


def _is_taken(name: str, endings: tuple[str, ...]) -> bool:
    lower = name.lower()
    return (
        lower.endswith(endings)
        and not lower.startswith(".")
        and not lower.endswith(PARTIAL_SUFFIXES)
    )


def _is_same(path: Path, other: Path | None) -> bool:
    return other is not None and path.resolve() == other.resolve()


def _name(path: Path, folder: Path) -> str:
    return os.path.relpath(path, folder).replace(os.sep, "/")
