"""Backoff, dead workers, upgrades and what may be forgotten."""

from __future__ import annotations

import os
import resource
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import alembic.command
import alembic.config
import alembic.script
import pytest
import sqlalchemy as sa

from aqs_batch.errors import LostJob, StoreError
from aqs_batch.records import Status
from aqs_batch.store import (
    Audited,
    Finding,
    FindingKind,
    Job,
    JobStatus,
    Place,
    RunFile,
    RunKind,
    Store,
    backoff,
    database,
    places,
    tables,
)
from bench.standin import KEY, analysis_of

LEASE_S, BACKOFF_S, ATTEMPTS = 60.0, 10.0, 3


def queued(store: Store, name: str = "print") -> Job:
    return store.enqueue(name, KEY, Path(f"/{name}.mp4"), force=False)


def test_the_longest_waiting_job_is_next_and_only_under_ones_own_settings(store: Store) -> None:
    first, _ = queued(store, "a"), queued(store, "b")
    assert store.claim_next("other key", "w", 0.0, LEASE_S) is None
    job = store.claim_next(KEY, "w", 0.0, LEASE_S)
    assert job is not None
    assert job.id == first.id


def test_two_processes_never_get_the_same_job(store: Store) -> None:
    for number in range(40):
        queued(store, str(number))
    got: list[int] = []
    barrier = threading.Barrier(4)

    def take() -> None:
        mine = Store(store.url)
        barrier.wait()
        while job := mine.claim_next(KEY, threading.current_thread().name, 0.0, LEASE_S):
            got.append(job.id)
        mine.close()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(set(got))
    assert len(got) == 40


def test_dead_workers_lose_their_jobs_to_a_backoff_and_at_last_to_quarantine(store: Store) -> None:
    queued(store)
    now = 0.0
    for attempt in range(1, ATTEMPTS + 1):
        job = store.claim_next(KEY, "dead", now, LEASE_S)
        assert job is not None
        assert job.attempts == attempt
        (taken,) = store.reap(now, lambda name: name == "dead", BACKOFF_S, ATTEMPTS)
        if attempt < ATTEMPTS:
            assert store.claim_next(KEY, "w", now, LEASE_S) is None
            assert taken.retry_at == now + BACKOFF_S * 2 ** (attempt - 1)
            now = taken.retry_at
    assert taken.status is JobStatus.QUARANTINED
    assert "died 3 times" in taken.reason


def test_force_takes_no_job_out_of_a_living_hand(store: Store) -> None:
    job = queued(store)
    held = store.claim(job.id, "w", 0.0, LEASE_S, ATTEMPTS)
    assert held is not None
    again = store.enqueue("print", KEY, Path("/print.mp4"), force=True)
    assert (again.status, again.worker) == (JobStatus.RUNNING, "w")
    assert store.heartbeat(held, 1.0, LEASE_S)


def test_what_goes_wrong_too_often_is_set_aside_until_it_is_asked_for(store: Store) -> None:
    queued(store)
    tried = []
    for _ in range(ATTEMPTS):
        job = store.claim_next(KEY, "w", 0.0, LEASE_S)
        assert job is not None
        tried.append(store.postpone(job, "no memory", "hint", 0.0, ATTEMPTS))
    assert tried == [True] * (ATTEMPTS - 1) + [False]
    assert store.claim_next(KEY, "w", 0.0, LEASE_S) is None
    assert store.open_jobs()[0].status is JobStatus.QUARANTINED
    store.retry()
    again = store.claim_next(KEY, "w", 0.0, LEASE_S)
    assert again is not None
    assert (again.attempts, again.reason) == (1, "")


def test_the_living_keep_their_jobs_until_their_lease_ends(store: Store) -> None:
    queued(store)
    job = store.claim_next(KEY, "alive", 0.0, LEASE_S)
    assert job is not None
    assert store.reap(LEASE_S - 1, lambda name: False, BACKOFF_S, ATTEMPTS) == []
    assert len(store.reap(LEASE_S + 1, lambda name: False, BACKOFF_S, ATTEMPTS)) == 1
    assert not store.heartbeat(job, LEASE_S + 2, LEASE_S)


