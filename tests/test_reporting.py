"""A run's reports, from the store to the folder."""

from __future__ import annotations

import dataclasses
import errno
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from aqs_batch import reporting
from aqs_batch.config import load
from aqs_batch.records import Outcome, Rung, RunRecord, Status, Vmaf
from aqs_batch.reporting import outcomes, thresholds_of, write_reports
from aqs_batch.settings import Settings
from aqs_batch.store import Analysis, RunFile, Store, StoredRung
from aqs_batch.wording import aqs_words
from bench.standin import KEY, analysis_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(None, {}, {"output.dir": str(tmp_path / "out")}).settings


def scored(store: Store, *names: str) -> int:
    """A run over files of these names, as stored; returns its id."""
    run_id = store.start_run("2026-01-01T00:00:00+00:00", "/in", "test", {})
    for name in names:
        job = store.claim(
            store.enqueue(name, KEY, Path("/in", name), force=False).id, "me", 0.0, 300.0, 3
        )
        assert job is not None
        store.save(job, analysis_of(name.encode(), name, Path("/in", name)), 0.5)
        store.record_file(run_id, RunFile(name, name, KEY, Status.SCORED))
    return run_id


def test_two_runs_into_one_folder_keep_their_pages_apart(settings: Settings) -> None:
    """Each had removed the pages of the other while that wrote them."""
    store = Store(settings.output.url)
    mine, other = (store.run(scored(store, *names)) for names in (("a.mp4", "b.mp4"), ("c.mp4",)))
    analysis, threads = store.analysis, []

    def slowly(*which: str) -> Analysis | None:
        if which[0] == "b.mp4":  # a.mp4 has its page
            threads.append(threading.Thread(target=write_reports, args=(theirs, other, settings)))
            threads[0].start()
            threads[0].join(0.5)  # it had been done by then
        return analysis(*which)

    theirs = Store(settings.output.url)
    store.analysis = slowly
    write_reports(store, mine, settings)
    threads[0].join()
    out = Path(settings.output.dir)
    linked = set(re.findall(r'href="(videos/[^"]+)"', (out / "index.html").read_text()))
    assert linked == {f"videos/{page.name}" for page in (out / "videos").iterdir()} != set()
    store.close()
    theirs.close()


