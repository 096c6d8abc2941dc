"""Re-encodes as their user gets them: stored, cached, kept, replaced, and clean when they fail."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from aqs_batch import ffmpeg
from aqs_batch.clock import SystemClock, iso
from aqs_batch.config import load
from aqs_batch.console import describe
from aqs_batch.encode import inventory, trash
from aqs_batch.errors import EncodeError, Misaligned, RefusedMedia, TargetError
from aqs_batch.events import Event, EventKind
from aqs_batch.ingest.fingerprint import fingerprint
from aqs_batch.ingest.wholeness import FIELDS_IN_PART, NOT_ALL
from aqs_batch.records import Status
from aqs_batch.reencoding import encoding
from aqs_batch.reencoding.encode_jobs import EncodeJobs
from aqs_batch.reencoding.replacing import Replacing
from aqs_batch.settings import Settings
from aqs_batch.stop import Stop
from aqs_batch.store import JobStatus, RunFile, Store, StoredRung
from bench.faults.clock import FakeClock


@pytest.fixture
def film(make_clip, tmp_path: Path) -> Path:
    """A clip with enough bits that encoding it again saves some."""
    options = ("-c:v", "libx264", "-crf", "4", "-preset", "ultrafast", "-g", "10")
    source = make_clip("film.mp4", seconds=1.2, size="320x240", options=options)
    folder = tmp_path / "archive"
    folder.mkdir()
    return Path(shutil.copy(source, folder / "film.mp4"))


@pytest.fixture
def mixed(make_clip) -> Path:
    """Samples of it begin at keyframes of a quiet part; the noisy part costs a multiple."""
    graph = "noise=alls=40:allf=t:enable='gt(mod(t,5),2)'"
    options = ("-vf", graph, "-c:v", "libx264", "-crf", "10", "-preset", "ultrafast", "-g", "125")
    return make_clip("mix.mkv", seconds=20, size="160x120", options=options)


def asked(tmp_path: Path, **encode: object) -> Settings:
    base = {"enabled": True, "preset": "ultrafast", "crf": (24, 34), "aqs": False}
    flags = {f"encode.{key}": value for key, value in (base | encode).items()}
    return load(None, {}, {"output.dir": str(tmp_path / "out"), **flags}).settings


def order_for(path: Path, settings: Settings, **changes: object) -> encoding.Order:
    made = encoding.Order(
        path, fingerprint(path), settings, ffmpeg.find(), known=lambda key: None, score=None
    )
    return replace(made, **changes)


def jobs_for(store: Store, settings: Settings) -> EncodeJobs:
    clock = SystemClock()
    return EncodeJobs(store, settings, "key", "me", clock, Stop(clock, 0.0))


def what_keeps(film: Path, settings: Settings, *, beforehand: bool = False) -> str:
    """Why a file stays that was to be replaced; it has all its bytes.

    `beforehand`: that was told without an encode.
    """
    before, store, told = film.read_bytes(), Store(settings.output.url), []
    entry = RunFile(film.name, fingerprint(film), "key", Status.SCORED)
    after = jobs_for(store, settings).after(film, entry, lambda k, f: told.append(k))
    store.close()
    assert film.read_bytes() == before
    assert beforehand == ("encoding" not in told)
    return after.reason


def leftovers(folder: Path) -> list[str]:
    hidden = (".part", ".tmp", ".aqs-encode")
    return [p.name for p in folder.rglob("*") if any(word in p.name for word in hidden)]


def test_a_ladder_is_measured_and_one_rung_recommended(film: Path, tmp_path: Path) -> None:
    seen: list[tuple[float, float]] = []
    order = order_for(
        film, asked(tmp_path), progress=lambda done, of, what: seen.append((done, of))
    )
    began = time.monotonic()
    rungs = [stored.rung for stored in encoding.encode(order).rungs]
    spent_s = time.monotonic() - began
    assert [rung.crf for rung in rungs] == [24, 34]
    assert rungs[0].vmaf and rungs[1].vmaf and rungs[0].vmaf_neg
    assert rungs[0].vmaf.mean > rungs[1].vmaf.mean > 30
    assert rungs[0].kbps > rungs[1].kbps > 0
    assert {rung.alignment for rung in rungs} == {"exact"}
    assert {rung.frames for rung in rungs} == {30}
    assert sum(bool(rung.recommended) for rung in rungs) == 1
    (best,) = [rung for rung in rungs if rung.recommended]
    assert best.worst[0].vmaf == pytest.approx(best.vmaf.min, abs=0.01)
    assert best.worst[0].picture.startswith(b"\xff\xd8")
    assert len(best.strip) == 30
    log = json.loads(gzip.decompress((tmp_path / "out" / best.vmaf_log).read_bytes()))
    assert len(log["vmaf"]) == len(log["vmaf_neg"]) == len(log["xpsnr"]) == 30
    assert log["models"]["vmaf"] == "vmaf_v0.6.1"
    told = best.vmaf.mean, best.vmaf_neg.mean, best.xpsnr
    means = [sum(log[name]) / 30 for name in ("vmaf", "vmaf_neg", "xpsnr")]
    assert told == pytest.approx(means, abs=1e-3)
    assert 60 / best.encode_fps < spent_s  # both rungs' frames, in less time than all of it
    assert all(done <= of for done, of in seen)
    assert seen[-1][0] == seen[-1][1]
    assert not leftovers(tmp_path)


def test_samples_are_told_as_such(film: Path, tmp_path: Path) -> None:
    # Keyframes alone: a third of the frames has about a third of the bytes.
    alike = {"crf": (30,), "params": "keyint=1"}
    settings = asked(tmp_path, samples=2, sample_s=0.17, **alike)
    (stored,) = encoding.encode(order_for(film, settings)).rungs
    assert stored.rung.plan == "2 x 0.2 s of 1.2 s"
    assert stored.rung.frames == 10
    assert stored.rung.size_bytes == pytest.approx(stored.rung.kbps * 1.2 * 1000 / 8, abs=1)
    log = json.loads(gzip.decompress((tmp_path / "out" / stored.rung.vmaf_log).read_bytes()))
    assert log["t_s"] == pytest.approx([number / 25 for number in log["frame"]])
    assert 0 < log["frame"][0] < 15 <= log["frame"][5]  # one sample of each half
    assert stored.rung.worst
    for shown in stored.rung.worst:  # the frame of the encode beside the same one of the source
        picture = np.asarray(Image.open(io.BytesIO(shown.picture)).convert("L"), np.float32)
        half = (picture.shape[1] - 4) // 2
        assert np.abs(picture[:, :half] - picture[:, -half:]).mean() < 8
    whole = encoding.encode(order_for(film, asked(tmp_path, keep="all", **alike))).rungs[0]
    assert whole.rung.plan == "full"
    assert whole.key != stored.key
    assert stored.rung.vmaf.mean == pytest.approx(whole.rung.vmaf.mean, abs=4)
    made, source = (inventory.take(p).picture for p in (Path(whole.rung.output), film))
    assert whole.rung.size_bytes == made.size_bytes
    assert stored.rung.size_bytes == pytest.approx(made.size_bytes, rel=0.2)
    assert stored.rung.ratio == pytest.approx(whole.rung.ratio, rel=0.2)
    assert whole.rung.kbps == pytest.approx(made.size_bytes * 8 / 1000 / 1.2)
    assert whole.rung.ratio == pytest.approx(made.size_bytes / source.size_bytes)


def test_a_repeated_call_costs_nothing(film: Path, tmp_path: Path) -> None:
    settings = asked(tmp_path)
    store = Store(settings.output.url)
    entry = RunFile("film.mp4", fingerprint(film), "key", Status.SCORED)
    told: list[str] = []
    jobs = jobs_for(store, settings)
    assert jobs.after(film, entry, lambda kind, facts: told.append(kind)) == entry
    assert told.count("encoding") > 2
    assert len(store.rungs(entry.fingerprint)) == 2
    told.clear()
    jobs.after(film, entry, lambda kind, facts: told.append(kind))
    assert told == ["encoded"]
    told.clear()
    wider = asked(tmp_path, crf=(24, 29, 34))  # another job, two of its rungs known
    jobs_for(store, wider).after(film, entry, lambda k, f: told.append(k))
    rungs = store.rungs(entry.fingerprint)
    assert [rung.crf for rung in rungs] == [24, 34, 29]  # as they were made
    assert sum(bool(rung.recommended) for rung in rungs) == 1
    assert store.job_counts()["done"] == 2
    store.close()


def test_a_request_made_again_takes_its_own_rung_again(film: Path, tmp_path: Path) -> None:
    """The page had gone on to say what the request in between had asked for."""
    plain, target = asked(tmp_path, good_vmaf=10), asked(tmp_path, target_vmaf=97.0)
    store = Store(plain.output.url)
    entry = RunFile("film.mp4", fingerprint(film), "key", Status.SCORED)
    taken = []
    for settings in (plain, target, plain):
        told: list[str] = []
        jobs_for(store, settings).after(film, entry, lambda k, f, t=told: t.append(k))
        (best,) = [rung for rung in store.rungs(entry.fingerprint) if rung.recommended]
        taken.append((best.crf, best.recommended))
    assert taken[0] == taken[2] != taken[1]
    assert "encoding" not in told  # no frame was encoded for it
    store.close()


def test_a_kept_encode_stays_known_as_ours(film: Path, tmp_path: Path) -> None:
    kept = asked(tmp_path, crf=(30,), keep="all")
    wider = asked(tmp_path, crf=(30, 40), full=True)
    store = Store(kept.output.url)
    entry = RunFile("film.mp4", fingerprint(film), "key", Status.SCORED)
    jobs_for(store, kept).after(film, entry, lambda k, f: None)
    (rung,) = store.rungs(entry.fingerprint)
    jobs_for(store, wider).after(film, entry, lambda k, f: None)
    assert store.is_encode(fingerprint(Path(rung.output)))
    store.close()


def test_a_kept_file_is_told_of_in_its_own_figures(mixed: Path, tmp_path: Path) -> None:
    """It had been called 82 % smaller, as its samples were; it was 58 %."""
    settings = asked(
        tmp_path, codec="x264", crf=(30,), good_vmaf=5, keep="best", samples=4, sample_s=1.0
    )
    rungs = [stored.rung for stored in encoding.encode(order_for(mixed, settings)).rungs]
    (whole,) = [rung for rung in rungs if rung.recommended]
    assert whole.plan == "full"
    assert f"{1 - whole.ratio:.0%} smaller" in whole.recommended


def test_a_kept_file_is_told_of_beside_the_samples_of_all_crfs(film: Path, tmp_path: Path) -> None:
    """ "None reaches VMAF 93" was said below the samples that did."""
    settings = asked(tmp_path, crf=(1, 51), keep="best", samples=2, sample_s=0.2)
    rungs = [stored.rung for stored in encoding.encode(order_for(film, settings)).rungs]
    (whole,) = [rung for rung in rungs if rung.recommended]
    assert (whole.crf, whole.plan) == (51, "full")
    assert "none that reaches VMAF 93 is smaller than the source" in whole.recommended


def test_a_whole_file_keeps_the_target_that_its_samples_kept(mixed: Path, tmp_path: Path) -> None:
    """At the CRF of its samples it had 86.6, was kept with a warning, and could replace nothing."""
    settings = asked(tmp_path, target_vmaf=88.0, samples=3, sample_s=1.0, keep="best")
    rungs = [stored.rung for stored in encoding.encode(order_for(mixed, settings)).rungs]
    whole = [rung for rung in rungs if rung.plan == "full"]
    (taken,) = [rung for rung in rungs if rung.recommended]
    assert taken in whole and taken.output and taken.vmaf.mean >= 88
    assert all(r.vmaf.mean < 88 and not r.output for r in whole if r is not taken)
    assert max(r.crf for r in rungs if r.plan != "full" and r.vmaf.mean >= 88) > taken.crf


def test_a_target_is_found_or_named_as_out_of_reach(film: Path, tmp_path: Path) -> None:
    settings = asked(tmp_path, target_vmaf=85.0)
    rungs = [stored.rung for stored in encoding.encode(order_for(film, settings)).rungs]
    (best,) = [rung for rung in rungs if rung.recommended]
    assert best.vmaf.mean >= 85
    assert all(rung.vmaf.mean < 85 for rung in rungs if rung.crf > best.crf)
    assert "VMAF of at least 85" in best.recommended
    with pytest.raises(TargetError, match="the best was"):
        encoding.encode(order_for(film, asked(tmp_path, max_kbps=0.5)))


def test_what_reaches_its_target_at_a_multiple_of_the_bytes_says_so(
    make_clip, tmp_path: Path
) -> None:
    """Ten times its source's size it had been told to be taken, without a word on that."""
    coarse = ("-c:v", "libx264", "-crf", "48", "-preset", "veryslow")
    film = make_clip("coarse.mp4", source="testsrc2", options=coarse)
    result = encoding.encode(order_for(film, asked(tmp_path, target_vmaf=97.0)))
    (taken,) = [s.rung for s in result.rungs if s.rung.recommended]
    assert taken.ratio > 1
    assert taken.recommended == "VMAF of at least 97, though it is no smaller than its source"