def test_an_old_hand_cannot_end_a_job_that_moved_on(store: Store, tmp_path: Path) -> None:
    queued(store)
    old = store.claim_next(KEY, "w", 0.0, LEASE_S)
    assert old is not None
    store.reap(LEASE_S + 1, lambda name: False, 0.0, ATTEMPTS)
    new = store.claim_next(KEY, "w", LEASE_S + 1, LEASE_S)  # the same worker, a later attempt
    assert new is not None
    store.fail(old, "late", "")
    store.release(old)
    store.drop(old)
    with pytest.raises(LostJob):
        store.save(old, analysis_of(b"x", "print", tmp_path), 0.5)
    assert store.counts()["analyses"] == store.counts()["videos"] == 0
    (job,) = store.open_jobs()
    assert (job.status, job.attempts) == (JobStatus.RUNNING, 2)


def test_a_job_that_was_cancelled_and_begun_elsewhere_is_another_hands(
    store: Store, tmp_path: Path
) -> None:
    """Both are first attempts: only the names of the workers tell them apart."""
    queued(store)
    old = store.claim_next(KEY, "one", 0.0, LEASE_S)
    assert old is not None
    store.cancel()
    store.retry()
    new = store.claim_next(KEY, "two", 0.0, LEASE_S)
    assert new is not None and new.attempts == old.attempts
    assert not store.heartbeat(old, 1.0, LEASE_S)
    with pytest.raises(LostJob):
        store.save(old, analysis_of(b"x", "print", tmp_path), 0.5)
    assert store.heartbeat(new, 1.0, LEASE_S)


def test_a_backoff_doubles_up_to_six_hours() -> None:
    waits = [backoff(60.0, attempts) for attempts in (1, 2, 3, 9, 10, 1000)]
    assert waits == [60.0, 120.0, 240.0, 15360.0, 21600.0, 21600.0]


def test_what_was_put_off_by_a_clock_that_was_ahead_does_not_wait_for_years(store: Store) -> None:
    years = 10 * 365 * 86400.0
    queued(store)
    job = store.claim_next(KEY, "me", years, LEASE_S)
    assert job is not None
    store.postpone(job, "no disk", "", years + 100.0, ATTEMPTS)
    assert store.claim_next(KEY, "me", years, LEASE_S) is None
    assert store.claim_next(KEY, "me", 1000.0, LEASE_S) is not None


def test_a_place_remembers_what_it_held_before(store: Store) -> None:
    store.take(Place("/in", "a.mp4", "1:1:1:1", "first", KEY))
    store.take(Place("/in", "a.mp4", "2:2:2:2", "second", KEY))
    place = next(p for p in store.places("/in") if p.file == "a.mp4")
    assert (place.fingerprint, place.previous_fingerprint) == ("second", "first")
    assert {job.fingerprint for job in store.open_jobs()} == {"first", "second"}
    assert list(store.stamps("/in", KEY)) == [("a.mp4", "2:2:2:2", False)]
    assert list(store.stamps("/in", "other key")) == [("a.mp4", "", False)]


def test_what_a_place_held_before_is_not_lost_by_a_touch_or_a_disk_that_fails(store: Store) -> None:
    looks = ["first", "second", "second", "", "third"]
    before = []
    for number, print_ in enumerate(looks):
        problem = "" if print_ else "?"
        store.note(Place("/in", "a.mp4", f"1:{number}:1:1", print_, KEY, problem=problem))
        place = next(p for p in store.places("/in") if p.file == "a.mp4")
        before.append(place.previous_fingerprint)
    assert before == ["", "first", "first", "second", "second"]


def test_what_was_found_of_a_file_is_not_said_of_the_next_one_there(store: Store) -> None:
    read = Place("/in", "a.mp4", "1:1:1:1", "first", KEY)
    store.note(replace(read, stamp="2:2:2:2", fingerprint="second"))  # meanwhile
    store.verified(read, "hash", 5.0)
    store.moved(read, Path("/done/a.mp4"))
    place = next(p for p in store.places("/in") if p.file == "a.mp4")
    assert (place.content_hash, place.hashed_at, place.moved_to) == ("", 0.0, "")
    store.verified(place, "hash", 5.0)
    store.moved(place, Path("/done/a.mp4"))
    (other,) = store.places("/in")
    assert (other.content_hash, other.hashed_at, other.path) == ("hash", 5.0, Path("/done/a.mp4"))
    assert store.places_of("second") == list(store.stamps("/in", KEY)) == []


