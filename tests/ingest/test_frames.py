"""RGB made of a place equals what ffmpeg would have made of the whole frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aqs_batch import ffmpeg
from aqs_batch.ingest import decode, sampling
from aqs_batch.ingest.frames import SWS_FLAGS, Colour, PipedFrames, PipeFormat, Sequence
from aqs_batch.ingest.probe import probe
from aqs_batch.ingest.stamps import Stamps

EXACT = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "4")
TAGGED = {
    "untagged": ("-pix_fmt", "yuv420p"),
    "bt709": ("-pix_fmt", "yuv420p", "-colorspace", "bt709", "-color_range", "tv"),
    "bt470bg": ("-pix_fmt", "yuv420p", "-colorspace", "bt470bg"),
    "full range": ("-pix_fmt", "yuvj420p", "-color_range", "pc"),
    "bt2020": ("-pix_fmt", "yuv420p", "-colorspace", "bt2020nc"),
    "4:2:2": ("-pix_fmt", "yuv422p"),
    "10 bit": ("-pix_fmt", "yuv420p10le"),
}


def first_sequence(path: Path, ffmpeg_path: str) -> Sequence:
    video = probe(path)
    decoding = decode.Decoding(ffmpeg_path, video.height, video.width, 60)
    plan = sampling.SamplePlan(1.0, 1)
    return next(decode.sequences(video, plan, decoding, Stamps()))


def as_ffmpeg_shows(path: Path, ffmpeg_path: str, height: int, width: int) -> np.ndarray:
    """The first seven frames, uint8[7,H,W,3], made into RGB by ffmpeg."""
    scale = f"scale={width}:{height}:flags={SWS_FLAGS}"
    argv = [ffmpeg_path, "-nostdin", "-i", f"file:{path}", "-frames:v", "7", "-vf", scale]
    with ffmpeg.child([*argv, "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]) as running:
        shown = np.empty((7, height, width, 3), np.uint8)
        assert running.read_into(shown.reshape(-1).data) == shown.nbytes
    return shown


@pytest.mark.parametrize("tags", TAGGED.values(), ids=TAGGED.keys())
def test_a_crop_is_the_very_pixels_that_ffmpeg_shows(
    make_clip, ffmpeg_path: str, tags: tuple[str, ...]
) -> None:
    path = make_clip(seconds=0.4, size="640x360", options=(*EXACT, *tags))
    frames = first_sequence(path, ffmpeg_path).frames
    shown = as_ffmpeg_shows(path, ffmpeg_path, 360, 640)
    for y, x in ((5, 0), (7, 11), (96, 201), (136, 416)):
        crop = frames.crop(y, x, 224, 224)
        assert np.array_equal(crop, shown[:, y : y + 224, x : x + 224])


def test_at_the_upper_border_chroma_is_a_few_levels_off_at_most(
    make_clip, ffmpeg_path: str
) -> None:
    path = make_clip(seconds=0.4, size="640x360", options=(*EXACT, "-pix_fmt", "yuv420p"))
    crop = first_sequence(path, ffmpeg_path).frames.crop(0, 0, 360, 640).astype(int)
    off = np.abs(crop - as_ffmpeg_shows(path, ffmpeg_path, 360, 640))
    assert off.max() <= 8
    assert not off[:, 4:].any()


@pytest.mark.parametrize(
    ("size", "pix_fmt", "piped"),
    [
        ("320x240", "yuv420p", PipeFormat.YUV420P),
        ("320x240", "yuvj420p", PipeFormat.YUVJ420P),
        ("320x240", "yuv422p", PipeFormat.RGB24),
        ("321x241", "yuv420p", PipeFormat.RGB24),
    ],
)
def test_planes_are_piped_as_they_are_only_where_they_are_even_and_of_two_by_two(
    make_clip, ffmpeg_path: str, size: str, pix_fmt: str, piped: PipeFormat
) -> None:
    scaled = f"scale={size.replace('x', ':')}"
    options = ("-vf", scaled, "-c:v", "mjpeg" if "j" in pix_fmt else "ffv1", "-pix_fmt", pix_fmt)
    video = probe(make_clip("clip.mkv", seconds=0.4, options=options))
    same = decode.Decoding(ffmpeg_path, video.height, video.width, 60)
    assert decode.piped_as(video, same) is piped
    scaled_down = decode.Decoding(ffmpeg_path, video.height // 2, video.width // 2, 60)
    assert decode.piped_as(video, scaled_down) is PipeFormat.RGB24


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
def test_a_small_picture_keeps_shape_and_colour(make_clip, ffmpeg_path: str, pix_fmt: str) -> None:
    path = make_clip(
        source="color=c=0x4080c0",
        size="640x360",
        seconds=0.4,
        options=(*EXACT, "-pix_fmt", pix_fmt),
    )
    frames = first_sequence(path, ffmpeg_path).frames
    small = frames.small(3, 320)
    assert small.shape == (180, 320, 3)
    assert small.reshape(-1, 3).mean(0) == pytest.approx([0x40, 0x80, 0xC0], abs=4)
    assert frames.small(0, 4000).shape == (360, 640, 3)


@pytest.mark.parametrize("tags", TAGGED.values(), ids=TAGGED.keys())
def test_a_swatch_is_pixels_from_all_over_the_middle_frame(
    make_clip, ffmpeg_path: str, tags: tuple[str, ...]
) -> None:
    source = "gradients=n=2:c0=0x804020:c1=0x2060c0:speed=0.00001:seed=7"
    path = make_clip(source=source, size="640x360", seconds=0.4, options=(*EXACT, *tags))
    swatch = first_sequence(path, ffmpeg_path).frames.swatch()
    shown = as_ffmpeg_shows(path, ffmpeg_path, 360, 640)[3]
    rows, columns = ((2 * np.arange(64) + 1) * side // 128 for side in (360, 640))
    off = np.abs(swatch.astype(int) - shown[np.ix_(rows, columns)])
    assert off.max() <= 4  # its chroma is a pixel's own, not interpolated


@pytest.mark.parametrize("pixels", [PipeFormat.RGB24, PipeFormat.YUV420P])
def test_swatch_and_small_picture_are_of_the_frame_they_are_said_to_be(pixels: PipeFormat) -> None:
    grey = np.arange(7, dtype=np.uint8)[:, None] * 20 + 60
    size = pixels.frame_bytes(80, 80)
    data = np.repeat(grey, size, axis=1)
    data[:, 80 * 80 :] = 128 if pixels is PipeFormat.YUV420P else data[:, 80 * 80 :]
    frames = PipedFrames(data, 80, 80, pixels, Colour(range="pc"))
    assert np.abs(frames.swatch().astype(int) - 120).max() <= 1
    for number in range(7):
        assert np.abs(frames.small(number, 40).astype(int) - (60 + 20 * number)).max() <= 1


def test_a_swatch_of_a_frame_smaller_than_itself_repeats_pixels(
    make_clip, ffmpeg_path: str
) -> None:
    path = make_clip(seconds=0.4, size="48x32")
    assert first_sequence(path, ffmpeg_path).frames.swatch().shape == (64, 64, 3)
