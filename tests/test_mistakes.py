"""What people and scripts get wrong is told before work begins, and costs no results."""

from __future__ import annotations

import json
import os
import pwd
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from aqs_batch import demo
from aqs_batch.analysis.checkpoint import inspect, save, shipped_path
from aqs_batch.errors import SettingsError
from aqs_batch.pipeline import cache_of
from aqs_batch.settings import Settings
from aqs_batch.store import Store
from tests.test_run import COMMAND, QUICK, aqs, results


@pytest.fixture
def clip(make_clip, tmp_path: Path) -> Path:
    place = tmp_path / "in"
    place.mkdir()
    return Path(shutil.copy(make_clip(seconds=1), place / "a.mp4"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", ""], "name videos"),
        (["run", "in", "--db", "foo"], "is not the URL of a database"),
        (["run", "in", "--db", "sqlite://"], "is not the URL of a database"),  # in memory
        (["run", "in", "--db", "sqlite://out/aqs.db"], "is not the URL of a database"),
        (["status", "--db", "sqlite://out/aqs.db"], "is not the URL of a database"),
        (["status", "--db", "postgresql://host:port/aqs"], "is not the URL of a database"),
        (["run", "in", "--export", ""], "export"),
        (["run", "in", "--preprocess", "auto"], "add --encode"),
        (["run", "in", "--device", "cuda:7", "--backend", "torch"], "cuda"),
        (["encode", "in/a.mp4", "--params", "crf=10"], "params must not set crf"),
        (["encode", "in/a.mp4", "--crf", ""], "crf"),
        (["encode", "in/a.mp4", "--params", "aq-mode=99"], "Aq-Mode is out of range"),
        (["encode", "in/a.mp4", "--params", "garbage"], "garbage"),
    ],
)
def test_wrong_settings_exit_2_and_blame_no_file(
    arguments: list[str], says: str, clip: Path, tmp_path: Path
) -> None:
    done = aqs(*arguments, "--output_dir", "out", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr and "FAILED" not in done.stdout


def test_an_output_folder_that_is_a_file_is_told_without_pythons_number(
    clip: Path, tmp_path: Path
) -> None:
    done = aqs("run", "in", "--output_dir", "in/a.mp4", cwd=tmp_path)
    assert done.returncode == 1
    assert f"File exists: {clip}\n" in done.stderr and "Errno" not in done.stderr


def test_what_stands_in_the_way_of_a_report_is_named(clip: Path, tmp_path: Path) -> None:
    """Our temporary file had been named, which nobody finds."""
    (tmp_path / "out" / "results.csv").mkdir(parents=True)
    done = aqs("run", "in", "--output_dir", "out", cwd=tmp_path)
    assert done.returncode == 1
    assert f"error: Is a directory: {Path('out', 'results.csv')}" in done.stderr


def test_an_empty_output_folder_is_not_the_current_one(clip: Path, tmp_path: Path) -> None:
    for done in (
        aqs("run", "in", "--output_dir", "", cwd=tmp_path),
        aqs("run", "in", cwd=tmp_path, AQS_OUTPUT_DIR=""),
    ):
        assert done.returncode == 2, done.stderr
        assert "must not be empty" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_an_ffmpeg_that_does_not_run_is_a_wrong_setting(clip: Path, tmp_path: Path) -> None:
    done = aqs("run", "in", "--output_dir", "out", cwd=tmp_path, AQS_FFMPEG_PATH="/nope")
    assert done.returncode == 2
    assert "/nope does not run" in done.stderr


def test_exit_codes_with_a_traceback_are_those_without(tmp_path: Path) -> None:
    """A wrong setting had ended with 1, as if some files had failed."""
    done = aqs("run", "in", "--output_dir", "", "--debug", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" in done.stderr and "output.dir" in done.stderr


def test_a_file_named_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    done = aqs("run", "none.mp4", "--output_dir", "out", cwd=tmp_path)
    assert done.returncode == 1
    assert "no such file" in done.stdout


def test_any_name_will_do_for_folders_and_every_folder_counts(clip: Path, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "in", tmp_path / "more")
    out = "o?x=1 %41"
    done = aqs(
        "run", "--input_dir", "in", "--input_dir", "more", "./in/a.mp4", "--output_dir", out,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / out / "aqs.db").exists()
    assert {p.name for p in tmp_path.iterdir()} == {"in", "more", out}
    assert len(results(tmp_path / out)) == 2
    assert "2 files to look at" in done.stdout


def test_status_says_where_an_unreadable_file_is(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "empty.mp4").touch()
    aqs("run", "--input_dir", "in", "--output_dir", "out", cwd=tmp_path)
    said = aqs("status", "--output_dir", "out", cwd=tmp_path).stdout
    assert f"unreadable  {tmp_path / 'in' / 'empty.mp4'}: the file is empty" in said
    assert "results: 0 analyses, 0 sequences" in said and " UTC" in said


BEGUN = """
import sys
from aqs_batch.identity import own_name
from aqs_batch.store import Store
Store(sys.argv[1]).start_run("2026-01-01T00:00:00+00:00", "/in", "", {}, worker=own_name())
print("begun", flush=True)
sys.stdin.read()
"""


def test_status_tells_a_run_that_goes_on_from_one_that_was_cut_off(tmp_path: Path) -> None:
    """Both were "not finished", and nothing in --json told them apart."""
    url = f"sqlite:///{tmp_path}/out/aqs.db"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", BEGUN, url], text=True, **pipes) as run:
        assert run.stdout is not None and run.stdout.readline() == "begun\n"
        assert "UTC, goes on" in aqs("status", "--output_dir", "out", cwd=tmp_path).stdout
        run.kill()
    assert "UTC, was cut off" in aqs("status", "--output_dir", "out", cwd=tmp_path).stdout
    told = json.loads(aqs("status", "--json", "--output_dir", "out", cwd=tmp_path).stdout)
    assert told["last_run"]["finished_at"] == "" and told["last_run"]["goes_on"] is False


def test_a_threshold_of_a_later_report_stands_in_it(clip: Path, tmp_path: Path) -> None:
    aqs("run", "in", "--output_dir", "out", cwd=tmp_path)
    aqs("report", "--output_dir", "out", "--threshold", "0.01", cwd=tmp_path)
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["run"]["settings"]["analysis"]["threshold"] == 0.01


def test_a_report_written_again_names_what_the_run_named(clip: Path, tmp_path: Path) -> None:
    shipped = inspect(shipped_path())
    other = replace(shipped.card, threshold=(0.01,) * 10)
    save(tmp_path / "mine.safetensors", load_file(shipped.path), other)
    for flags in (["--checkpoint", "mine.safetensors"], ["--threshold", "0.02"]):
        aqs("run", "in", "--output_dir", "out", *flags, cwd=tmp_path)
        before = results(tmp_path / "out")["a.mp4"]
        done = aqs("report", "--output_dir", "out", cwd=tmp_path)
        after = results(tmp_path / "out")["a.mp4"]
        assert done.returncode == 0 and before["detected"], done.stderr
        assert (after["detected"], after["artifact_detail"]) == (
            before["detected"],
            before["artifact_detail"],
        )


def test_files_of_one_name_in_two_folders_are_not_compared(
    clip: Path, make_clip, tmp_path: Path
) -> None:
    """Folders that were named without --input_dir had been."""
    (tmp_path / "other").mkdir()
    shutil.copy(make_clip(seconds=1, source="mandelbrot"), tmp_path / "other" / "a.mp4")
    for name in ("in", "other"):
        done = aqs("run", name, "--output_dir", "out", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert results(tmp_path / "out")["a.mp4"]["previous_aqs"] is None


def test_a_result_is_named_by_the_checkpoint_that_made_it(clip: Path, tmp_path: Path) -> None:
    """It had been named by the one that is used now, be it another by then."""
    shipped, mine = inspect(shipped_path()), tmp_path / "mine.safetensors"
    other = replace(shipped.card, threshold=(0.01,) * 10)
    save(mine, load_file(shipped.path), other)
    aqs("run", "in", "--output_dir", "out", "--checkpoint", mine.name, cwd=tmp_path)
    before = results(tmp_path / "out")["a.mp4"]
    mine.unlink()
    done = aqs("report", "--output_dir", "out", cwd=tmp_path)
    assert done.returncode == 0 and before["detected"], done.stderr
    assert results(tmp_path / "out")["a.mp4"]["artifact_detail"] == before["artifact_detail"]
    with sqlite3.connect(tmp_path / "out" / "aqs.db") as database:  # as earlier versions left it
        database.execute("UPDATE analyses SET thresholds = NULL")
    (tmp_path / "aqs.toml").write_text(f'[model]\ncheckpoint = "{shipped.path}"\n')
    done = aqs("report", "--output_dir", "out", cwd=tmp_path)
    detail = results(tmp_path / "out")["a.mp4"]["artifact_detail"]
    assert [d["threshold"] for d in detail.values()] == pytest.approx(shipped.card.threshold)


def test_a_database_that_is_only_asked_about_is_not_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'typo.db'}"
    for arguments in (["status", "--json"], ["status", "--check"], ["report"], ["retry"]):
        done = aqs(*arguments, "--db", url, cwd=tmp_path)
        assert done.returncode == 1 and "no results in" in done.stderr, arguments
    assert "will be made by the first run" in aqs("doctor", "--db", url, cwd=tmp_path).stdout
    assert not (tmp_path / "typo.db").exists()


def test_passwords_are_neither_shown_nor_kept(clip: Path, tmp_path: Path) -> None:
    url = "postgresql://me:secret@localhost/x"
    done = aqs("run", "in", "--output_dir", "out", "--db", url, cwd=tmp_path)
    assert done.returncode in (1, 2)  # nobody answers, or there is no driver to ask with
    assert "me:***@localhost" in done.stderr and "secret" not in done.stdout + done.stderr


def test_names_that_the_terminal_cannot_show_do_not_end_a_run(clip: Path, tmp_path: Path) -> None:
    clip.rename(clip.with_name("日本.mp4"))
    done = aqs("run", "in", "--output_dir", "out", cwd=tmp_path, PYTHONIOENCODING="latin-1")
    assert done.returncode == 0, done.stderr
    assert list(results(tmp_path / "out")) == ["日本.mp4"]


def test_a_reader_who_left_is_not_told_that_all_went_well(clip: Path, tmp_path: Path) -> None:
    argv = [*COMMAND, "run", "in", "--output_dir", "out"]
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, **QUICK}
    done = subprocess.run(argv, cwd=tmp_path, env=environment, stdout=writing, timeout=300)
    os.close(writing)
    assert done.returncode == 141


def test_two_runs_share_the_work_and_both_have_all_results(
    clip: Path, make_clip, tmp_path: Path
) -> None:
    shutil.copy(make_clip(seconds=1, source="mandelbrot"), clip.with_name("b.mp4"))
    started = [
        subprocess.Popen(
            [*COMMAND, "run", "in", "--output_dir", "out"],
            cwd=tmp_path, env={**os.environ, **QUICK}, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert not any("FAILED" in words for words in said)
    assert {v["aqs_score"] is not None for v in results(tmp_path / "out").values()} == {True}


def test_preprocess_says_what_it_cuts_and_which_file_is_wrong(make_clip, tmp_path: Path) -> None:
    odd = make_clip(
        "odd.mkv",
        source="mandelbrot",
        size="33x71",
        seconds=0.04,
        options=("-c:v", "ffv1", "-pix_fmt", "yuv420p"),
    )
    done = aqs("preprocess", str(odd), "out.mkv", cwd=tmp_path)
    assert "last row or column is cut off" in done.stderr
    assert done.stdout == "out.mkv: 1 frame filtered for CRF 28\n"
    gone = aqs("preprocess", "none.mp4", "out.mkv", cwd=tmp_path)
    assert gone.returncode == 2 and "'none.mp4' does not exist" in gone.stderr
    nowhere = aqs("preprocess", str(odd), "no/out.mkv", cwd=tmp_path)
    assert "no such folder" in nowhere.stderr


def test_bench_names_the_file_that_it_cannot_measure(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video at all" * 100)
    done = aqs("bench", "--clip", "a.mp4", cwd=tmp_path)
    assert done.returncode == 1 and "error: a.mp4: not a readable video" in done.stderr


def test_a_deleted_current_folder_is_named_as_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    status = f'rmdir "$PWD"; exec {shlex.join(COMMAND)} status'
    done = subprocess.run(
        ["sh", "-c", status], cwd=tmp_path / "gone", capture_output=True, text=True, timeout=60,
        env={**os.environ, **QUICK},
    )  # fmt: skip
    assert done.returncode == 1
    assert "the current folder was deleted" in done.stderr


@pytest.mark.parametrize("days", ["-1", "nan"])
def test_days_that_are_none_forget_nothing(days: str, tmp_path: Path) -> None:
    done = aqs("prune", "--missing-days", days, cwd=tmp_path)
    assert done.returncode == 2 and "--missing-days" in done.stderr


def test_who_stops_looking_is_not_told_to_run_again(tmp_path: Path) -> None:
    Store(f"sqlite:///{tmp_path}/out/aqs.db").close()
    looking = subprocess.Popen(
        [*COMMAND, "status", "--follow", "--output_dir", "out"], cwd=tmp_path, text=True,
        env={**os.environ, **QUICK, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # Where tests run in the background of a script, Ctrl-C is ignored, by children as well.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert looking.stdout is not None and looking.stdout.readline().startswith("jobs:")
    looking.send_signal(signal.SIGINT)
    said = looking.communicate(timeout=60)[1]
    assert looking.returncode == 130
    assert "interrupted" in said and "run again" not in said


def test_who_follows_in_json_gets_an_object_a_line(tmp_path: Path) -> None:
    """An empty line had stood between them, which is no JSON."""
    store = Store(f"sqlite:///{tmp_path}/out/aqs.db")
    following = subprocess.Popen(
        [*COMMAND, "status", "--follow", "--json", "--output_dir", "out"], cwd=tmp_path, text=True,
        env={**os.environ, **QUICK, "PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert following.stdout is not None
    before = json.loads(following.stdout.readline())
    store.enqueue("print", "key", tmp_path / "a.mp4", force=False)
    after = json.loads(following.stdout.readline())
    following.terminate()
    following.communicate(timeout=60)
    store.close()
    assert [found["jobs"]["queued"] for found in (before, after)] == [0, 1]


def test_a_reader_that_left_is_told_of_by_every_command(tmp_path: Path) -> None:
    Store(f"sqlite:///{tmp_path}/out/aqs.db").close()
    reads, writes = os.pipe()
    os.close(reads)
    argv = [*COMMAND, "retry", "--output_dir", "out"]
    done = subprocess.run(argv, cwd=tmp_path, stdout=writes, stderr=subprocess.PIPE, text=True)
    os.close(writes)
    assert (done.returncode, done.stderr) == (141, "")


def test_help_that_nobody_gets_ends_like_any_other_output(tmp_path: Path) -> None:
    """Into a full disk it was a traceback, and of a reader that left exit code 1."""
    reads, writes = os.pipe()
    os.close(reads)
    with open("/dev/full", "wb") as full:
        ends = [
            subprocess.run([*COMMAND, "--help"], stdout=to, stderr=subprocess.PIPE, text=True)
            for to in (writes, full)
        ]
    os.close(writes)
    told = [(end.returncode, end.stderr) for end in ends]
    assert told == [(141, ""), (1, "error: No space left on device\n")]


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_closed_stream_ends_no_run(closed: str, clip: Path, tmp_path: Path) -> None:
    run = f"{shlex.join(COMMAND)} run in --output_dir out {closed}"
    done = subprocess.run(
        ["sh", "-c", run], cwd=tmp_path, env={**os.environ, **QUICK}, capture_output=True, text=True
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert len(results(tmp_path / "out")) == 1


def test_a_cache_folder_that_cannot_be_had_is_a_setting_to_change(
    clip: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    barred = {"AQS_MODEL_CACHE_DIR": "x" * 300}
    done = aqs("run", "in", "--output_dir", "out", cwd=tmp_path, **barred)
    assert done.returncode == 2 and "Set [model] cache_dir" in done.stderr, done.stderr
    report = aqs("doctor", cwd=tmp_path, **barred)
    assert report.returncode == 2 and "NO  device" in report.stdout, report.stderr
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # a container's user without a name
    with pytest.raises(SettingsError, match="home"):
        cache_of(settings)


def test_the_demo_leaves_alone_what_has_its_clips_names(
    tmp_path: Path, ffmpeg_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        demo, "CLIPS", [clip for clip in demo.CLIPS if clip.name in ("clean", "ringing")]
    )
    mine = tmp_path / "clean.mp4"
    mine.write_bytes(b"mine")
    (tmp_path / ".ringing.part.mp4").write_bytes(b"left by a kill")
    made = demo.make(ffmpeg_path, tmp_path)
    assert mine.read_bytes() == b"mine"
    assert sorted(made) == sorted(tmp_path.iterdir())


def test_the_demos_clips_are_the_same_each_time(
    tmp_path: Path, ffmpeg_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The colours of the banded one were drawn anew, so that its score was another each time."""
    drawn = ("color_banding", "gaussian_noise", "impulse_noise")
    monkeypatch.setattr(demo, "CLIPS", [clip for clip in demo.CLIPS if clip.name in drawn])
    first, second = (demo.make(ffmpeg_path, tmp_path / folder) for folder in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_nothing_is_told_to_the_maker_of_a_library(tmp_path: Path) -> None:
    code = "import aqs_batch.analysis.openvino_cpu, sys; print(sys.modules['openvino_telemetry'])"
    apart = {k: v for k, v in os.environ.items() if k not in ("CI", "GITHUB_ACTIONS")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**apart, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "None"
    assert list(tmp_path.iterdir()) == []  # a number to be known by had been left here
