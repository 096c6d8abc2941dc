"""Hints and scans: what is looked at, what never is, and what is gone."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from watchdog.events import (
    DirCreatedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileOpenedEvent,
    FileSystemEvent,
)

from aqs_batch.errors import FolderGone
from aqs_batch.ingest import watch
from aqs_batch.ingest.files import Rules, is_lost

RULES = Rules(("mp4", "mkv"))


def hints(most: int = 100) -> tuple[watch.Hints, list[int]]:
    rung: list[int] = []
    return watch.Hints(RULES, lambda: rung.append(1), most), rung


def test_a_hint_is_told_once_and_rings_once() -> None:
    found, rung = hints()
    found.on_any_event(FileCreatedEvent("/in/a.mp4"))
    found.on_any_event(FileMovedEvent("/in/b.part", "/in/b.mp4"))
    assert found.take() == ({"/in/a.mp4", "/in/b.mp4"}, False)
    assert found.take() == (set(), False)
    assert len(rung) == 1


@pytest.mark.parametrize("name", ["a.txt", ".a.mp4", "a.mp4.part", "a.mp4~", "a.mp4.crdownload"])
def test_names_that_are_not_taken_are_no_hint(name: str) -> None:
    found, rung = hints()
    found.on_any_event(FileCreatedEvent(f"/in/{name}"))
    found.on_any_event(FileOpenedEvent("/in/a.mp4"))
    assert found.take() == (set(), False)
    assert not rung


@pytest.mark.parametrize("kind", [FileModifiedEvent, FileClosedEvent])
def test_what_is_written_to_and_closed_is_looked_at(kind: type[FileSystemEvent]) -> None:
    found, _ = hints()
    found.on_any_event(kind("/in/a.mp4"))
    assert found.take() == ({"/in/a.mp4"}, False)


def test_writes_wake_nobody_and_what_ends_them_does() -> None:
    """One large copy is thousands of writes a second: each had woken the service."""
    found, rung = hints()
    for _ in range(3):
        found.on_any_event(FileModifiedEvent("/in/a.mp4"))
    assert not rung
    found.on_any_event(FileClosedEvent("/in/a.mp4"))
    assert len(rung) == 1
    assert found.take() == ({"/in/a.mp4"}, False)


def test_more_than_can_be_held_and_whole_folders_ask_for_a_rescan() -> None:
    found, _ = hints(most=2)
    for number in range(5):
        found.on_any_event(FileCreatedEvent(f"/in/{number}.mp4"))
    paths, rescan = found.take()
    assert len(paths) == 2
    assert rescan
    found.on_any_event(DirCreatedEvent("/in/new"))
    assert found.take() == (set(), True)


def test_a_real_event_arrives(tmp_path: Path) -> None:
    rung = threading.Event()
    found = watch.Hints(RULES, rung.set)
    with watch.Events(found, "on") as events:
        assert events.listen(str(tmp_path)) == ""
        (tmp_path / "a.mp4").write_bytes(b"x")
        assert rung.wait(10)
    assert found.take()[0] == {str(tmp_path / "a.mp4")}


def test_events_come_from_folders_below_and_from_a_folder_that_was_replaced(tmp_path: Path) -> None:
    place, rung = tmp_path / "in", threading.Event()
    found = watch.Hints(RULES, rung.set)
    with watch.Events(found, "auto") as events:
        for number in range(2):  # a share that was mounted anew is another folder of its name
            (place / "sub").mkdir(parents=True)
            assert events.listen(str(place)) == ""
            (place / "sub" / "a.mp4").write_bytes(b"x")
            assert rung.wait(10), number
            assert found.take()[0] == {str(place / "sub" / "a.mp4")}
            place.rename(tmp_path / f"old{number}")
            rung.clear()
            found.take()


def test_a_folder_without_events_says_why(tmp_path: Path) -> None:
    found, _ = hints()
    with watch.Events(found, "off") as events:
        assert "off" in events.listen(str(tmp_path))
    with watch.Events(found, "on") as events:
        assert events.listen(str(tmp_path / "none"))


def test_a_network_file_system_is_not_trusted_with_events(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(watch, "file_system", lambda folder: "nfs4")
    found, _ = hints()
    with watch.Events(found, "auto") as events:
        assert events.listen(str(tmp_path)) == "nfs4 sends none"
    with watch.Events(found, "on") as events:  # who says so knows better
        assert events.listen(str(tmp_path)) == ""


def test_a_scan_prunes_what_is_ours_hidden_or_linked(tmp_path: Path) -> None:
    out = tmp_path / "reports"
    for name in ("a.mp4", "sub/b.mkv", ".git/c.mp4", "reports/d.mp4", "sub/e.mp4.part"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "ring").symlink_to(tmp_path)
    (tmp_path / "link.mp4").symlink_to(tmp_path / "a.mp4")
    rules = Rules(("mp4", "mkv"), skip=(out,))
    assert [n for n, _ in watch.scan(str(tmp_path), rules)] == ["a.mp4", "sub/b.mkv"]
    followed = Rules(("mp4", "mkv"), follow_symlinks=True, skip=(out,))
    names = [n for n, _ in watch.scan(str(tmp_path), followed)]
    assert len(names) < 12  # a ring of links ends
    assert "link.mp4" in names
    for name in ("a.mp4", "sub/b.mkv"):
        assert rules.takes_path(str(tmp_path), str(tmp_path / name))
    for name in (".git/c.mp4", "reports/d.mp4", "sub/e.mp4.part"):
        assert not rules.takes_path(str(tmp_path), str(tmp_path / name))
    assert not rules.takes_path(str(tmp_path), "/elsewhere/a.mp4")


def test_a_folder_that_is_not_there_is_not_empty(tmp_path: Path) -> None:
    with pytest.raises(FolderGone, match="No such file") as caught:
        list(watch.scan(str(tmp_path / "none"), RULES))
    assert "mounted" in caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0)
    assert list(watch.scan(str(tmp_path), RULES)) == [("shut", None)]


def test_links_that_lead_nowhere_are_nothing_that_could_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "none")
    (tmp_path / "ring.mp4").symlink_to("ring.mp4")
    followed = Rules(("mp4",), follow_symlinks=True)
    assert [name for name, _ in watch.scan(str(tmp_path), followed)] == ["a.mp4"]


def test_what_lies_below_a_place_that_cannot_be_read_is_unread() -> None:
    assert watch.is_unread("a/b/c.mp4", {"a/b"}) and watch.is_unread("c.mp4", {"c.mp4"})
    assert not watch.is_unread("a/bc.mp4", {"a/b"})
    assert watch.is_unread("a.mp4", {"."})  # the folder itself


def test_a_folder_lies_on_the_innermost_mount(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever comes first in the list: the share in it, or the disk that it is mounted on."""
    inner = b"nas:/v /mnt/my\\040films nfs4 rw 0 0\n"
    mounts = [b"/dev/a / ext4 rw 0 0\n", b"/dev/b /mnt xfs rw 0 0\n", inner]
    for order in (mounts, mounts[::-1]):
        monkeypatch.setattr(Path, "read_bytes", lambda path, lines=order: b"".join(lines))
        assert watch.file_system("/mnt/my films/a") == watch.file_system("/mnt/my films") == "nfs4"
        assert watch.file_system("/mnt/my films 2") == "xfs"
        assert watch.file_system("/mntx") == "ext4"
    later = [*mounts, b"/dev/c / overlay rw 0 0\n"]  # mounted over the first
    monkeypatch.setattr(Path, "read_bytes", lambda path: b"".join(later))
    assert watch.file_system("/home") == "overlay"


@pytest.mark.skipif(not Path("/proc/self/mounts").exists(), reason="Linux's")
def test_mounts_are_told_apart() -> None:
    assert watch.file_system("/proc/self") == "proc"
    device, outer = (os.stat(place).st_dev for place in ("/proc", "/"))
    assert watch.is_mounted("/proc", device) and not watch.is_mounted("/proc", outer)
    assert is_lost("/proc", "none.mp4", mounted=True)  # its mount is there


def test_a_file_is_lost_unless_its_mount_is(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    (folder / "disk").mkdir(parents=True)
    assert is_lost(str(folder), "a.mp4", mounted=False)
    # It lay on a disk of its own, and where that was mounted there is now the outer disk.
    assert not is_lost(str(folder), "disk/a.mp4", mounted=True)
