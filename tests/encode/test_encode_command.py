"""The encoders' commands, as lists."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from aqs_batch.encode import choose, codec, command, trial
from aqs_batch.encode.codec import Recipe
from aqs_batch.encode.command import Piped
from aqs_batch.encode.plan import Window
from aqs_batch.encode.target import Along, Target, place_of
from aqs_batch.encoders import Codec
from aqs_batch.errors import EncodeError, SettingsError
from aqs_batch.ffmpeg import find
from aqs_batch.ingest.probe import probe
from aqs_batch.records import Video

WHOLE = Window(0, None, None, 0.0, 2.0)
RECIPE = Recipe(Codec.X265, "slow", "aq-mode=3")


@pytest.fixture(scope="module")
def video(make_clip) -> Video:
    return probe(make_clip())


def after(argv: list[str], word: str) -> str:
    return argv[argv.index(word) + 1]


def test_one_decode_feeds_every_rung(video: Video) -> None:
    targets = [Target(crf, Path(f"/s/{crf}.mkv"), "matroska") for crf in (22, 30)]
    argv = command.encoder_argv("ffmpeg", video, WHOLE, RECIPE, targets)
    assert argv.count("-i") == 1
    assert after(argv, "-i") == f"file:{video.path}"
    assert after(argv, "-format_whitelist")
    assert [argv[n + 1] for n, word in enumerate(argv) if word == "-crf:0"] == ["22", "30"]
    assert after(argv, "-x265-params:0") == "log-level=error:aq-mode=3"
    assert after(argv, "-fps_mode:0") == "passthrough"
    assert "-noautorotate" in argv[: argv.index("-i")]
    assert argv[-1] == "file:/s/30.mkv"


def test_a_complete_target_keeps_the_order_of_the_streams(video: Video) -> None:
    video = replace(video, stream_index=2)
    target = Target(28, Path("/s/x.mp4"), "mp4", Along((0, 1, 3)))
    argv = command.encoder_argv("ffmpeg", video, WHOLE, RECIPE, [target])
    maps = [argv[n + 1] for n, word in enumerate(argv) if word == "-map"]
    assert maps == ["0:0", "0:1", "0:2", "0:3"]
    assert after(argv, "-c:2") == "libx265"
    # One codec a stream: told of two, ffmpeg begins with a remark on our command.
    assert sorted(w for w in argv if w.split(":")[0] == "-c") == ["-c:0", "-c:1", "-c:2", "-c:3"]
    assert after(argv, "-tag:2") == "hvc1"
    assert after(argv, "-map_chapters") == "0"
    assert place_of(video, target.along) == 2


def test_a_window_is_sought_between_frames_and_counted_out(video: Video) -> None:
    window = Window(50, 20, 1.98, 2.0, 0.8)
    argv = command.encoder_argv(
        "ffmpeg", video, window, RECIPE, [Target(30, Path("/s/x.mkv"), "matroska")]
    )
    assert argv.index("-ss") < argv.index("-i")
    assert after(argv, "-seek_timestamp") == "1"
    assert after(argv, "-filter:0").startswith("trim=end_frame=20,")


def test_pixels_stay_as_deep_and_as_coloured_as_the_encoder_goes(video: Video) -> None:
    cases = {
        ("yuv420p", 8): ("yuv420p", "yuv420p"),
        ("yuv422p10le", 10): ("yuv422p10le", "yuv420p10le"),
        ("gbrp12le", 12): ("yuv444p12le", "yuv420p10le"),
        ("p010le", 10): ("yuv420p10le", "yuv420p10le"),
        ("yuv440p", 8): ("yuv444p", "yuv420p"),
        ("uyva", 8): ("yuv444p", "yuv420p"),  # QuickTime's v408
        ("nv16", 8): ("yuv422p", "yuv420p"),
        ("yuyv422", 8): ("yuv422p", "yuv420p"),
        ("yuv411p", 8): ("yuv422p", "yuv420p"),  # DV's, in NTSC
        ("yuv410p", 8): ("yuv420p", "yuv420p"),
        ("gray", 8): ("yuv420p", "yuv420p"),
        ("pal8", 8): ("yuv444p", "yuv420p"),
        ("", 8): ("yuv420p", "yuv420p"),
    }
    for (pixel_format, depth), expected in cases.items():
        source = replace(video, pixel_format=pixel_format, bit_depth=depth)
        found = tuple(codec.pixel_format(source, c) for c in (Codec.X265, Codec.SVTAV1))
        assert found == expected


def test_interlaced_and_odd_sources_go_through_filters_that_measuring_repeats(
    video: Video,
) -> None:
    source = replace(video, field_order="tt", coded_width=321, coded_height=241)
    filters = dict(command.source_filters(source, RECIPE))
    assert filters["bwdif"]["mode"] == "send_frame"
    assert (filters["crop"]["w"], filters["crop"]["h"]) == (320, 240)
    assert list(dict(command.source_filters(video, RECIPE))) == ["scale", "format"]


def test_the_colours_of_two_fields_are_not_mixed(video: Video, ffmpeg_path: str) -> None:
    """DV's 4:1:1 had become 4:2:0 before it was deinterlaced: colours were off by up to 145."""
    source = replace(
        video, field_order="bb", pixel_format="yuv411p", coded_width=160, coded_height=120
    )
    ours = command.filter_text(command.source_filters(source, RECIPE), WHOLE)
    fields = "testsrc2=s=160x120:r=50:d=0.4,scroll=h=0.02,tinterlace=interleave_bottom"
    fields += ",setfield=bff,format=yuv411p"
    made = []
    later = "bwdif=send_frame:deint=interlaced,scale=in_h_chr_pos=0:out_h_chr_pos=0"
    for chain in (ours, f"{later},format=yuv422p"):
        argv = [ffmpeg_path, "-nostdin", "-v", "error", "-f", "lavfi", "-i", f"{fields},{chain}",
                "-f", "rawvideo", "-"]  # fmt: skip
        made.append(subprocess.run(argv, capture_output=True, check=True).stdout)
    assert made[0] and made[0] == made[1]


