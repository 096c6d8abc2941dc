"""Who a file is, whatever its name: a hash over its size and samples of its bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from aqs_batch.errors import MediaError

SAMPLE_BYTES = 1 << 20
SAMPLES = 16


def fingerprint(path: Path) -> str:
    """A 32-digit content fingerprint: files up to 16 MiB whole, larger ones in 16 spread samples.

    Name, place and times of the file do not enter. Raises MediaError when it cannot be read.
    """
    try:
        size = path.stat().st_size
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
        raise MediaError(f"cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()
