"""The watch folder as a whole, on a clock of our own and with a stand-in for the model."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from aqs_batch import reporting, service
from aqs_batch.clock import iso
from aqs_batch.commands.watch import _exit_code
from aqs_batch.config import load
from aqs_batch.errors import MediaError, SettingsError, StoreError
from aqs_batch.events import Event, EventKind, Unheard
from aqs_batch.identity import own_name
from aqs_batch.ingest.files import Rules
from aqs_batch.ingest.fingerprint import fingerprint
from aqs_batch.records import Stamp
from aqs_batch.reporting import folders_of, labels, outcomes, run_record, write_reports
from aqs_batch.service import Service
from aqs_batch.settings import Settings
from aqs_batch.stop import Stop
from aqs_batch.store import Analysis, Job, JobStatus, Place, Store
from aqs_batch.watching import health, intake
from aqs_batch.watching.intake import check_folders
from aqs_batch.watching.vitals import Tally
from aqs_batch.worker import Process, Task, scoring
from bench.faults.clock import FakeClock
from bench.standin import KEY, StandIn, settings_for


@dataclass
class House:
    """A service over one folder; everything a test needs to look at or to change."""

    place: Path
    more: dict[str, object] = field(default_factory=dict)
    process: Callable[..., object] = field(default_factory=StandIn)
    clock: FakeClock = field(default_factory=FakeClock)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inbox, self.out = self.place / "in", self.place / "out"
        self.inbox.mkdir(exist_ok=True)
        self.stop = Stop(self.clock, 1.0)

    @property
    def settings(self) -> Settings:
        quiet = {"watch__events": "off", "watch__settle_s": 10.0, "watch__rescan_s": 60.0}
        quiet |= {"limits__max_attempts": 3, "limits__backoff_s": 60.0}
        return settings_for(self.inbox, self.out, **(quiet | self.more))

    def store(self) -> Store:
        return Store(f"sqlite:///{self.out / 'aqs.db'}", busy_timeout_s=0.1)

    def load(self) -> Callable[..., object]:
        return self.process

    def run(self, *, once: bool = True, until: float = float("inf")) -> Tally:
        store = self.store()
        try:
            service = Service(
                store, self.settings, KEY, self.load, self.events.append, self.clock,
                self.stop,
            )  # fmt: skip
            return service.run(command="test", once=once, until=until)
        finally:
            store.close()

    def told(self, kind: str) -> list[str]:
        return [Path(e.file).name for e in self.events if e.kind == kind]

    def jobs(self) -> list[Job]:
        store = self.store()
        try:
            return store.open_jobs()
        finally:
            store.close()


def taking(house: House, seconds: float) -> Callable[..., object]:
    """Scores as StandIn does, and each file takes a while on the house's clock."""

    def process(path: Path, print_: str, progress: Callable[[int, int], None]) -> object:
        house.clock.advance(seconds)
        return StandIn()(path, print_, progress)

    return process


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_what_lies_there_is_scored_once_and_then_known(house: House) -> None:
    (house.inbox / "sub").mkdir()
    (house.inbox / "a.mp4").write_bytes(b"one")
    (house.inbox / "sub" / "b.mp4").write_bytes(b"two")
    (house.inbox / "same.mp4").write_bytes(b"one")
    assert house.run() == Tally(scored=2)
    house.events.clear()
    (house.inbox / "a.mp4").rename(house.inbox / "renamed.mp4")
    os.utime(house.inbox / "sub" / "b.mp4", (1, 1))
    (house.inbox / "same.mp4").write_bytes(b"three")
    assert house.run() == Tally(scored=1)
    assert house.told("scored") == ["same.mp4"]


def test_a_growing_file_is_taken_when_it_has_stood_still(house: House) -> None:
    file = house.inbox / "a.mp4"
    file.write_bytes(b"0")
    grown: list[float] = []

    def grow(seconds: float) -> None:
        if len(grown) < 8:
            grown.append(house.clock.steady())
            with file.open("ab") as handle:
                handle.write(b"more")

    house.clock.on_wait = grow
    assert house.run() == Tally(scored=1)
    assert house.clock.steady() >= grown[-1] + 10
    assert file.read_bytes() == b"0" + b"more" * 8


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="leases are Linux's")
def test_a_file_that_is_open_for_writing_is_not_taken_however_still_it_stands(house: House) -> None:
    """A copy may pause for longer than any quiet time."""
    pause_until, closed = house.clock.steady() + 100, []
    handle = (house.inbox / "a.mp4").open("wb", buffering=0)
    handle.write(b"half of it")

    def go_on(seconds: float) -> None:
        if house.clock.steady() >= pause_until and not closed:
            handle.write(b" and the rest")
            handle.close()
            closed.append(house.clock.steady())

    house.clock.on_wait = go_on
    assert house.run() == Tally(scored=1)
    assert closed and house.clock.steady() >= closed[0] + 10


