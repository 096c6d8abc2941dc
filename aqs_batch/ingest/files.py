"""Which files of a folder are taken, and under what name they are reported."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

ENCODES = "encodes"  # the folder of kept encodes in the output folder
DATABASE = "aqs.db"  # lies there too, unless it was given another place
Name = Callable[[str], None]  # hears of a file by its name below a folder
PARTIAL_SUFFIXES = (".part", ".tmp", ".crdownload", ".partial", ".download", "~")


@dataclass(frozen=True)
class Found:
    """A file to score; `file` is its name in reports; `problem` says why it cannot be opened."""

    path: Path
    file: str
    problem: str = ""


@dataclass(frozen=True)
class Rules:
    """What is taken from a folder; `skip` names our own folders, whose files never are."""

    extensions: tuple[str, ...]
    follow_symlinks: bool = False
    skip: tuple[Path, ...] = ()
    _endings: tuple[str, ...] = field(init=False, repr=False)
    _skipped: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        endings = tuple(f".{e.lower().lstrip('.')}" for e in self.extensions)
        object.__setattr__(self, "_endings", endings)
        # The folder of kept encodes by itself too: results may lie beside the videos they are of.
        ours = [place for folder in self.skip for place in (folder, folder / ENCODES)]
        object.__setattr__(self, "_skipped", frozenset(map(os.path.realpath, ours)))

    def takes(self, name: str) -> bool:
        """Whether a file of this name is taken: a video's ending, not hidden, not partial."""
        lower = name.lower()
        return (
            lower.endswith(self._endings)
            and not lower.startswith(".")
            and not lower.endswith(PARTIAL_SUFFIXES)
        )

    def takes_path(self, folder: str, path: str) -> bool:
        """Whether the file at `path` would be found by a walk of `folder`."""
        if not path.startswith(folder.rstrip(os.sep) + os.sep):
            return False
        *folders, name = Path(os.path.relpath(path, folder)).parts
        if not self.takes(name) or any(part.startswith(".") for part in folders):
            return False
        below = (os.path.join(folder, *folders[:depth]) for depth in range(1, len(folders) + 1))
        return all(self._is_free(os.path.realpath(place)) for place in below)

    def enters(self, real_path: str, name: str) -> bool:
        """Whether the files below a folder of this name and real path are looked at."""
        return not name.startswith(".") and self._is_free(real_path)

    def _is_free(self, real_path: str) -> bool:
        """Whether a folder is none of ours; another output folder's encodes are not taken either.

        They had been scored, and encoded once more, by a run that has another database.
        """
        above, name = os.path.split(real_path)
        is_kept = name == ENCODES and Path(above, DATABASE).is_file()
        return real_path not in self._skipped and not is_kept


def gather(
    names: Iterable[str],
    extensions: Iterable[str],
    *,
    follow_symlinks: bool,
    skip: Path,
    left: Name = lambda _: None,
) -> list[Found]:
    """Folders named are searched, files named are taken whatever their ending; each file once.

    `left` hears of the links that are left out.
    """
    found: dict[str, Found] = {}
    taken: set[str] = set()
    for name in names:
        path = Path(name)
        inside: Iterable[Found] = (
            find_videos(path, extensions, follow_symlinks=follow_symlinks, skip=skip, left=left)
            if _is_folder(path)
            else [Found(path, name.replace(os.sep, "/"), _missing(path))]
        )
        for item in inside:
            place = os.path.join(os.path.realpath(item.path.parent), item.path.name)
            if place in taken:
                continue
            taken.add(place)
            # Two folders may have one relative name, and a path from here may be such a name.
            names_of = (item.file, str(item.path), str(item.path.absolute()))
            free = next(n for n in names_of if n not in found)
            found[free] = replace(item, file=free)
    return list(found.values())


def base_of(names: Iterable[str]) -> str:
    """What the files of `gather` are called relative to: every folder named, and this one where a
    file is named from here; joined like a PATH.
    """

    def base(name: str) -> str:
        path = Path(name)
        if _is_folder(path):
            return os.path.abspath(path)
        return "" if path.is_absolute() else str(Path.cwd())

    return os.pathsep.join(filter(None, dict.fromkeys(map(base, names))))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long: `_missing` tells
        return False


