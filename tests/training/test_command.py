"""What a training command says when something goes wrong."""

from __future__ import annotations

import errno
import os

import pytest

from training.command import plainly


def test_a_full_disk_ends_a_command_with_words() -> None:
    def main() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "shards/00000.tiles.npy")

    with pytest.raises(SystemExit, match=r"error: .*No space left on device.*00000\.tiles\.npy"):
        plainly(main)
