"""Two folds of validation: nobody is judged on a source it has learned from."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from aqs_batch.analysis import facts
from aqs_batch.analysis.model import AqsNet
from aqs_batch.errors import MediaError
from aqs_batch.records import Artifact
from training import dataset, features
from training.dataset import Shards, Truth
from training.features import Features, Pool
from training.folds import PLAIN, fold_of, learned_sets, may_learn, other_than, strangers, unseen
from training.manifest import FOLDS, Source, of_split


def source(kind: str, split: str, number: int) -> Source:
    return Source(Path(f"{kind}{number}.mp4"), kind, split, 4, "")


def test_the_folds_share_validation_out_and_nothing_else() -> None:
    sources = [
        source(kind, split, number)
        for number in range(5)
        for kind in ("clip", "photo")
        for split in ("train", "val", "test")
    ]
    first, second = (of_split(sources, fold) for fold in FOLDS)
    assert not {s.path for s in first} & {s.path for s in second}
    assert {s.path for s in first + second} == {s.path for s in of_split(sources, "val")}
    for fold in (first, second):
        assert {s.kind for s in fold} == {"clip", "photo"}
        assert all(s.split == "val" for s in fold)


def shards(folder: Path, count: int, quality: float) -> Shards:
    folder.mkdir(parents=True)
    np.save(folder / "00000.tiles.npy", np.zeros((count, 1), np.uint8))
    labels = np.zeros((count, len(Artifact)))
    np.savez(
        folder / "00000.truth.npz",
        swatch=np.zeros((count, 1), np.uint8),
        scales=np.array(dataset._scales()),
        presence=labels.astype(np.int8),
        intensity=labels.astype(np.float32),
        quality=np.full(count, quality, np.float32),
        vmaf=np.zeros(count, np.float32),
        note=np.array(["n"] * count),
    )
    return Shards(folder)


def test_a_juror_learns_all_but_the_fold_it_is_judged_on(tmp_path: Path) -> None:
    names = ["train", *learned_sets("val-a"), *learned_sets("val-b")]
    folders = tuple(shards(tmp_path / name, n + 2, 0.5) for n, name in enumerate(names))
    total = sum(len(f) for f in folders)
    nothing = torch.zeros(total, 1, 1)
    truth = Truth(*(np.zeros(total) for _ in range(5)))
    pool = Pool(folders, truth, Features(*[nothing] * 6))
    for juror in range(4):
        hidden = set(learned_sets(other_than(fold_of(juror))))
        expected = np.concatenate([np.full(len(f), f.name not in hidden) for f in folders])
        assert np.array_equal(may_learn(pool, juror), expected)
        assert 0 < expected.sum() < total


def test_every_fold_has_strangers_and_each_juror_is_one_somewhere() -> None:
    model = AqsNet(jurors=4)
    asked = [strangers(model, fold) for fold in FOLDS]
    assert [len(jury) for jury in asked] == [2, 2]
    assert {id(j) for jury in asked for j in jury} == {id(j) for j in model.jury}


def test_validation_is_asked_of_strangers_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jurors that learned a fold are made to shout; nothing of it is heard there."""
    torch.manual_seed(1)
    model = AqsNet(jurors=2).eval()
    with torch.no_grad():
        for number, juror in enumerate(model.jury):
            juror.quality.weight.zero_()
            juror.quality.bias.fill_(float(FOLDS.index(fold_of(number))))
    frames = torch.zeros(2, 7, 3, 224, 224)
    front, shallow = model.front(frames)
    close = model.close(shallow[:, [1, 5]])
    whole = torch.zeros(2, facts.SWATCH_FACTS)
    found = Features(front.every, close, front.still, front.moved, whole, front.trails)
    for fold in FOLDS:
        shards(tmp_path / "shards" / fold, 2, float(FOLDS.index(fold)))

    def remembered(_: Shards, __: Path, part: features.Part) -> dict[str, torch.Tensor]:
        return {key: getattr(found, key) for key in part.keys}

    monkeypatch.setattr(features, "_kept", remembered)
    said, truth = unseen(model, tmp_path, PLAIN)
    assert said.quality.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert truth.quality.tolist() == [0.0, 0.0, 1.0, 1.0]
    shutil.rmtree(tmp_path / "shards" / FOLDS[1])
    with pytest.raises(MediaError, match=f"has no samples of {FOLDS[1]}$"):
        unseen(model, tmp_path, PLAIN)