def test_a_target_out_of_reach_is_not_looked_for_twice(film: Path, tmp_path: Path) -> None:
    """Every night had encoded the same ten CRFs again, and thrown them away."""
    settings = asked(tmp_path, max_kbps=0.5)
    store = Store(settings.output.url)
    entry = RunFile(film.name, fingerprint(film), "key", Status.SCORED)
    nights = []
    for _ in range(2):
        told: list[str] = []
        after = jobs_for(store, settings).after(
            film, entry, lambda kind, facts, told=told: told.append(str(facts.get("what", kind)))
        )
        assert "no CRF gives kbit/s" in after.reason
        nights.append([words for words in told if words.startswith("encoding")])
    assert nights[0] and not nights[1]
    spared = store.rungs(entry.fingerprint)
    store.close()
    assert spared and not any(rung.recommended or rung.output for rung in spared)


def test_a_size_that_no_whole_file_keeps_loses_no_sample(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aqs_batch.encode.search._MOST_WHOLE", 1)
    settings = asked(tmp_path, max_kbps=300, samples=3, sample_s=1.5, keep="best")
    spared: list[StoredRung] = []
    with pytest.raises(TargetError, match="though its samples did"):
        encoding.encode(order_for(mixed, settings, spare=spared.extend))
    assert {stored.rung.plan == "full" for stored in spared} == {True, False}


@pytest.mark.parametrize(("codec", "preset"), [("x264", "ultrafast"), ("svtav1", "12")])
def test_other_encoders_go_through_the_same_code(
    codec: str, preset: str, film: Path, tmp_path: Path
) -> None:
    settings = asked(tmp_path, codec=codec, preset=preset, crf=(40,), keep="all")
    (stored,) = encoding.encode(order_for(film, settings)).rungs
    assert stored.rung.codec == codec
    assert stored.rung.alignment == "exact"
    assert Path(stored.rung.output).suffix == ".mp4"


def test_an_original_that_vanishes_before_it_is_replaced_fails_alone(
    film: Path, tmp_path: Path
) -> None:
    settings = asked(tmp_path, crf=(24,), replace=True, keep="best", good_vmaf=50)
    store = Store(settings.output.url)
    entry = RunFile("film.mp4", fingerprint(film), "key", Status.SCORED)
    jobs = jobs_for(store, settings)
    found = jobs.after(film, entry, lambda kind, _: film.unlink() if kind == "encoded" else None)
    assert "could not be replaced" in found.reason
    assert not film.exists()
    store.close()


def test_what_was_saved_anew_after_its_encode_is_not_replaced(film: Path, tmp_path: Path) -> None:
    """A result that waits for a locked database leaves time for that."""
    settings = asked(tmp_path, crf=(24,), replace=True, keep="best", good_vmaf=50)
    store = Store(settings.output.url)
    entry = RunFile("film.mp4", fingerprint(film), "key", Status.SCORED)

    def save_anew(kind: str, _: object) -> None:
        if kind == "encoded":
            film.write_bytes(film.read_bytes() + b"more")

    found = jobs_for(store, settings).after(film, entry, save_anew)
    assert "changed after it was encoded" in found.reason
    assert film.read_bytes().endswith(b"more") and not trash.entries(film.parent)
    store.close()


def test_a_link_is_refused_before_it_is_encoded(film: Path, tmp_path: Path) -> None:
    link = film.with_name("link.mp4")
    link.symlink_to(film)
    settings = asked(tmp_path, crf=(24,), replace=True, keep="best")
    assert "is a link" in what_keeps(link, settings, beforehand=True)


def test_a_folder_that_cannot_be_written_to_is_told_before_hours_of_work(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.access

    def access(path: Path, mode: int) -> bool:
        return real(path, mode) and not (path == film.parent and mode & os.W_OK)

    monkeypatch.setattr(os, "access", access)  # root may write anywhere
    settings = asked(tmp_path, crf=(24,), replace=True)
    assert f"{film.parent} cannot be written to" in what_keeps(film, settings, beforehand=True)


@pytest.mark.parametrize(
    ("name", "says"), [("film.ts", "film.mkv exists already"), ("x" * 252 + ".ts", "too long")]
)
def test_a_place_that_is_no_encodes_is_told_before_hours_of_work(
    name: str, says: str, make_clip, tmp_path: Path
) -> None:
    film = Path(shutil.copy(make_clip("film.ts"), tmp_path / name))
    (tmp_path / "film.mkv").touch()
    settings = asked(tmp_path, crf=(24,), replace=True)
    assert says in what_keeps(film, settings, beforehand=True)


UNTAKEN = ("-map", "0:v", "-map", "1:a", "-c:a", "pcm_s16le_planar", "-f", "nut")


@pytest.mark.parametrize(
    ("name", "options", "codec", "says"),
    [
        ("clear.mkv", ("-c:v", "ffv1", "-pix_fmt", "yuva444p"), "x265", "less: transparency"),
        ("fine.mkv", ("-c:v", "ffv1", "-pix_fmt", "yuv422p"), "svtav1", "become yuv420p"),
        ("rgb.mkv", ("-c:v", "ffv1", "-pix_fmt", "bgr0"), "x265", "bgr0 would become yuv444p"),
        ("sound.nut", ("-c:v", "ffv1", *UNTAKEN), "x265", "fits no container"),
    ],
)
def test_what_no_encode_holds_is_told_before_hours_of_work(
    name: str, options: tuple[str, ...], codec: str, says: str, make_clip, tmp_path: Path
) -> None:
    source = make_clip(name, inputs=("-f", "lavfi", "-t", "1", "-i", "sine"), options=options)
    film = Path(shutil.copy(source, tmp_path / name))
    preset = {"svtav1": "13"}.get(codec, "ultrafast")
    settings = asked(tmp_path, crf=(24,), replace=True, codec=codec, preset=preset)
    assert says in what_keeps(film, settings, beforehand=True)


def test_what_ffmpeg_does_not_read_is_told_before_hours_of_work(film: Path, tmp_path: Path) -> None:
    """XMP and a camera's own record were gone from the archive, without a word."""
    record = b"\0\0\0\0<NonRealTimeMeta/>"
    with film.open("ab") as handle:
        handle.write((8 + len(record)).to_bytes(4, "big") + b"meta" + record)
    said = what_keeps(film, asked(tmp_path, crf=(24,), replace=True), beforehand=True)
    assert "hold less: the box 'meta' (22 bytes)" in said


def test_an_original_is_replaced_once_and_comes_back(film: Path, tmp_path: Path) -> None:
    before = film.read_bytes()
    settings = asked(tmp_path, crf=(24,), replace=True, keep="best", good_vmaf=50)
    store = Store(settings.output.url)
    jobs = jobs_for(store, settings)
    entry = RunFile("film.mp4", fingerprint(film), "key", Status.SCORED)
    told: dict[str, dict] = {}
    assert jobs.after(film, entry, lambda k, f: told.update({k: f})).reason == ""
    assert "replaced" in told
    assert [r["output"] for r in told["encoded"]["rungs"]] == [""]  # it is moved away from there
    assert film.stat().st_size < len(before)
    (rung,) = store.rungs(entry.fingerprint)
    assert all(check.kept for check in rung.checks)
    # The next night sees new content under the old name: our own, so it is left alone.
    assert rung.output == str(film)  # where the encode is now
    told.clear()
    again = RunFile("film.mp4", fingerprint(film), "key", Status.SCORED)
    jobs.after(film, again, lambda k, f: told.update({k: f}))
    assert set(told) == {"left"}
    (kept,) = trash.entries(film.parent)
    trash.restore(kept)
    assert film.read_bytes() == before
    # Who brought it back does not want it replaced by the next night, but may say so.
    told.clear()
    jobs.after(film, entry, lambda k, f: told.update({k: f}))
    assert "--force" in told["left"]["hint"]
    assert film.read_bytes() == before
    assert not any(rung["output"] for rung in told["encoded"]["rungs"])  # not the original's place
    jobs.after(film, entry, lambda k, f: told.update({k: f}), force=True)
    assert "replaced" in told
    store.close()


def test_an_original_is_replaced_once_nothing_is_in_the_way(film: Path, tmp_path: Path) -> None:
    """It had been told once, then "dealt with before"; --force encoded all of it again."""
    settings = asked(tmp_path, crf=(24,), replace=True, keep="best", good_vmaf=50)
    store, said = Store(settings.output.url), []
    jobs = jobs_for(store, settings)
    entry = RunFile("film.mp4", fingerprint(film), "key", Status.SCORED)
    barrier = film.parent / trash.FOLDER
    barrier.write_text("not a folder")
    assert "no trash folder" in jobs.after(film, entry, lambda k, f: None).reason
    barrier.unlink()
    assert not jobs.after(film, entry, lambda k, f: said.append(k)).reason
    store.close()
    assert "replaced" in said and "encoding" not in said


YUV = ("-c:v", "ffv1", "-pix_fmt", "yuv420p")


@pytest.mark.parametrize("how", ["cut short", "odd", "interlaced"])
def test_an_original_stays_where_its_encode_would_hold_less(
    how: str, film: Path, make_clip, tmp_path: Path
) -> None:
    if how == "odd":
        clip = make_clip("odd.mkv", source="mandelbrot", size="257x225", seconds=2, options=YUV)
        film = Path(shutil.copy(clip, film.with_name("film.mkv")))
    elif how == "interlaced":
        options = ("-c:v", "libx264", "-flags", "+ilme+ildct", "-vf", "setfield=tff")
        film = Path(shutil.copy(make_clip("tff.mkv", options=options), film.with_name("film.mkv")))
    else:
        clip = make_clip("film.mkv", seconds=4, options=("-c:v", "libx264", "-g", "10"))
        film = film.with_name("film.mkv")
        film.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    settings = asked(tmp_path, crf=(24,), replace=True, keep="best", good_vmaf=10)
    assert "the original stays" in what_keeps(film, settings, beforehand=True)


def test_a_kept_encode_that_was_lost_is_made_again(film: Path, tmp_path: Path) -> None:
    settings = asked(tmp_path, crf=(30,), keep="all")
    store = Store(settings.output.url)
    jobs = jobs_for(store, settings)
    entry = RunFile("film.mp4", fingerprint(film), "key", Status.SCORED)
    told: list[str] = []
    for _ in range(2):
        told.clear()
        jobs.after(film, entry, lambda k, f: told.append(k))
    assert told == ["encoded"]
    (rung,) = store.rungs(entry.fingerprint)
    Path(rung.output).unlink()
    assert jobs.after(film, entry, lambda k, f: told.append(k)).reason == ""
    assert Path(rung.output).exists()
    # Under its source's new name another call finds the rung, but keeps its own file.
    moved = film.rename(film.with_name("other.mp4"))
    wider = asked(tmp_path, crf=(30, 40), keep="all")
    assert jobs_for(store, wider).after(moved, entry, lambda k, f: None).reason == ""
    assert all(Path(r.output).name.startswith("other.") for r in store.rungs(entry.fingerprint))
    store.close()


def test_a_file_that_another_request_kept_is_not_missed(film: Path, tmp_path: Path) -> None:
    """Every night had gone through the whole ladder again for a file that was deleted for good."""
    store = Store(asked(tmp_path).output.url)
    entry = RunFile("film.mp4", fingerprint(film), "key", Status.SCORED)
    told: list[bool] = []
    for crf in (30, 38, 38):
        settings = asked(tmp_path, crf=(crf,), keep="all")
        jobs = jobs_for(store, settings)
        jobs.after(film, entry, lambda k, f: told.append(f["known"]) if k == "encoded" else None)
        first = min(store.rungs(entry.fingerprint), key=lambda rung: rung.crf)
        Path(first.output).unlink(missing_ok=True)
    assert told == [False, False, True]
    store.close()


def test_an_original_stays_that_holds_streams_which_were_not_read(
    film: Path, tmp_path: Path
) -> None:
    found = SimpleNamespace(warnings=(f"{NOT_ALL}later the file has 1 more stream",))
    store, settings = SimpleNamespace(analysis=lambda *_: found), asked(tmp_path, replace=True)
    with pytest.raises(RefusedMedia, match="hold less: not all was read"):
        Replacing(store, settings, "key", SystemClock()).check(film, "0")


def test_what_turns_interlaced_later_is_encoded_without_its_combs(
    make_clip, tmp_path: Path
) -> None:
    """Its frames come in fields from the second part on, which its header does not say."""
    x264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "5", "-pix_fmt", "yuv420p")
    film = make_clip("film.h264", options=x264)
    fields = ("-vf", "interlace", "-flags", "+ilme+ildct", *x264)
    video, joined = make_clip("video.h264", rate=50, options=fields), tmp_path / "joined.h264"
    joined.write_bytes(film.read_bytes() + video.read_bytes())
    order = order_for(joined, asked(tmp_path, crf=(5,), keep="all"), has_fields=True)
    (stored,) = encoding.encode(order).rungs
    argv = [order.ffmpeg.path, "-v", "error", "-i", stored.rung.output, "-i", str(joined)]
    error = []
    for scan in ("bwdif=send_frame:deint=interlaced", "null"):
        graph = f"[1]settb=1/25,setpts=N,{scan}[s];[0]settb=1/25,setpts=N[e];[e][s]psnr=f=-"
        made = subprocess.run(
            [*argv, "-lavfi", graph, "-f", "null", "-"], capture_output=True, text=True, check=True
        )
        error.append([float(v) for v in re.findall(r"mse_y:([\d.]+)", made.stdout)])
    whole, combed = error
    assert len(whole) == stored.rung.frames == 50
    assert max(whole) < 15 < max(combed)
    assert whole[:25] == combed[:25]  # the progressive part is left as it is


def test_what_turns_interlaced_later_is_told_and_takes_no_place(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = SimpleNamespace(warnings=(FIELDS_IN_PART,))
    store, told = Store(asked(tmp_path).output.url), []
    monkeypatch.setattr(store, "analysis", lambda *_: found)
    monkeypatch.setattr(store, "gist", lambda *_: found)
    entry = RunFile("film.mp4", fingerprint(film), "key", Status.SCORED)
    jobs_for(store, asked(tmp_path, crf=(30,))).after(film, entry, lambda k, f: told.append(f))
    assert any("deinterlaced" in words for words in told[-1]["warnings"])
    stays = jobs_for(store, asked(tmp_path, crf=(30,), replace=True))
    assert "interlaced part" in stays.after(film, entry, lambda k, f: None).reason
    store.close()


def test_what_replaces_an_original_is_what_was_measured(film: Path, tmp_path: Path) -> None:
    """Kept under one name, the medium preset's file had taken the place as ultrafast's."""
    before = film.read_bytes()
    for preset, replaces in (("ultrafast", False), ("veryfast", False), ("ultrafast", True)):
        settings = asked(
            tmp_path, crf=(30,), preset=preset, keep="best", replace=replaces, good_vmaf=10
        )
        store = Store(settings.output.url)
        entry = RunFile("film.mp4", fingerprint(film), "key", Status.SCORED)
        assert jobs_for(store, settings).after(film, entry, lambda k, f: None).reason == ""
        rungs = store.rungs(entry.fingerprint)
        store.close()
    assert film.read_bytes() != before
    (best,) = [rung for rung in rungs if rung.recommended]
    assert best.preset == "ultrafast"
    assert abs(film.stat().st_size - best.size_bytes) < 0.1 * best.size_bytes + 4000


def test_the_check_of_a_kept_file_is_told_as_it_goes(film: Path, tmp_path: Path) -> None:
    """For hours nothing moved, as if it hung: its job had been given away for that."""
    told = []
    settings = asked(tmp_path, crf=(24,), keep="all")
    encoding.encode(order_for(film, settings, progress=lambda *facts: told.append(facts)))
    assert told[-1] == (30, 30, "checking CRF 24")


def test_replace_alone_keeps_the_best(film: Path, tmp_path: Path) -> None:
    settings = asked(tmp_path, crf=(24,), replace=True, good_vmaf=50)
    assert settings.encode.keep == "none"
    store = Store(settings.output.url)
    entry = RunFile("film.mp4", fingerprint(film), "key", Status.SCORED)
    told: list[str] = []
    assert jobs_for(store, settings).after(film, entry, lambda k, f: told.append(k)).reason == ""
    assert "replaced" in told
    store.close()


def test_a_larger_encode_does_not_replace_its_original(make_clip, tmp_path: Path) -> None:
    options = ("-c:v", "libx264", "-crf", "40", "-preset", "ultrafast")
    film = Path(shutil.copy(make_clip("small.mp4", seconds=2, options=options), tmp_path))
    settings = asked(tmp_path, target_vmaf=99.0, codec="x264", replace=True)
    assert "the original stays: its encode has" in what_keeps(film, settings)


def test_a_size_that_was_asked_for_is_kept_by_the_whole_file(mixed: Path, tmp_path: Path) -> None:
    settings = asked(
        tmp_path, codec="x264", max_bytes=400_000, keep="best", samples=4, sample_s=1.0
    )
    result = encoding.encode(order_for(mixed, settings))
    assert result.best is not None
    (whole,) = [stored.rung for stored in result.rungs if stored.rung.recommended]
    assert whole.plan == "full"
    assert whole.size_bytes <= 400_000
    assert any(  # at the CRF that the samples chose it would not have been
        stored.rung.size_bytes <= 400_000 and stored.rung.crf < whole.crf
        for stored in result.rungs
        if stored.rung.plan != "full"
    )


def test_an_original_stays_when_no_encode_is_worth_it(make_clip, tmp_path: Path) -> None:
    options = ("-c:v", "libx265", "-crf", "45", "-preset", "ultrafast")
    film = Path(shutil.copy(make_clip("small.mp4", options=options), tmp_path / "small.mp4"))
    settings = asked(tmp_path, crf=(10,), replace=True, keep="best")
    assert "the original stays" in what_keeps(film, settings)


TONE = ("-f", "lavfi", "-t", "88", "-i", "sine")


@pytest.mark.parametrize("name", ["long.ts", "long.mpg"])
def test_a_long_stream_without_an_index_is_measured_frame_by_frame(
    name: str, make_clip, tmp_path: Path
) -> None:
    """Sought in directly, its parts had other frames than the encode's, after all the work."""
    coded = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "250", "-c:a", "mp2")
    if name.endswith("mpg"):
        coded = ("-c:v", "mpeg2video", "-g", "12", "-bf", "2", "-c:a", "mp2")
    film = make_clip(name, seconds=88, size="96x80", inputs=TONE, options=coded)
    full = asked(tmp_path, crf=(30,), codec="x264", full=True, keep="best", good_vmaf=1)
    made = encoding.encode(order_for(film, full))
    assert [stored.rung.alignment for stored in made.rungs] == ["exact"]
    assert made.rungs[0].rung.frames == 2200
    assert made.best is not None
    sampled = asked(tmp_path, crf=(30,), codec="x264", samples=4, sample_s=2.0)
    (stored,) = encoding.encode(order_for(film, sampled)).rungs
    assert stored.rung.alignment == "exact"
    assert stored.rung.frames == 200
    assert not leftovers(tmp_path / "out")


@pytest.mark.parametrize("seconds", [3, 90])  # the longer one is more than one part
def test_a_raw_stream_is_encoded_whole(make_clip, tmp_path: Path, seconds: int) -> None:
    """Nothing is found by its time in it: its samples were empty, and so were all parts but one."""
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "50")
    film = make_clip("film.h264", seconds=seconds, size="64x64", rate=25, options=options)
    sampled = asked(tmp_path, crf=(30,), codec="x264", samples=2, sample_s=0.2)
    (stored,) = encoding.encode(order_for(film, sampled)).rungs
    assert stored.rung.plan == "full"
    assert stored.rung.alignment == "exact"
    assert stored.rung.frames == 25 * seconds


