"""Who a file is, whatever its name: a hash over its size and samples of its bytes."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

from aqs_batch.errors import MediaError, reason_of

SAMPLE_BYTES = 1 << 20
SAMPLES = 16


def regular_size(path: Path) -> int:
    """Size in bytes of a plain, non-empty file; anything else is a MediaError.

    Asked before anything is opened: opening a named pipe waits for its writer for ever.
    """
    try:
        info = path.stat()
    except FileNotFoundError as error:
        raise MediaError("the file is gone", hint="It vanished before it was read.") from error
    except OSError as error:
        raise MediaError(f"cannot be read: {reason_of(error)}") from error
    if not stat.S_ISREG(info.st_mode):
        raise MediaError("not a regular file", hint="Only plain files are read.")
    if info.st_size == 0:
        raise MediaError("the file is empty (zero bytes)", hint="Was the copy interrupted?")
    return info.st_size


def fingerprint(path: Path) -> str:
    """A 32-digit content fingerprint: files up to 16 MiB whole, larger ones in 16 spread samples.

    Name, place and times of the file do not enter. Raises MediaError when it cannot be read.
    """
    size = regular_size(path)
    try:
        digest = hashlib.blake2b(size.to_bytes(8, "little"), digest_size=16)
        with path.open("rb") as handle:
            if size <= SAMPLE_BYTES * SAMPLES:
                digest.update(handle.read())
            else:
                for number in range(SAMPLES):
                    handle.seek((size - SAMPLE_BYTES) * number // (SAMPLES - 1))
                    digest.update(handle.read(SAMPLE_BYTES))
    except FileNotFoundError as error:
        raise MediaError("the file is gone", hint="It vanished before it was read.") from error
    except OSError as error:
        raise MediaError(f"cannot be read: {reason_of(error)}") from error
    return digest.hexdigest()


def content_hash(path: Path) -> str:
    """A 32-digit hash of every byte of a file.

    Raises MediaError when the file cannot be read to its end.
    """
    regular_size(path)
    digest = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb", buffering=0) as handle:
            while block := handle.read(8 * SAMPLE_BYTES):
                digest.update(block)
    except OSError as error:
        raise MediaError(f"cannot be read: {reason_of(error)}") from error
    return digest.hexdigest()
