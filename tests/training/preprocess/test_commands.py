"""The commands, called before what they need is there."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import training.evaluate
from aqs_batch.errors import MediaError
from aqs_batch.ffmpeg import run
from training.command import results_folder
from training.manifest import Source
from training.preprocess import evaluate, ladders
from training.preprocess.bdrate import Point
from training.preprocess.ladders import load_all
from training.preprocess.report import write
from training.preprocess.verdict import SCORES


def test_without_ladders_it_is_said_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="has no ladders") as caught:
        list(load_all(tmp_path, "val"))
    assert "training.preprocess.ladders --split val" in caught.value.hint


def test_ladders_of_a_clip_that_has_gone_to_the_test_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The filter had been trained on them."""
    ladder = tmp_path / "ladders" / "train" / "sea__0.npz"
    ladder.parent.mkdir(parents=True)
    ladder.touch()
    manifest = tmp_path / "MANIFEST.csv"
    argv = ["ladders", "--media", str(tmp_path), "--cache", str(tmp_path)]
    monkeypatch.setattr("sys.argv", argv)
    manifest.write_text("file,kind,split,clean,content_tag\nsea.mp4,clip,train,5,sea\n")
    ladders.main()
    manifest.write_text("file,kind,split,clean,content_tag\nsea.mp4,clip,test,5,sea\n")
    with pytest.raises(MediaError, match=r"sea__0\.npz: its clip is none of this split"):
        ladders.main()


@pytest.mark.parametrize("name", ["codec_proxy", "train_filter"])
def test_a_command_that_comes_too_early_ends_with_words(name: str, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", f"training.preprocess.{name}", "--cache", str(tmp_path)]
    finished = run([*argv, "--run", str(tmp_path)] if name == "train_filter" else argv)
    assert finished.returncode == 1
    said = "\n".join(finished.tail)
    assert "error: " in said and str(tmp_path) in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("option", "said"),
    [("--clips", "no such clip of the test split: none"), ("--filters", "no such filter: none")],
)
def test_an_evaluation_of_nothing_known_ends_with_words(
    option: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had been a traceback."""
    (tmp_path / "MANIFEST.csv").write_text("file,kind,split,clean,content_tag\n")
    argv = ["evaluate", "--media", str(tmp_path), "--cache", str(tmp_path), "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", [*argv, option, "none"])
    with pytest.raises(MediaError, match=said):
        evaluate.main()


@pytest.mark.parametrize(
    ("main", "given"),
    [
        (evaluate.main, ["--clips", "davis_dolphins"]),
        (evaluate.main, ["--filters", "cas", "--frames", "8"]),
        (training.evaluate.main, ["--checkpoint", "other.safetensors"]),
        (training.evaluate.main, ["--media", "other"]),
    ],
)
def test_the_results_of_what_ships_are_not_written_over_unasked(
    main: Callable[[], None],
    given: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A try of two clips had taken the place of the figures that the documents tell."""
    monkeypatch.setattr("sys.argv", ["evaluate", *given])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().err
    assert f"with {', '.join(given[::2])} say --out FOLDER" in said


def test_a_clip_in_anothers_place_has_ladders_of_its_own(tmp_path: Path) -> None:
    """It had got the other's figures, by its name."""
    clip = Source(tmp_path / "one.mkv", "clip", "test", 5, "")
    keys = set()
    for content in (b"one", b"another"):
        clip.path.write_bytes(content)
        (job,) = evaluate.jobs([clip], ["nothing"], b"", 48, 1.0)
        keys.add(job.path(tmp_path))
    assert len(keys) == 2


def test_results_of_a_part_go_where_they_are_asked(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    parser.add_argument("--clips")
    parser.add_argument("--media", type=Path, default=Path("../media"))
    asked = parser.parse_args(["--clips", "one", "--out", str(tmp_path / "here")])
    folder = results_folder(parser, asked, Path("shipped"), ("clips",))
    rows = [Point(n, 10 * n, {s: float(n) for s in SCORES}) for n in range(1, 6)]
    write({"one": {"nothing": rows, "cas": rows}}, folder, {})
    assert "| one | cas |" in (tmp_path / "here" / "RESULTS.md").read_text()
    whole = parser.parse_args(["--media", str(Path("../media").resolve())])  # by another name
    assert results_folder(parser, whole, Path("shipped"), ("clips", "media")) == Path("shipped")
