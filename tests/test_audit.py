"""Nights over an archive: every kind of finding, on a clock of our own."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from aqs_batch import audit as audits
from aqs_batch import batch as batches
from aqs_batch.audit import Audit
from aqs_batch.auditing import bitrot
from aqs_batch.auditing.findings import Findings
from aqs_batch.auditing.turnover import Turnover
from aqs_batch.clock import iso
from aqs_batch.errors import AqsError, FolderGone, MediaError
from aqs_batch.events import Event
from aqs_batch.identity import _here, _started
from aqs_batch.ingest import files, watch
from aqs_batch.ingest.fingerprint import content_hash, fingerprint
from aqs_batch.reporting import run_record, write_reports
from aqs_batch.stop import Stop
from aqs_batch.store import Analysis, Audited, FindingKind, Place, Store
from aqs_batch.watching.intake import Intake
from aqs_batch.wording import moment
from bench.faults.clock import FakeClock
from bench.standin import KEY, StandIn, settings_for


class Killed(BaseException):
    """What nothing catches, so that all that is left of a night is what its database holds."""


@dataclass
class Archive:
    """A folder with a clock; the stand-in scores by content, or as `scores` says."""

    place: Path
    clock: FakeClock = field(default_factory=FakeClock)
    events: list[Event] = field(default_factory=list)
    more: dict[str, object] = field(default_factory=dict)
    work_s: float = 1.0

    def __post_init__(self) -> None:
        self.folder, self.out = self.place / "archive", self.place / "out"
        self.folder.mkdir()

    def write(self, name: str, content: bytes) -> Path:
        file = self.folder / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_bytes(content)
        return file

    def stock(self, *names: str) -> None:
        """Files of one content each, all fine."""
        for name in names:
            self.write(f"{name}.mp4", b"fine " + name.encode())

    def night(
        self, until_s: float = float("inf"), *, cut_off: bool = False, killed_at: str = ""
    ) -> Findings:
        """One night; `killed_at` is an event ("kind file") that it does not outlive."""
        settings = settings_for(self.folder, self.out, **self.more)
        store, stop = Store(settings.output.url), Stop(self.clock, 1.0)

        def hear(event: Event) -> None:
            self.events.append(event)
            if cut_off and event.kind == "started":
                stop.request()
            if killed_at == f"{event.kind} {event.file}":
                raise Killed

        try:
            audit = Audit(store, settings, hear, self.clock, stop)
            until = self.clock.now() + until_s
            found = audit.run(str(self.folder), command="test", until=until)
            store.told(found.run)
            return found
        finally:
            store.close()
            self.clock.advance(86400.0)

    def watched(self) -> None:
        """A service on the same folder and database looks at all of it, and lets it settle."""
        settings = settings_for(self.folder, self.out, watch__events="off", **self.more)
        store = Store(settings.output.url)
        with Intake(store, settings, self.key, lambda event: None, self.clock) as intake:
            for _ in range(2):
                list(intake.look())
                self.clock.advance(1.0)
        store.close()

    key: str = ""

    def process(self, path: Path, print_: str, progress):
        self.clock.advance(self.work_s)
        analysis = StandIn()(path, print_, progress)
        content = path.read_bytes()
        if content.startswith(b"poor"):
            analysis = _only(analysis, 0.1)
        elif content.startswith(b"fine"):
            analysis = _only(analysis, 0.9)
        return replace(analysis, settings_key=self.key)


def _only(analysis: Analysis, aqs: float) -> Analysis:
    return replace(analysis, sequences=(replace(analysis.sequences[0], aqs=aqs),))


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    house = Archive(tmp_path)

    def process_for(settings, checkpoint, listen, upcoming):
        house.key = settings.key(checkpoint.digest)
        return house.process

    monkeypatch.setattr(batches, "real_process", process_for)
    return house


def kinds(found: Findings) -> dict[str, list[str]]:
    return {kind: sorted(f.file for f in entries) for kind, entries in found.kinds.items()}


def test_a_quiet_night_finds_nothing_and_reads_little(archive: Archive) -> None:
    for name in ("a.mp4", "b.mp4", "sub/c.mkv"):
        archive.write(name, name.encode())
    assert kinds(archive.night()) == {"new": ["a.mp4", "b.mp4", "sub/c.mkv"]}
    found = archive.night()
    assert kinds(found) == {}
    assert found.unchanged == 3
    assert found.verified == 1  # a thirtieth, rounded up


def test_the_disk_is_waited_for_three_times_for_each_new_file_and_not_for_known_ones(
    archive: Archive,
) -> None:
    """A first night over 10,000 files had waited for it 60,000 times, over known ones 30,000."""
    commits: list[int] = []

    def waits(*names: str) -> int:
        archive.stock(*names)
        before = len(commits)
        archive.night()
        return len(commits) - before

    def count(_: sa.Connection) -> None:
        commits.append(1)

    sa.event.listen(sa.Engine, "commit", count)
    try:
        waits("made")  # with the database
        few, more = waits("a"), waits("b", "c", "d")
        known = []
        for names in ("a", "bcd"):  # no audit knows the places, as after a run; their scores are
            store = Store(settings_for(archive.folder, archive.out).output.url)
            for name in names:
                store.forget(str(archive.folder), f"{name}.mp4")
            store.close()
            known.append(waits())
    finally:
        sa.event.remove(sa.Engine, "commit", count)
    claimed, saved, settled = 1, 1, 1
    assert more - few == 2 * (claimed + saved + settled)
    assert known[0] == known[1]


def test_new_changed_renamed_and_missing(archive: Archive) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4", "d.mp4"):
        archive.write(name, name.encode())
    archive.night()
    (archive.folder / "a.mp4").rename(archive.folder / "z.mp4")
    archive.write("b.mp4", b"another content")
    (archive.folder / "c.mp4").unlink()
    archive.write("e.mp4", b"e")
    found = archive.night()
    assert kinds(found) == {
        "new": ["e.mp4"], "changed": ["b.mp4"], "renamed": ["z.mp4"], "missing": ["c.mp4"],
    }  # fmt: skip
    assert found.kinds[FindingKind.RENAMED][0].why == "was a.mp4"
    assert found.unchanged == 1
    assert found.gates(["corrupt", "missing"]) == ["missing"]
    assert kinds(archive.night()) == {}  # told once


def test_a_night_of_many_renames_and_changes_looks_each_name_up_a_few_times() -> None:
    """For each of 8,000 changed files it had gone through all of 8,000 renamed ones: 26 s, and an
    hour and more of 100,000.
    """
    looks = 0

    class Name(str):
        def __hash__(self) -> int:
            nonlocal looks
            looks += 1
            return super().__hash__()

    old = [Name(f"old{n}") for n in range(200)]
    new = [Name(f"new{n}") for n in range(200)]
    changed = [Name(f"changed{n}") for n in range(200)]
    known = {n: Audited("9:1:1:1", f"of {n}", "", KEY, missing=False) for n in old + changed}
    came = {n: Place("/a", n, "9:1:1:1", f"of {o}") for n, o in zip(new, old, strict=True)}
    came |= {n: Place("/a", n, "9:2:2:1", f"now {n}") for n in changed}
    turnover = Turnover(came, known, old, [])
    assert not any(map(turnover.is_rotten, came))
    assert [turnover.was(n) for n in new] == old
    assert looks < 50 * len(came)


def test_what_is_missing_is_told_though_the_night_was_cut_off(archive: Archive) -> None:
    for name in ("a.mp4", "b.mp4"):
        archive.write(name, name.encode())
    archive.night()
    (archive.folder / "a.mp4").unlink()
    for name in ("c.mp4", "d.mp4"):
        archive.write(name, name.encode())
    first = kinds(archive.night(cut_off=True))
    told = first.get("missing", []) + kinds(archive.night()).get("missing", [])
    assert "a.mp4" in told
    assert kinds(archive.night()) == {}


@pytest.mark.parametrize("restored", [True, False])
def test_rot_is_told_every_night_until_it_is_repaired_or_meant(
    archive: Archive, restored: bool
) -> None:
    archive.more["audit__verify_nights"] = 1
    file = archive.write("a.mp4", bytes(20 << 20))  # larger than what the fingerprint reads
    archive.write("b.mp4", b"b")
    archive.night()
    assert archive.night().verified == 2
    info = os.stat(file)
    with file.open("r+b") as handle:
        handle.seek((1 << 20) + 4096)  # between the samples
        handle.write(b"\x01")
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))
    # The inode's own time cannot be set back; on a rotten disk it would not have moved.
    settings = settings_for(archive.folder, archive.out)
    store = Store(settings.output.url)
    place = next(p for p in store.places(str(archive.folder)) if p.file == "a.mp4")
    now = os.stat(file)
    text = f"{now.st_size}:{now.st_mtime_ns}:{now.st_ctime_ns}:{now.st_ino}"
    store.note(replace(place, stamp=text))
    store.close()
    for _ in range(2):
        found = archive.night()
        assert kinds(found) == {"corrupt": ["a.mp4"]}
        assert found.unchanged == 1
    if restored:
        with file.open("r+b") as handle:
            handle.seek((1 << 20) + 4096)
            handle.write(b"\x00")
        os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))
    else:  # "I meant it"
        os.utime(file)
    assert [kinds(archive.night()) for _ in range(2)] == [{}, {}]


def test_a_change_that_kept_size_and_time_is_rot(archive: Archive) -> None:
    file = archive.write("a.mp4", b"fine content")
    archive.night()
    info = os.stat(file)
    file.write_bytes(b"fine contend")
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert kinds(archive.night()) == {"corrupt": ["a.mp4"]}
    os.utime(file)  # "I meant it"
    assert kinds(archive.night()) == {"changed": ["a.mp4"]}
    assert kinds(archive.night()) == {}


def test_a_worse_version_is_degraded_and_an_unreadable_one_corrupt(archive: Archive) -> None:
    archive.write("a.mp4", b"fine")
    archive.write("b.mp4", b"fine too")
    archive.night()
    archive.write("a.mp4", b"poor copy")
    archive.write("b.mp4", b"bad")
    found = kinds(archive.night())
    assert found["degraded"] == ["a.mp4"]
    assert found["corrupt"] == found["failed"] == ["b.mp4"]
    assert found["changed"] == ["a.mp4", "b.mp4"]


def test_a_file_that_could_not_be_read_for_a_night_has_not_changed(
    archive: Archive, monkeypatch
) -> None:
    file = archive.write("a.mp4", b"fine")
    archive.night()

    def denied(path: Path) -> str:
        raise MediaError("cannot be read: Permission denied")

    file.chmod(0)
    with monkeypatch.context() as patch:
        patch.setattr(audits, "fingerprint", denied)
        assert "changed" not in kinds(archive.night())
    file.chmod(0o644)
    assert kinds(archive.night()) == {}


def test_a_worse_version_after_a_broken_one_is_degraded(archive: Archive) -> None:
    archive.write("a.mp4", b"fine")
    archive.night()
    for broken in (b"bad", b""):
        archive.write("a.mp4", broken)
        archive.night()
        archive.write("a.mp4", b"poor copy")
        assert kinds(archive.night()) == {"changed": ["a.mp4"], "degraded": ["a.mp4"]}
        archive.write("a.mp4", b"fine")
        archive.night()


def test_other_settings_score_again_and_are_not_compared(archive: Archive) -> None:
    archive.write("a.mp4", b"fine")
    archive.night()
    archive.more["analysis__tiles"] = 7
    assert kinds(archive.night()) == {"re-scored": ["a.mp4"]}


def test_a_night_ends_at_its_hour_and_the_next_goes_on(archive: Archive) -> None:
    archive.work_s = 100.0
    for number in range(10):
        archive.write(f"{number}.mp4", bytes(1000 + number))
    found = archive.night(until_s=250.0)
    assert found.scored == 3
    assert len(found.pending) == 7
    nights = found.nights_left(250.0)
    assert nights == pytest.approx(7 * 100 / 250, rel=0.02)
    assert "more nights" in found.as_text(250.0)
    assert archive.night(until_s=250.0).scored == 3
    archive.night(until_s=250.0)
    last = archive.night(until_s=250.0)
    assert last.pending == []
    assert last.nights_left(250.0) == 0.0
    store = Store(settings_for(archive.folder, archive.out).output.url)
    assert store.counts()["analyses"] == 10
    store.close()


def test_a_report_says_how_many_files_a_night_did_not_reach(archive: Archive) -> None:
    """The page of three files of ten had looked like the whole archive."""
    archive.work_s, archive.more["output__export"] = 100.0, ["html"]
    for number in range(10):
        archive.write(f"{number}.mp4", bytes(1000 + number))
    settings = settings_for(archive.folder, archive.out, **archive.more)
    store, told = Store(settings.output.url), []
    for ends in ({"until_s": 250.0}, {"cut_off": True}, {}):
        run = store.run(archive.night(**ends).run)
        write_reports(store, run, settings)
        page = (archive.out / "index.html").read_text()
        told.append((run_record(store, run).counts.get("pending"), "still to be looked at" in page))
    store.close()
    assert told == [(7, True), (6, True), (None, False)]


def test_an_empty_folder_that_was_not_is_no_empty_archive(archive: Archive) -> None:
    archive.write("a.mp4", b"a")
    archive.night()
    shutil.rmtree(archive.folder)
    with pytest.raises(FolderGone):
        archive.night()
    archive.folder.mkdir()
    with pytest.raises(FolderGone, match="nothing is taken as missing") as gone:
        archive.night()
    assert f"prune --folder {archive.folder}" in gone.value.hint  # as it can be typed
    archive.write("a.mp4", b"a")
    assert "missing" not in kinds(archive.night())


def test_links_that_are_left_out_are_told(archive: Archive, tmp_path: Path) -> None:
    """Folders that lie on a second disk had never been looked at, and no night had said so."""
    archive.stock("a")
    (archive.folder / "second disk").symlink_to(tmp_path)
    (archive.folder / "b.mp4").symlink_to("a.mp4")
    found = archive.night()
    assert "2 symbolic links left out, such as b.mp4: [run] follow" in found.as_text(3600.0)
    assert (found.files, found.as_json(3600.0)["links"]) == (1, 2)


def test_files_of_a_mount_that_is_gone_are_not_missing(archive: Archive, monkeypatch) -> None:
    archive.write("disk/a.mp4", b"a")
    archive.write("b.mp4", b"b")
    monkeypatch.setattr(audits, "is_mounted", lambda folder, device: True)
    archive.night()
    shutil.rmtree(archive.folder / "disk")
    found = archive.night()
    assert found.unreachable == ["disk/a.mp4"]
    assert kinds(found) == {}
    assert "cannot be reached: 1 file or folder, e.g. disk/a.mp4" in found.as_text(3600.0)
    assert not files.is_lost(str(archive.folder), "disk/a.mp4", mounted=True)


def test_the_summary_is_short_and_names_the_worst_first(archive: Archive) -> None:
    for number in range(40):
        archive.write(f"{number}.mp4", b"x%d" % number)
    archive.work_s = 0.0
    archive.night()
    for number in range(0, 40, 2):
        (archive.folder / f"{number}.mp4").unlink()
    archive.write("1.mp4", b"bad")
    found = archive.night()
    lines = found.as_text(3600.0).splitlines()
    assert len(lines) < 20
    assert re.search(r": 20 files, \d+ B$", lines[0])
    assert lines[2].startswith("  corrupt: 1.mp4")
    assert "  missing: and 10 more" in lines
    assert found.as_json(3600.0)["counts"]["missing"] == 20


def test_files_without_content_do_not_keep_others_from_being_verified(archive: Archive) -> None:
    """Never read to the end, they came first every night and were the whole share."""
    archive.more["audit__verify_nights"] = 10
    for number in range(18):
        archive.write(f"{number}.mp4", bytes(1000 + number))
    for number in range(2):
        archive.write(f"empty{number}.mp4", b"")
    assert [archive.night().verified for _ in range(4)] == [0, 2, 2, 2]


def read_slowly(archive: Archive, monkeypatch) -> None:
    """Reading a file to its end takes 100 s."""

    def slow(path: Path) -> str:
        archive.clock.advance(100.0)
        return "digest"

    monkeypatch.setattr(bitrot, "content_hash", slow)


def recognise_slowly(archive: Archive, monkeypatch) -> None:
    """Telling who a file is takes 100 s."""

    def slow(path: Path) -> str:
        archive.clock.advance(100.0)
        return fingerprint(path)

    monkeypatch.setattr(audits, "fingerprint", slow)


def test_verifying_leaves_half_of_the_night_to_scoring(archive: Archive, monkeypatch) -> None:
    read_slowly(archive, monkeypatch)
    archive.more["audit__verify_nights"] = 1
    for number in range(6):
        archive.write(f"{number}.mp4", bytes(1000 + number))
    archive.night()
    archive.write("new.mp4", b"new")
    found = archive.night(until_s=450.0)
    assert (found.scored, found.verified) == (1, 5)  # three before it, two after


def test_a_night_too_short_to_recognise_all_is_gone_on_with(archive: Archive, monkeypatch) -> None:
    """Three nights made the same twenty fingerprints and scored nothing."""
    recognise_slowly(archive, monkeypatch)
    for number in range(5):
        archive.write(f"{number}.mp4", bytes(1000 + number))
    nights = [archive.night(until_s=250.0) for _ in range(3)]
    assert [night.spent_s <= 400 for night in nights] == [True] * 3
    assert sorted(f for night in nights for f in kinds(night).get("new", [])) == [
        f"{n}.mp4" for n in range(5)
    ]
    assert sum(night.scored for night in [*nights, archive.night()]) == 5
    assert archive.night().unchanged == 5


def test_a_night_too_short_to_look_at_all_calls_nothing_missing(
    archive: Archive, monkeypatch
) -> None:
    """What is not found under its name may only not have been found under its new one yet."""
    for name in ("a.mp4", "b.mp4"):
        archive.write(name, name.encode())
    archive.night()
    (archive.folder / "a.mp4").rename(archive.folder / "z.mp4")
    archive.write("c.mp4", b"c")

    with monkeypatch.context() as patched:
        recognise_slowly(archive, patched)
        assert kinds(archive.night(until_s=50.0)) == {"new": ["c.mp4"]}
    assert kinds(archive.night()) == {"renamed": ["z.mp4"]}


def test_what_a_service_moves_on_while_others_are_recognised_is_not_missing(
    archive: Archive, monkeypatch
) -> None:
    """The audit wrote down that it was there, over the service's word on where it had gone."""
    archive.stock("a")
    archive.watched()
    archive.stock("b")
    gone = archive.place / "done.mp4"

    def moving(path: Path) -> str:
        if path.name == "b.mp4" and not gone.exists():
            (archive.folder / "a.mp4").rename(gone)
            store = Store(settings_for(archive.folder, archive.out).output.url)
            (place,) = (p for p in store.places(str(archive.folder)) if p.file == "a.mp4")
            store.moved(place, gone)
            store.close()
        return fingerprint(path)

    monkeypatch.setattr(audits, "fingerprint", moving)
    nights = [kinds(archive.night()) for _ in range(2)]
    assert gone.exists() and not any("missing" in night for night in nights)


