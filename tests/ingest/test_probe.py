"""What probing makes of files whose streams can be taken in more than one way."""

from __future__ import annotations

from fractions import Fraction as Ratio
from pathlib import Path

import av
import pytest

from aqs_batch import ffmpeg
from aqs_batch.encode import inventory, plan
from aqs_batch.errors import MediaError, RefusedMedia
from aqs_batch.ingest import sampling
from aqs_batch.ingest.probe import probe
from aqs_batch.media import colour, side_data
from aqs_batch.settings import LimitSettings

X264 = ("-c:v", "libx264", "-preset", "ultrafast")


def test_of_several_video_streams_the_film_is_taken(make_clip) -> None:
    still = ("-loop", "1", "-framerate", "1", "-t", "1", "-i", str(make_clip("one.png", options=(
        "-frames:v", "1"))))  # fmt: skip
    small = ("-f", "lavfi", "-t", "1", "-i", "testsrc2=size=64x48:rate=5")
    for name, first in (("cover.mkv", still), ("preview.mkv", small)):
        first_of_two = ("-map", "1:v", "-map", "0:v", "-disposition:v:0", "0")
        options = (*first_of_two, "-disposition:v:1", "default", *X264)
        video = probe(make_clip(name, inputs=first, options=options))
        assert (video.stream_index, video.width, len(video.frame_times_s)) == (1, 320, 25)


def test_a_picture_that_is_turned_aslant_keeps_its_sides(
    make_clip, ffmpeg_path: str, tmp_path: Path
) -> None:
    sizes = {}
    for angle in (45, 90):
        turned = tmp_path / f"{angle}.mp4"
        argv = [ffmpeg_path, "-display_rotation", str(angle), "-i", str(make_clip())]
        assert ffmpeg.run([*argv, "-c", "copy", str(turned)], timeout_s=60).returncode == 0
        video = probe(turned)
        sizes[angle] = video.width, video.height
    assert sizes == {45: (320, 240), 90: (240, 320)}


def test_a_turned_picture_is_turned_though_its_first_frame_is_damaged(
    make_clip, ffmpeg_path: str, tmp_path: Path
) -> None:
    """Its sides had stayed as coded, and the upright picture was squeezed into them."""
    turned = tmp_path / "turned.mp4"
    argv = [
        ffmpeg_path,
        "-display_rotation",
        "90",
        "-i",
        str(make_clip(options=(*X264, "-g", "5"))),
    ]
    assert ffmpeg.run([*argv, "-c", "copy", str(turned)], timeout_s=60).returncode == 0
    with av.open(str(turned)) as container:
        first = next(container.demux(video=0))
        begin, size = first.pos, first.size
    data = bytearray(turned.read_bytes())
    data[begin : begin + size] = b"\xff" * size
    turned.write_bytes(data)
    video = probe(turned)
    assert (video.width, video.height, video.rotation_deg) == (240, 320, 90)
    assert "the first frame does not decode" in video.warnings


def test_a_codec_is_called_as_players_call_it_whatever_decodes_it(make_clip) -> None:
    """AV1 had been "libdav1d" in results and reports, and MP3 "mp3float"."""
    sound = ("-f", "lavfi", "-t", "0.4", "-i", "sine")
    options = ("-c:v", "libsvtav1", "-preset", "12", "-c:a", "libmp3lame")
    video = probe(make_clip("av1.mkv", seconds=0.4, inputs=sound, options=options))
    assert (video.codec, video.streams) == ("av1", ("0 video av1", "1 audio mp3"))


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (LimitSettings(max_pixels=320 * 240 - 1), "320x240 pixels, more than the limit of 76799"),
        (LimitSettings(max_streams=1), "2 streams, more than the limit of 1"),
        (LimitSettings(max_packets=24), "more than 24 packets of video"),
    ],
)
def test_what_is_beyond_a_limit_is_refused(make_clip, limits: LimitSettings, says: str) -> None:
    path = make_clip("sound.mp4", inputs=("-f", "lavfi", "-t", "1", "-i", "sine"), options=X264)
    with pytest.raises(RefusedMedia, match=says):
        probe(path, limits)
    assert (
        probe(path, LimitSettings(max_pixels=320 * 240, max_streams=2, max_packets=26)).codec
        == "h264"
    )