def test_what_one_service_moved_is_not_missing_to_another(store: Store) -> None:
    place = Place("/in", "a.mp4", "1:1:1:1", "p", KEY)
    store.note(place)
    store.moved(place, Path("/done/a.mp4"))
    store.mark_missing("/in", ["a.mp4"], 100.0)  # its own last look had found it there
    (there,) = store.places("/in")
    assert (there.missing_since, there.path) == (0.0, Path("/done/a.mp4"))


def test_places_are_read_in_pages_and_any_name_survives(store: Store, monkeypatch) -> None:
    monkeypatch.setattr(places, "PAGE", 5)
    names = [f"{n:04}.mp4" for n in range(11)] + ["\udcff.mp4", "a'b\n.mp4"]
    for name in names:
        store.note(Place("/in", name, "1:1:1:1", "p", KEY))
    assert sorted(p.file for p in store.places("/in")) == sorted(names)


def test_what_stays_in_a_folder_is_told_from_all_that_ever_was(store: Store, monkeypatch) -> None:
    """A service that moves files had gone through all that it ever moved, four times a minute."""
    monkeypatch.setattr("aqs_batch.store.places.PAGE", 2)
    for number in range(9):
        store.note(Place("/in", f"{number}.mp4", "1:1:1:1", f"{number}", KEY))
    for number in range(5):
        store.moved(Place("/in", f"{number}.mp4", "1:1:1:1", f"{number}"), Path("/done/x.mp4"))
    store.mark_missing("/in", ["6.mp4"], 100.0)
    store.note(Place("/in", "7.mp4", "1:1:1:1", "", KEY, problem="cannot be read"))
    assert [p.file for p in store.places("/in", staying=True)] == ["5.mp4", "8.mp4"]
    assert len(list(store.places("/in"))) == 9


def test_pruning_forgets_history_and_keeps_results(store: Store, tmp_path: Path) -> None:
    queued(store)
    job = store.claim_next(KEY, "w", 0.0, LEASE_S)
    assert job is not None
    store.save(job, analysis_of(b"x", "print", tmp_path), 0.5)
    failed = store.claim_next(KEY, "w", 0.0, LEASE_S) or queued(store, "lone")
    claimed = store.claim(failed.id, "w", 0.0, LEASE_S, ATTEMPTS)
    assert claimed is not None
    store.fail(claimed, "bad", "")
    for number in range(5):
        run = store.start_run(str(number), "", "", {})
        store.record_file(run, RunFile("a.mp4", "print", KEY, Status.SCORED))
    store.note(Place("/in", "gone.mp4", "1:1:1:1", "p", KEY))
    store.mark_missing("/in", ["gone.mp4"], 100.0)
    assert store.prune_runs(2, "9", dry_run=True) == 3
    assert store.counts()["runs"] == 5
    assert store.prune_runs(2, "9") == 3
    assert store.prune_missing(99.0) == 0
    store.note(Place("/in", "here.mp4", "1:1:1:1", "p", KEY))
    assert store.prune_missing(101.0, dry_run=True) == store.prune_missing(101.0) == 1
    assert [place.file for place in store.places("/in")] == ["here.mp4"]
    store.note(Place("/other", "here.mp4", "1:1:1:1", "p", KEY))
    assert store.prune_folder("/in") == 1
    assert list(store.places("/in")) == [] and len(list(store.places("/other"))) == 1
    assert store.prune_jobs() == 1
    # Neither what is set aside nor what failed is forgotten while its file is there.
    here = tmp_path / "here.mp4"
    here.touch()
    waiting = store.enqueue("here", KEY, here, force=False)
    mine = store.claim(waiting.id, "w", 0.0, LEASE_S, ATTEMPTS)
    assert mine is not None
    store.fail(mine, "bad", "")
    assert store.prune_jobs() == 0
    here.unlink()
    store.note(Place("/in", "moved.mp4", "1:1:1:1", "here", KEY))  # it lies elsewhere now
    assert store.prune_jobs() == 0
    store.forget("/in", "moved.mp4")
    assert store.prune_jobs() == 1
    queued(store, "killer")
    for _ in range(ATTEMPTS):  # what is set aside stays so though its file is gone
        mine = store.claim_next(KEY, "dead", 0.0, LEASE_S)
        assert mine is not None
        store.reap(0.0, lambda name: True, 0.0, ATTEMPTS)
    assert store.prune_jobs() == 0
    assert [job.status for job in store.open_jobs()] == [JobStatus.QUARANTINED]
    assert store.counts() == {"videos": 1, "runs": 2, "analyses": 1, "sequences": 1}