@pytest.mark.parametrize("whole_folder", [True, False])
def test_what_goes_during_the_night_is_not_rotten(
    archive: Archive, monkeypatch, whole_folder: bool
) -> None:
    archive.more["audit__verify_nights"] = 1
    for name in ("a.mp4", "b.mp4"):
        archive.write(name, name.encode())
    archive.night()
    real = content_hash

    def taken_away(path: Path) -> str:
        if whole_folder:
            shutil.rmtree(archive.folder, ignore_errors=True)
        else:
            path.unlink()
        return real(path)

    monkeypatch.setattr(bitrot, "content_hash", taken_away)
    found = archive.night()
    assert FindingKind.CORRUPT not in found.kinds
    assert sorted(found.unreachable) == (["a.mp4", "b.mp4"] if whole_folder else [])


def test_what_goes_wrong_for_one_night_is_tried_again_the_next(
    archive: Archive, monkeypatch
) -> None:
    archive.write("a.mp4", b"a")
    healthy = archive.process

    def broken(path: Path, print_: str, progress: object) -> None:
        raise RuntimeError("CUDA out of memory")

    archive.process = broken
    found = archive.night()
    assert "CUDA out of memory" in found.kinds[FindingKind.FAILED][0].why
    archive.process = healthy
    found = archive.night()
    assert (found.scored, FindingKind.FAILED in found.kinds) == (1, False)


