"""Shards on disk: what is written is read back, and labels of other scales are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aqs_batch.errors import MediaError
from aqs_batch.records import Artifact
from training import dataset
from training.content import Gradient
from training.dataset import Shards, refuse_others, write_shard
from training.manifest import Source
from training.recipe import STANDARD
from training.sources import REGIONS_PER_CLIP, ClipScene, Library, Scene, cut_regions
from training.supply import sources_of

HEADER = "file,kind,split,clean,content_tag\n"


class Watched(Gradient):
    """A sky that counts how often it was drawn."""

    drawn = 0

    def frame(self, t: float) -> NDArray[np.uint8]:
        self.drawn += 1
        return super().frame(t)


def test_a_frame_is_drawn_once_however_often_it_is_asked_for() -> None:
    """Chains are run with and without each step: a third of the time went into the same frames."""
    sky, fresh = (Watched(np.random.default_rng(0)) for _ in range(2))
    first = sky.sequence([0.0, 0.5, 1.0])
    first[:] = 0  # what was given away is the taker's
    again = sky.sequence([1.0, 0.5])
    assert sky.drawn == 3
    assert np.array_equal(again, [fresh.frame(1.0), fresh.frame(0.5)])


class Skies:
    def draw(self, rng: np.random.Generator) -> Scene:
        return Gradient(rng)


def test_intensities_on_other_scales_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shard(tmp_path, 0, Skies(), "train", STANDARD, size=2)
    assert len(Shards(tmp_path).truth.quality) == 2
    changed = replace(dataset.SCALES[Artifact.RINGING], heavy=0.31)
    monkeypatch.setitem(dataset.SCALES, Artifact.RINGING, changed)
    with pytest.raises(MediaError, match="other scales"):
        Shards(tmp_path)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "is no list of media"),
        ("file,kind\na.mp4,clip\n", "is no list of media: KeyError"),
        (f"{HEADER}a.png,photo,train,5,sea\n", "has no clips or no photos for train"),
        (f"{HEADER}a.png,photo,val,5,sea\n", "has no clips or no photos for train"),
    ],
)
def test_media_that_samples_cannot_be_made_of_are_named(
    lines: str, said: str, tmp_path: Path
) -> None:
    """Without clips the first draw of one had ended in numpy's `high <= 0`."""
    if lines:
        (tmp_path / "MANIFEST.csv").write_text(lines)
    with pytest.raises(MediaError, match=rf"MANIFEST\.csv {said}") as error:
        Library(tmp_path, tmp_path, "train")
    assert "split (train, val, test)" in error.value.hint


@pytest.mark.parametrize("part", ["tiles.npy", "truth.npz"])
def test_a_shard_that_was_cut_short_is_named(part: str, tmp_path: Path) -> None:
    write_shard(tmp_path, 0, Skies(), "train", STANDARD, size=2)
    file = tmp_path / f"00000.{part}"
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(
        MediaError, match=r"00000\.truth\.npz or 00000\.tiles\.npy .* cannot be read"
    ):
        Shards(tmp_path)


@pytest.mark.parametrize("kind", ["clip", "photo"])
def test_material_that_cannot_be_read_is_named(kind: str, tmp_path: Path) -> None:
    (tmp_path / "MANIFEST.csv").write_text(f"{HEADER}gone.mp4,{kind},train,5,sea\n")
    with pytest.raises(MediaError, match=r"gone\.mp4: no (video|picture) that can be read"):
        Library(tmp_path, tmp_path, "train", photo_share=1.0).draw(np.random.default_rng(1))


def test_samples_of_a_recipe_as_it_was_are_refused(tmp_path: Path) -> None:
    """New ones had been made beside them, and both were learned from as one set."""
    write_shard(tmp_path, 0, Skies(), "train", STANDARD, size=2)
    refuse_others(tmp_path, STANDARD)
    with pytest.raises(MediaError, match=r"recipe had clean 0\.14, which is 0\.2 now") as error:
        refuse_others(tmp_path, replace(STANDARD, clean=0.2))
    assert str(tmp_path) in error.value.hint


