"""The ledger and the results: claimed once, saved once, read back as they were."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from aqs_batch.analysis.score import score_sequence, score_video, video_aqs
from aqs_batch.errors import RefusedRow, SettingsError, StoreError
from aqs_batch.ingest.probe import probe
from aqs_batch.records import Provenance, Status, TileScores
from aqs_batch.settings import AnalysisSettings
from aqs_batch.store import Analysis, JobStatus, RunFile, RunKind, Store, sqlite_file
from bench.standin import analysis_of

KEY = "settings"
LEASE_S, ATTEMPTS = 60.0, 3


@pytest.fixture(scope="module")
def analysis(make_clip) -> Analysis:
    def tile(x: float) -> TileScores:
        return TileScores(x, 0.25, 0.5, (0.125,) * 10, (0.75,) * 10)

    sequences = tuple(
        score_sequence(float(n), [tile(0.25), tile(0.5)], AnalysisSettings(), scene=n)
        for n in range(3)
    )
    pictured = dataclasses.replace(sequences[1], thumbnail=b"jpeg")
    provenance = Provenance("aqs-b0 1", KEY, "cpu", "torch", 2, "9", "0.1")
    return Analysis(
        "print", KEY, probe(make_clip()), (sequences[0], pictured, sequences[2]), provenance,
        1.5, ("a warning",), "2026-01-01T00:00:00+00:00",
    )  # fmt: skip


def queued(store: Store, name: str = "print"):
    return store.enqueue(name, KEY, Path("/x.mp4"), force=False)


def test_a_result_reads_back_as_it_was_saved(store: Store, analysis: Analysis) -> None:
    job = store.claim(queued(store).id, "w", 0.0, LEASE_S, ATTEMPTS)
    assert job is not None
    store.save(job, analysis, 0.5)
    found = store.analysis("print", KEY)
    assert found is not None
    assert found.sequences == analysis.sequences
    assert score_video(found.sequences, (0.2,) * 10) == score_video(analysis.sequences, (0.2,) * 10)
    assert found.provenance == analysis.provenance
    assert found.warnings == analysis.warnings
    assert found.video.path == analysis.video.path
    assert found.video.frame_rate == analysis.video.frame_rate
    assert store.aqs("print", KEY) == 0.5
    assert store.job_counts()["done"] == 1


def test_sequences_of_unlike_numbers_of_tiles_keep_their_own(
    store: Store, analysis: Analysis
) -> None:
    tiles = [
        TileScores(0.5, 0.5, n / 8, tuple((n + i) / 32 for i in range(10)), (0.75, n / 8) * 5)
        for n in range(6)
    ]
    parts = ([tiles[0]], tiles[1:4], tiles[4:])
    sequences = tuple(
        score_sequence(float(n), own, AnalysisSettings()) for n, own in enumerate(parts)
    )
    job = store.claim(queued(store).id, "w", 0.0, LEASE_S, ATTEMPTS)
    assert job is not None
    store.save(job, dataclasses.replace(analysis, sequences=sequences), 0.5)
    found = store.analysis("print", KEY)
    assert found is not None
    assert found.sequences == sequences
    assert found.sequences[1].severity[0] == pytest.approx(0.75 * (1 + 2 + 3) / 3 / 32)


def test_results_under_other_settings_stand_beside_each_other(
    store: Store, analysis: Analysis
) -> None:
    for key, aqs in ((KEY, 0.5), ("other", 0.7)):
        queued_job = store.enqueue("print", key, Path("/x.mp4"), force=False)
        job = store.claim(queued_job.id, "w", 0.0, LEASE_S, ATTEMPTS)
        assert job is not None
        store.save(job, dataclasses.replace(analysis, settings_key=key), aqs)
    assert store.aqs("print", KEY) == 0.5
    assert store.aqs("print", "other") == 0.7


def test_a_job_is_claimed_by_one_of_many(store: Store, tmp_path: Path) -> None:
    job = queued(store)
    barrier = threading.Barrier(6)
    won: list[str] = []

    def contend(name: str) -> None:
        mine = Store(store.url)
        barrier.wait()
        if mine.claim(job.id, name, 0.0, LEASE_S, ATTEMPTS):
            won.append(name)
        mine.close()

    threads = [threading.Thread(target=contend, args=(str(n),)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_dead_workers_job_is_taken_over_when_its_lease_ends(store: Store) -> None:
    job = queued(store)
    assert store.claim(job.id, "dead", 0.0, LEASE_S, ATTEMPTS)
    assert store.claim(job.id, "next", LEASE_S - 1, LEASE_S, ATTEMPTS) is None
    taken = store.claim(job.id, "next", LEASE_S + 1, LEASE_S, ATTEMPTS)
    assert taken is not None
    assert taken.attempts == 2


def test_a_heartbeat_keeps_the_lease(store: Store) -> None:
    job = store.claim(queued(store).id, "w", 0.0, LEASE_S, ATTEMPTS)
    assert job is not None
    assert store.heartbeat(job, 50.0, LEASE_S)
    assert store.claim(job.id, "other", 100.0, LEASE_S, ATTEMPTS) is None


def test_a_job_that_keeps_killing_its_process_is_quarantined(store: Store) -> None:
    job, now_s = queued(store), 0.0
    for _ in range(ATTEMPTS):
        taken = store.claim(job.id, "w", now_s, LEASE_S, ATTEMPTS)
        assert taken is not None
        assert taken.status is JobStatus.RUNNING
        now_s += LEASE_S + 1
    last = store.claim(job.id, "w", now_s, LEASE_S, ATTEMPTS)
    assert last is not None
    assert last.status is JobStatus.QUARANTINED
    assert "died 3 times" in last.reason
    assert queued(store).status is JobStatus.QUARANTINED
    assert store.retry() == 1
    assert queued(store).status is JobStatus.QUEUED


def test_an_interrupted_job_is_released_without_counting(store: Store) -> None:
    job = store.claim(queued(store).id, "w", 0.0, LEASE_S, ATTEMPTS)
    assert job is not None
    store.release(job)
    again = store.claim(job.id, "w", 0.0, LEASE_S, ATTEMPTS)
    assert again is not None
    assert again.attempts == 1


def test_a_failed_job_is_tried_again_by_the_next_run(store: Store) -> None:
    job = store.claim(queued(store).id, "w", 0.0, LEASE_S, ATTEMPTS)
    assert job is not None
    store.fail(job, "no picture", "look at it")
    assert store.open_jobs()[0].reason == "no picture"
    assert queued(store).status is JobStatus.QUEUED


def test_jobs_are_counted_and_waited_for_by_their_settings_and_state(store: Store) -> None:
    for print_, key in (("a", KEY), ("b", KEY), ("c", KEY), ("a", "encode-1"), ("a", "encode-2")):
        store.enqueue(print_, key, Path("/x.mp4"), force=False)
    ended = store.claim_next(KEY, "w", 0.0, LEASE_S)
    assert ended is not None and store.claim_next(KEY, "w", 0.0, LEASE_S) is not None
    store.fail(ended, "no picture", "")
    assert store.waiting(KEY) == {"b", "c"}
    found = {status: number for status, number in store.job_counts(KEY).items() if number}
    assert found == {"queued": 1, "running": 1, "failed": 1}
    assert sum(store.job_counts().values()) == 5
    newest = store.newest_job("a", "encode-")
    assert newest is not None and newest.settings_key == "encode-2"
    for number, key in enumerate(("encode-2", "encode-1")):  # by the newer settings, by the older
        held = store.claim_next(key, "w", 1000.0 * number, LEASE_S)
        assert held is not None
        store.fail(held, "no picture", "")
    assert store.newest_job("a", "encode-") == store.job("a", "encode-1")


def test_names_that_are_not_utf8_are_kept(store: Store) -> None:
    run = store.start_run("now", "in\udcff", "aqs-batch run in\udcff", {})
    store.record_file(run, RunFile("\udcff\udcfe.mp4", "", KEY, Status.FAILED, "why", "hint"))
    assert store.run_files(run)[0].file == "\udcff\udcfe.mp4"
    assert store.run(run).input_dir == "in\udcff"


def test_previous_aqs_is_of_the_same_name_and_settings(store: Store, analysis: Analysis) -> None:
    for content, aqs in (("old", 0.8), ("new", 0.6)):
        job = store.claim(queued(store, content).id, "w", 0.0, LEASE_S, ATTEMPTS)
        assert job is not None
        store.save(job, dataclasses.replace(analysis, fingerprint=content), aqs)
    first = store.start_run("1", "/here", "", {})
    store.record_file(first, RunFile("a.mp4", "old", KEY, Status.SCORED))
    unlike = store.start_run("1", "/here", "", {})  # of other settings, of which nothing is known
    store.record_file(unlike, RunFile("a.mp4", "new", "other", Status.SCORED))
    second = store.start_run("2", "/here", "", {})
    elsewhere = store.start_run("3", "/there", "", {})
    entry = RunFile("a.mp4", "new", KEY, Status.SCORED)
    assert store.previous_aqs(second, entry) == 0.8
    assert store.previous_aqs(elsewhere, entry) is None  # another folder's file of that name
    store.record_file(second, entry)
    assert store.previous_aqs(second, entry) == 0.8  # not its own, once that is noted
    broken = store.start_run("3", "/here", "", {})  # of which there is no score to compare with
    store.record_file(broken, RunFile("a.mp4", "unread", KEY, Status.FAILED))
    third = store.start_run("4", "/here", "", {})
    assert store.previous_aqs(third, entry) == 0.6  # of the runs before it the last
    assert store.previous_aqs(second, dataclasses.replace(entry, settings_key="x")) is None
    assert store.previous_aqs(second, dataclasses.replace(entry, file="b.mp4")) is None


def test_an_earlier_score_is_not_looked_for_among_all_files(store: Store) -> None:
    """Counted in steps of SQLite's machine, ten at a time; a scan takes five for each row."""
    for _ in range(10):
        last = store.start_run("2026-01-01", "/in", "", {})
        files = [RunFile(f"{n:04}.mp4", "p", KEY, Status.FAILED) for n in range(300)]
        store.record_file(last, *files)
    tens: list[int] = []
    with store._read() as connection:  # the pool's only one, so that the next asks by it as well
        connection.connection.driver_connection.set_progress_handler(lambda: tens.append(1), 10)
    assert store.previous_aqs(last, RunFile("new.mp4", "p", KEY, Status.SCORED)) is None
    assert 0 < len(tens) < 100


