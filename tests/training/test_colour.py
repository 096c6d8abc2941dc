"""The colour head: swatches by their number, what it learns, its weight beside the jury."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from aqs_batch.analysis import facts
from training import colour
from training.colour import fitted, swatches, weighed
from training.content import Gradient
from training.judge import auc
from training.recipe import COLOURS
from training.samples import make_swatch
from training.sources import Scene


class Skies:
    """A library without files."""

    def draw(self, rng: np.random.Generator) -> Scene:
        return Gradient(rng)


def test_a_seed_is_a_swatch_and_both_kinds_come() -> None:
    labels = []
    for number in range(12):
        one, two = (make_swatch(Skies(), [1, number], COLOURS) for _ in range(2))  # type: ignore[arg-type]
        assert np.array_equal(one[0], two[0])
        assert one[0].shape == (64, 64, 3)
        labels.append(one[1])
    assert {0, 1} <= set(labels) <= {-1, 0, 1}


def test_swatches_that_are_there_are_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(colour, "SWATCHES", {"main": 8})
    monkeypatch.setattr(colour, "AT_ONCE", 4)
    monkeypatch.setattr(colour, "library_of", lambda *_: Skies())
    whole, label = swatches(tmp_path, tmp_path, tmp_path)
    assert whole.shape == (len(label), facts.SWATCH_FACTS)
    assert set(label.tolist()) <= {0.0, 1.0}
    monkeypatch.setattr(colour, "library_of", lambda *_: pytest.fail("made again"))
    assert torch.equal(swatches(tmp_path, tmp_path, tmp_path)[0], whole)


def test_the_head_learns_what_facts_tell() -> None:
    torch.manual_seed(3)
    whole = torch.randn(2000, facts.SWATCH_FACTS)
    label = (whole[:, 5] - whole[:, 9] > 0.5).float()
    said = fitted(whole[:1500], label[:1500], seed=0, steps=300)(whole[1500:])
    assert auc(said.detach().numpy(), label[1500:].numpy() == 1) > 0.95


def test_the_better_of_two_is_given_more_weight() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(4000) < 0.3
    clue = truth * 2.0 - 1.0
    good, poor = clue + rng.normal(0, 1, 4000), clue + rng.normal(0, 4, 4000)
    assert weighed(poor, good, truth)[0] > 3 > weighed(good, poor, truth)[0] > 0
    with pytest.raises(ValueError, match="worth nothing"):
        weighed(-good, good, truth)
