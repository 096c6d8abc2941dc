"""The measurement: its command as a list, and its figures against a hand-written one's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from aqs_batch import ffmpeg
from aqs_batch.encode import child, command, pair, plan, vmaf
from aqs_batch.encode.child import Tool
from aqs_batch.encode.codec import Recipe
from aqs_batch.encode.plan import WHOLE, Window
from aqs_batch.encode.segments import measure_in_parts
from aqs_batch.encode.target import Target
from aqs_batch.encoders import Codec
from aqs_batch.errors import EncodeError
from aqs_batch.ingest.probe import probe
from aqs_batch.records import Video

RECIPE = Recipe(Codec.X265, "ultrafast")


@pytest.fixture(scope="module")
def source(make_clip) -> Video:
    return probe(make_clip(name="it's; a [clip],a:b.mp4", seconds=1.2))


@pytest.fixture(scope="module")
def encoded(source: Video, ffmpeg_path: str, tmp_path_factory) -> Path:
    return encode(source, ffmpeg_path, tmp_path_factory.mktemp("rung"))


def encode(video: Video, ffmpeg_path: str, folder: Path, window: Window = WHOLE) -> Path:
    target = Target(32, folder / "rung.mkv", "matroska")
    child.run(command.encoder_argv(ffmpeg_path, video, window, RECIPE, [target]), "encoding")
    return target.path


def measuring(ffmpeg_path: str, video: Video, **changes: object) -> vmaf.Measuring:
    models = vmaf.models(video.width, video.height, with_v1=False)
    return replace(vmaf.Measuring(Tool(ffmpeg_path), models, 2), **changes)


def test_the_command_has_the_encode_first_and_no_clock_of_a_file(source: Video) -> None:
    sides = pair.own(Path("/x/rung.mkv"), 0, source, Window(50, 20, 1.98, 2.0, 0.8), RECIPE)
    argv = vmaf.argv(*sides, measuring("ffmpeg", source), Path("/tmp/it's"))
    inputs = [word for before, word in pairwise(argv) if before == "-i"]
    assert inputs == ["file:/x/rung.mkv", f"file:{source.path}"]
    assert argv[argv.index("-ss") + 1] == "1.980000"
    graph = argv[argv.index("-filter_complex") + 1]
    assert graph.count("setpts=N") == graph.count("settb=1/25") == 2
    assert graph.count("trim=end_frame=20") == 1  # the source's window; the rung is read whole
    assert "vmaf_v0.6.1neg" in graph
    assert "xpsnr" in graph


def test_models_follow_the_size() -> None:
    assert vmaf.models(1920, 1080, with_v1=False)["vmaf"] == "vmaf_v0.6.1"
    assert vmaf.models(3840, 2160, with_v1=False)["vmaf_neg"] == "vmaf_4k_v0.6.1neg"
    assert vmaf.models(2160, 3840, with_v1=False)["vmaf"] == "vmaf_4k_v0.6.1"
    assert vmaf.models(640, 360, with_v1=True)["vmaf_v1"] == "vmaf_v1.0.16_3d0h"


def test_our_figures_are_those_of_a_hand_written_command(
    source: Video, encoded: Path, ffmpeg_path: str, tmp_path: Path
) -> None:
    sides = pair.own(encoded, 0, source, WHOLE, RECIPE)
    frames = vmaf.measure(*sides, measuring(ffmpeg_path, source))
    log = tmp_path / "hand.json"
    graph = (
        "[0:v]settb=AVTB,setpts=N/25/TB[d];[1:v]settb=AVTB,setpts=N/25/TB[r];"
        f"[d][r]libvmaf=log_fmt=json:log_path={log}"
    )
    argv = [ffmpeg_path, "-hide_banner", "-nostdin", "-i", f"file:{encoded}"]
    argv += ["-i", f"file:{source.path}", "-lavfi", graph, "-f", "null", "-"]
    assert ffmpeg.run(argv, timeout_s=120).returncode == 0
    hand = json.loads(log.read_text())["pooled_metrics"]["vmaf"]
    pooled = vmaf.pool(frames.vmaf["vmaf"])
    assert pooled.mean == pytest.approx(hand["mean"], abs=0.05)
    assert pooled.harmonic_mean == pytest.approx(hand["harmonic_mean"], abs=0.05)
    assert pooled.min == pytest.approx(hand["min"], abs=0.05)
    assert frames.vmaf["vmaf_neg"].mean() <= frames.vmaf["vmaf"].mean()
    assert len(frames.xpsnr) == len(source.frame_times_s) == 30
    stats = tmp_path / "xpsnr.log"
    clock = "settb=AVTB,setpts=N/25/TB"
    graph = f"[0:v]{clock}[d];[1:v]{clock}[r];[d][r]xpsnr={stats}"
    argv = [*argv[: argv.index("-lavfi") + 1], graph, "-f", "null", "-"]
    assert ffmpeg.run(argv, timeout_s=120).returncode == 0
    lines = re.findall(r"y: *(\S+) .*u: *(\S+) .*v: *(\S+)", stats.read_text())
    by_hand = [(6 * float(y) + float(u) + float(v)) / 8 for y, u, v in lines[:30]]
    assert frames.xpsnr.tolist() == pytest.approx(by_hand, abs=0.01)


def test_what_does_not_differ_has_a_figure_too(source: Video, ffmpeg_path: str) -> None:
    """The XPSNR of equal frames is infinite, which no log can hold."""
    frames = vmaf.measure(*pair.foreign(source, source), measuring(ffmpeg_path, source))
    assert frames.xpsnr.tolist() == [vmaf.XPSNR_MOST_DB] * 30
    assert frames.vmaf["vmaf"].min() > 90


def test_swapped_sides_give_another_figure(source: Video, encoded: Path, ffmpeg_path: str) -> None:
    distorted, reference = pair.own(encoded, 0, source, WHOLE, RECIPE)
    right = vmaf.measure(distorted, reference, measuring(ffmpeg_path, source))
    wrong = vmaf.measure(reference, distorted, measuring(ffmpeg_path, source))
    assert wrong.vmaf["vmaf"].mean() > right.vmaf["vmaf"].mean() + 0.5


def test_parts_give_the_scores_of_one_pass(source: Video, encoded: Path, ffmpeg_path: str) -> None:
    sides = pair.own(encoded, 0, source, WHOLE, RECIPE)
    settings = measuring(ffmpeg_path, source)
    one = vmaf.measure(*sides, settings)
    times = probe(encoded).frame_times_s, source.frame_times_s
    counted: list[int] = []
    parts = measure_in_parts(sides, settings, times, counted.append, most=11)
    assert len(parts.xpsnr) == len(one.xpsnr)
    np.testing.assert_allclose(parts.vmaf["vmaf"], one.vmaf["vmaf"], atol=1e-3)
    np.testing.assert_allclose(parts.vmaf["vmaf_neg"], one.vmaf["vmaf_neg"], atol=1e-3)


def test_parts_of_an_mp4_begin_where_they_are_to(
    make_clip, ffmpeg_path: str, tmp_path: Path
) -> None:
    """At low rates a part began at the next keyframe: refused after all the work."""
    source = probe(make_clip("slow.mp4", seconds=9, rate=12, size="64x48"))
    recipe = Recipe(Codec.X265, "veryfast", "keyint=40:min-keyint=40")
    target = Target(30, tmp_path / "rung.mp4", "mp4")
    child.run(command.encoder_argv(ffmpeg_path, source, WHOLE, recipe, [target]), "encoding")
    sides = pair.own(target.path, 0, source, WHOLE, recipe)
    times = probe(target.path).frame_times_s, source.frame_times_s
    settings = measuring(ffmpeg_path, source)
    one = vmaf.measure(*sides, settings)
    for most in (40, 41, 42):  # parts begin three frames before 40, 41, 42 and so on
        parts = measure_in_parts(sides, settings, times, lambda frame: None, most=most)
        np.testing.assert_allclose(parts.vmaf["vmaf"], one.vmaf["vmaf"], atol=1e-3)


def test_a_window_is_the_same_frames_on_both_sides(
    source: Video, ffmpeg_path: str, tmp_path: Path
) -> None:
    window = plan.window(source.frame_times_s, 13, 9, source.duration_s)
    rung = encode(source, ffmpeg_path, tmp_path, window)
    sides = pair.own(rung, 0, source, window, RECIPE)
    frames = vmaf.measure(*sides, measuring(ffmpeg_path, source))
    assert frames.alignment.words == "exact"
    assert len(frames.xpsnr) == 9
    assert frames.vmaf["vmaf"].min() > 60


def test_ten_bit_xpsnr_is_right_in_rows_of_any_length(
    make_clip: Callable[..., Path], ffmpeg_path: str, tmp_path: Path
) -> None:
    """ffmpeg 9's xpsnr answers about -2 dB here, for a row of 352 deep pixels."""
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "10", "-pix_fmt", "yuv420p10le")
    video = probe(make_clip(name="deep.mp4", size="352x288", seconds=0.4, options=options))
    rung = encode(video, ffmpeg_path, tmp_path)
    shallow = vmaf.xpsnr_format("yuv420p10le", 352)
    frames = vmaf.measure(
        *pair.own(rung, 0, video, WHOLE, RECIPE),
        measuring(ffmpeg_path, video, xpsnr_format=shallow),
    )
    assert frames.xpsnr.mean() > 25
    assert (vmaf.xpsnr_format("yuv420p10le", 1920), vmaf.xpsnr_format("yuv420p", 352)) == ("", "")