def test_a_folder_that_cannot_be_read_is_told(archive: Archive, monkeypatch) -> None:
    """It had been passed over in silence, every night."""
    archive.write("a.mp4", b"a")
    real = audits.scan
    monkeypatch.setattr(audits, "scan", lambda *arguments: [*real(*arguments), ("locked", None)])
    found = archive.night()
    assert found.unreachable == ["locked"]
    assert "not to be read" in found.as_text(3600.0)


class _Refused:
    """An entry of a folder whose names may be read, but nothing of what they stand for."""

    def __init__(self, entry: os.DirEntry[str]) -> None:
        self.is_dir = entry.is_dir

    def stat(self) -> os.stat_result:
        raise PermissionError(errno.EACCES, "Permission denied")


def test_files_that_may_not_be_looked_at_are_not_missing(archive: Archive, monkeypatch) -> None:
    """`chmod -R 644` takes from folders the right to enter them: all in them had been missing."""
    for name in ("sub/a.mp4", "sub/b.mp4", "c.mp4"):
        archive.write(name, name.encode())
    archive.night()
    real = watch.walk

    def walk(*arguments):
        for name, entry in real(*arguments):
            yield name, _Refused(entry) if name.startswith("sub/") else entry

    with monkeypatch.context() as patched:
        patched.setattr(watch, "walk", walk)
        found = archive.night()
    assert kinds(found) == {}
    assert found.unreachable == ["sub/a.mp4", "sub/b.mp4"]
    assert archive.night().unchanged == 3


