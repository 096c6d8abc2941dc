"""A file's second name, or another one: by a link where the file system knows links."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path


def bring(encode: Path, copy: Path) -> None:
    """Give a file a second name in the trash: what a kill leaves is found and removed there.

    If it were moved, a kill would leave it hidden beside its original, and a database that says it
    is done.
    """
    for way in (os.link, Path.rename):  # some file systems know no links
        with suppress(OSError):
            way(encode, copy)
            return
    shutil.copyfile(encode, copy)  # from another one
    with copy.open("rb") as handle:
        os.fsync(handle.fileno())


def settle(copy: Path, place: Path) -> None:
    """Give an encode a name that nobody has: what was put there meanwhile had been overwritten.

    Raises FileExistsError where somebody has it.
    """
    try:
        os.link(copy, place)
    except OSError as error:  # some file systems know no links
        if os.path.lexists(place):
            raise FileExistsError(errno.EEXIST, "exists already", str(place)) from error
        copy.rename(place)
    else:
        copy.unlink()


def set_aside(file: Path, name: Path) -> None:
    """Give a file a name in the trash beside its own; some file systems know no links, and there
    it is moved.
    """
    try:
        os.link(file, name)
    except OSError:
        file.rename(name)


def is_one(one: Path, other: Path) -> bool:
    """Whether two names are there and are one file."""
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except OSError:
        return False