def test_a_database_that_another_writes_to_is_not_shrunk_under_it(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'aqs.db'}", busy_timeout_s=0.1)
    with closing(sqlite3.connect(tmp_path / "aqs.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="cannot be made smaller: database is locked"):
            store.shrink()
        other.execute("COMMIT")
    store.shrink()
    store.close()


def test_pruning_leaves_a_run_alone_that_goes_on(store: Store) -> None:
    """A long audit had ended in an internal error when others were started and pruned beside it."""
    killed = store.start_run("2026-01-01", "", "", {}, RunKind.AUDIT)
    audit = store.start_run("2026-03-01", "", "", {}, RunKind.AUDIT)
    store.finish_run(store.start_run("2026-03-02", "", "", {}), "2026-03-02")
    store.start_run("2026-03-03", "", "", {})
    assert store.prune_runs(1, "2026-02-01") == 2
    store.record_file(audit, RunFile("a.mp4", "print", KEY, Status.SCORED))
    assert store.run_files(killed) == []


def test_what_a_night_found_goes_with_its_run_and_any_name_survives(store: Store) -> None:
    night = store.start_run("2026-01-01", "/in", "", {}, RunKind.AUDIT, "gone")
    lost = Finding(FindingKind.MISSING, "\udcff.mp4", "why \udcff")
    store.find(night, lost, lost)
    elsewhere = store.start_run("2026-01-02", "/other", "", {}, RunKind.AUDIT, "me")
    store.inherit(elsewhere, lambda name: False)
    assert store.inherited(elsewhere) == []
    later = store.start_run("2026-01-03", "/in", "", {}, RunKind.AUDIT, "me")
    store.inherit(later, lambda name: name == "gone")
    assert store.inherited(later) == []
    store.inherit(later, lambda name: False)
    assert [(f.file, f.night) for f in store.inherited(later)] == [(lost.file, "2026-01-01")]
    assert store.prune_runs(1, "9") == 2
    assert len(store.inherited(later)) == 1
    store.start_run("2026-01-04", "/in", "", {})
    store.prune_runs(1, "9")
    assert store.inherited(later) == []


def test_what_a_night_found_is_told_once_however_many_are_cut_off(store: Store) -> None:
    nights = [store.start_run(f"2026-01-0{n}", "/in", "", {}, RunKind.AUDIT) for n in range(1, 5)]
    store.find(nights[0], Finding(FindingKind.MISSING, "a.mp4"))
    for night in nights[1:3]:
        store.inherit(night, lambda name: False)
    assert store.inherited(nights[2]) == [Finding(FindingKind.MISSING, "a.mp4", night="2026-01-01")]
    store.told(nights[2])
    store.inherit(nights[3], lambda name: False)
    assert store.inherited(nights[3]) == []


def test_the_head_in_the_file_names_is_alembics() -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(database._MIGRATIONS))
    assert alembic.script.ScriptDirectory.from_config(config).get_heads() == [database.HEAD]


def older(file: Path, version: str = "0001") -> None:
    """A database of the first version or another, with a job in it."""
    engine = sa.create_engine(f"sqlite:///{file}")
    config = alembic.config.Config()
    config.set_main_option("script_location", str(database._MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, version)
        connection.exec_driver_sql(
            "INSERT INTO jobs (fingerprint, settings_key, path, status) "
            f"VALUES ('print', '{KEY}', X'2f61', 'queued')"
        )
        connection.exec_driver_sql("INSERT INTO videos VALUES ('old', '{}')")
        connection.exec_driver_sql(
            "INSERT INTO analyses (fingerprint, settings_key, aqs, provenance, processing_time_s, "
            f"warnings, created_at) VALUES ('old', '{KEY}', 0.5, '{{}}', 1.0, '[]', '2026-01-01')"
        )
    engine.dispose()


def test_an_older_database_is_upgraded_and_a_copy_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "aqs.db"
    older(file)
    store = Store(f"sqlite:///{file}")
    (told,) = caplog.messages  # of a large one it takes minutes, in which nothing had been said
    assert told.startswith("upgrading the database")
    assert f"kept as aqs.db.before-{database.HEAD}" in told
    (job,) = store.open_jobs()
    assert (job.path, job.retry_at) == (Path("/a"), 0.0)
    with store._read() as connection:
        assert connection.execute(sa.select(tables.analyses.c.thresholds)).scalars().all() == [None]
    store.close()
    copy = tmp_path / f"aqs.db.before-{database.HEAD}"
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
    copy.unlink()
    caplog.clear()
    Store(f"sqlite:///{file}").close()
    assert not (copy.exists() or caplog.messages)  # what is up to date needs no copy


@pytest.mark.parametrize("by", ["its runs", "what it read"])
def test_what_an_audit_knew_is_told_in_an_upgraded_database(tmp_path: Path, by: str) -> None:
    """All of an archive must not be new once more, nor what a service alone knows be told."""
    file = tmp_path / "aqs.db"
    older(file, "0005")
    hash_ = "hash" if by == "what it read" else ""
    with closing(sqlite3.connect(file)) as connection, connection:
        if by == "its runs":
            connection.execute(
                "INSERT INTO runs (started_at, input_dir, command, settings, kind) "
                "VALUES ('', ?, '', '{}', 'audit')", (b"/archive",),
            )  # fmt: skip
        rows = [
            (b"/archive", b"a.mp4", hash_, 0.0, b""),
            (b"/archive", b"gone.mp4", "", 5.0, b""),
            (b"/archive", b"moved.mp4", "", 0.0, b"/done/x"),
            (b"/incoming", b"b.mp4", "", 0.0, b""),
        ]
        connection.executemany(
            "INSERT INTO files (folder, file, stamp, fingerprint, settings_key, "
            "previous_fingerprint, content_hash, missing_since, moved_to) "
            "VALUES (?, ?, '1:1:1:1', 'print', 'key', 'before', ?, ?, ?)", rows,
        )  # fmt: skip
    store = Store(f"sqlite:///{file}")
    known = Audited("1:1:1:1", "print", "before", "key", missing=False)
    assert {place.file: place.audited for place in store.places("/archive")} == {
        "a.mp4": known, "gone.mp4": replace(known, missing=True), "moved.mp4": None,
    }  # fmt: skip
    assert [place.audited for place in store.places("/incoming")] == [None]
    store.close()


def test_a_file_is_missing_since_it_was_missed_first(store: Store) -> None:
    store.note(Place("/in", "a.mp4", "1:1:1:1", "p", KEY))
    store.mark_missing("/in", ["a.mp4"], 100.0)
    store.mark_missing("/in", ["a.mp4"], 200.0, told=True)
    (place,) = store.places("/in")
    assert place.missing_since == 100.0


def test_a_run_whose_process_has_yet_to_report_is_not_pruned(store: Store) -> None:
    for worker in ("reporting", "gone", "newest"):
        run = store.start_run("1", "", "", {}, worker=worker)
        store.record_file(run, RunFile("a.mp4", "print", KEY, Status.SCORED))
        store.finish_run(run, "2")
    assert store.prune_runs(1, "9", lambda worker: worker == "reporting") == 1
    assert [len(store.run_files(run)) for run in (1, 2, 3)] == [1, 0, 1]


def test_two_processes_upgrade_once(tmp_path: Path) -> None:
    file = tmp_path / "aqs.db"
    older(file)
    barrier, wrong = threading.Barrier(4), []

    def open_it() -> None:
        barrier.wait()
        try:
            Store(f"sqlite:///{file}").close()
        except StoreError as error:
            wrong.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    with sqlite3.connect(tmp_path / f"aqs.db.before-{database.HEAD}") as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)


def test_an_upgrade_that_cannot_be_backed_up_does_not_happen(tmp_path: Path) -> None:
    file = tmp_path / "aqs.db"
    older(file)
    (tmp_path / f".aqs.db.before-{database.HEAD}.part").mkdir()
    with pytest.raises(StoreError, match="cannot open"):
        Store(f"sqlite:///{file}")
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)