def test_what_is_read_after_it_was_scored_anew_is_not_told_the_next_night(
    archive: Archive, monkeypatch
) -> None:
    """Reading it to the end had noted it under the settings of the night before."""
    read_slowly(archive, monkeypatch)
    archive.more["audit__verify_nights"] = 1
    for number in range(4):
        archive.write(f"{number}.mp4", bytes(1000 + number))
    archive.night()
    archive.more["analysis__tiles"] = 7
    found = archive.night(until_s=300.0)
    assert (found.verified, found.pending) == (3, [])
    assert kinds(found) == {"re-scored": [f"{n}.mp4" for n in range(4)]}
    assert kinds(archive.night()) == {}
    store = Store(settings_for(archive.folder, archive.out).output.url)
    assert all(place.content_hash for place in store.places(str(archive.folder)))
    store.close()


def test_what_fails_for_want_of_memory_under_new_settings_is_not_corrupt(archive: Archive) -> None:
    archive.write("a.mp4", b"a")
    archive.night()
    archive.more["analysis__tiles"] = 7

    def broken(path: Path, print_: str, progress: object) -> None:
        raise RuntimeError("CUDA out of memory")

    archive.process = broken
    assert kinds(archive.night()) == {"failed": ["a.mp4"]}


def test_what_a_killed_night_found_is_told_by_the_next_once(archive: Archive) -> None:
    """Its files were known by then, and nobody was told."""
    archive.stock("a", "b", "c", "d", "e")
    archive.night()
    archive.write("a.mp4", b"poor copy")
    archive.write("b.mp4", b"bad")
    (archive.folder / "c.mp4").unlink()
    (archive.folder / "d.mp4").rename(archive.folder / "f.mp4")
    archive.write("g.mp4", b"fine g")
    archive.write("z.mp4", b"fine z")
    killed_at = archive.clock.now()
    with pytest.raises(Killed):
        archive.night(killed_at="started z.mp4")
    found = archive.night()
    assert kinds(found) == {
        "degraded": ["a.mp4"], "corrupt": ["b.mp4"], "failed": ["b.mp4"], "missing": ["c.mp4"],
        "renamed": ["f.mp4"], "new": ["g.mp4", "z.mp4"], "changed": ["a.mp4", "b.mp4"],
    }  # fmt: skip
    (worse,), (lost,) = found.kinds[FindingKind.DEGRADED], found.kinds[FindingKind.MISSING]
    assert (worse.night, lost.night) == (iso(killed_at), "")  # it is still missing tonight
    assert f"found by the night of {moment(iso(killed_at))}, which was cut off" in found.as_text(
        3600.0
    )
    (told,) = found.as_json(3600.0)["found"]["degraded"]
    assert (told["night"], told["why"]) == (iso(killed_at), "AQS 0.90 -> 0.10")
    assert found.gates(["degraded", "corrupt"]) == ["degraded", "corrupt"]
    assert kinds(archive.night()) == {"failed": ["b.mp4"]}


