"""Figures kept on disk: what cannot be read is made again, and that is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.remembered import is_remembered, remembered


@pytest.mark.parametrize("left", [0, 40, -50])
def test_what_was_cut_short_is_made_again(
    left: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, made = tmp_path / "a.npz", {"a": np.arange(100)}
    remembered(file, "key", lambda: made)
    file.write_bytes(file.read_bytes()[:left])
    assert not is_remembered(file, "key")
    assert np.array_equal(remembered(file, "key", lambda: made)["a"], made["a"])
    assert f"{file}: " in capsys.readouterr().out
    assert is_remembered(file, "key")


def test_what_rotted_is_made_again(tmp_path: Path) -> None:
    file, made = tmp_path / "a.npz", {"a": np.full(100, 7, np.uint8)}
    remembered(file, "key", lambda: made)
    file.write_bytes(file.read_bytes().replace(bytes([7] * 100), bytes([8] * 100)))
    assert np.array_equal(remembered(file, "key", lambda: made)["a"], made["a"])