def test_the_copy_of_an_upgrade_that_did_not_end_is_named_where_there_is_no_room_for_another(
    tmp_path: Path,
) -> None:
    file, copy = tmp_path / "aqs.db", tmp_path / f"aqs.db.before-{database.HEAD}"
    older(file)
    copy.write_bytes(file.read_bytes())
    Store(f"sqlite:///{tmp_path / 'other.db'}").close()  # imports, which may write byte code
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size // 2, before[1]))
    try:
        with pytest.raises(StoreError, match="no copy of it could be made first") as caught:
            Store(f"sqlite:///{file}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert f"{copy.name} is the copy of an upgrade that did not end" in caught.value.hint


def test_half_a_copy_does_not_stay_on_a_disk_that_was_too_small_for_it(tmp_path: Path) -> None:
    """Of a database of 1.3 GB it had kept 500 MB, hidden, and spoken of a disk I/O error."""
    file = tmp_path / "aqs.db"
    older(file)
    size = file.stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE more AS SELECT zeroblob(300000) AS content")
    connection.close()
    Store(f"sqlite:///{tmp_path / 'other.db'}").close()  # imports, which may write byte code
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with pytest.raises(StoreError, match="no copy of it could be made first") as caught:
            Store(f"sqlite:///{file}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "kB of free space" in caught.value.hint
    assert not [path for path in tmp_path.iterdir() if "before" in path.name]
    Store(f"sqlite:///{file}").close()
    assert (tmp_path / f"aqs.db.before-{database.HEAD}").exists()


def test_an_older_database_that_may_only_be_read_says_that_it_must_be_upgraded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hidden file had been named, which could not be opened."""
    file = tmp_path / "aqs.db"
    older(file)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(StoreError, match=r"has to be upgraded.* read-only") as caught:
        Store(f"sqlite:///{file}")
    assert "may write there" in caught.value.hint


def test_who_waited_in_vain_for_a_database_is_not_told_to_look_at_its_folder(
    tmp_path: Path,
) -> None:
    file = tmp_path / "aqs.db"
    older(file)
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked") as caught:
            Store(f"sqlite:///{file}", busy_timeout_s=0.1)
    assert "wait for it" in caught.value.hint


def test_a_damaged_database_is_called_so_and_left_as_it_is(tmp_path: Path) -> None:
    """The folder had been blamed, and the disk."""
    file = tmp_path / "aqs.db"
    file.write_bytes(bytes(range(256)) * 100)
    with pytest.raises(StoreError, match="cannot open") as caught:
        Store(f"sqlite:///{file}")
    assert "damaged" in caught.value.hint
    assert file.read_bytes() == bytes(range(256)) * 100


def test_a_newer_database_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "aqs.db"
    Store(f"sqlite:///{file}").close()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(
        StoreError, match=r"newer aqs-batch .* version 9999, this one knows"
    ) as caught:
        Store(f"sqlite:///{file}")
    assert "Nothing was changed" in caught.value.hint
    assert sorted(p.name for p in tmp_path.iterdir() if "before" in p.name) == []


def test_a_job_that_two_have_seen_is_handed_to_one(store: Store) -> None:
    """Where a database has more than one writer: on PostgreSQL both had got it."""
    job = queued(store)
    with store._read() as connection:
        seen = connection.execute(sa.select(tables.jobs)).one()
    assert store.claim(job.id, "one", 0.0, LEASE_S, ATTEMPTS) is not None
    with store._write() as connection:
        assert store._hand_out(connection, seen, "two", LEASE_S) is None
        assert store._quarantine(connection, seen) is None
        values = {"fingerprint": "print", "settings_key": KEY, "status": "queued"}
        assert not database.insert_unless_there(connection, tables.jobs, values)
    (left,) = store.open_jobs()
    assert (left.worker, left.status) == ("one", JobStatus.RUNNING)
