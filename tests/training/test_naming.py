"""Thresholds by tiles and by videos, each fold asked of jurors that have not learned from it."""

from __future__ import annotations

import numpy as np
import torch

from aqs_batch.analysis.model import AqsNet, mean_of
from aqs_batch.records import Artifact
from training.calibrate import Asked, thresholds
from training.cases import CASES
from training.field import Told
from training.folds import strangers
from training.naming import of_strangers, of_videos
from training.sources import FOLDS


def test_what_a_fold_is_told_is_what_strangers_say() -> None:
    torch.manual_seed(0)
    model, asked = AqsNet().eval(), AqsNet().eval()
    seen, moved = torch.randn(3, 7, 1300), torch.randn(3, 6, 96)
    seen = seen[..., : model.jury[0].frame_in[0].num_features]
    moved = moved[..., : model.jury[0].change_in[0].num_features]
    for fold in FOLDS:
        asked.load_state_dict(of_strangers(model.state_dict(), len(model.jury), fold))
        with torch.no_grad():
            said = mean_of(asked.jury, seen, moved)
            theirs = mean_of(strangers(model, fold), seen, moved)
        assert torch.allclose(said.presence, theirs.presence, atol=1e-5)


def test_of_a_damaged_video_only_what_was_done_is_known() -> None:
    some = np.full((len(CASES), len(Artifact)), 0.5)
    names = tuple("a" for _ in CASES)
    asked = of_videos(Told(names, CASES, some, some > 1, some[:, 0]))
    for row, case in enumerate(CASES):
        known = asked.presence[row] >= 0
        assert asked.clean[row] == (case.artifact is None)
        assert known.all() if case.artifact is None else known.sum() == 1


def test_where_tiles_leave_it_open_videos_decide() -> None:
    """Tiles are told apart anywhere between .1 and .9, videos between .1 and .3."""
    presence = np.array([[0]] * 50 + [[1]] * 50, np.int8)
    clean = presence[:, 0] == 0
    tiles = Asked(np.where(presence == 1, 0.9, 0.1), presence, clean)
    videos = Asked(np.where(presence == 1, 0.3, 0.1), presence, clean)
    assert thresholds([tiles]) == (0.5,)
    assert 0.1 <= thresholds([tiles, videos])[0] < 0.3


def test_neither_tiles_nor_videos_are_accused_more_often_than_allowed() -> None:
    rng = np.random.default_rng(0)
    presence = np.array([[0]] * 200 + [[1]] * 200, np.int8)
    clean = presence[:, 0] == 0
    sure = Asked(np.where(presence == 1, 0.9, 0.05), presence, clean)
    noisy = Asked(np.clip(0.3 * presence + rng.random((400, 1)) * 0.6, 0, 1), presence, clean)
    chosen = thresholds([sure, noisy], 0.05)[0]
    assert (noisy.probability[clean, 0] > chosen).mean() <= 0.05
