"""Where chroma lies is kept: lost, all colours of an encode are shown half a pixel aside."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from aqs_batch.encode import child, command, inventory, lossless, output, siting
from aqs_batch.encode.child import Tool
from aqs_batch.encode.codec import Recipe
from aqs_batch.encode.plan import WHOLE
from aqs_batch.encode.raw_frames import Luma
from aqs_batch.encode.target import Along, Target
from aqs_batch.encoders import Codec
from aqs_batch.ingest.probe import probe

RECIPES = {
    Codec.X265: Recipe(Codec.X265, "ultrafast"),
    Codec.X264: Recipe(Codec.X264, "ultrafast"),
    Codec.SVTAV1: Recipe(Codec.SVTAV1, "11"),
}
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:chromaloc=2")
TOP_LEFT = ("-vf", "setparams=chroma_location=topleft")
SOURCES = {
    "uhd.mp4": (X265, "topleft"),
    "avc.mkv": (("-c:v", "libx264", "-preset", "ultrafast", *TOP_LEFT), "topleft"),
    "av1.mp4": (("-c:v", "libsvtav1", "-preset", "11", *TOP_LEFT), "topleft"),
    "camera.avi": (("-c:v", "mjpeg", "-q:v", "3"), "center"),
    "usual.mp4": (("-c:v", "libx264", "-preset", "ultrafast"), ""),
    "studio.mov": (("-c:v", "prores_ks",), ""),  # 4:2:2, of which nothing is said
}  # fmt: skip


@pytest.mark.parametrize("kind", Codec)
@pytest.mark.parametrize("name", SOURCES)
def test_chroma_lies_where_it_lay_and_no_pixel_is_moved(
    name: str, kind: Codec, make_clip, ffmpeg_path: str, tmp_path: Path
) -> None:
    options, expected = SOURCES[name]
    unsaid = probe(make_clip(name, seconds=0.4, options=options))
    video, recipe = siting.told(ffmpeg_path, unsaid), RECIPES[kind]
    assert video.chroma_location == expected
    path = tmp_path / "x.mkv"
    target = Target(30, path, "matroska")
    child.run(command.encoder_argv(ffmpeg_path, video, WHOLE, recipe, [target]), "encoding")
    made = probe(path)
    assert siting.told(ffmpeg_path, made).chroma_location == expected
    read = []
    for source in (unsaid, video):
        graph = command.filter_text(command.source_filters(source, recipe), WHOLE)
        argv = [ffmpeg_path, "-v", "error", "-nostdin", "-i", str(source.path), "-vf", graph]
        argv += ["-f", "rawvideo", "-"]
        read.append(subprocess.run(argv, capture_output=True, check=True).stdout)
    assert read[0] and read[0] == read[1]


@pytest.mark.parametrize("name", ["uhd.mp4", "camera.avi"])
def test_a_preprocessed_copy_keeps_it(
    name: str, make_clip, ffmpeg_path: str, tmp_path: Path
) -> None:
    options, expected = SOURCES[name]
    video = probe(make_clip(name, seconds=0.4, options=options))

    def identity(window: Sequence[Luma], bit_depth: int) -> Luma:
        return window[1]

    lossless.write(Tool(ffmpeg_path), video, tmp_path / "copy.mkv", identity)
    copy = siting.told(ffmpeg_path, probe(tmp_path / "copy.mkv"))
    assert copy.chroma_location == expected


def test_one_that_is_lost_stands_in_the_table(make_clip, ffmpeg_path: str, tmp_path: Path) -> None:
    video = probe(make_clip("uhd.mp4", seconds=0.4, options=X265))
    held, part = inventory.take(video.path, 0), tmp_path / "x.mp4"
    source = siting.told(ffmpeg_path, video)
    for known, after in ((video, "left"), (source, "topleft")):
        target = Target(30, part, "mp4", Along((), (1,)))
        argv = command.encoder_argv(ffmpeg_path, known, WHOLE, RECIPES[Codec.X265], [target])
        child.run(argv, "encoding")
        checks = output.finish(
            Tool(ffmpeg_path), output.Draft(part, 0, 10, source, held), tmp_path / "k.mp4"
        )
        (told,) = (check for check in checks if check.what == "chroma siting")
        assert (told.before, told.after, told.kept) == ("topleft", after, after == "topleft")


def test_what_av1_has_no_word_for_is_told_beforehand(make_clip, ffmpeg_path: str) -> None:
    """Matroska has one, and players take its word."""
    camera = make_clip("camera.mov", seconds=0.4, options=SOURCES["camera.avi"][0])
    video, held = siting.told(ffmpeg_path, probe(camera)), inventory.take(camera)
    for kind, lost in ((Codec.SVTAV1, ("the siting of chroma (center)",)), (Codec.X265, ())):
        assert output.container_of(ffmpeg_path, video, held, kind).left_out == lost
    other = replace(video, path=Path("camera.mkv"))
    assert siting.left_out(other, Codec.SVTAV1, "matroska") == ()
