"""Heads beside the jury: what they learn from by its number, what they learn, their weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from aqs_batch.analysis import facts
from aqs_batch.analysis.beside import ColourHead
from aqs_batch.errors import CheckpointError, MediaError
from aqs_batch.records import Artifact
from training import beside, colour, shares, softness, trails
from training.beside import SUBJECTS, fitted, lessons, make_together, of_media, weighed
from training.content import Gradient
from training.judge import auc
from training.parts import make_tiles
from training.recipe import GHOSTS
from training.sources import PhotoScene, Scene


class Skies:
    """A library without files."""

    def draw(self, rng: np.random.Generator) -> Scene:
        return Gradient(rng)


def test_a_seed_is_a_swatch_and_both_kinds_come() -> None:
    labels = []
    for number in range(12):
        one, two = (colour.make_swatch(Skies(), [1, number]) for _ in range(2))
        assert np.array_equal(one[0], two[0])
        assert one[0].shape == (64, 64, 3)
        labels.append(one[1])
    assert {0, 1} <= set(labels) <= {-1, 0, 1}


def test_a_blurred_frame_is_out_of_focus_or_smeared_and_softer_than_a_sharp_one() -> None:
    found: dict[tuple[int, int], list[float]] = {}
    for number in range(40):
        one, two = (softness.make_swatch(Streets(), [1, number]) for _ in range(2))
        assert np.array_equal(one[0], two[0]) and one[1] == two[1]
        found.setdefault(one[1], []).append(float(np.abs(np.diff(one[0].astype(int), 2, 0)).mean()))
    assert {(0, 0), (1, 0), (0, 1)} <= set(found) <= {(0, 0), (1, 0), (0, 1), (-1, -1)}
    sharp, *soft = (np.median(found[label]) for label in ((0, 0), (1, 0), (0, 1)))
    assert sharp > 1.5 * max(soft)


class Streets:
    """A library without files in which squares move by."""

    def draw(self, rng: np.random.Generator) -> Scene:
        coarse = rng.integers(0, 255, (60, 60, 3), np.uint8)
        return PhotoScene(coarse.repeat(8, 0).repeat(8, 1), None, rng, "squares")


def test_a_seed_is_some_tiles_with_ghosts_and_without() -> None:
    labels = []
    for number in range(8):
        one, two = (
            make_tiles(Streets(), [2, number], GHOSTS, Artifact.GHOSTING, 2) for _ in range(2)
        )
        assert np.array_equal(one[0], two[0]) and one[1] == two[1]
        assert one[0].shape == (2, 7, 224, 224, 3)
        labels += one[1]
    assert {0, 1} <= set(labels) <= {-1, 0, 1}


@pytest.mark.parametrize("name", list(SUBJECTS))
def test_what_is_there_is_not_made_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(colour, "AT_ONCE", 6)
    monkeypatch.setattr(softness, "AT_ONCE", 6)
    monkeypatch.setattr(trails, "SCENES", 6)
    subject = replace(SUBJECTS[name], files={"main": range(2)})

    def library(_: str) -> Any:
        return Streets()

    *given, label = lessons(subject, tmp_path, library)
    assert all(len(column) == len(label) for column in given)
    assert set(label.flatten().tolist()) <= {0.0, 1.0}
    subject.head()(*given)
    *again, _ = lessons(subject, tmp_path, lambda _: pytest.fail("made again"))
    assert all(torch.equal(one, two) for one, two in zip(given, again, strict=True))


def _numbered(library: str, data: str, number: int) -> Mapping[str, NDArray[Any]]:
    return {"whole": np.full((3, 2), number), "label": np.array([0, 1, number % 2])}


def _as_they_are(arrays: Mapping[str, NDArray[Any]]) -> tuple[list[torch.Tensor], torch.Tensor]:
    return [torch.from_numpy(arrays["whole"])], torch.from_numpy(arrays["label"])


def test_lessons_made_by_several_processes_are_those_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbered = replace(
        SUBJECTS["colour"],
        files={"main": range(3), "found": range(2)},
        make=_numbered,
        lesson=_as_they_are,
    )
    alone = lessons(numbered, tmp_path / "alone", str.upper)
    make_together(numbered, tmp_path / "together", str.upper, 2)
    read = lessons(numbered, tmp_path / "together", lambda _: pytest.fail("made again"))
    assert all(torch.equal(one, two) for one, two in zip(alone, read, strict=True))
    assert len(read[0]) == 15
    monkeypatch.setattr(shares, "ProcessPoolExecutor", lambda *_: pytest.fail("for nothing"))
    make_together(numbered, tmp_path / "together", str.upper, 2)


@pytest.mark.parametrize("name", list(SUBJECTS))
def test_lessons_of_other_labels_are_made_anew(name: str, tmp_path: Path) -> None:
    """They had gone by the recipe alone: with another floor, old labels were learned with new."""
    numbered = replace(
        SUBJECTS[name], files={"main": range(2)}, make=_numbered, lesson=_as_they_are
    )
    lessons(numbered, tmp_path, str.upper)
    made: list[int] = []

    def make(*place: Any) -> Mapping[str, NDArray[Any]]:
        made.append(place[-1])
        return _numbered(*place)

    more = replace(numbered, files={"main": range(3)}, make=make)
    lessons(more, tmp_path, str.upper)
    assert made == [2]
    lessons(replace(more, asks=(*more.asks, "another floor")), tmp_path, str.upper)
    assert made == [2, 0, 1, 2]
    assert SUBJECTS[name].asks


def test_lessons_of_other_media_are_made_anew(tmp_path: Path) -> None:
    """What was made of a source that a new manifest puts into the test had been learned from."""
    manifest, made = tmp_path / "MANIFEST.csv", []

    def make(*place: Any) -> Mapping[str, NDArray[Any]]:
        made.append(place[1])
        return _numbered(*place)

    numbered = replace(
        SUBJECTS["colour"],
        files={"main": range(1), "patterns": range(1)},
        make=make,
        lesson=_as_they_are,
    )
    for split in ("train", "train", "test"):
        manifest.write_text(
            "file,kind,split,clean,content_tag\n"
            f"sea.mp4,clip,train,5,sea\nsky.mp4,clip,{split},5,sky\n"
        )
        lessons(of_media(numbered, tmp_path, tmp_path), tmp_path, str.upper)
    assert made == ["main", "patterns", "main"]


def test_scenes_that_are_not_there_are_told_before_hours_of_making(tmp_path: Path) -> None:
    """What was found comes last: it was missed when all the rest had been made."""
    numbered = replace(
        SUBJECTS["colour"], files={"main": range(3), "found": range(2)}, make=_numbered
    )
    with pytest.raises(MediaError):
        make_together(numbered, tmp_path, _main_alone, 1)
    assert not list(tmp_path.iterdir())


def _main_alone(data: str) -> str:
    if data != "main":
        raise MediaError(f"no {data}")
    return data


def test_the_head_learns_what_facts_tell() -> None:
    torch.manual_seed(3)
    whole = torch.randn(2000, facts.COLOUR_FACTS)
    label = (whole[:, 5] - whole[:, 9] > 0.5).float()
    costs: list[float] = []
    head = fitted(
        ColourHead(), [whole[:1500]], label[:1500], 0, 300, 0.1, lambda cost, _: costs.append(cost)
    )
    assert costs == sorted(costs, reverse=True) and len(costs) == 3
    said = head(whole[1500:])
    assert auc(said.detach().numpy(), label[1500:].numpy() == 1) > 0.95


def test_the_better_of_two_is_given_more_weight() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(4000) < 0.3
    clue = truth * 2.0 - 1.0
    good, poor = clue + rng.normal(0, 1, 4000), clue + rng.normal(0, 4, 4000)
    assert weighed(poor, good, truth)[0] > 3 > weighed(good, poor, truth)[0] > 0
    with pytest.raises(CheckpointError, match="worth nothing"):
        weighed(-good, good, truth)


def test_a_jury_that_is_not_there_is_told_before_hours_of_making(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "lessons", lambda *_: pytest.fail("made lessons first"))
    wanted = ["beside", "colour", "--checkpoint", str(tmp_path / "none.safetensors")]
    monkeypatch.setattr("sys.argv", wanted)
    with pytest.raises(CheckpointError, match="none"):
        beside.main()
