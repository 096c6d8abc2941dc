"""Kept encodes: everything beside the picture survives, and nothing false gets a final name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import pytest

from aqs_batch import ffmpeg
from aqs_batch.encode import admission, child, command, covers, inventory, output, siting
from aqs_batch.encode.admission import OPAQUE
from aqs_batch.encode.child import Tool
from aqs_batch.encode.codec import Recipe
from aqs_batch.encode.inventory import Stream
from aqs_batch.encode.output import Draft
from aqs_batch.encode.plan import WHOLE
from aqs_batch.encode.target import Target, place_of
from aqs_batch.encoders import Codec
from aqs_batch.errors import EncodeError, RefusedMedia
from aqs_batch.ingest.probe import probe
from aqs_batch.media.turning import Turn
from aqs_batch.settings import Encode

RECIPE = Recipe(Codec.X265, "ultrafast")
META = """;FFMETADATA1
title=A title
artist=Someone
[CHAPTER]
TIMEBASE=1/1000
START=0
END=400
title=First
[CHAPTER]
TIMEBASE=1/1000
START=400
END=1000
title=Second
"""


@pytest.fixture(scope="module")
def rich(ffmpeg_path: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A Matroska and an MP4 file with sound in two languages, subtitles, chapters and tags."""
    folder = tmp_path_factory.mktemp("rich")
    (folder / "meta.txt").write_text(META)
    (folder / "subs.srt").write_text("1\n00:00:00,100 --> 00:00:00,900\nhello\n")
    (folder / "font.ttf").write_bytes(b"\0\1\0\0not really a font")
    made = {}
    for suffix, subtitle in ((".mkv", "srt"), (".mp4", "mov_text")):
        target = folder / f"rich{suffix}"
        argv = [ffmpeg_path, "-hide_banner", "-nostdin", "-y"]
        argv += ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=1"]
        argv += ["-f", "lavfi", "-i", "sine=duration=1", "-f", "lavfi", "-i", "sine=220:duration=1"]
        argv += ["-i", f"{folder}/subs.srt", "-f", "ffmetadata", "-i", f"{folder}/meta.txt"]
        argv += ["-map", "0", "-map", "1", "-map", "2", "-map", "3", "-map_metadata", "4"]
        argv += ["-map_chapters", "4", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"]
        argv += ["-c:s", subtitle, "-color_primaries", "bt709", "-color_trc", "bt709"]
        argv += ["-colorspace", "bt709", "-color_range", "tv", "-metadata:s:1", "language=eng"]
        argv += ["-metadata:s:2", "language=deu", "-disposition:2", "comment"]
        argv += ["-metadata:s:2", "title=Director's commentary", "-metadata:s:0", "title=Cut"]
        argv += ["-metadata:s:3", "language=fra"]
        if suffix == ".mkv":
            argv += ["-attach", f"{folder}/font.ttf", "-metadata:s:4", "mimetype=font/ttf"]
        done = ffmpeg.run([*argv, f"file:{target}"], timeout_s=120)
        assert done.returncode == 0, done.tail
        made[suffix] = target
    return made


def reencode(source: Path, ffmpeg_path: str, folder: Path, recipe: Recipe = RECIPE) -> Draft:
    video = siting.told(ffmpeg_path, probe(source))
    held = inventory.take(source, video.stream_index)
    container = output.container_for(source, held, video.stream_index, recipe.codec)
    path = folder / f"x{container.suffix}"
    taken = covers.take_out(Tool(ffmpeg_path), source, container.covers, folder)
    along = replace(container.along, covers=taken)
    target = Target(30, path, container.name, along)
    child.run(command.encoder_argv(ffmpeg_path, video, WHOLE, recipe, [target]), "encoding")
    return Draft(path, place_of(video, along), held.picture.frames, video, held)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_everything_beside_the_picture_survives(
    suffix: str, rich: dict[str, Path], ffmpeg_path: str, tmp_path: Path
) -> None:
    draft = reencode(rich[suffix], ffmpeg_path, tmp_path)
    final = tmp_path / "kept" / f"film{suffix}"
    checks = output.finish(Tool(ffmpeg_path), draft, final)
    assert not output.losses(checks, ())
    assert {c.what for c in checks} >= {"frames", "colour tags", "chapters", "file tags"}
    assert final.exists()
    assert not draft.path.exists()
    assert len(draft.held.chapters) == 2
    assert [c.what for c in checks if c.what.startswith("stream")] == [
        f"stream {n}" for n in range(5 if suffix == ".mkv" else 4)
    ]


def test_hdr10_and_rotation_survive(media: Path, ffmpeg_path: str, tmp_path: Path) -> None:
    source = media / "odd" / "fate_hdr10tags-both.mkv"
    draft = reencode(source, ffmpeg_path, tmp_path)
    assert draft.held.picture.turn == Turn(90, is_mirrored=True)
    assert len(draft.held.picture.hdr.names) == 2
    checks = output.finish(Tool(ffmpeg_path), draft, tmp_path / "film.mkv")
    kept = {c.what: c.kept for c in checks}
    assert kept["HDR side data"]
    assert kept["rotation"]
    assert kept["colour tags"]
    assert kept["chapters"]


@pytest.mark.parametrize("name", ["cam_with-gps.mov", "exo_hdr10-video-with-sdr-container.mp4"])
def test_odd_files_keep_clock_and_orientation(
    name: str, media: Path, ffmpeg_path: str, tmp_path: Path
) -> None:
    draft = reencode(media / "odd" / name, ffmpeg_path, tmp_path)
    after = inventory.take(draft.path)
    kept = {c.what: c for c in inventory.compare(draft.held, after, after.picture.frames)}
    for what in ("rotation", "colour tags", "picture from and to"):
        assert kept[what].kept, kept[what]


@pytest.mark.parametrize(
    ("codec", "preset"),
    [(Codec.X265, "ultrafast"), (Codec.X264, "veryfast"), (Codec.SVTAV1, "12")],
)
@pytest.mark.parametrize("name", ["held.mkv", "held.mp4"])
def test_a_last_frame_that_is_held_stays_so(
    name: str, codec: Codec, preset: str, make_clip, ffmpeg_path: str, tmp_path: Path
) -> None:
    """MP4 counts by the order of decoding: where B-frames ended it, the film had been shortened,
    and its original had stayed for that.
    """
    moving = make_clip(options=("-c:v", "libx264", "-bf", "0"))
    held = tmp_path / name
    longer = "setts=pts=PTS:dts=DTS:duration=if(eq(N\\,24)\\,60/TB\\,DURATION)"
    argv = [ffmpeg_path, "-i", f"file:{moving}", "-c", "copy", "-bsf:v", longer, f"file:{held}"]
    assert ffmpeg.run(argv, timeout_s=60).returncode == 0
    draft = reencode(held, ffmpeg_path, tmp_path, Recipe(codec, preset))
    before, after = draft.held, inventory.take(draft.path)
    (told,) = (c for c in inventory.compare(before, after, 25) if c.what == "picture from and to")
    assert told.kept and told.before == told.after == "0.000 s to 60.960 s"
    short = replace(after, picture=replace(after.picture, held_s=0.0))
    (told,) = (c for c in inventory.compare(before, short, 25) if c.what == "picture from and to")
    assert not told.kept


def test_colour_tags_that_changed_are_told_by_name(make_clip) -> None:
    before, after = (
        inventory.take(
            make_clip(f"{matrix}.mkv", options=("-c:v", "libx264", "-colorspace", matrix))
        )
        for matrix in ("smpte170m", "bt2020nc")
    )
    said = output.losses(inventory.compare(before, after, 25), ())
    assert said == [
        "colour tags: primaries unknown, transfer unknown, matrix smpte170m, range limited became "
        "primaries unknown, transfer unknown, matrix bt2020nc, range limited"
    ]


@pytest.mark.parametrize(("size", "is_taken"), [("64x16", False), ("18x64", True)])
def test_what_is_too_small_for_vmaf_is_refused(
    make_clip: Callable[..., Path], size: str, is_taken: bool
) -> None:
    """libvmaf was "killed by signal 11" once the encode was made."""
    film = make_clip("small.mkv", seconds=0.4, size=size, options=("-c:v", "ffv1"))
    video, held = probe(film), inventory.take(film)
    if is_taken:
        assert admission.admit(video, held, Encode()) == []
        return
    with pytest.raises(RefusedMedia, match="64x16 is too small for VMAF"):
        admission.admit(video, held, Encode())


def test_whatever_is_lost_beside_the_picture_is_told(rich: dict[str, Path]) -> None:
    held = inventory.take(rich[".mkv"])
    picture, (video, sound, *others) = held.picture, held.streams
    sound = replace(sound, tags={"title": "Left"}, disposition=1)
    held = replace(held, streams=(video, sound, *others))
    (start, end, title), second = held.chapters
    late = tuple(t + 0.06 for t in picture.times_s)
    changes: dict[str, inventory.Inventory] = {
        "frames": replace(held, picture=replace(picture, times_s=picture.times_s[:-1])),
        "picture size": replace(held, picture=replace(picture, size=(320, 238))),
        "rotation": replace(held, picture=replace(picture, turn=Turn(90))),
        "pixel shape": replace(held, picture=replace(picture, sar=(4, 3))),
        "picture from and to": replace(held, picture=replace(picture, times_s=late)),
        "file tags": replace(held, tags={"title": "A title"}),
    }
    for chapters in ([second], [(start + 0.2, end, title), second], [(start, end, "?"), second]):
        said = losses(held, replace(held, chapters=tuple(chapters)))
        assert [words.split(":")[0] for words in said] == ["chapters"]
    for changed in (
        replace(sound, codec="mp3"), replace(sound, language="fra"), replace(sound, disposition=0),
        replace(sound, tags={}), None,
    ):  # fmt: skip
        streams = (video, *(() if changed is None else (changed,)), *others)
        assert any(
            words.startswith("stream 1") for words in losses(held, replace(held, streams=streams))
        )
    for what, after in changes.items():
        assert what in [words.split(":")[0] for words in losses(held, after)]
    soon = replace(picture, times_s=tuple(t + 0.04 for t in picture.times_s))  # as clocks round
    assert losses(held, held) == losses(held, replace(held, picture=soon)) == []


def losses(before: inventory.Inventory, after: inventory.Inventory) -> list[str]:
    return output.losses(inventory.compare(before, after, before.picture.frames), ())


def test_half_the_frames_never_get_a_final_name(
    rich: dict[str, Path], ffmpeg_path: str, tmp_path: Path
) -> None:
    draft = reencode(rich[".mkv"], ffmpeg_path, tmp_path)
    with pytest.raises(EncodeError, match="50 frames were measured, 25 are in the file"):
        output.finish(Tool(ffmpeg_path), replace(draft, frames=50), tmp_path / "film.mkv")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_encode_never_gets_a_final_name(
    rich: dict[str, Path], ffmpeg_path: str, tmp_path: Path
) -> None:
    draft = reencode(rich[".mkv"], ffmpeg_path, tmp_path)
    raw = bytearray(draft.path.read_bytes())
    raw[len(raw) // 2 :] = b""
    draft.path.write_bytes(raw)
    with pytest.raises(EncodeError):
        output.finish(Tool(ffmpeg_path), draft, tmp_path / "film.mkv")
    assert list(tmp_path.iterdir()) == []


def test_a_stream_that_no_container_takes_is_named(rich: dict[str, Path]) -> None:
    held = inventory.take(rich[".mp4"], 0)
    odd = tuple(Stream(n, "data", "bin_data", "", 0, {}) for n in range(4, 14))
    found = output.container_for(
        Path("film.mp4"), replace(held, streams=held.streams + odd), 0, Codec.X265
    )
    assert len(found.left_out) == 10
    assert "data bin_data" in found.left_out[0]
    assert found.name == "mp4"
    assert output.losses([], found.left_out)


def test_what_lies_behind_a_stream_that_was_left_out_is_not_told_as_lost(
    rich: dict[str, Path],
) -> None:
    """A phone's AMR sound comes first: its picture had been told as missing."""
    held = inventory.take(rich[".mkv"])
    sound = Stream(-1, "audio", "amrnb", "eng", 0, {})
    before = replace(held, streams=(sound, *held.streams))
    (lost,) = [c for c in inventory.compare(before, held, held.picture.frames) if not c.kept]
    assert (lost.before, lost.after) == ("audio amrnb eng", "missing")


def test_the_own_container_is_kept_where_it_takes_everything(
    rich: dict[str, Path], make_clip: Callable[..., Path]
) -> None:
    held = inventory.take(rich[".mkv"], 0)
    assert output.container_for(Path("a.mkv"), held, 0, Codec.X265).suffix == ".mkv"
    assert output.container_for(Path("a.MP4"), held, 0, Codec.X265).name == "matroska"
    plain = inventory.take(make_clip(), 0)
    assert output.container_for(Path("a.avi"), plain, 0, Codec.X264).suffix == ".mkv"
    assert output.container_for(Path("a.m4v"), plain, 0, Codec.X265).suffix == ".m4v"
    av1 = output.container_for(Path("a.mov"), plain, 0, Codec.SVTAV1)  # QuickTime knows none
    assert (av1.name, av1.suffix) == ("mp4", ".mp4")


def test_an_mp4_names_its_own_brands_alone(make_clip, ffmpeg_path: str, tmp_path: Path) -> None:
    """A QuickTime re-encode had called itself "qt  ;isom", and the next "qt  ;qt  ;isom"."""
    source = make_clip("brand.mov", seconds=0.4)
    draft = reencode(source, ffmpeg_path, tmp_path)
    with av.open(str(source)) as old, av.open(str(draft.path)) as new:
        assert new.metadata["major_brand"] == old.metadata["major_brand"]
    assert draft.path.read_bytes().count(b"major_brand") == 0


@pytest.fixture(scope="module")
def cover(ffmpeg_path: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cover") / "cover.jpg"
    argv = [ffmpeg_path, "-hide_banner", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=1"]
    assert ffmpeg.run([*argv, "-frames:v", "1", str(path)]).returncode == 0
    return path


def test_cover_art_of_a_matroska_file_is_no_second_film(
    make_clip, ffmpeg_path: str, tmp_path: Path, cover: Path
) -> None:
    """Its table said NO, and --replace refused every file with a cover."""
    font = tmp_path / "a.ttf"
    font.write_bytes(b"font")
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-attach", str(cover))
    options += ("-metadata:s:1", "mimetype=image/jpeg", "-metadata:s:1", "title=Poster")
    options += ("-attach", str(font), "-metadata:s:2", "mimetype=font/ttf")
    source = make_clip("covered.mkv", options=options)
    draft = reencode(source, ffmpeg_path, tmp_path)
    checks = output.finish(Tool(ffmpeg_path), draft, tmp_path / "kept.mkv")
    (kept,) = (s for s in inventory.take(tmp_path / "kept.mkv", 0).streams if s.is_cover)
    said = {"filename": "cover.jpg", "mimetype": "image/jpeg", "title": "Poster"}
    assert kept.tags == said
    assert cover.read_bytes() in (tmp_path / "kept.mkv").read_bytes()
    assert not output.losses(checks, ())


def test_cover_art_without_a_name_gets_one_in_matroska(
    make_clip, ffmpeg_path: str, tmp_path: Path, cover: Path
) -> None:
    """Sound that MP4 does not take sends a file to Matroska, and the cover comes along."""
    tone = ("-f", "lavfi", "-t", "1", "-i", "sine=sample_rate=48000")
    options = ("-map", "0", "-map", "1", "-map", "2", "-c:v:1", "copy", "-c:a", "pcm_s16le")
    options += ("-disposition:v:1", "attached_pic", "-c:v:0", "libx264", "-preset", "ultrafast")
    source = make_clip("covered.mp4", inputs=("-i", str(cover), *tone), options=options)
    draft = reencode(source, ffmpeg_path, tmp_path)
    assert draft.path.suffix == ".mkv"
    checks = output.finish(Tool(ffmpeg_path), draft, tmp_path / "kept.mkv")
    assert not output.losses(checks, ())
    (kept,) = (s for s in inventory.take(tmp_path / "kept.mkv", 0).streams if s.is_cover)
    assert kept.tags == {"filename": "cover.jpg", "mimetype": "image/jpeg"}


def test_cover_art_of_an_mp4_is_kept(
    make_clip, ffmpeg_path: str, tmp_path: Path, cover: Path
) -> None:
    options = ("-map", "0", "-map", "1", "-c:v:0", "libx264", "-preset", "ultrafast", "-c:v:1")
    options = (*options, "copy", "-disposition:v:1", "attached_pic")
    source = make_clip("covered.mp4", inputs=("-i", str(cover)), options=options)
    draft = reencode(source, ffmpeg_path, tmp_path)
    checks = output.finish(Tool(ffmpeg_path), draft, tmp_path / "kept.mp4")
    assert len(draft.held.streams) == 2
    assert not output.losses(checks, ())


@pytest.mark.parametrize(
    ("name", "codec"), [("bd.m2ts", "pcm_bluray"), ("ima.mov", "adpcm_ima_qt")]
)
def test_sound_that_a_container_cannot_take_is_reported_and_fails_nothing(
    name: str, codec: str, make_clip, ffmpeg_path: str, tmp_path: Path
) -> None:
    tone = ("-f", "lavfi", "-t", "1", "-i", "sine=sample_rate=48000")
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-c:a", codec, "-ac", "2")
    more = ("-f", "mpegts", "-mpegts_m2ts_mode", "1") if name.endswith("m2ts") else ()
    source = make_clip(name, inputs=tone, options=(*options, *more))
    draft = reencode(source, ffmpeg_path, tmp_path)
    container = output.container_for(source, draft.held, 0, Codec.X265)
    lost = [stream for stream in inventory.take(source, 0).streams if stream.kind == "audio"]
    kept = [stream for stream in inventory.take(draft.path).streams if stream.kind == "audio"]
    assert len(lost) == len(kept) + len(container.left_out) == 1


@pytest.mark.parametrize(
    ("was", "became", "fine"),
    [
        ("yuv444p", "yuv420p", False),
        ("yuv422p10le", "yuv420p10le", False),
        ("yuv420p10le", "yuv420p", False),
        ("pal8", "yuv420p", False),
        ("yuv420p", "yuv420p10le", True),
        ("yuv411p", "yuv420p", False),
        ("yuv411p", "yuv422p", True),
        ("gray", "yuv420p", True),
        ("gbrp", "yuv444p", True),
        ("nv12", "yuv420p", True),
    ],
)
def test_coarser_pixels_speak_against_replacing(
    was: str, became: str, fine: bool, rich: dict[str, Path]
) -> None:
    held = inventory.take(rich[".mp4"])
    before, after = (
        replace(held, picture=replace(held.picture, pixels=name)) for name in (was, became)
    )
    lost = output.losses(inventory.compare(before, after, held.picture.frames), ())
    assert lost == ([] if fine else [f"pixels: {was} became {became}"])


def test_the_containers_pixel_shape_counts(make_clip, ffmpeg_path: str, tmp_path: Path) -> None:
    wide = tmp_path / "wide.mp4"
    argv = [ffmpeg_path, "-hide_banner", "-i", str(make_clip()), "-c", "copy", "-aspect", "16:9"]
    assert ffmpeg.run([*argv, str(wide)]).returncode == 0
    assert probe(wide).sar.value == pytest.approx(4 / 3)
    draft = reencode(wide, ffmpeg_path, tmp_path)
    assert not output.losses(inventory.compare(draft.held, inventory.take(draft.path), 25), ())


def test_telemetry_beside_chapters_is_not_taken_for_them(make_clip) -> None:
    """libav names neither: any data in a file with chapters had gone without a word."""
    held = inventory.take(make_clip())
    chapters = ((0.0, 1.0, "one"), (1.0, 2.0, "two"))
    track, telemetry = (Stream(n, "data", "", "", 0, {}, frames=f) for n, f in ((1, 2), (2, 40)))
    both = replace(held, streams=(*held.streams, track, telemetry), chapters=chapters)
    assert output.left_out(both, {0}) == ("stream 2 (data)",)


def test_sound_that_is_damaged_in_the_source_too_does_not_stand_in_the_way(
    make_clip, ffmpeg_path: str, tmp_path: Path
) -> None:
    tone = ("-f", "lavfi", "-i", "sine=duration=1:sample_rate=48000")
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-map", "0", "-map", "1")
    source = tmp_path / "rip.mkv"
    raw = bytearray(make_clip("whole.mkv", inputs=tone, options=options).read_bytes())
    source.write_bytes(raw)
    with av.open(str(source)) as container:
        sound = [bytes(p) for p in container.demux(audio=0) if p.size > 100]
    at = raw.find(sound[len(sound) // 2])
    raw[at + 8 : at + 60] = b"\xff" * 52
    source.write_bytes(raw)
    draft = reencode(source, ffmpeg_path, tmp_path)
    checks = output.finish(Tool(ffmpeg_path), draft, tmp_path / "film.mkv")
    assert any(c.what == "sound" and "damaged in the source" in c.before for c in checks)
    assert not output.losses(checks, ())


VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "2M")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("clip.webm", (*VP9, "-pix_fmt", "yuva420p")),
        ("clip.mkv", ("-c:v", "ffv1", "-pix_fmt", "yuva444p")),
    ],
)
def test_what_shines_through_is_no_longer_there_and_said(
    name: str, options: tuple[str, ...], make_clip, ffmpeg_path: str, tmp_path: Path
) -> None:
    """VP9 tells by a tag that it is transparent: overlays gave way to opaque encodes."""
    source = make_clip(name, seconds=0.4, options=options)
    draft = reencode(source, ffmpeg_path, tmp_path)
    lost = output.losses(inventory.compare(draft.held, inventory.take(draft.path), 10), ())
    assert lost == ["transparency: yes became no"]
    assert OPAQUE in admission.admit(draft.source, draft.held, Encode())
    plain = reencode(make_clip("plain.mp4"), ffmpeg_path, tmp_path)
    assert not output.losses(inventory.compare(plain.held, inventory.take(plain.path), 25), ())
    assert OPAQUE not in admission.admit(plain.source, plain.held, Encode())


FIELDS = ("-flags", "+ildct+ilme", "-pix_fmt", "yuv420p", "-vf", "interlace=scan=tff")


@pytest.mark.parametrize(
    "options",
    [
        ("-c:v", "libx264", "-preset", "ultrafast", "-x264-params", "tff=1", *FIELDS),
        ("-c:v", "mpeg2video", "-q:v", "2", *FIELDS),
    ],
)
def test_half_of_the_moments_in_time_are_not_thrown_away(
    options: tuple[str, ...], make_clip, ffmpeg_path: str, tmp_path: Path
) -> None:
    """An interlaced original had given way to its progressive encode, and no row said so."""
    source = make_clip("fields.mkv", rate=50, options=options)
    draft = reencode(source, ffmpeg_path, tmp_path)
    lost = output.losses(inventory.compare(draft.held, inventory.take(draft.path), 25), ())
    assert lost == ["scan: interlaced became progressive"]
