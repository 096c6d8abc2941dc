"""`bench` and `inspect-model`: their figures hang together; nothing here fails for being slow."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from aqs_batch.analysis import anatomy
from aqs_batch.analysis.anatomy import Anatomy
from aqs_batch.analysis.checkpoint import inspect, load_model, shipped_path
from aqs_batch.cli import commands
from aqs_batch.errors import MediaError
from aqs_batch.ingest.probe import probe
from aqs_batch.machine import measure
from aqs_batch.machine.measure import (
    Measured,
    ModelSpeed,
    bottleneck,
    decoding_argv,
    decoding_s,
    forecast,
)
from aqs_batch.machine.resources import Sample, page, sampling, summary


def aqs(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    quick = {"AQS_ANALYSIS_TILES": "1", "AQS_ANALYSIS_MAX_SEQUENCES": "2"}
    environment = {**os.environ, **quick, "AQS_LIMITS_MAX_STREAMS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "aqs_batch", *arguments],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip


def test_bench_measures_forecasts_and_draws(make_clip, tmp_path: Path) -> None:
    # More streams than are allowed where nothing is set: the bench had not heard of what is.
    many = (*("-map", "0:v") * 130, "-c:v", "mpeg4", "-threads", "1")
    clip = make_clip("many.mkv", size="64x64", options=many)
    done = aqs(
        "bench", str(clip.parent), "--clip", str(clip), "--json",
        "--profile-resources", "use.html", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["decode_fps"] > 0 and found["end_to_end_tiles_per_s"] > 0
    assert {m["backend"] for m in found["model"]} == {"openvino", "torch"}
    assert found["forecast"]["files"] == 1
    assert found["forecast"]["sequences"] == 2
    assert found["forecast"]["hours"] > 0
    assert found["resources"]["own_peak_mb"] > 50
    drawn = (tmp_path / "use.html").read_text()
    assert "<svg" in drawn and "http" not in drawn


def test_a_page_that_cannot_be_written_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    clip = tmp_path / "no video.mp4"  # what measuring would have stumbled over
    clip.write_text("hello")
    done = aqs(
        "bench", "--clip", str(clip), "--profile-resources", f"{clip}/use.html", cwd=tmp_path
    )
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "readable" not in done.stderr and clip.name in done.stderr, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [clip.name]


def test_the_clip_is_made_by_the_ffmpeg_that_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "ffmpeg"
    mine.write_text(
        "#!/bin/sh\ncase $* in\n*-version) echo 'ffmpeg version 9';;\n"
        "*lavfi*) echo 'no room here' >&2; exit 1;;\nesac\n"
    )
    mine.chmod(0o755)
    monkeypatch.setenv("AQS_FFMPEG_PATH", str(mine))
    done = CliRunner().invoke(commands, ["bench"])
    assert done.exit_code == 1
    assert done.output == "error: the test clip could not be made: no room here\n"


def test_sound_without_a_decoder_does_not_hurry_the_decoding(
    make_clip, tmp_path: Path, ffmpeg_path: str
) -> None:
    tone = ("-f", "lavfi", "-t", "1", "-i", "sine")
    whole = make_clip("tone.mp4", inputs=tone, options=("-c:v", "libx264", "-c:a", "aac"))
    odd = tmp_path / "odd.mp4"
    odd.write_bytes(whole.read_bytes().replace(b"mp4a", b"zzzz").replace(b"esds", b"free"))
    video = probe(odd)
    assert video.streams == ("0 video h264", "1 audio unknown")
    assert decoding_s(video, ffmpeg_path) > 0
    argv = decoding_argv(video, "ffmpeg")
    assert argv[-6:] == [f"file:{odd}", "-map", "0:0", "-f", "null", "-"]
    assert "-protocol_whitelist" in argv and "-format_whitelist" in argv
    with pytest.raises(MediaError, match="cannot be decoded"):
        decoding_s(replace(video, stream_index=7), ffmpeg_path)


def measured(**other) -> Measured:
    speed = ModelSpeed("openvino", "cpu", 1, 20.0)
    figures = {
        "cores": 2, "decode_fps": 200.0, "model": (speed,), "end_to_end_tiles_per_s": 16.0,
        "times_real_time": 4.0, "peak_memory_mb": 500.0, "model_share": 0.8, "bottleneck": "",
    }  # fmt: skip
    return Measured(**figures | other)


def test_a_forecast_grows_with_the_work_and_counts_what_cannot_be_read(
    make_clip, settings, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    clip = make_clip(seconds=1).read_bytes()
    (folder / "a.mp4").write_bytes(clip)
    one = forecast(settings, folder, measured())
    (folder / "b.mp4").write_bytes(clip)
    (folder / "c.mp4").write_text("not a video")
    two = forecast(settings, folder, measured())
    assert (one.files, two.files, two.unreadable) == (1, 3, 1)
    assert two.hours == pytest.approx(2 * one.hours)
    assert "c.mp4" in two.problems[0]
    # What a clip of the same rate, but a quarter of the pixels, took says four times as much.
    small = measured(clip_pixels=measured().clip_pixels / 4)
    assert forecast(settings, folder, small).hours > two.hours


def test_a_folder_of_bench_clips_takes_as_many_times_what_the_clip_took(
    make_clip, settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (tmp_path / f"{number}.mp4").write_bytes(make_clip(seconds=1).read_bytes())
    took_s, tiles = 0.25, 2  # of the settings' one tile in each of two sequences
    clip = measured(
        clip_s=1.0, clip_frames=25, clip_pixels=25.0 * 320 * 240,
        times_real_time=1 / took_s, end_to_end_tiles_per_s=tiles / took_s,
    )  # fmt: skip
    for probed in (5, 2):  # of many files some are probed
        monkeypatch.setattr(measure, "PROBED_FILES", probed)
        found = forecast(settings, tmp_path, clip)
        assert (found.files, found.sequences) == (5, 10)
        assert found.hours * 3600 == pytest.approx(5 * took_s)
        assert found.video_hours * 3600 == pytest.approx(5)


@pytest.mark.parametrize(
    ("model", "decode", "device", "says"),
    [
        (0.95, 0.3, "cpu", "a GPU, more cores"),
        (0.95, 0.3, "cuda", "a faster GPU"),
        (0.3, 0.9, "cuda", "decoding"),
        (0.5, 0.3, "cpu", "neither"),
    ],
)
def test_the_bottleneck_is_named(model: float, decode: float, device: str, says: str) -> None:
    assert says in bottleneck(model, decode, device)


@pytest.fixture(scope="module")
def examined() -> Anatomy:
    """Of the shipped network: it takes a minute of a slow machine."""
    return anatomy.examine(inspect(shipped_path()))


def test_the_networks_parts_add_up_and_every_head_is_explained(examined: Anatomy) -> None:
    found = examined
    whole = sum(p.numel() for p in load_model(inspect(shipped_path())).parameters())
    # What belongs to no part is the position of the tokens.
    assert 0 <= whole - sum(p.parameters for p in found.parts) < 0.01 * whole
    backbone = sum(p.multiply_adds for p in found.parts if p.name.startswith("backbone"))
    # EfficientNet-B0 is 0.39 G a frame with its top; five of seven frames see its first block.
    assert 2 * 0.35e9 < backbone < 2 * 0.42e9 + 5 * 0.05e9
    assert [s.stride for s in found.stages] == [2, 4, 8, 16, 32]
    fields = [s.receptive_field_px for s in found.stages]
    assert fields == sorted(fields) and fields[0] == 7
    assert len(found.heads) == 11
    assert all(sum(shares.values()) == pytest.approx(1) for shares in found.heads.values())


def test_inspect_model_prints_it(examined: Anatomy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anatomy, "examine", lambda checkpoint: examined)
    done = CliRunner().invoke(commands, ["inspect-model"])
    assert done.exit_code == 0, done.output
    for word in (", made 20", "multiply-adds", "sees (px)", "color_banding", "Slowest layers"):
        assert word in done.output


def test_resources_are_sampled_summed_up_and_drawn() -> None:
    with sampling(interval_s=0.01) as samples:
        while len(samples) < 3:
            sum(range(10_000))
    assert [s.t_s for s in samples] == sorted(s.t_s for s in samples)
    assert summary(samples)["own_peak_mb"] > 10
    made = [Sample(0.5 * n, 1.0, 0.5, 100.0, 20.0, 50.0) for n in range(4)]
    assert summary(made)["peak_mb"] == 120.0
    assert "GPU %" in page(made, "title")
    assert summary([]) == {} and "<svg" in page([], "nothing")


def test_a_terminal_is_told_at_once_what_takes_minutes(tmp_path: Path) -> None:
    """Not a word for two minutes had looked like a hang."""
    (tmp_path / "a.mp4").write_bytes(b"no video")
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "aqs_batch", "bench", "--clip", "a.mp4"]
    subprocess.run(argv, cwd=tmp_path, stderr=theirs, stdout=subprocess.PIPE, timeout=120)
    os.close(theirs)
    said = os.read(ours, 4096).decode()
    os.close(ours)
    assert said.startswith("decoding a clip") and "a.mp4: not a readable video" in said