def test_what_two_killed_nights_found_is_told_with_the_night_of_each(archive: Archive) -> None:
    for name in ("a.mp4", "b.mp4"):
        archive.write(name, b"fine " + name.encode())
    archive.night()
    nights = []
    for name in ("a.mp4", "b.mp4"):
        archive.write(name, b"poor " + name.encode())
        nights.append(iso(archive.clock.now()))
        with pytest.raises(Killed):
            archive.night(killed_at=f"scored {name}")
    found = archive.night()
    assert [(f.file, f.night) for f in found.kinds[FindingKind.DEGRADED]] == [
        ("a.mp4", nights[0]), ("b.mp4", nights[1]),
    ]  # fmt: skip
    assert kinds(archive.night()) == {}


def test_the_page_tells_what_a_killed_night_found(archive: Archive) -> None:
    archive.more["output__export"] = ["html"]
    archive.write("a.mp4", b"fine")
    archive.night()
    archive.write("a.mp4", b"poor <copy>")
    with pytest.raises(Killed):
        archive.night(killed_at="scored a.mp4")
    found = archive.night()
    settings = settings_for(archive.folder, archive.out, **archive.more)
    store = Store(settings.output.url)
    write_reports(store, store.run(found.run), settings)
    store.close()
    page = (archive.out / "index.html").read_text()
    assert "<li>degraded: a.mp4: AQS 0.90 -&gt; 0.10 (found by the night of" in page


@contextmanager
def another_process() -> Iterator[str]:
    """What a process that is at work is called in the store; it ends with the block."""
    with subprocess.Popen(["sleep", "100"]) as other:
        try:
            yield f"{_here()}:{other.pid}:{_started(other.pid)}"
        finally:
            other.kill()


def test_of_two_nights_at_once_over_a_folder_the_second_ends_in_words(
    archive: Archive, monkeypatch
) -> None:
    """Both had told all that is new, and had read the same files."""
    archive.write("a.mp4", b"fine")
    with another_process() as name:
        began = moment(iso(archive.clock.now()))
        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(audits, "own_name", lambda: name)
            archive.night(killed_at="scored a.mp4")
        with pytest.raises(AqsError, match=f"another audit of {archive.folder} .*{began}"):
            archive.night()
    assert kinds(archive.night()) == {"new": ["a.mp4"]}  # its process has ended


def test_what_a_night_found_that_still_writes_its_report_is_left_to_it(
    archive: Archive, monkeypatch
) -> None:
    archive.write("a.mp4", b"fine")
    with another_process() as name:
        with monkeypatch.context() as patched:
            patched.setattr(audits, "own_name", lambda: name)
            patched.setattr(Store, "told", lambda store, run: None)
            archive.night()
        assert kinds(archive.night()) == {}
    assert kinds(archive.night()) == {"new": ["a.mp4"]}  # it had told nobody


