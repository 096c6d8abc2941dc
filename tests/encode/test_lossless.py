"""`aqs-batch preprocess`: luma alone changes; times, sound, tags and colours stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from aqs_batch import ffmpeg
from aqs_batch.cli import commands
from aqs_batch.encode import inventory, lossless, plan
from aqs_batch.encode.child import Tool
from aqs_batch.encode.codec import Recipe
from aqs_batch.encode.filtered import WindowEncoder
from aqs_batch.encode.plan import WHOLE
from aqs_batch.encode.raw_frames import Luma
from aqs_batch.encode.target import Target
from aqs_batch.encoders import Codec
from aqs_batch.errors import AqsError, EncodeError, MediaError, RefusedMedia
from aqs_batch.ingest.probe import probe
from aqs_batch.reencoding import preprocessing

Make = Callable[..., Path]

SOUND = ("-f", "lavfi", "-t", "1", "-i", "sine")
TAGGED = (
    "-c:v", "libx264", "-preset", "ultrafast", "-vf",
    "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=limited,setsar=4/3",
    "-pix_fmt", "yuv420p", "-metadata", "title=A title", "-c:a", "aac",
)  # fmt: skip
# Every third frame is left out, so that times are uneven.
UNEVEN = (
    "-vf", "select='mod(n,3)'", "-fps_mode", "vfr", "-c:v", "libx264", "-preset", "ultrafast",
    "-pix_fmt", "yuv420p10le",
)  # fmt: skip


def pictures(path: Path) -> list[tuple[float, np.ndarray]]:
    """Time and raw planes of every frame."""
    with av.open(str(path)) as container:
        return [(f.time, f.to_ndarray()) for f in container.decode(video=0)]


def identity(window: Sequence[Luma], bit_depth: int) -> Luma:
    return window[1]


def test_a_filter_that_does_nothing_changes_no_bit_and_no_time(
    make_clip: Make, ffmpeg_path: str, tmp_path: Path
) -> None:
    source = make_clip("uneven.mp4", options=UNEVEN)
    target = tmp_path / "out.mkv"
    count, lost = lossless.write(Tool(ffmpeg_path), probe(source), target, identity)
    before, after = pictures(source), pictures(target)
    assert not lost
    assert count == len(before) == len(after)
    since = [t - before[0][0] for t, _ in before]  # a copy begins at nought
    assert [t for t, _ in after] == pytest.approx(since, abs=1.1e-3)
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(before, after, strict=True))


def test_luma_changes_and_chroma_does_not(
    make_clip: Make, ffmpeg_path: str, tmp_path: Path
) -> None:
    source = make_clip()
    lossless.write(
        Tool(ffmpeg_path), probe(source), tmp_path / "o.mkv", preprocessing.filters(1.0)(37)
    )
    (_, before), (_, after) = pictures(source)[5], pictures(tmp_path / "o.mkv")[5]
    assert not np.array_equal(before[:240], after[:240])
    assert np.array_equal(before[240:], after[240:])


def test_what_belongs_to_the_picture_is_kept(
    make_clip: Make, ffmpeg_path: str, tmp_path: Path
) -> None:
    source = make_clip("tagged.mp4", inputs=SOUND, options=TAGGED)
    lossless.write(Tool(ffmpeg_path), probe(source), tmp_path / "o.mkv", identity)
    before, after = probe(source), probe(tmp_path / "o.mkv")
    for name in ("color_primaries", "color_transfer", "color_matrix", "color_range"):
        assert getattr(after, name) == getattr(before, name), name
    assert [s.split()[1:] for s in after.streams] == [["video", "ffv1"], ["audio", "aac"]]
    with av.open(str(tmp_path / "o.mkv")) as container:
        assert container.metadata["title"] == "A title"
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


HELD = "setts=pts=PTS:dts=DTS:duration=if(eq(N\\,{last})\\,4/TB\\,DURATION)"


@pytest.mark.parametrize(("seconds", "last"), [(1.0, 24), (0.04, 0)])
def test_a_last_frame_stands_as_long_as_it_did(
    make_clip: Make, ffmpeg_path: str, tmp_path: Path, seconds: float, last: int
) -> None:
    """A slide that stands for a minute had been shown for a 25th of a second."""
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-bsf:v", HELD.format(last=last))
    source, targets = make_clip("held.mp4", seconds=seconds, options=options), []
    targets.append(tmp_path / "o.mkv")
    lossless.write(Tool(ffmpeg_path), probe(source), targets[0], identity)
    for codec, container in ((Codec.X265, "mkv"), (Codec.X264, "mp4")):
        targets.append(tmp_path / f"encoded.{container}")
        muxer = {"mkv": "matroska"}.get(container, container)
        recipe, target = Recipe(codec, "ultrafast"), Target(30.0, targets[-1], muxer)
        through = WindowEncoder(Tool(ffmpeg_path), probe(source), recipe, lambda crf: identity)
        through(plan.whole(probe(source)).windows[0], [target], lambda frame: None)
    assert probe(source).duration_s == pytest.approx(seconds + 3.96, abs=2e-3)
    for target in targets:
        assert probe(target).duration_s == pytest.approx(seconds + 3.96, abs=2e-3), target


@pytest.mark.parametrize("said", [True, False])
def test_square_pixels_are_said_where_they_were(
    make_clip: Make, ffmpeg_path: str, tmp_path: Path, said: bool
) -> None:
    shape = ("-vf", f"setsar={int(said)}")
    options = ("-c:v", "libx264", "-preset", "ultrafast", *shape)
    source = make_clip("square.ts", seconds=0.2, options=options)
    recipe = Recipe(Codec.X265, "ultrafast")
    through = WindowEncoder(Tool(ffmpeg_path), probe(source), recipe, lambda crf: identity)
    through(WHOLE, [Target(30.0, tmp_path / "o.ts", "mpegts")], lambda frame: None)
    for path in (source, tmp_path / "o.ts"):
        with av.open(str(path)) as container:
            assert bool(container.streams.video[0].sample_aspect_ratio) is said, path


@pytest.mark.parametrize(
    "tags",
    [
        "color_primaries=bt470bg:color_trc=bt470bg:colorspace=bt470bg",  # PAL
        "color_primaries=bt470m:color_trc=bt470m:colorspace=fcc",
        "color_primaries=smpte240m:color_trc=smpte240m:colorspace=smpte240m",
        "color_primaries=smpte431:color_trc=bt2020-12:colorspace=bt2020nc",
    ],
)
def test_rarer_colour_tags_are_kept(
    make_clip: Make, ffmpeg_path: str, tmp_path: Path, tags: str
) -> None:
    """PAL's transfer had no name here, and the copy lost it without a word."""
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-vf", f"setparams={tags}")
    source = make_clip("pal.mp4", seconds=0.2, options=options)
    lossless.write(Tool(ffmpeg_path), probe(source), tmp_path / "o.mkv", identity)
    codes = []
    for path in (source, tmp_path / "o.mkv"):
        with av.open(str(path)) as container:
            codec = container.streams.video[0].codec_context
            codes.append((codec.color_primaries, codec.color_trc, codec.colorspace))
    assert codes[0] == codes[1]
    assert all(code != 2 for code in codes[0])


