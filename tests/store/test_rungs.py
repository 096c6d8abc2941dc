"""Rungs: found by their key, one of a source recommended, and what was kept known as ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from aqs_batch.records import Check, Rung, Vmaf, WorstFrame
from aqs_batch.store import Job, Store, StoredRung

POOLED = Vmaf(95.0, 94.0, 80.0, 90.0)
RUNG = Rung(24.0, "slow", None, 1000, 80.0, POOLED, POOLED, 41.0, "exact")


def claimed(store: Store, key: str = "encode-a") -> Job:
    queued = store.enqueue("print", key, Path("/film.mkv"), force=True)
    job = store.claim(queued.id, "w", 0.0, 60.0, 3)
    assert job is not None
    return job


def test_a_rung_reads_back_as_it_was_saved(store: Store) -> None:
    worst = (WorstFrame(1.5, 80.0, b"jpeg"), WorstFrame(9.0, 82.0, b""))
    checks = (Check("chapters", "2", "2", True),)
    rung = replace(RUNG, worst=worst, checks=checks, strip=(95.0, 80.0), warnings=("HDR",))
    store.save_rungs(claimed(store), [StoredRung(rung, "key")], "now")
    assert store.rung("key") == replace(rung, asked_by=("encode-a",))
    assert store.rung("other") is None
    assert store.job_counts()["done"] == 1


def test_of_all_requests_the_newest_says_which_to_take(store: Store) -> None:
    taken = replace(RUNG, recommended="it is best")
    store.save_rungs(claimed(store), [StoredRung(taken, "a")], "now")
    other = StoredRung(replace(taken, crf=30.0), "b")
    store.save_rungs(claimed(store, "encode-b"), [other], "later")
    low, high = store.rungs("print")
    assert (low.recommended, low.asked_by) == ("", ("encode-a",))
    assert (high.recommended, high.chosen_by) == ("it is best", "encode-b")
    store.save_rungs(claimed(store, "encode-b"), [StoredRung(RUNG, "a"), other], "last")
    assert store.rungs("print")[0].asked_by == ("encode-a", "encode-b")


def test_rungs_stay_in_the_order_in_which_they_were_first_made(store: Store) -> None:
    """Asked again, kept or taken, the first ladder had become the second, and BD-rates turned."""
    first, second = StoredRung(RUNG, "a"), StoredRung(replace(RUNG, crf=20.0), "b")
    taken = StoredRung(replace(RUNG, recommended="it is best", output="/out/film.mkv"), "a")
    for made in (first, second, first, taken):
        store.save_rungs(claimed(store), [made], "now")
    assert [rung.crf for rung in store.rungs("print")] == [24.0, 20.0]


def test_what_was_kept_once_stays_known_as_ours(store: Store) -> None:
    kept = StoredRung(replace(RUNG, output="/out/film.mkv"), "a", "of the encode")
    store.save_rungs(claimed(store), [kept], "now")
    store.save_rungs(claimed(store, "encode-b"), [StoredRung(RUNG, "a")], "later")
    assert store.is_encode("of the encode")
    assert not store.is_encode("print") and not store.is_encode("")


def test_a_job_that_fails_adds_and_changes_nothing(store: Store) -> None:
    kept = replace(RUNG, output="/out/film.mkv", recommended="it is best")
    store.save_rungs(claimed(store), [StoredRung(kept, "a", "ours")], "now")
    job = claimed(store, "encode-b")
    store.spare_rungs(job, [StoredRung(RUNG, "a"), StoredRung(replace(RUNG, crf=9.0), "c")], "on")
    known, spared = store.rungs("print")
    assert (spared.crf, known.output, known.recommended) == (9.0, kept.output, kept.recommended)
    assert store.job_counts()["running"] == 1


def test_of_what_was_made_twice_the_one_to_take_is_told(store: Store) -> None:
    kept, taken = replace(RUNG, output="/out/film.mkv"), replace(RUNG, recommended="it is best")
    for known in ([RUNG, kept, taken], [taken, kept, RUNG]):
        made = [StoredRung(rung, f"{number}") for number, rung in enumerate(known)]
        store.save_rungs(claimed(store), made, "now")
        (told,) = store.rungs("print")
        assert told.recommended
    store.move_output("print", "/out/film.mkv", "/archive/film.mkv")
    (moved,) = [r for n in range(3) if (r := store.rung(f"{n}")) and r.output]
    assert moved.output == "/archive/film.mkv"
