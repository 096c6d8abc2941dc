"""One run over files: what is begun beside the file in hand, and what is held against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from aqs_batch import batch as batches
from aqs_batch.batch import Batch
from aqs_batch.errors import MediaError, StoreError
from aqs_batch.events import Event
from aqs_batch.identity import own_name
from aqs_batch.ingest.files import gather
from aqs_batch.ingest.fingerprint import fingerprint
from aqs_batch.reporting import run_record
from aqs_batch.store import Job, RunFile, Store
from bench.faults.clock import FakeClock
from bench.standin import StandIn, settings_for


class House:
    """Runs over one folder with the stand-in; `ahead` tells what each file may begin beside it."""

    def __init__(self, place: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.out, self.clock = place / "in", place / "out", FakeClock()
        self.folder.mkdir()
        self.settings = settings_for(self.folder, self.out, limits__backoff_s=0.0)
        self.store = Store(self.settings.output.url)
        self.ahead: dict[str, list[str]] = {}
        self.events: list[Event] = []
        patch.setattr(batches, "real_process", self._process_for)
        self.batch = Batch(self.store, self.settings, self.events.append, self.clock)

    def _process_for(
        self, _: object, __: object, ___: object, upcoming: Callable[[str], Iterator[Path]]
    ) -> Callable[..., object]:
        def process(path: Path, print_: str, progress: Callable[[int, int], None]) -> object:
            self.ahead[path.name] = [next_.name for next_ in upcoming(print_)]
            return replace(StandIn()(path, print_, progress), settings_key=self.batch.key)

        return process

    def write(self, **contents: bytes) -> None:
        for name, content in contents.items():
            (self.folder / f"{name}.mp4").write_bytes(content)

    def run(self) -> list[tuple[str, str]]:
        found = gather([str(self.folder)], ["mp4"], follow_symlinks=False, skip=self.out)
        self.events.clear()
        self.batch.run(found, input_dir=str(self.folder), command="test", force=False)
        ends = ("scored", "unchanged", "failed")
        return [(e.kind, e.file) for e in self.events if e.kind in ends]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    made = House(tmp_path, monkeypatch)
    yield made
    made.store.close()


def test_only_what_is_new_is_begun_ahead_and_each_content_once(house: House) -> None:
    house.write(b=b"known")
    house.run()
    house.ahead.clear()
    house.write(a=b"one", c=b"two", d=b"one", e=b"two", f=b"three")
    house.run()
    assert house.ahead == {"a.mp4": ["c.mp4", "f.mp4"], "c.mp4": ["f.mp4"], "f.mp4": []}


def test_beside_a_file_that_may_have_killed_a_process_nothing_is_begun(house: House) -> None:
    house.write(a=b"one", b=b"two", c=b"three")
    file = house.folder / "a.mp4"
    queued = house.store.enqueue(fingerprint(file), house.batch.key, file, force=False)
    house.store.claim(queued.id, "elsewhere", house.clock.now() - 1000, 1.0, 3)
    assert [kind for kind, _ in house.run()] == ["scored"] * 3
    assert house.ahead == {"a.mp4": [], "b.mp4": ["c.mp4"], "c.mp4": []}


def test_what_a_killed_process_had_in_hand_is_free_at_once(house: House) -> None:
    """Though its lease has minutes to run."""
    house.write(a=b"one")
    file, (place, pid, _) = house.folder / "a.mp4", own_name().split(":")
    queued = house.store.enqueue(fingerprint(file), house.batch.key, file, force=False)
    dead = f"{place}:{pid}:1"  # of this number, and begun at another time
    assert house.store.claim(queued.id, dead, house.clock.now(), 300.0, 3)
    assert house.run() == [("scored", "a.mp4")]
    assert "waiting" not in [event.kind for event in house.events]


def test_a_database_that_cannot_be_read_for_a_moment_is_not_held_against_a_file(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file in hand had failed, because it could not be told which would be next."""
    house.write(a=b"one", b=b"two")
    real, asked = Store.aqs, []

    def aqs(store: Store, print_: str, key: str) -> float | None:
        asked.append(print_)
        if len(asked) == 2:  # a.mp4's own question comes first
            raise StoreError("cannot be read: disk I/O error")
        return real(store, print_, key)

    monkeypatch.setattr(Store, "aqs", aqs)
    assert house.run() == [("scored", "a.mp4"), ("scored", "b.mp4")]
    assert house.ahead["a.mp4"] == []