def _missing(path: Path) -> str:
    """Why a file that was named is not there; "": it is."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return "no such file"
    except OSError as error:  # one such name had ended the run over all the others
        return f"cannot be read: {error.strerror}"
    return ""


def find_videos(
    folder: Path,
    extensions: Iterable[str],
    *,
    follow_symlinks: bool,
    skip: Path | None = None,
    left: Name = lambda _: None,
) -> Iterator[Found]:
    """Every video below `folder`, by file name ending, in a stable order.

    Hidden and partial files are left out, and so is `skip` (our own output folder). A folder that
    cannot be read, or that is named like a video, is reported as a problem rather than passed over.
    """
    rules = Rules(tuple(extensions), follow_symlinks, (skip,) if skip else ())
    problems: list[Found] = []

    def unreadable(name: str, why: str) -> None:
        problems.append(Found(folder / name, name, why))

    for name, entry in walk(folder, rules, unreadable, left):
        problem = "a directory, not a file" if _is_dir(entry) else ""
        yield Found(folder / name, name, problem)
    yield from problems


def walk(
    folder: str | os.PathLike[str],
    rules: Rules,
    unreadable: Callable[[str, str], None],
    left: Name = lambda _: None,
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """(name below `folder`, entry) of every file taken, and of folders named like one.

    Files before folders, each in order of name; a folder is entered once, so links cannot make a
    ring. `unreadable` hears (name, why) of folders that cannot be read, `left` the names of links
    to files and folders that would be taken if links were followed.
    """
    waiting: list[tuple[str, str]] = [("", os.path.realpath(folder))]
    entered: set[tuple[int, int]] = set()
    with suppress(OSError):  # a link back to the folder itself leads nowhere new
        info = os.stat(folder)
        entered.add((info.st_dev, info.st_ino))
    while waiting:
        prefix, place = waiting.pop()
        try:
            with os.scandir(place) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            unreadable(prefix.rstrip("/") or ".", f"cannot be read: {error.strerror}")
            continue
        below = []
        for entry in entries:
            linked = entry.is_symlink()
            if linked and not rules.follow_symlinks:
                is_folder = not entry.name.startswith(".") and _is_folder(Path(entry.path))
                if rules.takes(entry.name) or is_folder:
                    left(prefix + entry.name)
                continue
            try:
                is_dir = _is_dir(entry)
            except OSError as error:  # a link into a place without rights, a stale mount
                unreadable(f"{prefix}{entry.name}", f"cannot be read: {error.strerror}")
                continue
            if is_dir:
                if _is_new(entry, linked, entered, rules):
                    below.append((f"{prefix}{entry.name}/", entry.path))
                else:
                    continue
            if rules.takes(entry.name):
                yield prefix + entry.name, entry
        waiting.extend(reversed(below))


def _is_dir(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is, or leads to, a folder; a link in a ring leads nowhere.

    One such link had ended the whole run: `is_dir` keeps quiet of a missing target alone.
    """
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False


def _is_new(
    entry: os.DirEntry[str], linked: bool, entered: set[tuple[int, int]], rules: Rules
) -> bool:
    """Whether a folder is to be entered; where links are followed, it is entered only once."""
    if not rules.enters(os.path.realpath(entry.path) if linked else entry.path, entry.name):
        return False
    if rules.follow_symlinks:
        try:
            info = os.stat(entry.path)
        except OSError:
            return False
        if (info.st_dev, info.st_ino) in entered:
            return False
        entered.add((info.st_dev, info.st_ino))
    return True


def is_lost(folder: str, file: str, *, mounted: bool) -> bool:
    """Whether a file that is not there is gone, rather than its mount.

    A file that lay on another device than the surroundings of `folder` is not lost while the
    nearest folder that is left lies on those surroundings' device: its mount is what is missing.
    Where the surroundings themselves cannot be seen, nothing is lost.
    """
    if not mounted:
        return True
    try:
        around = os.stat(Path(folder).absolute().parent).st_dev
        place = Path(folder, file).absolute().parent
        while not place.is_dir():
            place = place.parent
        return os.stat(place).st_dev != around
    except OSError:
        return False