def test_ten_bit_xpsnr_is_right_whatever_rows_the_decoder_makes(
    make_clip: Callable[..., Path], ffmpeg_path: str, tmp_path: Path
) -> None:
    """dav1d's rows are longer than their pixels: xpsnr answered 4 dB for a true 35."""
    options = ("-c:v", "libsvtav1", "-preset", "12", "-crf", "10", "-pix_fmt", "yuv420p10le")
    video = probe(make_clip(name="av1.mp4", seconds=0.4, options=options))
    frames = vmaf.measure(
        *pair.own(encode(video, ffmpeg_path, tmp_path), 0, video, WHOLE, RECIPE),
        measuring(ffmpeg_path, video),
    )
    assert frames.xpsnr.mean() > 25


def test_without_a_model_alignment_and_xpsnr_remain(
    source: Video, encoded: Path, ffmpeg_path: str
) -> None:
    sides = pair.own(encoded, 0, source, WHOLE, RECIPE)
    frames = vmaf.measure(*sides, measuring(ffmpeg_path, source, models={}))
    assert not frames.vmaf
    assert frames.xpsnr.mean() > 20


def test_where_a_frame_differs_most_is_told(
    make_clip: Callable[..., Path], source: Video, ffmpeg_path: str
) -> None:
    box = ("-vf", "drawbox=x=240:y=0:w=80:h=60:color=black:t=fill")
    marked = probe(make_clip(seconds=1.2, options=(*box, "-c:v", "libx264", "-crf", "18")))
    found = vmaf.measure(*pair.foreign(marked, source), measuring(ffmpeg_path, source, models={}))
    rows, columns = np.divmod(found.worst_cell, vmaf.CELLS)
    assert len(rows) == 30 and set(rows) <= {0, 1} and set(columns) <= {6, 7}