@pytest.mark.parametrize("kind", [Codec.X265, Codec.SVTAV1])
def test_colours_of_a_quarter_of_the_width_stay_in_their_place(
    kind: Codec, video: Video, ffmpeg_path: str
) -> None:
    """DV's lie at the left in NTSC: taken for the middle, they had moved by a pixel."""
    source = replace(video, pixel_format="yuv411p", coded_width=64, coded_height=32)
    graph = command.filter_text(command.source_filters(source, Recipe(kind, "11")), WHOLE)
    rows = [bytes(64) * 32, bytes(range(0, 192, 12)) * 32, bytes(16) * 32]  # 3 more a pixel
    argv = [ffmpeg_path, "-nostdin", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv411p"]
    argv = [*argv, "-s", "64x32", "-i", "-", "-vf", graph, "-f", "rawvideo", "-"]
    made = subprocess.run(argv, input=b"".join(rows), capture_output=True, check=True).stdout
    blue = made[64 * 32 :][:32]
    assert list(blue[4:24]) == pytest.approx(range(24, 144, 6), abs=1)


def test_a_frame_filter_hands_its_frames_over_a_pipe(video: Video) -> None:
    piped = Piped(("-f", "ivf", "-i", "pipe:0"), "setparams=range=limited")
    target = Target(30, Path("/s/x.mkv"), "matroska", Along((1,)))
    argv = command.encoder_argv("ffmpeg", video, WHOLE, RECIPE, [target], piped)
    inputs = [argv[n + 1] for n, word in enumerate(argv) if word == "-i"]
    assert inputs == ["pipe:0", f"file:{video.path}"]
    assert after(argv, "-filter:0") == "setparams=range=limited"
    assert "-progress" not in argv  # nobody reads its stdout, so a full pipe would stop it
    maps = [argv[n + 1] for n, word in enumerate(argv) if word == "-map"]
    assert maps == ["0:v:0", "1:1", "1:0"]  # the last for the clock alone
    assert argv[-2:] == ["null", "-"]
    times = Path("/s/times")
    reading = command.decoder_argv(
        "ffmpeg", video, WHOLE, RECIPE, planar="yuv420p", times=times, others=(1,)
    )
    assert after(reading, "rawvideo") == "pipe:1"
    assert after(reading, "-stats_enc_pre:v") == "file:/s/times"


def test_the_crop_of_a_frame_is_where_it_was_said() -> None:
    argv = choose.crop_argv("ffmpeg", Path("/s/x.mkv"), 2, WHOLE, (0.25, 0.75))
    box = after(argv, "-vf")
    assert ":x='clip(iw*0.2500-ow/2,0,iw-ow)':y='clip(ih*0.7500-oh/2,0,ih-oh)'" in box
    assert after(argv, "-map") == "0:2"


def test_only_hevc_has_another_name_in_mp4() -> None:
    assert codec.container_tag(Codec.X265, "mp4") == ["-tag:v", "hvc1"]
    for kind, container in ((Codec.X265, "matroska"), (Codec.X264, "mp4"), (Codec.SVTAV1, "mp4")):
        assert codec.container_tag(kind, container) == []


def test_every_codec_goes_through_the_same_code() -> None:
    assert codec.options(Recipe(Codec.X264, "fast"), 23)[:2] == ["-c:v", "libx264"]
    assert codec.options(Recipe(Codec.SVTAV1, "8"), 35) == [
        "-c:v", "libsvtav1", "-preset", "8", "-crf", "35",
    ]  # fmt: skip
    with pytest.raises(EncodeError, match="goes from 0 to 51, not 60"):
        codec.check_crf(Codec.X265, 60)
    codec.check_crf(Codec.SVTAV1, 60)


@pytest.mark.parametrize("kind", [Codec.X265, Codec.X264, Codec.SVTAV1])
def test_parameters_are_tried_before_files_are(kind: Codec, ffmpeg_path: str) -> None:
    preset = "12" if kind is Codec.SVTAV1 else "ultrafast"
    found = find(ffmpeg_path)
    trial.check(found, Recipe(kind, preset, "keyint=50"))
    with pytest.raises(SettingsError, match="bogus"):
        trial.check(found, Recipe(kind, preset, "bogus=1"))
    argv = trial.argv("ffmpeg", Recipe(kind, preset, "keyint=50"), "yuv420p10le")
    assert argv[-3:] == ["-f", "null", "-"]
    assert "format=yuv420p10le" in after(argv, "-i")


def test_an_ffmpeg_that_cannot_do_it_is_told_before_files_are(
    ffmpeg_path: str, tmp_path: Path
) -> None:
    """Every file had been scored and encoded, and had failed by itself."""
    recipe = Recipe(Codec.SVTAV1, "12")
    blind = replace(find(ffmpeg_path), missing=("libvmaf", "xpsnr"))
    with pytest.raises(SettingsError, match="has no libvmaf and no xpsnr: no re-encode"):
        trial.check(blind, recipe)
    lacks = tmp_path / "ffmpeg"
    lacks.write_text(f"""#!/bin/sh
case "$*" in *libsvtav1*) echo "Unknown encoder 'libsvtav1'" >&2; exit 8;; esac
exec "{ffmpeg_path}" "$@"
""")
    lacks.chmod(0o755)
    with pytest.raises(SettingsError, match="codec svtav1 failed"):
        trial.check(find(str(lacks)), recipe)