def test_samples_of_other_media_are_refused(tmp_path: Path) -> None:
    """Of a source that a new manifest puts into the test, samples to learn from had stayed."""
    manifest, shards = tmp_path / "MANIFEST.csv", tmp_path / "shards"
    manifest.write_text(f"{HEADER}sea.mp4,clip,train,5,sea\nsky.mp4,clip,train,5,sky\n")
    before = sources_of(None, tmp_path, "train")
    write_shard(shards, 0, Skies(), "train", STANDARD, before, size=2)
    refuse_others(shards, STANDARD, sources_of(None, tmp_path, "train"))
    manifest.write_text(f"{HEADER}sea.mp4,clip,train,5,sea\nsky.mp4,clip,test,5,sky\n")
    with pytest.raises(MediaError, match="other media, or of others in this split"):
        refuse_others(shards, STANDARD, sources_of(None, tmp_path, "train"))


def test_samples_made_before_recipes_learned_something_are_kept(tmp_path: Path) -> None:
    """What a recipe leaves alone may come to all of them without hours of samples being lost."""
    write_shard(tmp_path, 0, Skies(), "train", STANDARD, size=2)
    truth = tmp_path / "00000.truth.npz"
    with np.load(truth) as arrays:
        columns = dict(arrays)
    asked = json.loads(str(columns["recipe"]))
    del asked["later"]
    np.savez(truth, **columns | {"recipe": np.array(json.dumps(asked))})
    refuse_others(tmp_path, STANDARD)
    with pytest.raises(MediaError, match="had later 0, which is 1 now"):
        refuse_others(tmp_path, replace(STANDARD, later=1))
    silent = {n: column for n, column in columns.items() if n not in {"recipe", "sources"}}
    np.savez(truth, **silent)
    refuse_others(tmp_path, STANDARD, "any")  # older shards do not say


def test_a_clips_regions_are_its_own_whatever_its_name(
    tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    """Brackets had left a clip out, and a clip had the regions of one with a longer name."""
    clip = make_clip(size="640x480")
    for name in ("sea [x264]", "sea", "sea__calm"):
        shutil.copy(clip, tmp_path / f"{name}.mp4")
        regions = cut_regions(Source(tmp_path / f"{name}.mp4", "clip", "test", 5, ""), tmp_path)
        assert len(regions) == REGIONS_PER_CLIP["test"]
    again = cut_regions(Source(tmp_path / "sea.mp4", "clip", "test", 5, ""), tmp_path)
    assert len(again) == REGIONS_PER_CLIP["test"]
    again[0].write_bytes(again[0].read_bytes()[:-200])
    with pytest.raises(MediaError, match=r"sea__00\.npy cannot be read") as error:
        ClipScene(again[0])
    assert "points.npy" in error.value.hint


def test_a_clip_in_anothers_place_is_cut_anew(
    tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    """By its name it had got the other's regions, and its samples were of what was gone."""
    source = Source(tmp_path / "sea.mp4", "clip", "test", 5, "")
    shutil.copy(make_clip(size="640x480"), source.path)
    first = cut_regions(source, tmp_path)
    assert cut_regions(source, tmp_path) == first
    shutil.copy(make_clip(size="320x240"), source.path)
    other = cut_regions(source, tmp_path)
    assert not set(first) & set(other)
    assert [path.name for path in first] == [path.name for path in other]
    assert np.load(other[0]).shape != np.load(first[0]).shape
    assert not set(cut_regions(replace(source, clean=2), tmp_path)) & set(other)


def test_where_nothing_is_missing_no_clip_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For no samples at all, as the log's commands ask, all clips had been read and cut."""
    (tmp_path / "MANIFEST.csv").write_text(f"{HEADER}gone.mp4,clip,train,5,sea\n")
    argv = ["dataset", "--split", "train", "--samples", "0", "--media", str(tmp_path)]
    monkeypatch.setattr("sys.argv", [*argv, "--cache", str(tmp_path / "cache")])
    dataset.main()
    assert not (tmp_path / "cache").exists()
    with pytest.raises(MediaError, match="patterns has no fold val-a"):
        sources_of(("patterns", tmp_path), tmp_path, "val-a")