def test_a_failing_command_tells_its_last_lines_and_is_in_the_log(
    source: Video, ffmpeg_path: str, tmp_path: Path, caplog
) -> None:
    caplog.set_level("DEBUG", "aqs_batch")
    sides = pair.own(tmp_path / "missing.mkv", 0, source, WHOLE, RECIPE)
    with pytest.raises(EncodeError, match="No such file") as caught:
        vmaf.measure(*sides, measuring(ffmpeg_path, source))
    assert "--debug" in caught.value.hint
    assert "missing.mkv" in caplog.text and "libvmaf" in caplog.text


@pytest.mark.parametrize("change", ["tags", "size"])
def test_a_stream_that_changes_half_way_is_one_stream(
    make_clip, ffmpeg_path: str, tmp_path: Path, change: str
) -> None:
    """ffmpeg would build its filters anew there: libvmaf told of the last part alone (issue 4)."""
    coded = ("-c:v", "libx264", "-crf", "18", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    tags = ("-bsf:v", "h264_metadata=colour_primaries=5:matrix_coefficients=5")
    size = {"tags": "320x240", "size": "240x180"}[change]
    first = make_clip("first.ts", options=coded)
    second = make_clip("second.ts", source="smptebars", size=size, options=(*coded, *tags))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    video = probe(joined)
    window = plan.window(video.frame_times_s, 15, 20, video.duration_s)  # over the change
    rung = encode(video, ffmpeg_path, tmp_path, window)
    sides = pair.own(rung, 0, video, window, RECIPE)
    frames = vmaf.measure(*sides, measuring(ffmpeg_path, video))
    assert len(frames.vmaf["vmaf"]) == 20
    assert frames.vmaf["vmaf"].min() > 40


def test_colours_of_digital_cinema_are_those_of_its_source(
    make_clip, ffmpeg_path: str, tmp_path: Path
) -> None:
    """XYZ had become YUV by BT.601 without a word of it, and players take that for BT.709."""
    red = ("-vf", "format=rgb48le,drawbox=color=0xC83232:t=fill", "-frames:v", "3")
    jpeg_2000 = ("-c:v", "libopenjpeg", "-pix_fmt", "xyz12le", "-profile:v", "cinema2k")
    source = probe(make_clip("dcp.mxf", rate=24, options=(*red, *jpeg_2000)))
    assert source.pixel_format == "xyz12le"
    ours = probe(encode(source, ffmpeg_path, tmp_path))
    assert (ours.color_matrix, ours.color_range) == ("bt709", "limited")
    seen = []
    for number, path in enumerate((source.path, ours.path)):
        picture = tmp_path / f"{number}.rgb"
        argv = [ffmpeg_path, "-i", str(path), "-frames:v", "1", "-pix_fmt", "rgb24"]
        assert ffmpeg.run([*argv, str(picture)], timeout_s=60).returncode == 0
        seen.append(np.fromfile(picture, np.uint8).reshape(-1, 3).mean(0))
    assert np.abs(seen[0] - seen[1]).max() < 6
