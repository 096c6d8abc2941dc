"""Folders on this machine or in a bucket (`gs://…`): copied whole, unchanged files left alone.

fsspec does the reading and writing; `gs://` needs the extra `cloud` (gcsfs). A plain path is a
local folder, so the same command runs with and without a cloud.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import fsspec

from training.whole import UNFINISHED

UNCHANGING = frozenset({".npz", ".npy", ".png"})
Told = Callable[[str], None]


def is_remote(place: str) -> bool:
    """Whether a place is a URL ("gs://bucket/folder", "memory://x") and not a path."""
    return "://" in place


def download(source: str, target: Path, tell: Told = lambda line: None) -> int:
    """Copy every file below `source` that is not there in the same size; returns how many.

    Raises FileNotFoundError when there is nothing at `source`, ValueError for a name that would
    leave `target`.
    """
    files, root = fsspec.core.url_to_fs(source)
    found = sorted(_sizes(files, root))
    if not found:
        raise FileNotFoundError(
            f"nothing at {source}: is the bucket right, may this account read it?"
        )
    copied = 0
    for name, size in found:
        if ".." in PurePosixPath(name).parts:
            raise ValueError(f"{source}: {name!r} would leave {target}")
        local = target / name
        if local.exists() and local.stat().st_size == size:
            continue
        local.parent.mkdir(parents=True, exist_ok=True)
        partial = local.with_name(f".{local.name}.part")
        files.get_file(f"{root.rstrip('/')}/{name}", str(partial))
        partial.replace(local)
        copied += 1
        tell(f"fetched {name}")
    return copied


def upload(source: Path, target: str, tell: Told = lambda line: None) -> int:
    """Copy every whole file below `source` that the target has not yet, or not as it is now.

    A training writes there meanwhile: what it has just moved or removed goes with the next sending.
    """
    files, root = fsspec.core.url_to_fs(target)
    known = dict(_sizes(files, root))
    sent = 0
    for local in sorted(_whole_files(source)):
        name = local.relative_to(source).as_posix()
        there = f"{root.rstrip('/')}/{name}"
        with contextlib.suppress(FileNotFoundError):
            # Checkpoints and logs change without changing their size, so they always go.
            if known.get(name) == local.stat().st_size and local.suffix in UNCHANGING:
                continue
            files.makedirs(there.rpartition("/")[0], exist_ok=True)
            files.put_file(str(local), there)
            sent += 1
            tell(f"sent {name}")
    return sent


def _whole_files(source: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(source):
        inner[:] = [name for name in inner if not name.startswith(UNFINISHED)]
        yield from (Path(folder, name) for name in names if not name.endswith(".part"))


def _sizes(files: fsspec.AbstractFileSystem, root: str) -> Iterator[tuple[str, int]]:
    base = root.rstrip("/")
    for path, facts in files.find(base, detail=True).items():
        yield str(path)[len(base) :].lstrip("/"), int(facts["size"])