def test_a_file_that_changes_while_it_is_read_is_taken_again_whole(house: House) -> None:
    file = house.inbox / "a.mp4"
    file.write_bytes(b"first content")
    readings: list[bytes] = []

    def process(path: Path, print_: str, progress: Callable[[int, int], None]):
        readings.append(path.read_bytes())
        if len(readings) == 1:
            path.write_bytes(b"second content")
        return StandIn()(path, print_, progress)

    house.process = process
    assert house.run() == Tally(scored=1)
    assert readings == [b"first content", b"second content"]
    store = house.store()
    assert store.counts()["analyses"] == 1
    assert store.analysis(fingerprint(file), KEY) is not None
    store.close()
    assert house.jobs() == []


def test_a_file_deleted_while_queued_leaves_no_job(house: House) -> None:
    first, second = house.inbox / "a.mp4", house.inbox / "b.mp4"
    first.write_bytes(b"one")
    second.write_bytes(b"two")

    def process(path: Path, print_: str, progress: Callable[[int, int], None]):
        (second if path == first else first).unlink()
        return StandIn()(path, print_, progress)

    house.process = process
    assert house.run() == Tally(scored=1)
    assert house.jobs() == []


def test_bad_media_fail_once_and_are_not_tried_again(house: House) -> None:
    (house.inbox / "bad.mp4").write_bytes(b"bad")
    (house.inbox / "empty.mp4").touch()
    assert house.run() == Tally(failed=2)
    house.events.clear()
    house.run()
    assert house.told("started") == []
    assert [job.status for job in house.jobs()] == [JobStatus.FAILED]


def test_what_goes_wrong_by_chance_is_tried_again_later_and_then_set_aside(house: House) -> None:
    (house.inbox / "a.mp4").write_bytes(b"one")
    times: list[float] = []

    def process(path: Path, print_: str, progress: Callable[[int, int], None]):
        times.append(house.clock.steady())
        raise MemoryError("no room")

    house.process = process
    house.run(once=False, until=house.clock.now() + 400)
    assert len(times) == 3
    assert 60 <= times[1] - times[0] <= 75
    assert 120 <= times[2] - times[1] <= 135
    (job,) = house.jobs()
    assert job.status is JobStatus.QUARANTINED
    assert "no room" in job.reason


def test_a_job_whose_process_died_is_taken_up_by_the_next(house: House) -> None:
    file = house.inbox / "a.mp4"
    file.write_bytes(b"one")
    store = house.store()
    dead = f"{own_name().split(':')[0]}:999999999:1"
    job = store.enqueue(fingerprint(file), KEY, file, force=False)
    store.claim(job.id, dead, house.clock.now(), 300.0, 3)
    store.close()
    house.run(once=False, until=house.clock.now() + 150)
    assert house.told("scored") == ["a.mp4"]


def test_a_file_that_killed_every_process_is_told_as_failed(house: House) -> None:
    file = house.inbox / "a.mp4"
    file.write_bytes(b"one")
    house.more["limits__max_attempts"] = 1
    store = house.store()
    dead = f"{own_name().split(':')[0]}:999999999:1"
    stamp = Stamp.of(os.stat(file)).text
    place = Place(str(house.inbox), "a.mp4", stamp, fingerprint(file), KEY)
    job = store.take(place)
    assert job is not None
    store.claim(job.id, dead, house.clock.now(), 300.0, 1)
    store.close()
    assert house.run(once=False, until=house.clock.now() + 60) == Tally(failed=1)
    assert house.told("failed") == ["a.mp4"]


def test_a_locked_database_is_waited_for(house: House) -> None:
    (house.inbox / "a.mp4").write_bytes(b"one")
    store = house.store()
    store.close()
    lock = sqlite3.connect(house.out / "aqs.db", isolation_level=None)
    waits: list[float] = []

    def on_wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            lock.execute("BEGIN IMMEDIATE")
        if len(waits) == 6:
            lock.execute("ROLLBACK")

    house.clock.on_wait = on_wait
    assert house.run(once=False, until=house.clock.now() + 300) == Tally(scored=1)
    assert house.told("trouble")
    assert "locked" in next(e for e in house.events if e.kind == "trouble").facts["reason"]
    lock.close()


def test_a_network_that_is_converted_is_a_sign_of_life(house: House) -> None:
    """It takes minutes on a slow machine, and the service had looked dead, or idle."""
    (house.inbox / "a.mp4").write_bytes(b"one")
    beats: list[dict] = []

    def converted() -> Process:
        house.clock.advance(120.0)
        watching.hear(Event(EventKind.CONVERTING))
        beats.append(json.loads((house.out / health.HEARTBEAT_FILE).read_text()))
        return house.process

    store = house.store()
    watching = Service(
        store, house.settings, KEY, converted, house.events.append, house.clock, house.stop
    )
    assert watching.run(command="test", once=True) == Tally(scored=1)
    store.close()
    (beat,) = beats
    assert (beat["state"], beat["why"]) == ("working", service.CONVERTING)
    assert house.told("converting") == [""]


