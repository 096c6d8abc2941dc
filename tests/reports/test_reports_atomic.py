"""Files are whole, or the old ones."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from aqs_batch.atomic import atomic_file, remove_abandoned, replace_text
from aqs_batch.records import Outcome, RunRecord
from aqs_batch.reports.export import exporting
from aqs_batch.reports.render import render

resource = pytest.importorskip("resource", reason="file size limits need a POSIX system")


@contextmanager
def full_disk() -> Iterator[None]:
    """A system that refuses to write past 2,000 bytes of any file, as a full disk would.

    Not a fixture: it must be over before pytest itself writes its next dot, which may go to a file.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_target_is_replaced_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.txt"
    target.parent.mkdir()
    target.write_text("old")
    with atomic_file(target) as stream:
        stream.write("new ä")
        assert target.read_text() == "old"
    assert target.read_text(encoding="utf-8") == "new ä"
    assert everything(tmp_path) == ["deep/a.txt"]


@pytest.mark.parametrize("error", [OSError("disk"), ValueError("bug"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(type(error)), atomic_file(target) as stream:
        stream.write("half")
        raise error
    assert target.read_text() == "old"
    assert everything(tmp_path) == ["a.txt"]


def test_what_the_system_refuses_is_told_with_a_name_that_is_there(tmp_path: Path) -> None:
    """A full disk had no name, and what stood in the way that of our temporary file."""
    with pytest.raises(OSError) as full, atomic_file(tmp_path / "results.json"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert full.value.filename == str(tmp_path)
    blocked = tmp_path / "results.csv"
    blocked.mkdir()
    with pytest.raises(OSError) as in_the_way, atomic_file(blocked):
        pass
    assert in_the_way.value.filename == str(blocked)


def test_new_files_have_ordinary_permissions(tmp_path: Path) -> None:
    replace_text(tmp_path / "a.txt", "x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_equal_text_is_not_written_again(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    assert replace_text(target, "one\r\ntwo\n")
    inode = target.stat().st_ino
    assert not replace_text(target, "one\r\ntwo\n")
    assert target.stat().st_ino == inode
    assert replace_text(target, "three")


def test_export_on_a_full_disk(tmp_path: Path, outcome: Outcome, run: RunRecord) -> None:
    list(exporting(tmp_path, [], run))
    before = {name: (tmp_path / name).read_bytes() for name in everything(tmp_path)}
    with full_disk(), pytest.raises(OSError):
        list(exporting(tmp_path, [outcome], run))
    assert {name: (tmp_path / name).read_bytes() for name in everything(tmp_path)} == before


def test_render_on_a_full_disk(tmp_path: Path, outcome: Outcome, run: RunRecord) -> None:
    with full_disk(), pytest.raises(OSError):
        render(tmp_path, [outcome], run)
    assert everything(tmp_path) == []


def test_an_error_of_the_source_of_outcomes_leaves_no_file(
    tmp_path: Path, outcome: Outcome, run: RunRecord
) -> None:
    def broken() -> Iterator[Outcome]:
        yield outcome
        raise RuntimeError("the database went away")

    with pytest.raises(RuntimeError):
        list(exporting(tmp_path, broken(), run))
    assert everything(tmp_path) == []


def test_only_old_temporary_files_of_ours_are_removed(tmp_path: Path) -> None:
    now_s = 1_000_000_000.0
    ages_s = {".a.html.12.tmp": 90_000, ".b.html.13.tmp": 60}
    mine = (".mine.tmp", ".budget.2026.tmp")
    for name, age_s in (ages_s | dict.fromkeys(mine, 90_000)).items():
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (now_s - age_s, now_s - age_s))
    remove_abandoned(tmp_path, now_s=now_s)
    assert everything(tmp_path) == sorted([".b.html.13.tmp", *mine])


def test_pages_are_on_the_disk_before_the_index_leads_to_them(
    tmp_path: Path, outcome: Outcome, run: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To wait for each of 10,000 by itself took the disk longer than all the rest of a report."""
    outcomes = [replace(outcome, file=f"{n}.mp4") for n in range(3)]
    waited: list[tuple[int, int]] = []  # inode of what was waited for, pages that were there
    real = os.fsync

    def fsync(handle: int) -> None:
        waited.append((os.fstat(handle).st_ino, len(list((tmp_path / "videos").glob("*.html")))))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    index = render(tmp_path, outcomes, run)
    pages = sorted(page.stat().st_ino for page in (tmp_path / "videos").iterdir())
    assert sorted(inode for inode, _ in waited[:3]) == pages
    assert waited[3:] == [(index.stat().st_ino, 3)]
    assert [there for _, there in waited[:3]] == [3, 3, 3]
    waited.clear()
    render(tmp_path, outcomes, run)
    assert waited == []
