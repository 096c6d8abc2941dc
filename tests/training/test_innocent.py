"""Awkward scenes that must not be accused: asked of strangers, and looked at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from aqs_batch.analysis.model import AqsNet
from training import innocent
from training.content import Gradient
from training.negatives import Negative, draw
from training.sources import Scene

SCENES = 2


def test_scenes_are_looked_at_once_and_asked_of_strangers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stuttering(library: object, kind: str, number: int) -> Negative:
        scene = draw(library, kind, number)
        return Negative(scene.tiles, stutters=number == 1)

    def sky(_: object, rng: np.random.Generator) -> Scene:
        return Gradient(rng)

    monkeypatch.setattr(innocent, "KINDS", {"plain": sky})
    monkeypatch.setattr("training.negatives.KINDS", {"plain": sky})
    monkeypatch.setattr(innocent, "SCENES_EACH", SCENES)
    monkeypatch.setattr(innocent, "Library", lambda *_: None)
    monkeypatch.setattr(innocent, "draw", stuttering)
    manifest = tmp_path / "MANIFEST.csv"
    manifest.write_text("file,kind,split,clean,content_tag\n")
    torch.manual_seed(0)
    model = AqsNet(jurors=2).eval()
    said = innocent.unseen_scenes(model, tmp_path, tmp_path)
    assert said.shape == (2 * SCENES, innocent.TILES_OF_SCENE, 10)
    assert np.isneginf(said[:, 0, innocent.JUDDER]).tolist() == [False, True] * 2
    assert np.isfinite(np.delete(said, innocent.JUDDER, axis=2)).all()

    monkeypatch.setattr(innocent, "draw", lambda *_: pytest.fail("looked at again"))
    with torch.no_grad():
        model.jury[0].presence.bias.add_(5.0)  # it has learned from the first fold
    again = innocent.unseen_scenes(model, tmp_path, tmp_path)
    assert np.array_equal(again[:SCENES], said[:SCENES])
    assert (again[SCENES:, :, 0] > said[SCENES:, :, 0] + 4).all()

    # Scenes of a clip that validation no longer has had been asked for thresholds.
    manifest.write_text("file,kind,split,clean,content_tag\nsea.mp4,clip,val,5,sea\n")
    with pytest.raises(pytest.fail.Exception, match="looked at again"):
        innocent.unseen_scenes(model, tmp_path, tmp_path)