def test_a_night_that_ended_while_the_next_looked_through_the_folder_has_told(
    archive: Archive, monkeypatch
) -> None:
    archive.write("a.mp4", b"fine")
    look = audits.scan

    def meanwhile(*args):
        with monkeypatch.context() as patched:
            patched.setattr(audits, "scan", look)
            archive.night()
        return look(*args)

    monkeypatch.setattr(audits, "scan", meanwhile)
    assert kinds(archive.night()) == {}


def test_a_touched_file_is_counted_as_unchanged(archive: Archive) -> None:
    """Its night's counts had not added up."""
    file = archive.write("a.mp4", b"a")
    archive.night()
    os.utime(file, (1, 1))
    found = archive.night()
    assert (found.unchanged, kinds(found)) == (1, {})


def test_files_that_go_meanwhile_leave_the_count_as_it_was(archive: Archive) -> None:
    """The third of three had been called "3 of 2"."""
    for name in ("a", "b", "c"):
        archive.write(f"{name}.mp4", name.encode())
    real = archive.process

    def takes_another(path: Path, print_: str, progress: object) -> Analysis:
        (archive.folder / "b.mp4").unlink(missing_ok=True)
        return real(path, print_, progress)

    archive.process = takes_another
    assert archive.night().scored == 2
    started = [event.facts for event in archive.events if event.kind == "started"]
    assert started == [{"number": 1, "of": 3}, {"number": 3, "of": 3}]


def test_what_was_missing_and_is_back_is_known_and_told_when_it_goes_again(
    archive: Archive,
) -> None:
    folder, away = archive.write("sub/a.mp4", b"a").parent, archive.place / "away"
    archive.write("b.mp4", b"b")
    archive.night()
    for _ in range(2):
        folder.rename(away)  # which leaves all times of its files as they are
        assert [kinds(archive.night()) for _ in range(2)] == [{"missing": ["sub/a.mp4"]}, {}]
        away.rename(folder)
        found = archive.night()
        assert (found.unchanged, kinds(found)) == (2, {})


def test_what_rots_after_it_was_renamed_is_told(archive: Archive, monkeypatch) -> None:
    """What it was when it was read last goes along with its new name."""
    archive.more["audit__verify_nights"] = 1
    file = archive.write("a.mp4", b"a")
    archive.write("b.mp4", b"b")
    archive.night()
    assert archive.night().verified == 2
    file.rename(file.with_name("z.mp4"))
    assert kinds(archive.night()) == {"renamed": ["z.mp4"]}
    real = content_hash
    monkeypatch.setattr(
        bitrot, "content_hash", lambda path: "rot" if path.name == "z.mp4" else real(path)
    )
    assert kinds(archive.night()) == {"corrupt": ["z.mp4"]}


