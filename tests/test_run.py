"""The whole main job as its user sees it: files in, verdicts out, and nothing lost in between."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from aqs_batch.analysis.checkpoint import ModelCard, save

COMMAND = [sys.executable, "-m", "aqs_batch"]
QUICK = {"AQS_ANALYSIS_TILES": "1", "AQS_ANALYSIS_MAX_SEQUENCES": "2", "AQS_MODEL_BACKEND": "torch"}


def aqs(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env={**os.environ, **QUICK, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def results(folder: Path) -> dict[str, dict]:
    document = json.loads((folder / "results.json").read_text())
    return {video["file"]: video for video in document["videos"]}


@pytest.fixture
def folder(make_clip, tmp_path: Path) -> Path:
    place = tmp_path / "in"
    (place / "sub").mkdir(parents=True)
    shutil.copy(make_clip(seconds=1), place / "a.mp4")
    shutil.copy(make_clip(seconds=1, source="mandelbrot"), place / "sub" / "b.mp4")
    return place


def test_a_second_run_does_nothing_again(folder: Path, tmp_path: Path) -> None:
    first = aqs("run", "--input_dir", "in", "--output_dir", "out", cwd=tmp_path)
    assert "2 scored, 0 unchanged, 0 failed\nwrote " in first.stdout
    assert first.returncode == 0, first.stderr
    before = results(tmp_path / "out")
    assert set(before) == {"a.mp4", "sub/b.mp4"}
    (folder / "a.mp4").rename(folder / "renamed.mp4")  # the same content under another name
    with (folder / "sub" / "b.mp4").open("ab") as handle:
        handle.write(b"\0" * 64)  # another content under the same name
    second = aqs("run", "--input-dir", "in", "--output-dir", "out", "--json", cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    lines = [json.loads(line) for line in second.stdout.splitlines()]
    events = {(e["event"], e.get("file")) for e in lines}
    assert ("unchanged", "renamed.mp4") in events
    assert lines[-1]["counts"] == {"scored": 1, "unchanged": 1, "failed": 0}
    assert ("scored", "sub/b.mp4") in events
    after = results(tmp_path / "out")
    assert after["renamed.mp4"]["aqs_score"] == before["a.mp4"]["aqs_score"]
    scores = {e["file"]: e["aqs_score"] for e in lines if "aqs_score" in e}
    assert scores == {name: video["aqs_score"] for name, video in after.items()}
    for page in ("index.html", "results.csv", "sequences.csv", "aqs.db"):
        assert (tmp_path / "out" / page).exists()
    assert len(list((tmp_path / "out" / "videos").glob("*.html"))) == 2


def test_a_first_run_calls_nothing_unchanged(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "a.mp4", folder / "copy.mp4")
    for flags in ([], ["--force"]):
        done = aqs(
            "run", "--input_dir", "in", "--output_dir", "out", "--json", *flags, cwd=tmp_path
        )
        events = [json.loads(line) for line in done.stdout.splitlines()]
        told = [event["event"] for event in events]
        assert (told.count("scored"), told.count("unchanged")) == (3, 0)
        copies = {event["file"]: event["copy_of"] for event in events if "copy_of" in event}
        assert copies == {"copy.mp4": "a.mp4"}
        assert {video["status"] for video in results(tmp_path / "out").values()} == {"scored"}
        page = (tmp_path / "out" / "index.html").read_text()
        assert "0 files unchanged" in page
        with sqlite3.connect(tmp_path / "out" / "aqs.db") as database:  # nor is it scored twice
            assert database.execute("SELECT count(*) FROM analyses").fetchone() == (2,)


def test_the_results_hold_what_the_interface_promises(folder: Path, tmp_path: Path) -> None:
    assert aqs("run", "in/a.mp4", "--output_dir", "out", cwd=tmp_path).returncode == 0
    video = results(tmp_path / "out")["in/a.mp4"]
    for part in ("aqs_score", "aqs_p5", "quality_component", "artifact_component"):
        assert 0 <= video[part] <= 1
    assert len(video["artifacts"]) == 10
    assert len(video["sequences"]) == video["sequence_count"] == 2
    assert video["frame_count"] == 14
    formula = 0.6 * video["quality_component"] + 0.4 * (1 - video["artifact_component"])
    assert video["aqs_score"] == pytest.approx(formula, abs=1e-6)
    assert video["provenance"]["checkpoint"].startswith("aqs-b0 ")


def test_report_status_and_threshold_work_from_the_database(folder: Path, tmp_path: Path) -> None:
    assert aqs("run", "in", "--output_dir", "out", "--export", "json", cwd=tmp_path).returncode == 0
    assert not (tmp_path / "out" / "index.html").exists()
    again = aqs("report", "--output_dir", "out", "--threshold", "0.0", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "out" / "index.html").exists()
    assert all(len(v["detected"]) == 10 for v in results(tmp_path / "out").values())
    status = aqs("status", "--output_dir", "out", "--json", cwd=tmp_path)
    jobs = json.loads(status.stdout)["jobs"]
    assert jobs == {"queued": 0, "running": 0, "done": 2, "failed": 0, "quarantined": 0}


def test_the_gate_has_its_own_exit_code(folder: Path, tmp_path: Path) -> None:
    gate = aqs("run", "in", "--output_dir", "out", "--fail-under", "1.0", cwd=tmp_path)
    assert gate.returncode == 3
    assert "below 1" in gate.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run",), "name videos"),
        (("run", "--input_dir", "none"), "no such folder"),
        (("run", "x.mp4", "--threshold", "7"), "--threshold: must be"),
        (("run", "x.mp4", "--config", "none.toml"), "none.toml"),
        (("run", "x.mp4", "--export", "pdf"), "--export, number 1: must be"),
        (("walk",), "No such command"),
    ],
)
def test_wrong_usage_exits_2_with_a_reason(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    done = aqs(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_without_weights_nothing_is_scored(folder: Path, tmp_path: Path) -> None:
    done = aqs("run", "in", "--output_dir", "out", "--checkpoint", "none.safetensors", cwd=tmp_path)
    assert done.returncode == 2
    assert "nothing is scored" in done.stderr
    assert not (tmp_path / "out" / "results.json").exists()


def test_weights_of_another_kind_leave_no_file_in_hand(folder: Path, tmp_path: Path) -> None:
    """Loading had failed after a job was claimed: the next run waited five minutes for it."""
    save(tmp_path / "other.safetensors", {"x": torch.zeros(1)}, ModelCard("x", "1", "another", ""))
    for _ in range(2):
        flags = ("--output_dir", "out", "--checkpoint", "other.safetensors")
        done = aqs("run", "in", *flags, cwd=tmp_path)
        assert done.returncode == 2
        assert "of the kind another" in done.stderr
        assert "Traceback" not in done.stderr


def bad_files(place: Path, clip: Path) -> dict[str, str]:
    """Files that break tools, with a word of the reason each must get."""
    place.mkdir()
    secret = place.parent / "secret.mp4"
    shutil.copy(clip, secret)
    (place / "empty.mp4").touch()
    (place / "text.mp4").write_text("this is not a video\n" * 50)
    (place / "playlist.mp4").write_text(f"#EXTM3U\n#EXTINF:1,\n{secret}\n")
    (place / "concat.mp4").write_text(f"ffconcat version 1.0\nfile {secret}\n")
    (place / "folder.mp4").mkdir()
    (place / "cut.mp4").write_bytes(clip.read_bytes()[:700])
    os.mkfifo(place / "pipe.mp4")
    (place / "dangling.mp4").symlink_to(place / "nowhere")
    return {
        "empty.mp4": "empty",
        "text.mp4": "not a readable video",
        "playlist.mp4": "playlist",
        "concat.mp4": "playlist",
        "folder.mp4": "directory",
        "cut.mp4": "",
        "pipe.mp4": "not a regular file",
    }


def test_bad_input_is_a_result_not_a_crash(make_clip, media: Path, tmp_path: Path) -> None:
    clip = make_clip(seconds=0.4)
    place = tmp_path / "in"
    reasons = bad_files(place, clip)
    for name, source in (
        ("audio.mp4", "shaka_audio-xhe-aac.mp4"),
        ("image.mp4", "sharp_truncated.jpg"),
        ("encrypted.mp4", "fate_mov-3elist-encrypted.mp4"),
    ):
        shutil.copy(media / "odd" / source, place / name)
    reasons |= {"audio.mp4": "audio only", "image.mp4": "", "encrypted.mp4": "encrypted"}
    good = ["-dash.mp4", "=cmd.mp4", "quo'te\".mp4", "new\nline.mp4", "a;b & c$(x).mp4"]
    for number, name in enumerate(good):
        shutil.copy(clip, place / name)
        with (place / name).open("ab") as handle:
            handle.write(bytes(number + 1))
    raw = os.fsencode(place) + b"/\xff\xfe.mp4"
    shutil.copy(clip, os.fsdecode(raw))

    done = aqs("run", "--input_dir", "in", "--output_dir", "out", cwd=tmp_path)

    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    found = results(tmp_path / "out")
    for name, reason in reasons.items():
        assert found[name]["status"] == "failed", name
        assert reason in found[name]["reason"], name
        assert found[name]["aqs_score"] is None
    assert sum(v["status"] != "failed" for v in found.values()) == len(good) + 1
    with (tmp_path / "out" / "results.csv").open(newline="") as handle:
        cells = [row["file"] for row in csv.DictReader(handle)]
    assert not [c for c in cells if c.startswith(("=", "+", "-", "@"))]
    leftovers = [p for p in (tmp_path / "out").rglob("*") if ".part" in p.name or ".tmp" in p.name]
    assert not leftovers


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_says_so(make_clip, tmp_path: Path) -> None:
    file = tmp_path / "x.mp4"
    shutil.copy(make_clip(), file)
    file.chmod(0)
    done = aqs("run", "x.mp4", "--output_dir", "out", cwd=tmp_path)
    assert done.returncode == 1
    assert "Permission denied" in results(tmp_path / "out")["x.mp4"]["reason"]


def test_dolby_vision_that_no_other_player_shows_is_labelled(media: Path, tmp_path: Path) -> None:
    files = [str(media / "odd" / f"fate_dovi-{profile}.mp4") for profile in ("p5", "p81")]
    done = aqs("run", *files, "--output_dir", "out", "--export", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (alone,), (based,) = (video["warnings"] for video in results(tmp_path / "out").values())
    assert alone.startswith("Dolby Vision without") and based.startswith("HDR (PQ) tone-mapped")


def test_a_killed_run_goes_on_where_it_stopped(folder: Path, tmp_path: Path) -> None:
    command = [*COMMAND, "run", "in", "--output_dir", "out", "--json"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, **QUICK}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "scored":
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    # The dead process's lease must not keep the next run waiting here: force takes the job over
    # only when it is not running, so the ledger is asked to give it back first.
    import sqlite3

    with sqlite3.connect(tmp_path / "out" / "aqs.db") as connection:
        connection.execute("UPDATE jobs SET lease_until = 0")
    done = aqs("run", "in", "--output_dir", "out", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    kinds = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert kinds.count("unchanged") + kinds.count("scored") == 2
    assert kinds.count("unchanged") >= 1


def test_doctor_names_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    good = aqs("doctor", "--json", cwd=tmp_path)
    assert good.returncode == 0, good.stdout
    findings = json.loads(good.stdout)
    wanted = {"ffmpeg", "libvmaf", "libx265", "xpsnr", "device", "checkpoint", "database", "disk"}
    assert wanted <= set(findings)
    bad = aqs("doctor", cwd=tmp_path, AQS_FFMPEG_PATH="/nowhere/ffmpeg")
    assert bad.returncode == 2
    assert "NO  ffmpeg" in bad.stdout


def test_config_says_where_values_come_from(tmp_path: Path) -> None:
    done = aqs("config", "--json", cwd=tmp_path)
    settings = json.loads(done.stdout)
    assert settings["analysis.tiles"] == {"value": 1, "origin": "environment"}
    assert settings["analysis.alpha"] == {"value": 0.6, "origin": "default"}


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_config_shows_no_password(tmp_path: Path, flags: list[str]) -> None:
    done = aqs("config", *flags, cwd=tmp_path, AQS_OUTPUT_DB="postgresql://me:secret@host/aqs")
    assert "secret" not in done.stdout
    assert "postgresql://me:***@host/aqs" in done.stdout


def test_the_last_line_counts_re_encodes_that_failed(make_clip, tmp_path: Path) -> None:
    """It had been "1 scored, 0 failed", with exit code 1."""
    options = ("-c:v", "ffv1", "-pix_fmt", "yuv420p")
    odd = make_clip("odd.mkv", source="mandelbrot", size="257x225", seconds=1, options=options)
    shutil.copy(odd, tmp_path / "odd.mkv")
    done = aqs("encode", "odd.mkv", "--replace", "--output_dir", "out", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "the original stays" in done.stdout
    assert "1 scored, 0 unchanged, 0 failed, 1 re-encode failed\nwrote " in done.stdout