def test_hdr_is_encoded_without_a_vmaf(media: Path, tmp_path: Path) -> None:
    source = media / "odd" / "tc_bt2020_10bit.mp4"
    (stored,) = encoding.encode(order_for(source, asked(tmp_path, crf=(35,)))).rungs
    assert stored.rung.vmaf is None
    assert stored.rung.xpsnr > 20
    assert "no VMAF model is valid" in stored.rung.warnings[0]
    with pytest.raises(TargetError, match="no VMAF can be aimed at"):
        encoding.encode(order_for(source, asked(tmp_path, target_vmaf=93.0)))
    with pytest.raises(RefusedMedia, match="Dolby Vision"):
        encoding.encode(order_for(media / "odd" / "fate_dovi-p5.mp4", asked(tmp_path)))


# Faults: an ffmpeg that lies, dies or fills the disk.


def pretend(tmp_path: Path, body: str, sign: str = "libx265") -> ffmpeg.Ffmpeg:
    """An ffmpeg whose encodes go through a shell `body`; "$REAL" is the real one.

    `sign`: what its commands hold that go through it.
    """
    real = ffmpeg.find()
    script = tmp_path / "ffmpeg"
    script.write_text(
        f'#!/bin/sh\nREAL="{real.path}"\ncase "$*" in *{sign}*) ;; *) exec "$REAL" "$@" ;; esac\n'
        + body
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return replace(real, path=str(script))


FAULTS = {
    "killed": ('"$REAL" "$@" & sleep 0.02; kill -9 $!; kill -9 $$\n', EncodeError, "signal 9"),
    "half the frames, exit 0": (
        'exec "$REAL" $(echo "$@" | sed "s/-filter:0 /-frames:0 15 -filter:0 /g")\n',
        Misaligned, "15 frames, the source 30",
    ),
    "disk full": (
        'echo "av_interleaved_write_frame(): No space left on device" >&2; exit 228\n',
        EncodeError, "no space is left on the disk of .*/out$",
    ),
    "no such stream": (
        'echo "Could not write header (incorrect codec parameters ?)" >&2; exit 234\n',
        EncodeError, "Could not write header",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_leaves_nothing_behind_and_says_what_failed(
    fault: str, film: Path, tmp_path: Path, caplog
) -> None:
    caplog.set_level("DEBUG", "aqs_batch")
    body, kind, says = FAULTS[fault]
    broken = pretend(tmp_path, body)
    settings = asked(tmp_path, crf=(30,), keep="all")
    with pytest.raises(kind, match=says) as caught:
        encoding.encode(order_for(film, settings, ffmpeg=broken))
    if kind is EncodeError:  # a page of command is for the log
        assert "libx265" in caplog.text
        assert "libx265" not in f"{caught.value} {caught.value.hint}"
    assert not leftovers(tmp_path)
    assert not (tmp_path / "out" / "encodes").exists()


@pytest.mark.parametrize(
    ("work", "sign", "stall_s"),
    [
        ("encoding", "libx265", 0.6),
        ("copying the picture", "genpts", 0.6),
        ("measuring", "libvmaf", 3),  # what goes before it is real
        ("decoding the finished", "explode", 3),
    ],
)
def test_what_hangs_is_ended(
    work: str, sign: str, stall_s: float, make_clip, tmp_path: Path
) -> None:
    """An ffmpeg whose threads waited for each other had held up its run for ever."""
    film = make_clip("film.ts" if "copying" in work else "film.mp4", seconds=1.2)
    hanging = pretend(tmp_path, "echo frame=7; exec sleep 600\n", sign)
    settings = asked(tmp_path, crf=(30,), keep="all")
    limits = settings.limits.model_copy(update={"stall_s": stall_s})
    settings = settings.model_copy(update={"limits": limits})
    with pytest.raises(EncodeError, match=f"{work}.* no progress for {stall_s:g} s") as caught:
        encoding.encode(order_for(film, settings, ffmpeg=hanging))
    assert "stall_s" in caught.value.hint
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("work", ["encoding", "measuring"])
def test_a_source_that_changes_is_not_kept(work: str, film: Path, tmp_path: Path) -> None:
    def meddle(done: float, planned: float, what: str) -> None:
        if what.startswith(work):
            os.utime(film, (1, 1))

    settings = asked(tmp_path, crf=(30,), keep="all")
    with pytest.raises(EncodeError, match="changed while it was being encoded"):
        encoding.encode(order_for(film, settings, progress=meddle))
    assert not leftovers(tmp_path)
    assert not (tmp_path / "out" / "encodes").exists()


@pytest.mark.parametrize("other", ["done", "failed", "dead"])
def test_what_another_process_encodes_is_waited_for(film: Path, tmp_path: Path, other: str) -> None:
    """Of two calls at once the second had failed; one whose process died is encoded here."""
    settings, clock = asked(tmp_path, crf=(30,)), FakeClock()
    store, entry = (
        Store(settings.output.url), RunFile("film.mp4", fingerprint(film), "key", Status.SCORED),
    )  # fmt: skip
    jobs = EncodeJobs(store, settings, "key", "me", clock, Stop(clock, 0.0))
    queued = store.enqueue(entry.fingerprint, jobs.key, film, force=False)
    held = store.claim(queued.id, "other", clock.now(), 300.0, 3)
    assert held is not None

    def go_on(seconds: float) -> None:
        if other == "done" and clock.steady() > 5:
            store.save_rungs(held, (), iso(clock.now()))
        if other == "failed" and clock.steady() > 5:
            store.fail(held, "it had no picture", "")

    clock.on_wait = go_on
    told: list[str] = []
    after = jobs.after(film, entry, lambda kind, facts: told.append(kind))
    store.close()
    assert after.reason == ("re-encode: it had no picture" if other == "failed" else "")
    assert told.count("waiting") == 1
    assert told[-1] == ("encode_failed" if other == "failed" else "encoded")
    assert ("encoding" in told) == (other == "dead")
    assert clock.steady() == pytest.approx(301 if other == "dead" else 6, abs=1)


def test_a_log_that_cannot_be_written_is_told_as_such(film: Path, tmp_path: Path) -> None:
    settings = asked(tmp_path, crf=(30,))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "vmaf").touch()
    with pytest.raises(EncodeError, match="the VMAF log cannot be written") as caught:
        encoding.encode(order_for(film, settings))
    assert str(caught.value).endswith(f"File exists: {tmp_path / 'out' / 'vmaf'}")
    assert "disk space" in caught.value.hint
    assert not leftovers(tmp_path)


def test_what_a_kill_may_leave_lies_in_the_output_folder_and_is_swept(
    film: Path, tmp_path: Path, monkeypatch
) -> None:
    """Measuring left its logs in the system's folder, a log half written in `vmaf`, for good."""
    half = tmp_path / "out" / "vmaf" / ".x265-crf30.json.gz.4194305.tmp"
    half.parent.mkdir(parents=True)
    half.touch()
    os.utime(half, (1, 1))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no such folder"))
    encoding.encode(order_for(film, asked(tmp_path, crf=(30,))))
    assert not leftovers(tmp_path)


def test_an_interrupt_leaves_no_file_and_the_job_for_later(film: Path, tmp_path: Path) -> None:
    settings = asked(tmp_path, crf=(30,))
    store = Store(settings.output.url)
    entry = RunFile("film.mp4", fingerprint(film), "key", Status.SCORED)

    def stop(kind: str, facts: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jobs_for(store, settings).after(film, entry, stop)
    assert not leftovers(tmp_path)
    assert [j.status for j in store.open_jobs()] == [JobStatus.QUEUED]
    assert jobs_for(store, settings).after(film, entry, lambda k, f: None) == entry
    assert len(store.rungs(entry.fingerprint)) == 1
    store.close()


def test_a_failed_job_is_retried_by_the_next_run(film: Path, tmp_path: Path, monkeypatch) -> None:
    settings = asked(tmp_path, crf=(30,))
    store = Store(settings.output.url)
    entry = RunFile("film.mp4", fingerprint(film), "key", Status.SCORED)
    body, _, says = FAULTS["disk full"]
    broken = pretend(tmp_path, body)
    with monkeypatch.context() as patch:
        patch.setattr("aqs_batch.reencoding.encode_jobs.find_ffmpeg", lambda setting: broken)
        failed = jobs_for(store, settings).after(film, entry, lambda k, f: None)
    assert re.search(says, failed.reason)
    assert failed.status is Status.SCORED  # the score stands
    assert store.rungs(entry.fingerprint) == ()
    assert [j.status for j in store.open_jobs()] == [JobStatus.FAILED]
    again = jobs_for(store, settings).after(film, entry, lambda k, f: None)
    assert again.reason == ""
    assert store.job_counts()["done"] == 1
    store.close()


@pytest.mark.parametrize(("codec", "strength"), [("x265", "off"), ("x264", "off"), ("x265", "1")])
def test_a_parameter_that_the_encoder_ignores_is_an_error(
    codec: str, strength: str, film: Path, tmp_path: Path
) -> None:
    settings = asked(tmp_path, crf=(30,), codec=codec, params="bogus=7", preprocess=strength)
    with pytest.raises(EncodeError, match="bogus") as caught:
        encoding.encode(order_for(film, settings))
    assert "--params" in caught.value.hint


def test_what_looks_too_bad_takes_no_place(film: Path, tmp_path: Path) -> None:
    """The nearest that a ladder came had been good enough to replace an original."""
    settings = asked(tmp_path, crf=(44,), replace=True, good_vmaf=95)
    assert "the original stays: its encode has a VMAF of" in what_keeps(film, settings)


def test_a_long_name_is_cut_for_what_is_kept(film: Path, tmp_path: Path) -> None:
    long = film.rename(film.with_name(f"{'長' * 80}.mp4"))
    result = encoding.encode(order_for(long, asked(tmp_path, crf=(30,), keep="all")))
    (stored,) = result.rungs
    assert Path(stored.rung.output).exists()
    assert Path(stored.rung.output).name.startswith("長" * 60)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second file system")
def test_what_is_kept_may_lie_on_another_disk(film: Path, tmp_path: Path) -> None:
    """It was encoded on the first one and, since no rename leads across, lost at the end."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as disk:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "encodes").symlink_to(disk)
        result = encoding.encode(order_for(film, asked(tmp_path, crf=(30,), keep="best")))
        assert result.best and result.best.resolve().is_relative_to(disk)
        assert result.best.exists() and not leftovers(Path(disk))


def test_a_folder_for_encodes_that_is_not_there_is_told_before_hours_of_work(
    film: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "encodes").symlink_to(tmp_path / "not mounted")
    settings = asked(tmp_path, crf=(30,), keep="best")
    assert str(tmp_path / "out" / "encodes") in what_keeps(film, settings, beforehand=True)


def test_a_failure_may_name_a_file_that_is_no_utf8(film: Path, tmp_path: Path) -> None:
    """The run that was to record it ended in a traceback."""
    odd = film.rename(film.with_name(os.fsdecode(b"caf\xe9.mp4")))
    settings = asked(tmp_path, codec="x264", params="nonsense=1")
    store = Store(settings.output.url)
    run = store.start_run("2026-01-01", str(tmp_path), "test", {})
    entry = RunFile(odd.name, fingerprint(odd), "key", Status.SCORED)
    after = jobs_for(store, settings).after(odd, entry, lambda k, f: None)
    assert after.reason
    store.record_file(run, replace(after, hint=f"{after.hint} {odd}"))
    (recorded,) = store.run_files(run)
    assert recorded.file == odd.name
    assert "caf\\udce9" in recorded.hint
    store.close()


PQ = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:log-level=error"
HDR = (
    "-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", PQ
)  # fmt: skip


def test_what_was_not_measured_takes_no_place(make_clip, tmp_path: Path) -> None:
    """An HDR original had given way to 120 kbit/s that nobody had judged."""
    film = Path(shutil.copy(make_clip("hdr.mkv", seconds=2, options=HDR), tmp_path / "hdr.mkv"))
    settings = asked(tmp_path, max_kbps=120, replace=True)
    words = what_keeps(film, settings, beforehand=True)
    assert "the original stays: no VMAF is valid for HDR" in words


def test_nothing_kept_is_said_with_what_to_do(make_clip, tmp_path: Path) -> None:
    """--keep best of an HDR file had kept nothing, said nothing, and ended well."""
    film = make_clip("hdr.mkv", seconds=2, options=HDR)
    settings = asked(tmp_path, crf=(40,), keep="best")
    store = Store(settings.output.url)
    entry = RunFile("hdr.mkv", fingerprint(film), "key", Status.SCORED)
    for _ in range(2):  # the second time all is known
        told: dict[str, dict] = {}
        jobs_for(store, settings).after(film, entry, lambda k, f, t=told: t.update({k: f}))
        (words,) = [w for w in told["encoded"]["warnings"] if "keeps none" in w]
        assert "--max-kbps" in words
        lines = describe(Event(EventKind.ENCODED, "hdr.mkv", told["encoded"]))
        assert f"WARNING {words}" in lines and lines.count("no rung is recommended") == 1
    store.close()


def test_a_repeated_request_tells_of_its_own_rungs(film: Path, tmp_path: Path) -> None:
    """It had told of the rungs of every request, and "none is good enough" beside one that was."""
    one, two = asked(tmp_path, crf=(12, 24), good_vmaf=99), asked(tmp_path, crf=(24, 40))
    store = Store(one.output.url)
    entry = RunFile("film.mp4", fingerprint(film), "key", Status.SCORED)
    told: dict[str, dict] = {}
    seen = []
    for settings in (one, two, two, one):
        jobs_for(store, settings).after(film, entry, lambda k, f: told.update({k: f}))
        seen.append([rung["crf"] for rung in told["encoded"]["rungs"]])
    assert seen == [[12, 24], [24, 40], [24, 40], [12, 24]]
    assert len(store.rungs(entry.fingerprint)) == 3
    store.close()


def test_an_ordinary_mistake_is_told_in_a_line(make_clip, tmp_path: Path) -> None:
    """A person had to find it in three thousand characters of command."""
    options = ("-c:v", "ffv1", "-pix_fmt", "yuv420p")
    film = make_clip("film.mkv", source="color", size="64x64", seconds=0.2, options=options)
    with pytest.raises(EncodeError) as caught:
        encoding.encode(order_for(film, asked(tmp_path, crf=(30,), params="aq-mode=99")))
    said = "encoding film.mkv: the encoder says: Aq-Mode is out of range"
    assert str(caught.value) == said
    assert len(caught.value.hint) < 80
