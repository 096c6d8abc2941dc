"""Whole or not at all: what a training writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.whole import whole


def test_a_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "00000.truth.npz"
    with whole(target) as unfinished:
        unfinished.write_text("half")
        assert unfinished.suffix == ".npz"
        assert not list(target.parent.glob("*.truth.npz"))
    assert target.read_text() == "half"
    assert list(target.parent.iterdir()) == [target]


def test_what_went_wrong_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("before")
    with pytest.raises(RuntimeError), whole(target) as unfinished:
        unfinished.write_text("half")
        raise RuntimeError
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    """numpy says how many bytes a full disk took, and not of which file."""
    said = r"a\.npy could not be written: 64 requested and 0 written"
    with pytest.raises(OSError, match=said), whole(tmp_path / "a.npy"):
        raise OSError("64 requested and 0 written")