def test_what_is_asked_for_every_file_is_made_once(store: Store, tmp_path: Path) -> None:
    """To make the statements anew for each took a third of a report's CPU time."""
    scores = dataclasses.replace(analysis_of(b"content", "print", tmp_path), settings_key=KEY)
    job = store.claim(queued(store).id, "w", 0.0, LEASE_S, ATTEMPTS)
    assert job is not None
    store.save(job, scores, 0.5)
    entry = RunFile("a.mp4", "print", KEY, Status.SCORED)
    for _ in range(2):
        run = store.start_run("", "/in", "", {})
        store.record_file(run, entry)
    asked: list[list[object]] = []

    @sa.event.listens_for(store._engine, "before_execute")
    def on_execute(_: object, statement: object, *__: object) -> None:
        asked[-1].append(statement)

    for _ in range(2):
        asked.append([])
        assert store.aqs("print", KEY) == store.previous_aqs(run, entry) == 0.5
        assert store.analysis("print", KEY)
        assert store.gist("print", KEY)
        assert (store.rungs("print"), store.rung("key")) == ((), None)
    once, again = asked
    assert len(once) == 9
    assert all(a is b for a, b in zip(once, again, strict=True))


def test_a_row_that_breaks_a_rule_is_not_tried_again(store: Store, analysis: Analysis) -> None:
    job = store.claim(queued(store, "odd").id, "w", 0.0, LEASE_S, ATTEMPTS)
    assert job is not None
    timeless = dataclasses.replace(analysis.sequences[0], t_s=float("nan"))
    with pytest.raises(RefusedRow, match="refused a row"):
        store.save(job, dataclasses.replace(analysis, sequences=(timeless,)), 0.5)