def test_rates_are_in_thousands_of_bits_a_second(make_clip) -> None:
    path = make_clip("three.mkv", seconds=3, options=(*X264, "-x264-params", "keyint=10"))
    video = probe(path)
    with av.open(str(path)) as container:
        stream_bytes = sum(packet.size for packet in container.demux(video=0))
    assert len(video.kbps_over_time) == 3
    assert sum(video.kbps_over_time) * 1000 / 8 == pytest.approx(stream_bytes)
    assert video.bit_rate_kbps * video.duration_s * 1000 / 8 == pytest.approx(video.size_bytes)


def test_the_bit_rate_of_a_day_and_a_half_is_told_to_its_end(make_clip) -> None:
    """What came after 27 hours was left out: encodes were "larger than their source"."""
    slow = ("-vf", "setpts=N*5000/TB", "-fps_mode", "passthrough", *X264)
    path = make_clip("watch.mkv", size="64x48", options=slow)
    video = probe(path)
    with av.open(str(path)) as container:
        stream_bytes = sum(packet.size for packet in container.demux(video=0))
    assert video.duration_s > 33 * 3600
    assert sum(video.kbps_over_time) * 1000 / 8 == pytest.approx(stream_bytes)


@pytest.mark.parametrize("name", ["held.mp4", "held.mkv"])
def test_a_last_frame_that_is_held_counts_as_long_as_it_is_shown(
    make_clip, tmp_path: Path, ffmpeg_path: str, name: str
) -> None:
    """As a screen recording in which nothing moves any more; what is sampled stays the same."""
    moving = make_clip(seconds=2, options=("-c:v", "libx264", "-bf", "0", "-g", "10"))
    held = tmp_path / name
    longer = "setts=pts=PTS:dts=DTS:duration=if(eq(N\\,49)\\,60/TB\\,DURATION)"
    argv = [ffmpeg_path, "-i", f"file:{moving}", "-c", "copy", "-bsf:v", longer, f"file:{held}"]
    assert ffmpeg.run(argv, timeout_s=60).returncode == 0
    video, short = probe(held), probe(moving)
    assert video.duration_s == pytest.approx(61.96, abs=0.01)
    assert video.bit_rate_kbps == pytest.approx(video.size_bytes * 8 / 61.96 / 1000, rel=1e-3)
    assert sampling.plan(video, 0.5, 600) == sampling.plan(short, 0.5, 600)
    assert plan.samples(video, 2, 0.4).share == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize(("frames", "variable"), [("1", False), ("mod(n,5)", True)])
def test_milliseconds_make_no_variable_rate_of_240_fps(
    make_clip, frames: str, variable: bool
) -> None:
    chosen = ("-vf", f"select='{frames}'", "-fps_mode", "passthrough", *X264)
    video = probe(make_clip("fast.mkv", rate=240, options=chosen))
    assert video.variable_frame_rate is variable


@pytest.mark.parametrize("name", ["thin.mkv", "thin.mp4", "thin.ts"])
def test_a_variable_rate_is_that_of_the_frames_there_are(make_clip, name: str) -> None:
    """Two seconds in full and two with a frame in ten: it was 25 fps in Matroska, 27.5 in MP4."""
    few = "select='lt(t,2)+not(mod(n,10))'"
    video = probe(make_clip(name, seconds=4, options=("-vf", few, "-fps_mode", "vfr", *X264)))
    steps_s = video.frame_times_s[-1] - video.frame_times_s[0]
    assert video.variable_frame_rate and len(video.frame_times_s) == 55
    assert video.frame_rate.value == pytest.approx(54 / steps_s, abs=0.01)
    assert video.duration_s == pytest.approx(steps_s + 0.04, abs=0.002)


def test_colours_and_the_shape_of_pixels_are_those_of_the_stream(make_clip) -> None:
    tags = "setsar=16/11,setparams=color_primaries=bt470bg:color_trc=bt709:colorspace=smpte170m"
    path = make_clip("tagged.mkv", options=("-vf", f"{tags}:range=pc", *X264))
    video = probe(path)
    found = video.color_primaries, video.color_transfer, video.color_matrix, video.color_range
    assert found == ("bt470bg", "bt709", "smpte170m", "full")
    assert (video.sar.num, video.sar.den) == (16, 11)


def test_spatial_video_is_read_though_what_comes_with_its_frames_has_no_name(media: Path) -> None:
    """PyAV falls over it, and every such film had been an internal error."""
    path = media / "odd" / "fate_multiview.mp4"
    video = probe(path)
    assert (video.width, video.height, video.rotation_deg) == (1920, 1080, 0)
    assert inventory.take(path, video.stream_index).picture.shown_with == (side_data.NAMELESS,)