def test_what_could_not_be_read_one_night_is_looked_at_again_the_next(
    archive: Archive, monkeypatch
) -> None:
    archive.write("a.mp4", b"a")

    def refused(path: Path) -> str:
        raise MediaError("cannot be read: Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(audits, "fingerprint", refused)
        assert kinds(archive.night())["failed"] == ["a.mp4"]
    found = archive.night()
    assert (found.scored, FindingKind.FAILED in found.kinds) == (1, False)


def test_what_goes_while_it_is_scored_has_not_failed(archive: Archive) -> None:
    archive.write("a.mp4", b"a")

    def taken_away(path: Path, print_: str, progress: object) -> None:
        path.unlink()
        raise MediaError("cannot be read: No such file or directory")

    archive.process = taken_away
    found = archive.night()
    assert (kinds(found), found.pending) == ({"new": ["a.mp4"]}, [])
    store = Store(settings_for(archive.folder, archive.out).output.url)
    assert "pending" not in run_record(store, store.run(found.run)).counts
    store.close()


def test_what_another_process_has_in_hand_is_left_for_the_next_night(archive: Archive) -> None:
    for name in ("a.mp4", "b.mp4"):
        archive.write(name, name.encode())
    archive.work_s = 0.0
    archive.night()
    file = archive.write("a.mp4", b"another content")
    store = Store(settings_for(archive.folder, archive.out).output.url)
    job = store.enqueue(fingerprint(file), archive.key, file, force=False)
    store.claim(job.id, "elsewhere", archive.clock.now(), 1000.0, 3)
    store.close()
    found = archive.night()
    assert (kinds(found), found.pending) == ({"changed": ["a.mp4"]}, ["a.mp4"])
    assert archive.night().scored == 1


def test_what_the_service_moved_away_is_not_missing(archive: Archive) -> None:
    for name in ("a.mp4", "b.mp4"):
        archive.write(name, name.encode())
    archive.night()
    store = Store(settings_for(archive.folder, archive.out).output.url)
    place = next(p for p in store.places(str(archive.folder)) if p.file == "a.mp4")
    store.moved(place, place.path.rename(archive.place / "a.mp4"))
    store.close()
    assert kinds(archive.night()) == {}


def test_the_job_in_hand_at_the_end_of_a_night_is_let_go_after_a_while(archive: Archive) -> None:
    archive.write("a.mp4", b"a")
    real, hours = archive.process, [3600.0]

    def long(path: Path, print_: str, progress: Callable[[int, int], None]) -> Analysis:
        progress(0, 2)
        archive.clock.advance(hours.pop() if hours else 0.0)
        progress(1, 2)
        return real(path, print_, progress)

    archive.process = long
    found = archive.night(until_s=60.0)
    assert (found.scored, found.pending) == (0, ["a.mp4"])
    assert archive.night().scored == 1


def test_a_little_worse_is_not_degraded(archive: Archive) -> None:
    archive.more["audit__degraded_by"] = 0.85
    archive.write("a.mp4", b"fine")
    archive.night()
    archive.write("a.mp4", b"poor copy")
    assert kinds(archive.night()) == {"changed": ["a.mp4"]}


def test_in_as_many_nights_as_are_set_every_file_is_read(archive: Archive) -> None:
    archive.more["audit__verify_nights"] = 3
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        archive.write(name, bytes(1000))
    archive.night()
    for number in range(3):
        found = archive.night()
        assert (found.verified, found.verified_bytes) == (1, 1000)
        store = Store(settings_for(archive.folder, archive.out).output.url)
        read = [place for place in store.places(str(archive.folder)) if place.content_hash]
        store.close()
        assert len(read) == number + 1


def test_what_was_read_by_a_clock_that_was_ahead_is_read_again(archive: Archive) -> None:
    archive.more["audit__verify_nights"] = 2
    archive.stock("a", "b")
    archive.night()
    archive.clock.advance(3650 * 86400.0)
    archive.night()
    archive.clock.advance(-3650 * 86400.0)
    for _ in range(2):
        began = archive.clock.now()
        archive.night()
    store = Store(settings_for(archive.folder, archive.out).output.url)
    dates = [place.hashed_at for place in store.places(str(archive.folder))]
    store.close()
    assert max(dates) <= began + 86400.0


def test_what_is_written_to_while_it_is_read_is_not_rotten(archive: Archive, monkeypatch) -> None:
    archive.more["audit__verify_nights"] = 1
    archive.write("a.mp4", b"a")
    archive.night()
    archive.night()

    def written(path: Path) -> str:
        path.write_bytes(b"something else")
        return "another"

    monkeypatch.setattr(bitrot, "content_hash", written)
    assert kinds(archive.night()) == {}


def test_the_nights_left_are_by_the_dearer_of_files_and_bytes() -> None:
    tonight = {"files": 20, "scored": 10, "scored_bytes": 1000, "scoring_s": 100.0}
    many = Findings("f", 1, "at", **tonight, pending=["x"] * 10, pending_bytes=10)
    large = Findings("f", 1, "at", **tonight, pending=["x"], pending_bytes=4000)
    assert [found.nights_left(50.0) for found in (many, large)] == [2.0, 8.0]
    unknown = Findings("f", 1, "at", pending=["x"], pending_bytes=1)
    assert unknown.nights_left(50.0) is None
    assert "no rate was measured" in unknown.as_text(50.0)


def test_what_a_service_saw_first_is_told_all_the_same(archive: Archive) -> None:
    """The audit had taken for known what the service had noted, and told "nothing new"."""
    archive.stock("a", "b", "c", "d", "e")
    archive.night()
    archive.write("new.mp4", b"new")
    archive.write("a.mp4", b"poor copy")
    (archive.folder / "b.mp4").unlink()
    (archive.folder / "c.mp4").rename(archive.folder / "z.mp4")
    file = archive.folder / "d.mp4"
    info = os.stat(file)
    file.write_bytes(b"fine D")
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))
    archive.watched()
    found = archive.night()
    assert kinds(found) == {
        "new": ["new.mp4"], "changed": ["a.mp4"], "degraded": ["a.mp4"], "missing": ["b.mp4"],
        "renamed": ["z.mp4"], "corrupt": ["d.mp4"],
    }  # fmt: skip
    archive.watched()
    assert kinds(archive.night()) == {"corrupt": ["d.mp4"]}  # all else is told once


def test_what_is_rotten_is_no_part_of_the_share_though_a_service_knows_it(archive: Archive) -> None:
    archive.more["audit__verify_nights"] = 1
    file = archive.write("a.mp4", b"fine content")
    archive.write("b.mp4", b"b")
    archive.night()
    info = os.stat(file)
    file.write_bytes(b"fine contend")
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))
    archive.watched()
    found = archive.night()
    assert (kinds(found), found.verified, found.unchanged) == ({"corrupt": ["a.mp4"]}, 1, 1)


def test_new_settings_that_a_service_scored_by_first_are_told(archive: Archive) -> None:
    archive.write("a.mp4", b"fine")
    archive.night()
    archive.more["analysis__tiles"] = 7
    store = Store(settings_for(archive.folder, archive.out).output.url)
    place = next(p for p in store.places(str(archive.folder)) if p.file == "a.mp4")
    store.take(replace(place, settings_key="that of the service"))
    store.close()
    assert kinds(archive.night()) == {"re-scored": ["a.mp4"]}


def test_what_takes_the_name_of_a_file_that_a_service_moved_is_new(archive: Archive) -> None:
    archive.write("a.mp4", b"fine")
    archive.write("b.mp4", b"b")
    archive.night()
    store = Store(settings_for(archive.folder, archive.out).output.url)
    place = next(p for p in store.places(str(archive.folder)) if p.file == "a.mp4")
    store.moved(place, place.path.rename(archive.place / "a.mp4"))
    store.close()
    archive.write("a.mp4", b"poor")
    archive.watched()
    assert kinds(archive.night()) == {"new": ["a.mp4"]}


def test_what_was_told_to_be_missing_is_not_told_again_beside_a_service(archive: Archive) -> None:
    file = archive.write("a.mp4", b"a")
    archive.write("b.mp4", b"b")
    archive.night()
    for _ in range(2):
        file.unlink()
        assert kinds(archive.night()) == {"missing": ["a.mp4"]}
        archive.watched()
        assert kinds(archive.night()) == {}
        archive.write("a.mp4", b"a")
        archive.watched()
        found = archive.night()
        assert (kinds(found), found.unchanged) == ({}, 2)


