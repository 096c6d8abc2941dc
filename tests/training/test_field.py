"""The field test: commands as lists, and a page whose figures follow from what was said."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aqs_batch import ffmpeg
from aqs_batch.records import Artifact
from training import field
from training.cases import CASES, EXTREMES, REHEARSED, Case
from training.field import Row, damaged, damaged_pictures, extremes, make_clips, page, told, tool
from training.manifest import Source


def rows(probability_if_done: float, cases: tuple[Case, ...] = CASES) -> Iterator[Row]:
    """What a detector would say that gives each artifact this probability where it was done."""
    for source in ("a", "b"):
        for case in cases:
            detail = {
                a.value: {"probability": probability_if_done if a is case.artifact else 0.1}
                for a in Artifact
            }
            found = [case.artifact.value] if case.artifact and probability_if_done > 0.5 else []
            aqs = 0.9 if case.artifact is None else 0.4
            yield source, case, {"artifact_detail": detail, "detected": found, "aqs_score": aqs}


def test_a_command_reads_a_file_and_writes_a_file_whatever_their_names() -> None:
    blur = next(case for case in CASES if case.artifact is Artifact.DEFOCUS_BLUR)
    argv = blur.argv("ffmpeg", Path("/in/-i.mp4"), Path("/out/concat:x.mkv"))
    assert argv[argv.index("-i") + 1] == "file:/in/-i.mp4"
    assert argv[-1] == "file:/out/concat:x.mkv"
    assert argv[argv.index("-filter_complex") + 1].endswith(blur.filters)


def test_a_case_that_is_put_before_others_gets_none_of_their_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [Source(tmp_path / f"{name}.mp4", "clip", "test", 5, "") for name in ("a__1", "b")]
    for source in sources:
        source.path.write_bytes(b"one")

    def make(target: Path, argv: Callable[[Path], list[str]]) -> Path:
        """The filters in place of what they do."""
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            command = argv(target)
            target.write_text(command[command.index("-filter_complex") + 1])
        return target

    def read(clips: Path, *_: Path | None) -> list[dict[str, str]]:
        return [{"file": str(file), "shows": file.read_text()} for file in clips.iterdir()]

    monkeypatch.setattr(field, "read_manifest", lambda _: sources)
    monkeypatch.setattr(field, "made", make)
    monkeypatch.setattr(field, "tool", read)
    noise, blur = (next(c for c in CASES if c.name == n) for n in ("noise c0s 25 t", "avgblur 4"))
    for cases in ((noise,), (blur, noise), (blur,)):
        rows = damaged(tmp_path, tmp_path, cases)
        assert {(source, case.name) for source, case, _ in rows} == {
            (source.name, case.name) for source in sources for case in cases
        }
        assert all(row["shows"].endswith(case.filters) for _, case, row in rows)


def test_a_clip_in_anothers_place_is_damaged_anew_and_how_far_it_is_is_told(
    tmp_path: Path, make_clip: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """By its name it had got what had been made of the other."""
    source = Source(tmp_path / "sea.mp4", "clip", "test", 5, "")
    shown = []
    for size in ("64x48", "96x48"):
        shutil.copy(make_clip(seconds=0.2, size=size), source.path)
        shown += make_clips([source], CASES[:2], tmp_path / "damaged")
        shown += make_clips([source], CASES[:2], tmp_path / "damaged")
    assert len(set(shown)) == len(list((tmp_path / "damaged").glob("*.mkv"))) == 4
    assert capsys.readouterr().out.count(f"sea: 2 clips in {tmp_path / 'damaged'}") == 4


def test_what_the_tool_says_on_its_way_is_passed_on(
    tmp_path: Path, make_clip: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint was shipped after an hour of silence."""
    videos = tmp_path / "videos"
    videos.mkdir()
    shutil.copy(make_clip(seconds=0.4), videos / "good.mp4")
    (row,) = tool(videos, tmp_path / "out")
    assert row["file"].endswith("good.mp4")
    assert "[1/1] good.mp4" in capsys.readouterr().out
    (videos / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(SystemExit, match=r"aqs-batch run of .*videos ended with 1"):
        tool(videos, tmp_path / "out")
    assert "bad.mp4" in capsys.readouterr().out


def test_every_artifact_is_done_in_more_than_one_way() -> None:
    for artifact in Artifact:
        assert sum(case.artifact is artifact for case in CASES) >= 2
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES + EXTREMES + REHEARSED, ids=lambda case: case.name)
def test_ffmpeg_takes_every_case(case: Case, make_clip, ffmpeg_path: str, tmp_path: Path) -> None:
    target = tmp_path / "clip.mkv"
    argv = case.argv(ffmpeg_path, make_clip(seconds=0.4, size="161x121"), target)
    finished = ffmpeg.run(argv, timeout_s=120)
    assert finished.returncode == 0, finished.tail
    assert target.stat().st_size > 1000


def test_the_page_says_how_well_each_artifact_is_told() -> None:
    perfect, blind = (
        page(told(list(rows(0.9))), "aqs-b0 9.9"),
        page(told(list(rows(0.1))), "aqs-b0 9.9"),
    )
    assert "| blocking | 1.000 | 1.000 | 100% |" in perfect
    assert "| blocking | 0.500 | 0.500 | 0% |" in blind
    assert "Of 6 good clips 0% have a detection." in perfect
    assert "| gblur 2.5 | defocus_blur | 0.90 | 100% | 0.50 |" in perfect


def test_what_is_beyond_all_measure_has_rows_of_its_own() -> None:
    section = extremes(told(list(rows(0.9, EXTREMES))))
    assert "| gblur 25 | defocus_blur | 0.90 | 100% | 0.40 (0.40 to 0.40) |" in section


def test_damaged_pictures_are_judged_as_clips_are() -> None:
    section = damaged_pictures(told(list(rows(0.9))))
    assert "`a`, `b`, damaged as the clips above." in section
    assert "| blocking | 1.000 | 1.000 | 100% |" in section
