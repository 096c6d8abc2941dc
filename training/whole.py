"""Files that are there whole or not at all, so that a command that was stopped can be run again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

UNFINISHED = ".part-"  # how the name of a folder begins in which something is being written


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write what shall lie at `path`; it is moved there if nothing goes wrong.

    It has its own name in a folder of its own: ffmpeg and numpy go by the end of a name, and who
    looks for files by a pattern must not find it. Raises OSError that names `path` when it cannot
    be written: numpy's own names no file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=path.parent) as folder:
            unfinished = Path(folder, path.name)
            yield unfinished
            unfinished.replace(path)
    except (OSError, SafetensorError) as error:
        raise OSError(f"{path} could not be written: {error}") from error
