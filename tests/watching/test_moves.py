"""Moving a processed file: whatever is in its way or goes wrong, no file is lost or overwritten."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from aqs_batch.errors import MediaError, StoreError
from aqs_batch.watching import moves


def unheard(_: Path) -> None:
    pass


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "in" / "a.mp4"
    file.parent.mkdir()
    file.write_text("ours")
    return file


@pytest.fixture
def done(tmp_path: Path) -> Path:
    folder = tmp_path / "done"
    folder.mkdir()
    return folder


def without_links(monkeypatch: pytest.MonkeyPatch, number: int = errno.EPERM) -> None:
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refused)


@pytest.mark.parametrize("has_links", [True, False])
@pytest.mark.parametrize("in_the_way", ["file", "folder", "link", "link to nothing"])
def test_what_is_in_the_way_stays_and_the_file_gets_a_number(
    has_links: bool, in_the_way: str, source: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_links:
        without_links(monkeypatch)
    other, theirs = done / "a.mp4", done / "theirs.mp4"
    if in_the_way == "folder":
        other.mkdir()
    elif in_the_way == "file":
        other.write_text("theirs")
    else:
        other.symlink_to(theirs)
    if in_the_way == "link":
        theirs.write_text("theirs")
    before = other.lstat()
    assert moves.move(source, done, "a.mp4", unheard) == done / "a (2).mp4"
    assert (done / "a (2).mp4").read_text() == "ours" and not source.exists()
    assert os.path.samestat(before, other.lstat())
    assert not theirs.exists() or theirs.read_text() == "theirs"


@pytest.mark.parametrize("has_links", [True, False])
def test_a_name_below_folders_makes_them(
    has_links: bool, source: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_links:
        without_links(monkeypatch)
    assert moves.move(source, done, "b/c/a.mp4", unheard) == done / "b/c/a.mp4"
    assert (done / "b/c/a.mp4").read_text() == "ours" and not source.exists()


def test_a_move_that_was_cut_short_is_finished(source: Path, done: Path) -> None:
    os.link(source, done / "a.mp4")
    assert moves.move(source, done, "a.mp4", unheard) == done / "a.mp4"
    assert [p.name for p in done.iterdir()] == ["a.mp4"] and not source.exists()


def test_what_cannot_be_noted_keeps_its_name_and_is_moved_later(source: Path, done: Path) -> None:
    def refused(_: Path) -> None:
        raise StoreError("locked")

    with pytest.raises(StoreError):
        moves.move(source, done, "a.mp4", refused)
    assert source.read_text() == "ours"
    noted: list[Path] = []
    moves.move(source, done, "a.mp4", noted.append)
    assert noted == list(done.iterdir()) == [done / "a.mp4"] and not source.exists()


def test_a_link_that_was_moved_half_way_is_moved_once(source: Path, done: Path) -> None:
    link = source.with_name("link.mp4")
    link.symlink_to("a.mp4")
    (done / "link.mp4").symlink_to(source)
    assert moves.move(link, done, "link.mp4", unheard) == done / "link.mp4"
    assert source.read_text() == "ours" and not os.path.lexists(link)


def test_a_link_to_the_file_is_not_the_file(source: Path, done: Path) -> None:
    """It was told as moved, and stayed."""
    (done / "a.mp4").symlink_to(source)
    assert moves.move(source, done, "a.mp4", unheard) == done / "a (2).mp4"
    assert (done / "a (2).mp4").read_text() == "ours" and not source.exists()


def test_a_newcomer_under_the_old_name_stays(
    source: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def and_a_newcomer(old: Path, new: Path) -> None:
        link(old, new)
        source.unlink()
        source.write_text("new")

    monkeypatch.setattr(os, "link", and_a_newcomer)
    moves.move(source, done, "a.mp4", unheard)
    assert source.read_text() == "new" and (done / "a.mp4").read_text() == "ours"


def test_no_file_goes_to_another_disk(
    source: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_links(monkeypatch, errno.EXDEV)
    with pytest.raises(MediaError, match="another file system") as caught:
        moves.move(source, done, "a.mp4", unheard)
    assert "move_done and move_failed" in caught.value.hint
    assert source.read_text() == "ours"


def test_a_folder_full_of_namesakes_is_an_error(
    source: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves, "MOST_NAMESAKES", 2)
    for name in ("a.mp4", "a (2).mp4"):
        (done / name).write_text("theirs")
    with pytest.raises(MediaError, match="holds 2 files named"):
        moves.move(source, done, "a.mp4", unheard)
    assert source.read_text() == "ours"


def test_what_another_process_took_is_gone(source: Path, done: Path) -> None:
    source.unlink()
    with pytest.raises(FileNotFoundError):
        moves.move(source, done, "a.mp4", unheard)
