"""Where a ladder's files lie until they are done with; what a killed process left is swept away."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aqs_batch.encode.child import NoSpace
from aqs_batch.errors import EncodeError
from aqs_batch.identity import ABANDONED_AFTER_S, is_at_work, is_gone, own_name

PREFIX = ".aqs-encode-"
_OWNER = "owner"


@contextmanager
def scratch(place: Path, others: Iterable[Path] = ()) -> Iterator[Path]:
    """A folder below `place` that goes when the block ends, however it ends.

    After kill -9 it stays; the next scratch folder made there, or where that is one of the
    `others`, takes it along, once its owner is known to have ended on this machine, or nothing in
    it was written for a day: a container that is started anew is another machine.
    """
    place.mkdir(parents=True, exist_ok=True)
    for left in (left for folder in (place, *others) for left in folder.glob(f"{PREFIX}*")):
        if _is_abandoned(left):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=place) as name:
        folder = Path(name)
        (folder / _OWNER).write_text(own_name(), encoding="utf-8")
        try:
            yield folder
        except NoSpace as error:  # `encodes` may be a link to another disk than the rest
            raise EncodeError(f"{error} of {place}", hint=error.hint) from error


def _is_abandoned(folder: Path) -> bool:
    try:
        written_s = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
        owner = (folder / _OWNER).read_text(encoding="utf-8")
    except OSError:
        return False  # just made, or just gone
    if owner == own_name() or is_at_work(owner):  # it may have been asleep for a day
        return False
    return is_gone(owner) or time.time() - written_s > ABANDONED_AFTER_S