def test_a_finished_result_outlasts_a_full_disk(house: House) -> None:
    (house.inbox / "a.mp4").write_bytes(b"one")
    begun: list[Path] = []
    lock = None

    def process(path: Path, print_: str, progress: Callable[[int, int], None]):
        nonlocal lock
        begun.append(path)
        lock = sqlite3.connect(house.out / "aqs.db", isolation_level=None, timeout=5)
        lock.execute("BEGIN IMMEDIATE")  # from now on no write succeeds
        return StandIn()(path, print_, progress)

    said: list[str] = []

    def on_wait(seconds: float) -> None:
        if begun and lock is not None and lock.in_transaction:
            said.extend(health.check(house.out, house.clock.now(), 60.0))
            if len(said) > 8:  # minutes: the waits double
                lock.execute("ROLLBACK")

    house.process, house.clock.on_wait = process, on_wait
    assert house.run() == Tally(scored=1)
    assert len(begun) == 1  # the work was kept, not done again
    waits = "the service waits for its database or disk: the result is kept until it can be saved"
    assert all(words.startswith(waits) and "locked" in words for words in said)


def test_a_stop_releases_the_job_in_hand(house: House) -> None:
    (house.inbox / "a.mp4").write_bytes(b"one")

    def process(path: Path, print_: str, progress: Callable[[int, int], None]):
        house.stop.request()
        house.clock.advance(2.0)
        house.stop.check()  # what the alarm does to a real job
        pytest.fail("the grace was over")

    house.process = process
    house.run()
    (job,) = house.jobs()
    assert (job.status, job.attempts) == (JobStatus.QUEUED, 0)


def test_a_stop_while_the_model_is_loaded_begins_no_job(house: House, monkeypatch) -> None:
    (house.inbox / "a.mp4").write_bytes(b"one")
    begun: list[str] = []

    def loaded(store: Store, process: Process) -> Task[Analysis]:
        house.stop.request()
        return scoring(store, process)

    monkeypatch.setattr(service, "scoring", loaded)
    house.process = lambda path, print_, progress: begun.append(print_)
    house.run(once=False)
    (job,) = house.jobs()
    assert (begun, job.status, job.attempts) == ([], JobStatus.QUEUED, 0)


def test_a_stop_does_not_wait_until_the_network_is_converted(house: House, monkeypatch) -> None:
    """A first start had taken minutes to end, and a service manager kills after seconds."""
    (house.inbox / "a.mp4").write_bytes(b"one")

    def converting() -> Callable[..., object]:
        for _ in range(2):  # the second ends the grace
            signal.raise_signal(signal.SIGTERM)
        threading.Event().wait(30)
        pytest.fail("it went on to the end")

    monkeypatch.setattr(house, "load", converting)
    with house.stop.on_signals():
        house.run(once=False)
    assert [job.status for job in house.jobs()] == [JobStatus.QUEUED]


def test_a_reader_who_leaves_costs_the_job_in_hand_nothing(house: House) -> None:
    """`watch --json | head` had noted an internal error against the file."""
    (house.inbox / "a.mp4").write_bytes(b"one")

    def process(path: Path, print_: str, progress: Callable[[int, int], None]):
        raise Unheard

    house.process = process
    with pytest.raises(Unheard):
        house.run()
    (job,) = house.jobs()
    assert (job.status, job.attempts, job.reason) == (JobStatus.QUEUED, 0, "")


def test_cancelled_work_is_not_saved(house: House) -> None:
    (house.inbox / "a.mp4").write_bytes(b"one")

    def process(path: Path, print_: str, progress: Callable[[int, int], None]):
        store = house.store()
        assert store.cancel() == 1
        store.close()
        return StandIn()(path, print_, progress)

    house.process = process
    assert house.run() == Tally()
    (job,) = house.jobs()
    assert (job.status, job.reason) == (JobStatus.FAILED, "cancelled")


def test_processed_files_are_moved_and_never_over_another(house: House, tmp_path: Path) -> None:
    done, failed = house.inbox / "done", tmp_path / "failed"
    folder = {"dir": str(house.inbox), "move_done": str(done), "move_failed": str(failed)}
    house.more["watch__folders"] = [folder]
    (house.inbox / "sub").mkdir()
    (house.inbox / "sub" / "a.mp4").write_bytes(b"one")
    (house.inbox / "bad.mp4").write_bytes(b"bad")
    (done / "sub").mkdir(parents=True)
    (done / "sub" / "a.mp4").write_bytes(b"somebody else's")
    assert house.run() == Tally(scored=1, failed=1)
    assert (done / "sub" / "a.mp4").read_bytes() == b"somebody else's"
    assert (done / "sub" / "a (2).mp4").read_bytes() == b"one"
    assert (failed / "bad.mp4").exists()
    assert not [p for p in house.inbox.rglob("*.mp4") if done not in p.parents]
    (house.inbox / "sub" / "a.mp4").write_bytes(b"new under the old name")
    assert house.run() == Tally(scored=1)
    assert (done / "sub" / "a (3).mp4").exists()


