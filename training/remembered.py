"""Figures that are dear to compute, kept on disk until what they were computed from changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from training.whole import whole

Arrays = dict[str, NDArray[Any]]

DAMAGED = (BadZipFile, EOFError, KeyError, ValueError)  # what numpy says of a file that is no use


def remembered(path: Path, key: str, make: Callable[[], Mapping[str, NDArray[Any]]]) -> Arrays:
    """The arrays stored at `path` (.npz) under `key`; made and stored where they are not.

    `key` says what the arrays depend on. A file stored under another key is written anew.
    """
    if is_remembered(path, key):
        try:
            with np.load(path) as stored:
                return {name: stored[name] for name in stored.files if name != "key"}
        except DAMAGED as error:
            print(f"{path}: {error}; made again", flush=True)
    arrays = dict(make())
    columns: dict[str, Any] = {"key": np.array(key), **arrays}
    with whole(path) as unfinished:
        np.savez(unfinished, **columns)
    return arrays


def is_remembered(path: Path, key: str) -> bool:
    """Whether arrays are stored at `path` under `key`; reads no more than the key."""
    if not path.exists():
        return False
    try:
        with np.load(path) as stored:
            return str(stored["key"]) == key
    except DAMAGED as error:
        print(f"{path}: {error}; made again", flush=True)
        return False


def digest(*parts: str | Path | Iterable[NDArray[Any]]) -> str:
    """A short hash of texts, files (their bytes) and arrays (their bytes), in order."""
    total = hashlib.blake2b(digest_size=12)
    for part in parts:
        if isinstance(part, str):
            total.update(part.encode())
        elif isinstance(part, Path):
            with part.open("rb") as handle:
                while block := handle.read(1 << 20):
                    total.update(block)
        else:
            for array in part:
                total.update(np.ascontiguousarray(array).data)
        total.update(b"\0")
    return total.hexdigest()
