"""What probing makes of files whose streams can be taken in more than one way."""

from __future__ import annotations

from pathlib import Path

import av

from aqs_batch import ffmpeg
from aqs_batch.ingest.probe import probe

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