def renamed(archive: Archive, **names: str) -> None:
    """Give files new names, all at once; whatever had such a name is gone."""
    for old in names:
        (archive.folder / f"{old}.mp4").rename(archive.folder / f"{old}.moving")
    for old, new in names.items():
        (archive.folder / f"{old}.moving").rename(archive.folder / f"{new}.mp4")


def why(found: Findings) -> dict[str, list[str]]:
    return {
        kind: sorted(f"{f.file}: {f.why}" if f.why else f.file for f in entries)
        for kind, entries in found.kinds.items()
    }


@pytest.mark.parametrize("is_watched", [False, True])
@pytest.mark.parametrize(
    ("names", "told"),
    [
        ({"a": "b", "b": "c"}, ["b.mp4: was a.mp4", "c.mp4: was b.mp4"]),
        ({"a": "b", "b": "a"}, ["a.mp4: was b.mp4", "b.mp4: was a.mp4"]),
        ({"b": "a", "c": "b"}, ["a.mp4: was b.mp4", "b.mp4: was c.mp4"]),
    ],
)
def test_a_file_that_took_the_name_of_another_is_renamed(
    archive: Archive, names: dict[str, str], told: list[str], is_watched: bool
) -> None:
    """It had been changed and degraded, its old name missing, and the other's new name new."""
    archive.write("a.mp4", b"poor")
    archive.write("b.mp4", b"fine")
    if "c" in names:
        archive.write("c.mp4", b"fine too")
    archive.night()
    renamed(archive, **names)
    if is_watched:
        archive.watched()
    gone = {"changed": ["a.mp4: what was here before is nowhere else"]} if "c" in names else {}
    assert why(archive.night()) == {"renamed": told} | gone
    assert kinds(archive.night()) == {}


def test_what_a_renamed_file_took_the_place_of_is_told_where_it_is_nowhere_else(
    archive: Archive,
) -> None:
    archive.write("a.mp4", b"poor")
    archive.write("b.mp4", b"fine")
    archive.night()
    renamed(archive, a="b")
    assert why(archive.night()) == {
        "renamed": ["b.mp4: was a.mp4"], "changed": ["b.mp4: what was here before is nowhere else"],
    }  # fmt: skip
    assert kinds(archive.night()) == {}


def test_of_a_file_that_was_always_empty_nothing_is_lost(archive: Archive) -> None:
    """What was moved there was told as a change as well: "what was here before is nowhere else"."""
    archive.write("b.mp4", b"")
    archive.write("a.mp4", b"fine")
    archive.night()
    renamed(archive, a="b")
    assert why(archive.night()) == {"renamed": ["b.mp4: was a.mp4"]}
    assert kinds(archive.night()) == {}


def test_what_took_the_name_of_a_file_that_was_renamed_is_new(archive: Archive) -> None:
    archive.write("b.mp4", b"fine")
    archive.night()
    renamed(archive, b="c")
    archive.write("b.mp4", b"poor")
    assert why(archive.night()) == {"renamed": ["c.mp4: was b.mp4"], "new": ["b.mp4"]}
    assert kinds(archive.night()) == {}


def test_of_several_copies_the_likeliest_is_the_one_that_was_renamed(archive: Archive) -> None:
    """The first one that was missing had been, of whatever folder."""
    for name in ("1/a.mp4", "2/b.mp4", "3/c.mp4", "4/d.mp4", "4/e.mp4"):
        archive.write(name, b"one content")
    archive.night()
    for name in ("1/a.mp4", "2/b.mp4", "3/c.mp4", "4/d.mp4"):
        (archive.folder / name).unlink()
    for name in ("2/B.mp4", "5/c.mp4"):
        archive.write(name, b"one content")
    assert why(archive.night()) == {
        "renamed": ["2/B.mp4: was 2/b.mp4", "5/c.mp4: was 3/c.mp4"],
        "missing": ["1/a.mp4", "4/d.mp4"],
    }


def test_files_of_one_size_and_time_that_changed_names_are_not_rotten(archive: Archive) -> None:
    for name in ("a", "b"):
        os.utime(archive.write(f"{name}.mp4", name.encode()), (1, 1))
    archive.night()
    renamed(archive, a="b", b="a")
    assert kinds(archive.night()) == {"renamed": ["a.mp4", "b.mp4"]}
    renamed(archive, b="c")
    os.utime(archive.write("b.mp4", b"B"), (1, 1))
    assert kinds(archive.night()) == {"renamed": ["c.mp4"], "new": ["b.mp4"]}


def test_a_night_too_short_to_look_at_all_leaves_what_may_be_a_rename_to_the_next(
    archive: Archive, monkeypatch
) -> None:
    archive.stock("b", "d")
    archive.night()
    renamed(archive, b="a")  # which is looked at first, what took its name last
    archive.write("a2.mp4", b"new")
    archive.write("b.mp4", b"poor")
    archive.write("d.mp4", b"poor d")

    with monkeypatch.context() as patched:
        recognise_slowly(archive, patched)
        patched.setattr(audits, "scan", lambda *arguments: sorted(watch.scan(*arguments)))
        found = archive.night(until_s=150.0)
    assert (kinds(found), sorted(found.pending)) == (
        {"new": ["a2.mp4"]}, ["a.mp4", "a2.mp4", "b.mp4", "d.mp4"],
    )  # fmt: skip
    assert kinds(archive.night()) == {
        "renamed": ["a.mp4"], "new": ["b.mp4"], "changed": ["d.mp4"], "degraded": ["d.mp4"],
    }  # fmt: skip
    assert kinds(archive.night()) == {}