@pytest.mark.parametrize("pixels", ["yuvj420p", "yuv420p", "yuv420p10le"])
def test_every_level_survives(
    make_clip: Make, ffmpeg_path: str, tmp_path: Path, pixels: str
) -> None:
    """FFV1 had squeezed the 256 levels of full range into 220."""
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", pixels)
    options += ("-metadata:s:v:0", "title=Main", "-metadata:s:v:0", "language=fre")
    source = make_clip("levels.mkv", seconds=0.3, size="320x240", options=options)
    lossless.write(Tool(ffmpeg_path), probe(source), tmp_path / "o.mkv", identity)
    for one, two in zip(pictures(source), pictures(tmp_path / "o.mkv"), strict=True):
        assert np.array_equal(one[1], two[1])
    assert pictures(tmp_path / "o.mkv")[0][0] == 0  # full range had begun at 67 ms
    assert probe(tmp_path / "o.mkv").color_range == probe(source).color_range
    with av.open(str(tmp_path / "o.mkv")) as container:
        said = container.streams.video[0].metadata
        assert (said["title"], said["language"]) == ("Main", "fre")


def test_languages_titles_and_fonts_come_along(
    make_clip: Make, ffmpeg_path: str, tmp_path: Path
) -> None:
    """The picture alone had kept its tags; with a font attached there was no copy at all."""
    font = tmp_path / "a.ttf"
    font.write_bytes(b"font")
    options = ("-map", "0", "-map", "1", "-c:v", "libx264", "-preset", "ultrafast")
    options += ("-metadata:s:a", "language=fre", "-metadata:s:a", "title=Comments")
    options += ("-attach", str(font), "-metadata:s:t", "mimetype=font/ttf")
    source = make_clip("tags.mkv", inputs=SOUND, options=options)
    lossless.write(Tool(ffmpeg_path), probe(source), tmp_path / "o.mkv", identity)
    with av.open(str(tmp_path / "o.mkv")) as container:
        sound, attached = container.streams[1].metadata, container.streams[2].metadata
    assert (sound["language"], sound["title"]) == ("fre", "Comments")
    assert attached == {"filename": "a.ttf", "mimetype": "font/ttf"}