def test_where_a_file_went_is_known_though_the_database_was_locked_then(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, moved, locked = tmp_path / "done", Store.moved, [True, False]

    def locked_at_first(store: Store, place: Place, to: Path) -> None:
        if locked.pop(0):
            raise StoreError("locked")
        moved(store, place, to)

    monkeypatch.setattr(Store, "moved", locked_at_first)
    house.more["watch__folders"] = [{"dir": str(house.inbox), "move_done": str(done)}]
    (house.inbox / "a.mp4").write_bytes(b"one")
    assert house.run(once=False, until=house.clock.now() + 300) == Tally(scored=1)
    store = house.store()
    (place,) = store.places(str(house.inbox))
    assert (place.path, place.missing_since) == (done / "a.mp4", 0.0)
    store.close()
    assert place.path.read_bytes() == b"one" and not list(house.inbox.iterdir())


def test_what_could_not_be_moved_is_told_once_and_moved_when_it_can_be(
    house: House, tmp_path: Path
) -> None:
    """It had stayed where it was until the service was started again."""
    done, began = tmp_path / "done", house.clock.now()
    house.more["watch__folders"] = [{"dir": str(house.inbox), "move_done": str(done)}]
    for name in ("a.mp4", "b.mp4"):
        (house.inbox / name).write_bytes(name.encode())
    done.write_bytes(b"no folder")

    def mended(seconds: float) -> None:
        if house.clock.now() > began + 100 and done.is_file():
            done.unlink()

    house.clock.on_wait = mended
    assert house.run(once=False, until=began + 200) == Tally(scored=2)
    assert sorted(house.told("trouble")) == sorted(house.told("moved")) == ["a.mp4", "b.mp4"]
    assert sorted(path.name for path in done.iterdir()) == ["a.mp4", "b.mp4"]


def test_the_gate_is_told_and_moves_to_failed(house: House, tmp_path: Path) -> None:
    failed = tmp_path / "failed"
    folder = {"dir": str(house.inbox), "fail_under": 1.0, "move_failed": str(failed)}
    house.more["watch__folders"] = [folder]
    (house.inbox / "a.mp4").write_bytes(b"one")
    assert house.run() == Tally(scored=1, below_gate=1)
    assert (failed / "a.mp4").exists()


@pytest.mark.parametrize("asked", ["take", "aqs"])
def test_copies_below_the_gate_are_told_though_the_database_was_locked_meanwhile(
    house: House, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    house.more["watch__folders"] = [{"dir": str(house.inbox), "fail_under": 1.0}]
    (house.inbox / "a.mp4").write_bytes(b"one")
    house.run()
    house.events.clear()
    for name in ("b.mp4", "c.mp4", "d.mp4"):
        (house.inbox / name).write_bytes(b"one")
    asking, calls = getattr(Store, asked), iter(range(1000))

    def locked_once(*arguments: object) -> object:
        if next(calls) == 2:
            raise StoreError("locked")
        return asking(*arguments)

    monkeypatch.setattr(Store, asked, locked_once)
    assert house.run() == Tally(below_gate=3)
    assert sorted(house.told("gate")) == ["b.mp4", "c.mp4", "d.mp4"]


def test_jobs_of_other_settings_do_not_fill_the_queue(house: House) -> None:
    house.more["watch__queue_limit"] = 1
    house.out.mkdir()
    store = house.store()
    store.enqueue("elsewhere", "of other settings", house.inbox / "x.mp4", force=False)
    store.close()
    (house.inbox / "a.mp4").write_bytes(b"one")
    assert house.run() == Tally(scored=1)


def test_what_another_process_scored_is_passed_on(house: House, tmp_path: Path) -> None:
    done = tmp_path / "done"
    house.more["watch__folders"] = [{"dir": str(house.inbox), "move_done": str(done)}]
    for name in ("a.mp4", "b.mp4"):
        (house.inbox / name).write_bytes(name.encode())

    def process(path: Path, print_: str, progress: Callable[[int, int], None]):
        if path.name == "a.mp4":  # meanwhile another process takes the other one
            store = house.store()
            (other,) = [job for job in store.open_jobs() if job.path.name == "b.mp4"]
            held = store.claim(other.id, "else", house.clock.now(), 100.0, 3)
            assert held is not None
            store.save(held, StandIn()(other.path, other.fingerprint, lambda d, o: None), 0.5)
            store.close()
        return StandIn()(path, print_, progress)

    house.process = process
    assert house.run() == Tally(scored=1)
    assert sorted(path.name for path in done.iterdir()) == ["a.mp4", "b.mp4"]


def test_a_cancelled_file_stays_where_it_is(house: House, tmp_path: Path) -> None:
    failed = tmp_path / "failed"
    house.more["watch__folders"] = [{"dir": str(house.inbox), "move_failed": str(failed)}]
    file = house.inbox / "a.mp4"
    file.write_bytes(b"one")
    house.process = _cancels(house)
    assert house.run() == Tally()
    assert house.run() == Tally()
    assert file.exists()


def _cancels(house: House) -> Callable[..., object]:
    def process(path: Path, print_: str, progress: Callable[[int, int], None]):
        store = house.store()
        store.cancel()
        store.close()
        return StandIn()(path, print_, progress)

    return process


def test_a_copy_of_what_failed_is_told_as_failed(house: House) -> None:
    (house.inbox / "bad.mp4").write_bytes(b"bad")
    assert house.run() == Tally(failed=1)
    (house.inbox / "copy.mp4").write_bytes(b"bad")
    assert house.run() == Tally(failed=1)
    assert house.told("failed") == ["bad.mp4", "copy.mp4"]


def test_retry_finds_a_file_where_it_was_moved(house: House, tmp_path: Path) -> None:
    failed = tmp_path / "failed"
    house.more["watch__folders"] = [{"dir": str(house.inbox), "move_failed": str(failed)}]
    (house.inbox / "bad.mp4").write_bytes(b"bad")
    assert house.run() == Tally(failed=1)
    (job,) = house.jobs()
    assert job.path == failed / "bad.mp4"
    store = house.store()
    assert store.retry() == 1
    store.close()
    assert house.run() == Tally(failed=1)
    assert len(house.jobs()) == 1


def test_a_link_leads_to_its_file_after_it_was_moved(house: House, tmp_path: Path) -> None:
    done = tmp_path / "far" / "away" / "done"
    house.more["watch__folders"] = [{"dir": str(house.inbox), "move_done": str(done)}]
    house.more["run__follow_symlinks"] = True
    (tmp_path / "real.mp4").write_bytes(b"one")
    (house.inbox / "link.mp4").symlink_to(Path("..", "real.mp4"))
    assert house.run() == Tally(scored=1)
    assert (done / "link.mp4").read_bytes() == b"one"
    assert not (house.inbox / "link.mp4").is_symlink()


def test_folders_of_one_name_are_told_apart() -> None:
    assert labels(["/cam1/in"]) == {"/cam1/in": ""}
    assert labels(["/cam1/in", "/cam2/out"]) == {"/cam1/in": "in/", "/cam2/out": "out/"}
    assert labels(["/cam1/in", "/cam2/in"]) == {"/cam1/in": "cam1/in/", "/cam2/in": "cam2/in/"}
    assert labels(["/in", "/a/in"]) == {"/in": "/in/", "/a/in": "a/in/"}


def test_a_folder_may_have_a_colon_in_its_name(house: House) -> None:
    odd = house.place / "cam:1"
    odd.mkdir()
    (odd / "a.mp4").write_bytes(b"one")
    house.more["watch__folders"] = [{"dir": str(odd)}]
    assert house.run() == Tally(scored=1)
    store = house.store()
    run = store.last_run()
    assert run is not None
    assert folders_of(run) == [str(odd)]
    assert run_record(store, run).input_dir == str(odd)
    store.close()


def test_a_full_queue_leaves_files_where_they_are(house: House) -> None:
    house.more["watch__queue_limit"] = 2
    for number in range(7):
        (house.inbox / f"{number}.mp4").write_bytes(b"x" * (number + 1))
    most = 0

    def process(path: Path, print_: str, progress: Callable[[int, int], None]):
        nonlocal most
        store = house.store()
        most = max(most, store.job_counts()["queued"])
        store.close()
        return StandIn()(path, print_, progress)

    house.process = process
    assert house.run() == Tally(scored=7)
    assert most <= 2


def test_a_vanished_folder_is_told_and_nothing_of_it_forgotten(house: House) -> None:
    (house.inbox / "a.mp4").write_bytes(b"one")
    house.run()
    away = house.place / "away"

    def on_wait(seconds: float) -> None:
        if "vanished" in [e.kind for e in house.events] and away.exists():
            away.rename(house.inbox)

    house.inbox.rename(away)
    assert house.run() == Tally(unreachable=1)  # what cron started must not say that all is well
    house.clock.on_wait = on_wait
    house.events.clear()
    house.run(once=False, until=house.clock.now() + 600)
    kinds = [e.kind for e in house.events]
    assert kinds.count("vanished") == 1
    assert kinds.index("vanished") < kinds.index("returned")
    assert "started" not in kinds


def test_a_folder_that_can_be_read_in_part_is_told_once_and_listened_to_anew_when_whole(
    house: House, monkeypatch
) -> None:
    """It had been told as found, and all of it listened to anew, at every look."""
    (house.inbox / "a.mp4").write_bytes(b"one")
    whole_at, real = house.clock.now() + 600, intake.scan

    def scan(folder: str, rules: Rules) -> Iterator[tuple[str, Stamp | None]]:
        yield from real(folder, rules)
        if house.clock.now() < whole_at:
            yield "locked", None

    monkeypatch.setattr(intake, "scan", scan)
    assert house.run(once=False, until=whole_at + 300) == Tally(scored=1)
    told = [e.kind for e in house.events if e.kind in ("vanished", "watching", "returned")]
    assert told == ["vanished", "watching", "returned", "watching"]


def test_a_report_counts_what_still_waits_and_what_was_moved_to_be_tried_again(
    house: House, tmp_path: Path
) -> None:
    """Two files of five had looked like the whole folder."""
    house.more |= {"watch__queue_limit": 2, "output__export": ["json", "html"]}
    failed = str(tmp_path / "failed")
    house.more["watch__folders"] = [{"dir": str(house.inbox), "move_failed": failed}]
    (house.inbox / "bad.mp4").write_bytes(b"bad")
    house.run()
    for number in range(5):
        (house.inbox / f"{number}.mp4").write_bytes(b"x" * (number + 1))
    house.process = taking(house, 100.0)
    house.run(until=house.clock.now() + 100)
    told = json.loads((house.out / "results.json").read_text())["run"]["counts"]
    assert told == {"scored": 1, "unchanged": 0, "failed": 1, "pending": 4}
    assert "4 files</b> still to be looked at" in (house.out / "index.html").read_text()
    store = house.store()
    run = store.last_run()
    assert run is not None
    store.retry()
    now = {"scored": 1, "unchanged": 0, "failed": 0, "pending": 2}  # of these the store knows
    assert run_record(store, run).counts == now
    store.cancel()
    assert run_record(store, run).counts == {"scored": 1, "unchanged": 0, "failed": 2}
    store.close()


def test_what_was_scored_before_a_service_began_is_known_to_its_report(house: House) -> None:
    """Every file had been new in every report, for good."""

    def process(path: Path, print_: str, progress: Callable[[int, int], None]) -> object:
        return replace(StandIn()(path, print_, progress), created_at=iso(house.clock.now()))

    house.process = process
    house.more["output__export"] = ["json", "html"]
    told = []
    for name in ("a.mp4", "b.mp4"):
        (house.inbox / name).write_bytes(name.encode())
        house.run()
        videos = json.loads((house.out / "results.json").read_text())["videos"]
        told.append({video["file"]: video["status"] for video in videos})
        house.clock.advance(3600.0)
    assert told == [{"a.mp4": "scored"}, {"a.mp4": "unchanged", "b.mp4": "scored"}]
    assert "<dt>New</dt><dd>1</dd>" in (house.out / "index.html").read_text()


def test_a_change_is_told_by_the_service_that_saw_it(house: House) -> None:
    """A file had been "Worse" than one replaced a year ago, in the reports of every later service,
    and all that was "since the last run".
    """

    def process(path: Path, print_: str, progress: Callable[[int, int], None]) -> object:
        return replace(StandIn()(path, print_, progress), created_at=iso(house.clock.now()))

    house.process = process
    house.more["output__export"] = ["json", "html"]
    told = []
    for content in (b"one", b"two", b"two"):
        (house.inbox / "a.mp4").write_bytes(content)
        house.run()
        (video,) = json.loads((house.out / "results.json").read_text())["videos"]
        told.append(video["previous_aqs"] is not None)
        house.clock.advance(3600.0)
    assert told == [False, True, False]
    index = (house.out / "index.html").read_text()
    assert "Since the service began" in index and "last run" not in index


def test_until_begins_no_new_job(house: House) -> None:
    for number in range(3):
        (house.inbox / f"{number}.mp4").write_bytes(b"x" * (number + 1))
    house.process = taking(house, 100.0)
    assert house.run(once=False, until=house.clock.now() + 150) == Tally(scored=2)
    assert [job.status for job in house.jobs()] == [JobStatus.QUEUED]


def test_the_job_in_hand_at_the_end_of_the_hours_is_let_go_after_a_while(house: House) -> None:
    (house.inbox / "a.mp4").write_bytes(b"one")

    def process(path: Path, print_: str, progress: Callable[[int, int], None]):
        progress(0, 2)
        house.clock.advance(3600.0)
        progress(1, 2)
        return StandIn()(path, print_, progress)

    house.process = process
    assert house.run(once=False, until=house.clock.now() + 60) == Tally()
    (job,) = house.jobs()
    assert (job.status, job.attempts) == (JobStatus.QUEUED, 0)


def test_a_copy_of_what_is_scored_is_told_too(house: House) -> None:
    for name in ("a.mp4", "b.mp4"):
        (house.inbox / name).write_bytes(b"one")
    print_ = fingerprint(house.inbox / "a.mp4")
    store = house.store()  # a folder of another service holds a third
    store.note(Place(str(house.place / "other"), "c.mp4", "3:1:1:1", print_, KEY))
    store.close()
    assert house.run() == Tally(scored=1)
    told = [*house.told("scored"), *house.told("unchanged")]
    assert sorted(told) == ["a.mp4", "b.mp4"]


def test_links_are_taken_only_by_policy(house: House, tmp_path: Path) -> None:
    outside = tmp_path / "outside.mp4"
    outside.write_bytes(b"one")
    (house.inbox / "link.mp4").symlink_to(outside)
    assert house.run() == Tally()
    house.more["run__follow_symlinks"] = True
    assert house.run() == Tally(scored=1)


def test_a_folder_that_was_copied_in_is_taken_whole(house: House, tmp_path: Path) -> None:
    (tmp_path / "show").mkdir()
    for number in range(3):
        (tmp_path / "show" / f"{number}.mp4").write_bytes(b"x" * (number + 1))

    def on_wait(seconds: float) -> None:
        if not (house.inbox / "show").exists():
            shutil.copytree(tmp_path / "show", house.inbox / "show")

    house.clock.on_wait = on_wait
    (house.inbox / "a.mp4").write_bytes(b"first")
    assert house.run(once=False, until=house.clock.now() + 300) == Tally(scored=4)


@pytest.mark.parametrize(
    ("folders", "output", "says"),
    [
        ([], "out", "no folder"),
        (["in", "in/sub"], "out", "overlap"),
        (["in"], "in", "our own folder"),
        (["in/sub"], "in", "our own folder"),
    ],
)
def test_folders_that_cannot_work_are_refused(
    tmp_path: Path, folders: list[str], output: str, says: str
) -> None:
    flags = {
        "watch.folders": [str(tmp_path / f) for f in folders],
        "output.dir": str(tmp_path / output),
    }
    with pytest.raises(SettingsError, match=says):
        check_folders(load(None, {}, flags).settings)


def test_who_watches_the_output_folder_is_told_where_it_may_be(tmp_path: Path) -> None:
    """The advice had been to put it where it was."""
    flags = {"watch.folders": [str(tmp_path / "in")], "output.dir": str(tmp_path / "in")}
    with pytest.raises(SettingsError) as caught:
        check_folders(load(None, {}, flags).settings)
    assert "output" in caught.value.hint and "outside or below it" in caught.value.hint
    for place in ("in/below", "outside"):
        check_folders(load(None, {}, {**flags, "output.dir": str(tmp_path / place)}).settings)


def test_a_watch_ends_though_a_rescan_found_what_was_still_to_be_recognised(house: House) -> None:
    """Such files were waited for a second time, and with more than 64 of them for ever."""
    house.more["watch__report_s"] = 1e6  # else this clock, which no work moves, has one after each
    for number in range(150):
        (house.inbox / f"{number}.mp4").write_bytes(bytes(100 + number))
    house.process = taking(house, 30.0)
    assert house.run() == Tally(scored=150)
    assert len(house.told("queued")) == 150


def test_a_file_that_became_a_link_is_not_waited_for(house: House, tmp_path: Path) -> None:
    elsewhere = tmp_path / "film.mp4"
    elsewhere.write_bytes(b"x")
    file = house.inbox / "a.mp4"
    file.write_bytes(b"one")
    waits: list[float] = []

    def on_wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            file.unlink()
            file.symlink_to(elsewhere)
        assert len(waits) < 50

    house.clock.on_wait = on_wait
    assert house.run() == Tally()


def test_links_in_a_ring_and_a_folder_that_goes_end_nothing(house: House, monkeypatch) -> None:
    """Either had ended the service, the first one at every start."""
    (house.inbox / "ring.mp4").symlink_to("ring.mp4")
    (house.inbox / "a.mp4").write_bytes(b"one")
    house.more["run__follow_symlinks"] = True
    assert house.run().scored == 1
    real = os.stat

    def gone(path: object, **more: bool) -> os.stat_result:
        if path == str(house.inbox):
            raise FileNotFoundError(2, "No such file or directory")
        return real(path, **more)

    monkeypatch.setattr(intake.os, "stat", gone)
    assert house.run().unreachable == 1
    assert house.told("vanished")


def reported(house: House) -> list[str]:
    store = house.store()
    run = store.last_run()
    assert run is not None
    files = [outcome.file for outcome in outcomes(store, run, lambda _: (0.5,) * 10)]
    store.close()
    return files


def test_a_file_renamed_while_it_is_read_is_reported_once(house: House) -> None:
    """Its old name had stayed in the report, scored, for as long as the service ran."""
    file, readings = house.inbox / "a.mp4", []
    file.write_bytes(b"one")

    def process(path: Path, print_: str, progress: Callable[[int, int], None]):
        readings.append(path)
        if len(readings) == 1:
            path = file.rename(house.inbox / "b.mp4")
        return StandIn()(path, print_, progress)

    house.process = process
    house.run(once=False, until=house.clock.now() + 300)
    assert reported(house) == ["b.mp4"]


def test_what_could_not_be_read_and_went_meanwhile_is_not_reported(house: House) -> None:
    (house.inbox / "empty.mp4").touch()
    assert house.run() == Tally(failed=1)
    (house.inbox / "empty.mp4").unlink()
    house.run()
    assert reported(house) == []
    store = house.store()
    assert store.unreadable() == []
    store.close()


def test_a_file_whose_disk_was_gone_at_its_turn_is_scored_after_a_restart(house: House) -> None:
    """Its job was forgotten, and its unchanged file taken for known: for good."""
    (house.inbox / "a.mp4").write_bytes(b"one")
    away = house.place / "away"

    def process(path: Path, print_: str, progress: Callable[[int, int], None]):
        house.inbox.rename(away)
        raise MediaError("the disk went away")

    house.process = process
    house.run(once=False, until=house.clock.now() + 60)
    assert house.jobs() == []
    away.rename(house.inbox)
    house.process = StandIn()
    assert house.run() == Tally(scored=1)


def test_a_share_that_goes_between_two_looks_ends_nothing(house: House, monkeypatch) -> None:
    """What `lstat` said of a file that was waited for had ended the service."""
    file, real = house.inbox / "a.mp4", os.stat
    file.write_bytes(b"one")

    def stale(path: object, **more: bool) -> os.stat_result:
        if str(path) == str(file):
            raise OSError(errno.ESTALE, "Stale file handle")
        return real(path, **more)

    monkeypatch.setattr(intake.os, "stat", stale)
    assert house.run(once=False, until=house.clock.now() + 60) == Tally()


def test_what_the_disk_refuses_to_read_is_told_once_and_taken_when_it_can_be_read(
    house: House, monkeypatch
) -> None:
    """It had been told, and counted as failed, every minute."""
    (house.inbox / "a.mp4").write_bytes(b"one")
    sick_until = house.clock.now() + 600

    def refused(path: Path) -> str:
        if house.clock.now() < sick_until:
            raise MediaError("cannot be read: Input/output error") from OSError(errno.EIO, "")
        return fingerprint(path)

    monkeypatch.setattr(intake, "fingerprint", refused)
    assert house.run(once=False, until=sick_until + 300) == Tally(scored=1, failed=1)


@pytest.mark.parametrize(
    "error", [StoreError("cannot be read: disk I/O error"), OSError(errno.ENOSPC, "No space left")]
)
def test_a_report_that_could_not_be_written_is_written_later(
    house: House, monkeypatch, error: Exception
) -> None:
    """Nothing was written until something else changed."""
    (house.inbox / "a.mp4").write_bytes(b"one")
    refused: list[bool] = []

    def refused_once(*arguments: object, **more: object) -> list[Path]:
        if house.told("scored") and not refused:
            refused.append(True)
            raise error
        return write_reports(*arguments, **more)

    monkeypatch.setattr(service, "write_reports", refused_once)
    house.run(once=False, until=house.clock.now() + 600)
    kinds = [event.kind for event in house.events]
    assert "report" in kinds[kinds.index("scored") :]


def test_the_last_report_is_written_once_and_earlier_ones_in_time(house: House) -> None:
    """The last one had been written twice, before the run had ended and after."""
    house.more["watch__report_s"] = 60.0
    for number in range(3):
        (house.inbox / f"{number}.mp4").write_bytes(b"x" * (number + 1))
    house.process = taking(house, 100.0)
    house.run()
    kinds = [e.kind for e in house.events if e.kind in ("scored", "report")]
    assert kinds == ["scored", "report"] * 3
    house.events.clear()
    house.run()
    assert len(house.told("report")) == 1


def test_what_was_scored_before_the_hour_to_stop_is_in_the_report(house: House) -> None:
    """`--until` had left out all since the last report: of thousands of files, those of minutes."""
    house.more["watch__report_s"] = 3600.0
    (house.inbox / "a.mp4").write_bytes(b"one")

    def on_wait(seconds: float) -> None:
        if house.told("report") and not (house.inbox / "b.mp4").exists():
            (house.inbox / "b.mp4").write_bytes(b"another")

    house.clock.on_wait = on_wait
    assert house.run(once=False, until=house.clock.now() + 600) == Tally(scored=2)
    kinds = [e.kind for e in house.events if e.kind in ("scored", "report")]
    assert kinds == ["scored", "report"] * 2


def test_a_last_report_that_could_not_be_written_is_told_as_lost(house: House) -> None:
    """It was said to be tried again, which nobody did, and cron was told that all was well."""
    (house.inbox / "a.mp4").write_bytes(b"one")
    (house.out / "results.json").mkdir(parents=True)
    assert house.run() == Tally(scored=1, lacks_report=True)
    *_, trouble = (event.facts for event in house.events if event.kind == "trouble")
    assert "results.json" in trouble["reason"] and "aqs-batch report" in trouble["hint"]
    assert _exit_code(Tally(scored=1, lacks_report=True), house.stop, ends=True) == 1


def test_a_service_that_writes_a_long_report_is_alive(house: House, monkeypatch) -> None:
    for number in range(3):
        (house.inbox / f"{number}.mp4").write_bytes(b"x" * (number + 1))
    wrong: list[str] = []
    one = reporting._scored

    def slowly(*arguments: object) -> object:
        wrong.extend(health.check(house.out, house.clock.now(), 300.0))
        house.clock.advance(200.0)
        return one(*arguments)

    monkeypatch.setattr(reporting, "_scored", slowly)
    house.run()
    assert house.told("report") and not wrong


def test_a_service_goes_on_while_another_process_writes_the_report(house: House) -> None:
    """Behind an audit's report of an archive, or a run that was suspended in its own, it had scored
    nothing and was silent: monitoring took it for dead.
    """
    fcntl = pytest.importorskip("fcntl")
    house.more["watch__report_s"] = 60.0
    (house.inbox / "a.mp4").write_bytes(b"one")
    house.out.mkdir()

    def on_wait(seconds: float) -> None:
        if house.told("trouble") and not (house.inbox / "b.mp4").exists():
            (house.inbox / "b.mp4").write_bytes(b"another")
        if "b.mp4" in house.told("scored"):
            fcntl.flock(writer, fcntl.LOCK_UN)

    with (house.out / ".report.lock").open("wb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        too_late = threading.Timer(20.0, fcntl.flock, [writer, fcntl.LOCK_UN])
        too_late.start()
        house.clock.on_wait = on_wait
        house.run(once=False, until=house.clock.now() + 600)
        too_late.cancel()
    kinds = [e.kind for e in house.events if e.kind in ("scored", "report")]
    assert kinds[:3] == ["scored", "scored", "report"]
    (why,) = {event.facts["reason"] for event in house.events if event.kind == "trouble"}
    assert "another process is writing it" in why


def test_an_idle_service_does_not_list_all_files_again_and_again(house: House, monkeypatch) -> None:
    """With 50,000 of them a folder that passes nothing on took 3 % of a core to do nothing."""
    (house.inbox / "a.mp4").write_bytes(b"one")
    house.run()
    listed: list[str] = []
    real = Store.places

    def places(store: Store, folder: str, **which: bool) -> Iterator[Place]:
        listed.append(folder)
        return real(store, folder, **which)

    monkeypatch.setattr(Store, "places", places)
    house.run(once=False, until=house.clock.now() + 3600)
    assert len(listed) < 10  # a few for the report