def test_the_run_of_a_service_that_goes_on_is_not_pruned(store: Store) -> None:
    service = store.start_run("1", "", "", {}, kind=RunKind.WATCH)
    ended = store.start_run("2", "", "", {}, kind=RunKind.WATCH)
    store.finish_run(ended, "3")
    store.start_run("4", "", "", {})
    assert store.prune_runs(1, "9") == 1
    assert store.run(service).kind is RunKind.WATCH


def test_a_database_that_may_not_be_written_to_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A monitoring user's `status --check` had called it broken."""
    url = f"sqlite:///{tmp_path / 'aqs.db'}"
    whole = Store(url)
    whole.enqueue("print", "key", Path("/a.mp4"), force=False)
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(sqlite_file.os, "access", lambda path, how: False)
    for _ in range(2):  # while another has it open, and when nobody has
        reading = Store(url)
        assert reading.job_counts()["queued"] == 1
        with pytest.raises(StoreError, match="or its folder is read-only") as caught:
            reading.enqueue("other", "key", Path("/b.mp4"), force=False)
        assert "disk space" not in caught.value.hint
        reading.close()
        assert [p for p in sorted(tmp_path.iterdir()) if p not in before] == []
        whole.close()


@pytest.mark.parametrize("is_read_only", [False, True])
@pytest.mark.parametrize("table", ["bookmarks", "alembic_version"])
def test_a_database_of_another_program_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, is_read_only: bool
) -> None:
    """Our tables had been put among its own, and its log was of another kind from then on."""
    theirs = tmp_path / "theirs.db"
    with contextlib.closing(sqlite3.connect(theirs)) as connection:
        connection.execute(f"CREATE TABLE {table} (version_num TEXT)")
        connection.execute(f"INSERT INTO {table} VALUES ('1f2e3d')")
        connection.commit()
    before = theirs.read_bytes()
    if is_read_only:
        monkeypatch.setattr(sqlite_file.os, "access", lambda path, how: False)
    with pytest.raises(SettingsError, match="of another program"):
        Store(f"sqlite:///{theirs}")
    assert theirs.read_bytes() == before
    assert list(tmp_path.iterdir()) == [theirs]