def test_colours_that_the_container_does_not_know_are_those_of_the_picture(make_clip) -> None:
    """What ffmpeg makes with -x265-params alone: Matroska tells the matrix of what came in."""
    said = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:log-level=error"
    options = ("-vf", "setparams=colorspace=smpte170m", "-c:v", "libx265", "-x265-params", said)
    path = make_clip("hdr.mkv", seconds=0.2, options=("-pix_fmt", "yuv420p10le", *options))
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.color_trc == colour.UNKNOWN
    video = probe(path)
    found = video.color_primaries, video.color_transfer, video.color_matrix, video.hdr
    assert found == ("bt2020", "pq", "bt2020nc", "PQ")
    tags = inventory.take(path, 0).picture.colour
    assert tags[:2] == (9, 16)  # two words for one matrix stay two: an encode would change one


@pytest.mark.parametrize(("frames", "says"), [("1", "a still image"), ("5", "without a container")])
def test_pictures_without_a_container_are_no_still_image(make_clip, frames: str, says: str) -> None:
    path = make_clip("raw.mjpeg", options=("-frames:v", frames, "-c:v", "mjpeg", "-f", "mjpeg"))
    with pytest.raises(MediaError, match=says):
        probe(path)


@pytest.mark.parametrize(("frames", "says"), [("1", "a still image"), ("5", "an animated WebP")])
def test_an_animated_webp_is_no_still_image(make_clip, frames: str, says: str) -> None:
    path = make_clip("moving.webp", options=("-frames:v", frames, "-c:v", "libwebp_anim"))
    with pytest.raises(MediaError, match=says):
        probe(path)


@pytest.mark.parametrize("seconds", [0.2, 2.0])
@pytest.mark.parametrize(
    ("said", "rate"),
    [("120000/1001", Ratio(120000, 1001)), ("120", 120), ("24000/1001", Ratio(24000, 1001)),
     ("25", 25)],
)  # fmt: skip
def test_the_rate_of_a_transport_stream_is_that_of_its_times(
    make_clip, said: str, rate: Ratio, seconds: float
) -> None:
    """119.88 fps had been 120."""
    options = ("-c:v", "libx264", "-preset", "ultrafast")
    found = probe(make_clip("fast.ts", seconds=seconds, rate=said, options=options)).frame_rate
    assert Ratio(found.num, found.den) == rate


@pytest.mark.parametrize("missing_bytes", [0, 1, 100_000])
def test_raw_dv_that_was_cut_short_is_told(make_clip, tmp_path: Path, missing_bytes: int) -> None:
    """Its demuxer fills the last frame up, and there had been no warning."""
    options = ("-c:v", "dvvideo", "-pix_fmt", "yuv420p")
    whole = make_clip("whole.dv", seconds=0.4, size="720x576", options=options).read_bytes()
    cut = tmp_path / "cut.dv"
    cut.write_bytes(whole[: len(whole) - missing_bytes])
    said = ("damaged: the last frame is cut short",) if missing_bytes else ()
    assert probe(cut).warnings == said


@pytest.mark.parametrize("ending", ["dpx", "exr", "j2k"])
def test_a_frame_of_a_film_scan_is_a_still_image(make_clip, ending: str) -> None:
    with pytest.raises(MediaError, match="a still image"):
        probe(make_clip(f"frame.{ending}", options=("-frames:v", "1")))


def test_a_picture_in_a_sound_file_is_no_video(make_clip, tmp_path: Path, ffmpeg_path: str) -> None:
    cover = make_clip("one.png", options=("-frames:v", "1"))
    song = tmp_path / "song.m4a"
    argv = [ffmpeg_path, "-f", "lavfi", "-t", "1", "-i", "sine", "-i", str(cover), "-map", "0"]
    argv += ["-map", "1", "-c:v", "copy", "-disposition:v:0", "attached_pic", str(song)]
    assert ffmpeg.run(argv, timeout_s=60).returncode == 0
    with pytest.raises(MediaError, match="cover art only"):
        probe(song)


def test_a_matrix_that_is_not_read_is_named(make_clip) -> None:
    """The file had been called damaged or encrypted."""
    options = ("-c:v", "ffv1", "-vf", "setparams=colorspace=ipt-c2")
    with pytest.raises(RefusedMedia, match="IPT-C2, is not supported"):
        probe(make_clip("odd.mkv", seconds=0.2, options=options))