def test_who_waits_for_another_writer_says_so_and_tells_of_the_last_state(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """A run had hung without a word behind one that was suspended in its report."""
    fcntl = pytest.importorskip("fcntl")
    store = Store(settings.output.url)
    run, out = store.run(scored(store, "a.mp4")), Path(settings.output.dir)

    def meanwhile() -> None:
        store.record_file(run.id, RunFile("b.mp4", "", KEY, Status.FAILED, "no video"))
        fcntl.flock(writer, fcntl.LOCK_UN)

    with (out / ".report.lock").open("wb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        too_late = threading.Timer(20.0, fcntl.flock, [writer, fcntl.LOCK_UN])
        too_late.start()
        write_reports(store, run, settings, meanwhile)
        too_late.cancel()
    store.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"another process is writing the report in {out}: waiting for it"
    ]
    found = json.loads((out / "results.json").read_text())
    assert len(found["videos"]) == 2 and found["run"]["counts"]["failed"] == 1


def test_a_file_that_fails_now_tells_what_it_had_scored(settings: Settings) -> None:
    """That it had been good the night before was nowhere to be seen."""
    store = Store(settings.output.url)
    scored(store, "a.mp4")
    then = store.aqs("a.mp4", KEY)
    run_id = store.start_run("2026-01-02T00:00:00+00:00", "/in", "test", {})
    for file in ("a.mp4", "b.mp4"):
        broken = RunFile(file, "broken", KEY, Status.FAILED, "the file is cut short", "copy it")
        store.record_file(run_id, broken)
    run = store.run(run_id)
    found = {one.file: one for one in outcomes(store, run, thresholds_of(settings))}
    write_reports(store, run, settings)
    store.close()
    assert found["a.mp4"].previous_aqs == then is not None
    assert found["b.mp4"].previous_aqs is None
    out = Path(settings.output.dir)
    said = re.findall(r"\(AQS ([0-9.]+) in an earlier run\)", (out / "index.html").read_text())
    assert said == [aqs_words(then)]
    (page,) = (page for page in (out / "videos").iterdir() if page.name.startswith("a-"))
    assert f"an AQS of {aqs_words(then)}." in page.read_text()


def test_every_result_is_read_once_for_all_reports(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, read = Store(settings.output.url), []
    run = store.run(scored(store, "a.mp4", "b.mp4"))
    known = store.analysis
    monkeypatch.setattr(store, "analysis", lambda *which: read.append(which) or known(*which))
    written = write_reports(store, run, settings)
    store.close()
    assert [path.name for path in written] == [
        "results.json", "results.csv", "sequences.csv", "index.html",
    ]  # fmt: skip
    assert all(path.exists() for path in written)
    assert len(read) == 2


def test_an_index_links_to_no_export_that_was_not_written(settings: Settings) -> None:
    """Of --export html all three links were dead, or led to the files of an earlier run."""
    store = Store(settings.output.url)
    run = store.run(scored(store, "a.mp4"))
    linked = []
    for export in (["json", "csv", "html"], ["csv", "html"], ["html"]):
        output = settings.output.model_copy(update={"export": tuple(export)})
        write_reports(store, run, settings.model_copy(update={"output": output}))
        page = (Path(settings.output.dir) / "index.html").read_text()
        linked.append(set(re.findall(r'href="([^"/]+)"', page)))
    store.close()
    tables = {"results.csv", "sequences.csv"}
    assert linked == [{"results.json", *tables}, tables, set()]


def test_exports_that_end_half_way_leave_nothing_behind(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were closed whenever Python tidied up, and said "Exception ignored" on a full disk."""

    def full(out: Path, passing: Iterator[Outcome], run: RunRecord) -> Path:
        next(passing)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(reporting, "render", full)
    store = Store(settings.output.url)
    run = store.run(scored(store, "a.mp4", "b.mp4"))
    with pytest.raises(OSError, match="No space") as caught:
        write_reports(store, run, settings)
    store.close()
    assert caught.tb  # holds all that was open
    assert [p.name for p in Path(settings.output.dir).glob(".*.tmp")] == []


def test_a_bd_rate_says_against_what_it_is_and_keeps_its_sign(settings: Settings) -> None:
    """It was against whichever ladder was not kept, and asking again turned +100 % into -50 %."""
    store = Store(settings.output.url)
    run = store.run(scored(store, "a.mp4"))
    first, second = (
        [StoredRung(rung, f"{rung.codec} {rung.crf}", rung.output) for rung in rungs]
        for rungs in (_ladder("x265", 1.0), _ladder("x264", 2.0))
    )
    kept = [dataclasses.replace(s, rung=dataclasses.replace(s.rung, output="/k")) for s in first]
    told = []
    for made in (first, second, kept, second, first):
        job = store.claim(store.enqueue("a.mp4", "e", Path("/"), force=True).id, "me", 0, 300.0, 3)
        assert job is not None
        store.save_rungs(job, made, "2026-01-01T00:00:00+00:00")
        (found,) = outcomes(store, run, thresholds_of(settings))
        assert [rung.crf for rung in found.encodes] == sorted(rung.crf for rung in found.encodes)
        told.append((found.bd_anchor, round(found.bd_rate.get("vmaf", 0.0))))
    store.close()
    assert told == [("", 0), *[("x265 slow", 100)] * 4]


def _ladder(codec: str, factor: float) -> list[Rung]:
    """Four rungs of one encoder, at some factor of the bits; the second encoder's begin lower."""
    rungs = []
    for crf, kbps, score in ((22, 8000, 97), (26, 4000, 94), (30, 2000, 88), (34, 1000, 78)):
        pooled = Vmaf(score, score, score - 9, score - 4)
        rate = kbps * factor
        rungs.append(
            Rung(crf - factor, "slow", None, 1, rate, pooled, pooled, 40.0, "exact", codec)
        )
    return rungs


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_an_original_that_is_back_is_not_told_to_be_its_own_encode(
    ending: str, settings: Settings, tmp_path: Path
) -> None:
    """After `restore` a plain run had named the original's own place as the kept encode."""
    store = Store(settings.output.url)
    run = store.run(scored(store, "a.mp4"))
    film, taken = tmp_path / "a.mp4", tmp_path / f"a{ending}"
    job = store.claim(store.enqueue("a.mp4", "e", film, force=False).id, "me", 0.0, 300.0, 3)
    assert job is not None
    rung = Rung(
        crf=24, preset="medium", preprocess=None, size_bytes=1, kbps=1.0, vmaf=None, vmaf_neg=None,
        xpsnr=40.0, alignment="exact", output=str(taken),
    )  # fmt: skip
    store.save_rungs(job, [StoredRung(rung, "key")], "2026-01-01T00:00:00+00:00")
    film.touch()
    told = []
    for base in (str(tmp_path), "/elsewhere"):  # a copy there says nothing of this one
        there = dataclasses.replace(run, input_dir=base)
        (found,) = outcomes(store, there, thresholds_of(settings))
        told.append(found.encodes[0].output)
    store.close()
    assert told == ["", str(taken)]