def test_files_that_are_known_are_recorded_together_and_before_any_work(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run over 10,000 of them had waited for its disk 10,000 times."""
    house.write(**{f"a{n}": b"%d" % n for n in range(9)})
    house.run()
    house.batch = Batch(house.store, house.settings, house.events.append, house.clock)
    house.write(b=b"new")
    recorded: list[list[str]] = []
    real = Store.record_file

    def record(store: Store, run_id: int, *entries: RunFile) -> None:
        recorded.append([entry.file for entry in entries])
        real(store, run_id, *entries)

    monkeypatch.setattr(Store, "record_file", record)
    monkeypatch.setattr(Store, "analysis", None)  # nor had it read all of each for its line
    house.run()
    known = [f"a{n}.mp4" for n in range(9)]
    assert [files for files in recorded if files] == [known, ["b.mp4"]]


def broken(*_: object) -> Callable[..., object]:
    def process(path: Path, print_: str, progress: object) -> object:
        raise MediaError("not a readable video")

    return process


def test_the_disk_is_waited_for_twice_for_each_broken_file(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had been four times, which was half of what such files took."""
    monkeypatch.setattr(batches, "real_process", broken)
    house.write(a=b"one", b=b"two", c=b"three")
    commits: list[int] = []
    sa.event.listen(house.store._engine, "commit", lambda _: commits.append(len(house.events)))
    assert [kind for kind, _ in house.run()] == ["failed"] * 3
    begun_or_ended = {"start of the run": 2, "files": 3 * 2, "last word": 1, "end of the run": 1}
    assert len(commits) <= sum(begun_or_ended.values())
    last = house.store.last_run()
    assert last is not None
    assert len(house.store.run_files(last.id)) == 3


def test_what_was_told_is_not_lost_with_a_claim_that_fails(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "real_process", broken)
    house.write(a=b"one", b=b"two")
    real, asked = Store.claim, []

    def claim(*args: Any) -> Job | None:
        asked.append(args)
        if len(asked) == 2:
            raise StoreError("the database refused a write: disk full")
        return real(*args)

    monkeypatch.setattr(Store, "claim", claim)
    with pytest.raises(StoreError):
        house.run()
    last = house.store.last_run()
    assert last is not None
    assert [entry.file for entry in house.store.run_files(last.id)] == ["a.mp4"]
    assert house.store.job(fingerprint(house.folder / "b.mp4"), house.batch.key) is None


def test_who_interrupts_a_run_finds_in_it_what_was_told(house: House) -> None:
    house.write(a=b"one", b=b"two", c=b"three")
    house.run()

    def leave(event: Event) -> None:
        if event.kind == "unchanged" and event.file == "b.mp4":
            raise KeyboardInterrupt

    batch = Batch(house.store, house.settings, leave, house.clock)
    found = gather([str(house.folder)], ["mp4"], follow_symlinks=False, skip=house.out)
    with pytest.raises(KeyboardInterrupt):
        batch.run(found, input_dir=str(house.folder), command="test", force=False)
    last = house.store.last_run()
    assert last is not None and not last.finished_at
    assert [entry.file for entry in house.store.run_files(last.id)] == ["a.mp4", "b.mp4"]
    assert run_record(house.store, last).counts["pending"] == 1


def test_a_run_that_has_ended_names_its_process_until_it_has_reported(house: House) -> None:
    house.write(a=b"one")
    house.run()
    house.store.start_run("2", "", "", {})
    assert house.store.prune_runs(1, "9", lambda worker: worker == own_name()) == 0
