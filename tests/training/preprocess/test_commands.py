"""The commands, called before what they need is there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from aqs_batch.errors import MediaError
from aqs_batch.ffmpeg import run
from training.preprocess import evaluate
from training.preprocess.ladders import load_all


def test_without_ladders_it_is_said_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="has no ladders") as caught:
        list(load_all(tmp_path, "val"))
    assert "training.preprocess.ladders --split val" in caught.value.hint


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
    argv = ["evaluate", "--media", str(tmp_path), "--cache", str(tmp_path), "--no-results"]
    monkeypatch.setattr("sys.argv", [*argv, option, "none"])
    with pytest.raises(MediaError, match=said):
        evaluate.main()
