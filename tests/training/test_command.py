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


def test_a_command_that_is_stopped_ends_with_words(capsys: pytest.CaptureFixture[str]) -> None:
    """The way to stop a training, as its own help has it, had ended in a traceback."""

    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        plainly(main)
    assert ended.value.code == 130
    assert capsys.readouterr().err == "stopped: run it again to go on\n"