def test_cover_art_of_a_copy_is_no_second_film(
    make_clip: Make, ffmpeg_path: str, tmp_path: Path
) -> None:
    cover = tmp_path / "c.jpg"
    Image.new("RGB", (64, 64), "red").save(cover)
    options = ("-map", "0", "-map", "1", "-c:v", "libx264", "-preset", "ultrafast")
    options += ("-attach", str(cover), "-metadata:s:t", "mimetype=image/jpeg")
    source = make_clip("art.mkv", inputs=SOUND, options=options)
    lossless.write(Tool(ffmpeg_path), probe(source), tmp_path / "o.mkv", identity)
    covers = [s for s in inventory.take(tmp_path / "o.mkv", 0).streams if s.is_cover]
    assert [s.tags["filename"] for s in covers] == ["c.jpg"]


@pytest.mark.parametrize("starts_s", [0, 3600])
def test_a_copy_begins_at_nought_and_keeps_sound_with_picture(
    make_clip: Make, ffmpeg_path: str, tmp_path: Path, starts_s: int
) -> None:
    """A recording that begins at an hour had become a file of an hour."""
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-map", "0", "-map", "1")
    options += ("-output_ts_offset", str(starts_s))
    source = make_clip("late.ts", seconds=1, inputs=SOUND, options=options)
    lossless.write(Tool(ffmpeg_path), probe(source), tmp_path / "o.mkv", identity)

    def begin(path: Path) -> tuple[float, float, float]:
        with av.open(str(path)) as container:
            first = [next(container.decode(video=0)).time]
        with av.open(str(path)) as container:
            first.append(next(container.decode(audio=0)).time)
            return first[0], first[0] - first[1], (container.duration or 0) / 1e6

    before, after = begin(source), begin(tmp_path / "o.mkv")
    assert after[0] < 0.2
    assert after[1] == pytest.approx(before[1], abs=0.03)
    assert after[2] < 1.3


RECORDED = (
    "-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-c:a", "mp2", "-map", "0", "-map", "1",
)  # fmt: skip


def ends(path: Path) -> tuple[float, float]:
    """How long after the first sound the first picture is shown, and the last after the last."""
    shown = [t for t, _ in pictures(path)]
    with av.open(str(path)) as container:
        heard = [float(p.pts * p.time_base) for p in container.demux(audio=0) if p.size]
    return shown[0] - heard[0], shown[-1] - heard[-1]


