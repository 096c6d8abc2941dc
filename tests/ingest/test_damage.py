"""Files that are not whole say so; whole ones do not, whatever they are called."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aqs_batch import ffmpeg
from aqs_batch.errors import MediaError
from aqs_batch.ingest import decode, sampling
from aqs_batch.ingest.probe import probe
from aqs_batch.ingest.stamps import Stamps
from aqs_batch.ingest.wholeness import DAMAGED

TONE = ("-f", "lavfi", "-i", "sine=duration={}:sample_rate=8000")


def complaints(path: Path, ffmpeg_path: str) -> list[str]:
    """What probe and decoder find wrong with a file."""
    video, stamps = probe(path), Stamps()
    plan = sampling.plan(video, 1.0, 600)
    decoding = decode.Decoding(ffmpeg_path, video.height, video.width, 60)
    list(decode.sequences(video, plan, decoding, stamps))
    return [w for w in video.warnings if w.startswith(DAMAGED)] + stamps.damage


@pytest.fixture
def film(make_clip, tmp_path: Path) -> Path:
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "10")
    return Path(shutil.copy(make_clip("film.mkv", seconds=4, options=options), tmp_path))


def test_a_file_that_ends_before_its_header_says_is_told(film: Path, ffmpeg_path: str) -> None:
    assert complaints(film, ffmpeg_path) == []
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    (said,) = [w for w in probe(film).warnings if w.startswith(DAMAGED)]
    assert "the header says 4.0 s" in said


def test_a_file_cut_short_in_its_first_frame_says_so(
    make_clip, ffmpeg_path: str, tmp_path: Path
) -> None:
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "1", "-movflags", "+faststart")
    path = tmp_path / "cut.mp4"
    path.write_bytes(make_clip("fine.mp4", size="640x480", options=options).read_bytes()[:8000])
    with pytest.raises(MediaError) as caught:
        complaints(path, ffmpeg_path)
    assert "the header says 1.0 s, the file ends at 0.0 s; " in str(caught.value)
    assert "hread" not in str(caught.value)  # ffmpeg's own, which end with numbers for names
    assert "Copy it again" in caught.value.hint


def test_a_decoder_that_does_not_begin_is_the_reason(make_clip, ffmpeg_path: str) -> None:
    """The filters that then have no input had been called the reason."""
    path = make_clip("raw.mov", options=("-c:v", "rawvideo", "-pix_fmt", "yuv420p"))
    with pytest.raises(MediaError, match=r"decoded \(Error while opening decoder"):
        complaints(path, ffmpeg_path)


def test_sound_that_goes_on_longer_is_no_damage(make_clip, ffmpeg_path: str) -> None:
    tone = tuple(part.format(6) for part in TONE)
    path = make_clip("long.mkv", seconds=2, inputs=tone, options=("-c:v", "libx264"))
    assert complaints(path, ffmpeg_path) == []


def test_a_subtitle_that_stays_longer_is_no_damage(
    make_clip, ffmpeg_path: str, tmp_path: Path
) -> None:
    cues = tmp_path / "cues.srt"
    cues.write_text(
        "1\n00:00:01,000 --> 00:00:02,000\none\n\n2\n00:00:03,000 --> 00:00:09,000\ntwo\n"
    )
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-map", "0:v", "-map", "1:s")
    path = make_clip("titled.mkv", seconds=4, inputs=("-i", str(cues)), options=options)
    assert complaints(path, ffmpeg_path) == []


def test_names_and_titles_may_say_error(film: Path, ffmpeg_path: str, make_clip) -> None:
    place = film.parent / "corrupt [error]" / "error.mkv"
    place.parent.mkdir()
    shutil.copy(film, place)
    assert complaints(place, ffmpeg_path) == []
    titled = make_clip("t.mkv", seconds=1, options=("-metadata", "title=The Comedy of Errors"))
    assert complaints(titled, ffmpeg_path) == []


def test_damage_in_the_middle_is_told(film: Path, ffmpeg_path: str) -> None:
    data = bytearray(film.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8000] = bytes(8000)
    film.write_bytes(bytes(data))
    assert complaints(film, ffmpeg_path)


def test_where_recordings_are_joined_that_is_one_of_two_things_said(
    make_clip, ffmpeg_path: str, tmp_path: Path
) -> None:
    """Joined by `cat`, which is no damage a person could find, it had said twice "corrupt"."""
    path = tmp_path / "joined.ts"
    path.write_bytes(make_clip("part.ts").read_bytes() * 2)
    (said,) = complaints(path, ffmpeg_path)
    assert said.startswith("corrupt: packets are missing, or two recordings are joined there (str")


def test_a_single_slide_is_whole(make_clip, ffmpeg_path: str) -> None:
    path = make_clip("slide.webm", seconds=2, rate=1, options=("-c:v", "libvpx", "-r", "1"))
    assert complaints(path, ffmpeg_path) == []


def test_a_clock_that_begins_late_is_no_damage(film: Path, ffmpeg_path: str) -> None:
    late = film.with_name("late.mkv")
    argv = [ffmpeg_path, "-v", "error", "-itsoffset", "5", "-i", str(film), "-c", "copy"]
    assert ffmpeg.run([*argv, "-copyts", str(late)]).returncode == 0
    assert complaints(late, ffmpeg_path) == []


def test_a_timecode_that_claims_the_whole_film_hides_nothing(
    make_clip, ffmpeg_path: str, tmp_path: Path
) -> None:
    options = ("-c:v", "libx264", "-timecode", "01:00:00:00", "-movflags", "+faststart")
    whole = make_clip("tc.mov", seconds=4, options=options)
    assert complaints(whole, ffmpeg_path) == []
    cut = tmp_path / "tc.mov"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    assert any("the header says" in words for words in complaints(cut, ffmpeg_path))


def test_tags_that_look_like_our_log_are_tags(make_clip, ffmpeg_path: str) -> None:
    """Such a tag gave a sequence no time, and a run waited for ever to save it."""
    said = "x\nframe:0 pts:0 pts_time:nan\nlavfi.scene_score=0.9\ncolor_range:pc color_space:fcc"
    path = make_clip("tagged.mkv", seconds=2, options=("-metadata", f"comment={said}"))
    video, stamps = probe(path), Stamps()
    plan = sampling.plan(video, 1.0, 600)
    decoding = decode.Decoding(ffmpeg_path, video.height, video.width, 60)
    found = list(decode.sequences(video, plan, decoding, stamps))
    assert len(found) == plan.count
    assert found[0].t_s == 0 and found[-1].scene == 0
    assert found[0].frames.colour.matrix != "fcc"


@pytest.mark.parametrize("name", ["film.mp4", "film.mov"])
def test_a_copy_that_ends_before_its_index_is_told_so(make_clip, tmp_path: Path, name: str) -> None:
    whole = make_clip(name).read_bytes()
    short = tmp_path / name
    short.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MediaError, match="index, the moov box, is missing: it was cut short"):
        probe(short)


@pytest.mark.parametrize(
    "head", [b"plain text\n", b"\0" * 16, b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\0"]
)
def test_what_is_no_film_or_broken_elsewhere_has_lost_no_index(tmp_path: Path, head: bytes) -> None:
    spoilt = tmp_path / "film.mp4"
    spoilt.write_bytes(head + b"\0" * 4000)
    with pytest.raises(MediaError, match="not a readable video") as failed:
        probe(spoilt)
    assert "moov" not in str(failed.value)