def test_a_database_that_went_with_its_folder_is_told_and_gone_on_with(tmp_path: Path) -> None:
    """A service had written on into a file without a name, and all it scored since was lost."""
    out, away = tmp_path / "out", tmp_path / "away"
    store = Store(f"sqlite:///{out / 'aqs.db'}")
    queued(store, "a")
    out.rename(away)
    out.mkdir()
    for ask in (lambda: queued(store, "b"), store.job_counts):
        with pytest.raises(StoreError, match="not there any more"):
            ask()
    assert list(out.iterdir()) == []
    out.rmdir()
    away.rename(out)
    queued(store, "b")
    assert store.job_counts()["queued"] == 2


def test_a_database_that_was_replaced_is_the_one_that_is_written_to(tmp_path: Path) -> None:
    store, copy = Store(f"sqlite:///{tmp_path / 'aqs.db'}"), tmp_path / "copy" / "aqs.db"
    Store(f"sqlite:///{copy}").close()
    queued(store, "a")
    copy.replace(tmp_path / "aqs.db")
    for rest in ("-wal", "-shm"):
        (tmp_path / f"aqs.db{rest}").unlink()
    queued(store, "b")
    store.close()
    assert [job.fingerprint for job in Store(store.url).open_jobs()] == ["b"]


def test_a_database_without_its_driver_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="needs a driver") as caught:
        Store("postgresql+nobodys://me:secret@host/x")
    assert "a driver that" in caught.value.hint and "folder" not in caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("kind", ["mysql", "mariadb+pymysql", "mssql", "foo"])
def test_a_kind_of_database_whose_tables_cannot_be_made_is_a_wrong_setting(kind: str) -> None:
    with pytest.raises(SettingsError, match="SQLite or PostgreSQL, not in") as caught:
        Store(f"{kind}://me:secret@host/x")
    assert "secret" not in str(caught.value)


def test_the_gist_of_a_result_says_what_the_whole_says(store: Store, tmp_path: Path) -> None:
    """A run over known files had read all their tiles and pictures for a line about each."""
    for content in (b"one", b"two", b"three"):
        job = store.claim(queued(store, content.decode()).id, "me", 0.0, 300.0, 3)
        made = dataclasses.replace(
            analysis_of(content, job.fingerprint, tmp_path), settings_key=KEY
        )
        store.save(job, made, video_aqs(made.sequences))
        whole, gist = (read(job.fingerprint, KEY) for read in (store.analysis, store.gist))
        assert dataclasses.replace(gist, sequences=whole.sequences) == whole
        assert len(gist.sequences) == 1
        for thresholds in ((0.25,) * 10, (0.75,) * 10):
            said, known = (score_video(a.sequences, thresholds) for a in (gist, whole))
            assert (said.aqs, said.detected) == (known.aqs, known.detected)
            assert said.quality_component == pytest.approx(known.quality_component)
            assert said.artifact_component == pytest.approx(known.artifact_component)
    assert store.gist("nobody", KEY) is None
