"""What thresholds are chosen with: other damage than the field's, heard from strangers only."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch

from aqs_batch import ffmpeg
from aqs_batch.records import Artifact
from training.cases import CASES, EXTREMES, REHEARSED
from training.field import Told
from training.folds import fold_of
from training.manifest import FOLDS, Source
from training.rehearsal import EVERY_PHOTO, known, of_strangers, pan_argv, ways
from training.sources import read_frames


def test_no_damage_is_rehearsed_that_the_field_asks_for() -> None:
    asked = {(case.filters, case.encoder) for case in (*CASES, *EXTREMES) if case.artifact}
    rehearsed = {(case.filters, case.encoder) for case in REHEARSED if case.artifact}
    assert not asked & rehearsed
    assert {case.artifact for case in REHEARSED} == {None, *Artifact}


def test_three_photographs_see_all_there_is() -> None:
    photo = Source(Path("a.png"), "photo", "val", 5, "")
    seen = [case for number in range(EVERY_PHOTO) for case in ways(photo, number)]
    damage = [case for case in seen if case.artifact]
    assert len(damage) == len(set(damage)) == sum(case.artifact is not None for case in REHEARSED)


def test_strangers_have_not_learned_from_the_fold() -> None:
    tensors = {f"jury.{n}.out.weight": torch.tensor(n) for n in range(10)}
    tensors["colour.out.weight"] = torch.tensor(-1)
    for fold in FOLDS:
        asked = of_strangers(tensors, 10, fold)
        said = [int(asked[f"jury.{n}.out.weight"]) for n in range(10)]
        assert all(fold_of(n) != fold for n in said)
        assert len(set(said)) == 5
        assert asked["colour.out.weight"] == -1


def test_a_window_moves_over_a_photograph_evenly(tmp_path: Path) -> None:
    photo = np.random.default_rng(1).integers(0, 256, (60, 90, 3), np.uint8)
    picture = cv2.resize(photo, (900, 600), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / "p.png"), picture)
    target = tmp_path / "pan.mkv"
    done = ffmpeg.run(pan_argv(ffmpeg.find().path, tmp_path / "p.png", True, target))
    assert done.returncode == 0
    frames = read_frames(target).astype(np.float32)
    assert len(frames) == 65
    shifts = [cv2.phaseCorrelate(a[..., 1], b[..., 1])[0] for a, b in pairwise(frames)]
    steps = np.round(shifts)
    assert (steps == steps[0]).all()
    assert abs(steps[0]).max() >= 2


def test_of_a_damaged_video_only_its_own_damage_is_known() -> None:
    chance, no = np.zeros((2, 10)), np.zeros((2, 10), bool)
    good, ghost = REHEARSED[0], next(c for c in REHEARSED if c.artifact is Artifact.GHOSTING)
    asked = known(Told(("a", "a"), (good, ghost), chance, no, np.zeros(2)))
    at = list(Artifact).index(Artifact.GHOSTING)
    assert (asked.presence[0] == 0).all()
    assert asked.presence[1, at] == 1
    assert (np.delete(asked.presence[1], at) == -1).all()
