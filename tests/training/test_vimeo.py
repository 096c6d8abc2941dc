"""Vimeo-90K septuplets, on a tiny tree in its layout."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import pytest

from aqs_batch.errors import MediaError
from training.dataset import Shards, shard_folder, write_shard
from training.recipe import HARD, STANDARD
from training.supply import data_source, sources_of
from training.vimeo import Septuplet, VimeoLibrary, septuplets


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """21 folders of one septuplet each in the training list, two in the test list."""
    root = tmp_path_factory.mktemp("vimeo")
    rng = np.random.default_rng(4)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (256, 520, 3)).astype(np.uint8), (0, 0), 2)
    names = [f"{n:05d}/0001" for n in range(1, 24)]
    for number, name in enumerate(names):
        folder = root / "sequences" / name
        folder.mkdir(parents=True)
        for frame in range(7):
            at = 4 * frame + number
            cv2.imwrite(str(folder / f"im{frame + 1}.png"), texture[:, at : at + 448])
    (root / "sep_trainlist.txt").write_text("\n".join(names[:21]) + "\n\n")
    (root / "sep_testlist.txt").write_text("\r\n".join(names[21:]))
    return root


def test_every_list_gives_its_own_septuplets(tree: Path) -> None:
    splits = {split: septuplets(tree, split) for split in ("train", "val", "test")}
    assert {split: len(found) for split, found in splits.items()} == {
        "train": 20,
        "val": 1,
        "test": 2,
    }
    folders = [folder for found in splits.values() for folder in found]
    assert len(set(folders)) == len(folders)
    assert all((folder / "im7.png").exists() for folder in folders)


def test_a_septuplet_plays_its_frames_in_order_and_turns_round_at_the_end(tree: Path) -> None:
    scene = Septuplet(tree / "sequences" / "00001" / "0001")
    first, second = scene.frame(0), scene.frame(1)
    assert first.shape == (256, 448, 3)
    assert np.array_equal(first[:, 4:], second[:, :-4])  # the pan of the tree
    assert np.array_equal(scene.frame(7), scene.frame(5))
    assert np.array_equal(scene.frame(-1), scene.frame(1))
    backwards = Septuplet(tree / "sequences" / "00001" / "0001", reverse=True)
    assert np.array_equal(backwards.frame(0), scene.frame(6))


def test_samples_are_made_of_septuplets_and_are_reproducible(tree: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_shard(tmp_path / name, 0, VimeoLibrary(tree, "train"), "train", STANDARD, size=6)
    one, two = Shards(tmp_path / "one"), Shards(tmp_path / "two")
    assert one.tile(0).pixels.shape == (7, 224, 224, 3)
    assert np.array_equal(one.tile(3).pixels, two.tile(3).pixels)
    assert np.array_equal(one.truth.presence, two.truth.presence)
    assert any("vimeo-" in note for note in one.truth.note)


def test_a_tree_that_is_not_vimeo_says_what_is_missing(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"sep_trainlist\.txt"):
        septuplets(tmp_path, "train")
    (tmp_path / "sep_testlist.txt").write_text("00009/0009\n")
    library = VimeoLibrary(tmp_path, "test")
    with pytest.raises(MediaError, match=r"im1\.png"):
        library.draw(np.random.default_rng(0))


def test_the_flag_names_kind_and_path_and_the_set_has_a_folder_of_its_own() -> None:
    assert data_source("vimeo:/data/vimeo:90k") == ("vimeo", Path("/data/vimeo:90k"))
    assert data_source("vimeo:~/90k") == ("vimeo", Path.home() / "90k")
    for wrong in ("vimeo", "vimeo:", "davis:/data"):
        with pytest.raises(argparse.ArgumentTypeError):
            data_source(wrong)
    assert shard_folder(Path("c"), "train", HARD, "vimeo").name == "train-hard-vimeo"
    assert shard_folder(Path("c"), "test", STANDARD).name == "test"


def test_there_are_folds_of_our_own_media_alone(tree: Path, tmp_path: Path) -> None:
    for data in (("vimeo", tree), ("patterns", Path())):
        with pytest.raises(MediaError, match="no fold val-a"):
            sources_of(data, tmp_path, "val-a")
