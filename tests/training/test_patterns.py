"""Test pictures that ffmpeg draws: the same for the same chance, other ones for each split."""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from training.dataset import write_shard
from training.patterns import SOURCES, Pattern, PatternLibrary, graph_of
from training.recipe import WILD
from training.sources import BURST_FRAMES, REGION_PX, WHOLE_PX
from training.supply import data_source


@pytest.mark.parametrize("source", [s for split in SOURCES.values() for s in split])
def test_every_source_draws_a_burst(source: str) -> None:
    scene = Pattern(*graph_of(source, np.random.default_rng(5)), "x")
    assert scene.length == BURST_FRAMES
    assert scene.frame(0).shape == (REGION_PX, REGION_PX, 3)
    assert scene.whole(0).shape == (WHOLE_PX, WHOLE_PX, 3)


def test_the_same_chance_draws_the_same_picture() -> None:
    first, second = (PatternLibrary("train").draw(np.random.default_rng(3)) for _ in range(2))
    assert first.name == second.name
    assert np.array_equal(first.frame(2), second.frame(2))


def test_splits_share_no_source() -> None:
    names = [{s.partition("=")[0] for s in split} for split in SOURCES.values()]
    assert not any(a & b for a, b in combinations(names, 2))


def test_samples_are_made_of_them(tmp_path: Path) -> None:
    write_shard(tmp_path, 0, PatternLibrary("val"), "val", WILD, size=3)
    with np.load(tmp_path / "00000.truth.npz") as truth:
        assert all(str(note).startswith("pattern-") for note in truth["note"] if "+" not in note)
        assert len(truth["quality"]) == 3


def test_patterns_need_no_path() -> None:
    assert data_source("patterns")[0] == "patterns"
    for text in ("patterns:x", "found", "elsewhere:x"):
        with pytest.raises(argparse.ArgumentTypeError):
            data_source(text)