def test_first_frames_that_do_not_decode_put_nothing_off(
    make_clip: Make, ffmpeg_path: str, tmp_path: Path
) -> None:
    """Their times had gone to those after them: all pictures came a quarter of a second early."""
    whole = make_clip("whole.ts", seconds=1.6, inputs=SOUND, options=RECORDED).read_bytes()
    source = tmp_path / "cut.ts"  # as a recording that was begun at some moment
    source.write_bytes(whole[len(whole) // 3 // 188 * 188 :])
    video = probe(source)
    count, lost = lossless.write(Tool(ffmpeg_path), video, tmp_path / "o.mkv", identity)
    assert count == len(pictures(source)) < len(video.frame_times_s)
    assert ends(tmp_path / "o.mkv") == pytest.approx(ends(source), abs=3e-3)
    assert lost == (f"{len(video.frame_times_s) - count} frames of the source do not decode",)


def test_a_joined_recording_keeps_all_of_its_sound(
    make_clip: Make, ffmpeg_path: str, tmp_path: Path
) -> None:
    """Where the clock starts over the picture had gone on, and the sound had begun anew."""
    once = make_clip("once.ts", seconds=1, inputs=SOUND, options=RECORDED)
    source = tmp_path / "joined.ts"
    source.write_bytes(once.read_bytes() * 2)
    lossless.write(Tool(ffmpeg_path), probe(source), tmp_path / "o.mkv", identity)
    assert ends(tmp_path / "o.mkv") == pytest.approx(ends(once), abs=0.03)
    assert pictures(tmp_path / "o.mkv")[-1][0] > 1.9


def test_frames_that_are_not_shown_are_none(
    make_clip: Make, ffmpeg_path: str, tmp_path: Path
) -> None:
    """Alternate references of VP8 had been counted: 500 frames of 20 s ended at 18.6 s."""
    options = ("-c:v", "libvpx", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-b:v", "300k")
    source = make_clip("alt.webm", seconds=3, size="160x120", options=options)
    shown = len(pictures(source))
    with av.open(str(source)) as container:
        packets = sum(1 for packet in container.demux(video=0) if packet.size)
    assert len(probe(source).frame_times_s) == shown
    assert packets >= shown
    count, _ = lossless.write(Tool(ffmpeg_path), probe(source), tmp_path / "o.mkv", identity)
    assert count == shown


def test_rotation_is_kept(media: Path, ffmpeg_path: str, tmp_path: Path) -> None:
    source = media / "clips" / "phone_dog_room_lowlight.mp4"
    video = probe(source)
    assert video.rotation_deg
    lossless.write(Tool(ffmpeg_path), video, tmp_path / "o.mkv", identity)
    assert probe(tmp_path / "o.mkv").rotation_deg == video.rotation_deg


@pytest.mark.parametrize("turned", [("0", "h"), ("0", "v"), ("90", "h"), ("90", "v")])
def test_a_mirrored_picture_stays_mirrored(
    make_clip: Make, ffmpeg_path: str, tmp_path: Path, turned: tuple[str, str]
) -> None:
    """A selfie's had come out on its head, and nothing had told."""
    angle, axis = turned
    plain, mirrored, copy = make_clip(seconds=1), tmp_path / "m.mp4", tmp_path / "o.mkv"
    argv = [ffmpeg_path, "-display_rotation", angle, f"-display_{axis}flip", "-i", str(plain)]
    assert ffmpeg.run([*argv, "-c", "copy", str(mirrored)], timeout_s=60).returncode == 0
    lossless.write(Tool(ffmpeg_path), probe(mirrored), copy, identity)
    seen = [matrix(path) for path in (mirrored, copy)]
    assert seen[0] == seen[1]
    before, after, straight = (inventory.take(path) for path in (mirrored, copy, plain))
    for other, is_kept in ((after, True), (straight, False)):
        checks = {c.what: c.kept for c in inventory.compare(before, other, 25)}
        assert checks["rotation"] is is_kept


def matrix(path: Path) -> bytes:
    with av.open(str(path)) as container:
        return bytes(next(container.decode(video=0)).side_data["DISPLAYMATRIX"])


def test_hdr_is_refused(make_clip: Make, ffmpeg_path: str, tmp_path: Path) -> None:
    video = replace(probe(make_clip()), hdr="PQ")
    with pytest.raises(RefusedMedia, match="SDR only"):
        lossless.write(Tool(ffmpeg_path), video, tmp_path / "o.mkv", identity)


def test_other_containers_are_refused(make_clip: Make, ffmpeg_path: str, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="cannot hold"):
        lossless.write(Tool(ffmpeg_path), probe(make_clip()), tmp_path / "o.mp4", identity)


def test_nothing_is_left_when_the_filter_fails(
    make_clip: Make, ffmpeg_path: str, tmp_path: Path
) -> None:
    def broken(window: Sequence[Luma], bit_depth: int) -> Luma:
        raise AqsError("the filter broke")

    with pytest.raises(AqsError, match="broke"):
        lossless.write(Tool(ffmpeg_path), probe(make_clip()), tmp_path / "o.mkv", broken)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("side", ["stats_enc_pre", "-f ivf"])
def test_a_filter_between_children_that_hang_is_ended(
    side: str, make_clip: Make, ffmpeg_path: str, tmp_path: Path
) -> None:
    hanging = tmp_path / "ffmpeg"
    hanging.write_text(
        f'#!/bin/sh\ncase "$*" in *"{side}"*) exec sleep 600 ;; esac\nexec "{ffmpeg_path}" "$@"\n'
    )
    hanging.chmod(0o755)
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(EncodeError, match=r"no progress for 0\.6 s"):
        lossless.write(Tool(str(hanging), 0.6), probe(make_clip()), folder / "o.mkv", identity)
    assert list(folder.iterdir()) == []


def test_the_command_filters_and_never_touches_the_source(make_clip: Make, tmp_path: Path) -> None:
    source = make_clip("command.mp4", seconds=0.4)
    before = source.read_bytes()
    target = tmp_path / "o.mkv"
    done = CliRunner().invoke(
        commands, ["preprocess", str(source), str(target), "--crf", "34"], standalone_mode=False
    )
    assert done.return_value == 0, done.output
    assert source.read_bytes() == before
    assert len(pictures(target)) == 10


def test_a_crf_that_the_filter_does_not_know_is_the_nearest_that_it_does(
    make_clip: Make, tmp_path: Path
) -> None:
    source, said = make_clip("command.mp4", seconds=0.4), []
    for crf in ("43", "51"):
        argv = ["preprocess", str(source), str(tmp_path / f"{crf}.mkv"), "--crf", crf]
        said.append(CliRunner().invoke(commands, argv).output)
    (_, known), (_, told) = (pictures(tmp_path / f"{crf}.mkv")[5] for crf in (43, 51))
    assert np.array_equal(known, told)
    assert said[0].endswith("filtered for CRF 43\n")
    assert said[1].endswith("filtered for CRF 43, the nearest to 51 that the filter knows\n")


@pytest.mark.parametrize("flag", ["--crf", "--strength"])
def test_what_is_no_number_is_refused(make_clip: Make, tmp_path: Path, flag: str) -> None:
    """The copy was black from beginning to end."""
    source, target = make_clip("same.mkv", seconds=0.4), tmp_path / "o.mkv"
    done = CliRunner().invoke(commands, ["preprocess", str(source), str(target), flag, "nan"])
    assert done.exit_code == 2
    assert flag in done.output
    assert not target.exists()


def test_the_source_is_not_written_over(make_clip: Make, tmp_path: Path) -> None:
    source = make_clip("same.mkv", seconds=0.4)
    done = CliRunner().invoke(commands, ["preprocess", str(source), str(source)])
    assert done.exit_code == 1
    assert "the output is the source" in done.output


def test_no_other_file_is_written_over(make_clip: Make, tmp_path: Path) -> None:
    other = tmp_path / "other.mkv"
    other.write_bytes(b"somebody's original")
    done = CliRunner().invoke(
        commands, ["preprocess", str(make_clip("a.mkv", seconds=0.4)), str(other)]
    )
    assert done.exit_code == 1
    assert "exists already" in done.output
    assert other.read_bytes() == b"somebody's original"


def test_a_link_that_leads_nowhere_now_is_not_written_over(make_clip: Make, tmp_path: Path) -> None:
    link = tmp_path / "other.mkv"
    link.symlink_to("/not mounted/other.mkv")
    done = CliRunner().invoke(
        commands, ["preprocess", str(make_clip("a.mkv", seconds=0.4)), str(link)]
    )
    assert done.exit_code == 1
    assert "exists already" in done.output
    assert link.is_symlink()


def test_a_file_that_came_meanwhile_is_not_written_over(
    make_clip: Make, ffmpeg_path: str, tmp_path: Path
) -> None:
    """Two calls for one name had also written into one temporary file."""
    target = tmp_path / "o.mkv"

    def slow(window: Sequence[Luma], bit_depth: int) -> Luma:
        target.write_bytes(b"another call's copy")
        return window[1]

    with pytest.raises(MediaError, match="exists already"):
        lossless.write(Tool(ffmpeg_path), probe(make_clip("a.mkv", seconds=0.2)), target, slow)
    assert target.read_bytes() == b"another call's copy"
    assert list(tmp_path.iterdir()) == [target]


def test_a_name_may_be_as_long_as_a_name_can_be(
    make_clip: Make, ffmpeg_path: str, tmp_path: Path
) -> None:
    target = tmp_path / f"{'x' * 251}.mkv"
    lossless.write(Tool(ffmpeg_path), probe(make_clip("a.mkv", seconds=0.2)), target, identity)
    assert list(tmp_path.iterdir()) == [target]


def test_subtitles_of_mp4_come_along_as_text(
    make_clip: Make, ffmpeg_path: str, tmp_path: Path
) -> None:
    (tmp_path / "s.srt").write_text("1\n00:00:00,100 --> 00:00:00,900\nhello\n")
    inputs = ("-i", str(tmp_path / "s.srt"))
    source = make_clip("subs.mp4", inputs=inputs, options=("-c:s", "mov_text"))
    _, lost = lossless.write(Tool(ffmpeg_path), probe(source), tmp_path / "o.mkv", identity)
    with av.open(str(tmp_path / "o.mkv")) as container:
        assert [s.codec_context.name for s in container.streams.subtitles] == ["srt"]
    assert not lost


def test_a_copy_that_is_opaque_says_so(make_clip: Make, ffmpeg_path: str, tmp_path: Path) -> None:
    source = make_clip("a.mkv", seconds=0.2, options=("-c:v", "ffv1", "-pix_fmt", "yuva420p"))
    _, lost = lossless.write(Tool(ffmpeg_path), probe(source), tmp_path / "o.mkv", identity)
    assert lost == ("transparency is not carried over",)


@pytest.mark.parametrize(
    ("pixels", "lost"),
    [("gbrp16le", ("less chroma or depth: gbrp16le becomes yuv444p12le",)), ("yuv422p12le", ())],
)
def test_a_copy_that_is_less_deep_says_so(
    make_clip: Make, ffmpeg_path: str, tmp_path: Path, pixels: str, lost: tuple[str, ...]
) -> None:
    source = make_clip("deep.mkv", seconds=0.2, options=("-c:v", "ffv1", "-pix_fmt", pixels))
    assert lossless.write(Tool(ffmpeg_path), probe(source), tmp_path / "o.mkv", identity)[1] == lost
