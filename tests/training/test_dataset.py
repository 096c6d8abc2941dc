"""Shards on disk: what is written is read back, and labels of other scales are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aqs_batch.errors import MediaError
from aqs_batch.records import Artifact
from training import dataset
from training.content import Gradient
from training.dataset import Shards, write_shard
from training.recipe import STANDARD
from training.sources import Library, Scene

HEADER = "file,kind,split,clean,content_tag\n"


class Skies:
    def draw(self, rng: np.random.Generator) -> Scene:
        return Gradient(rng)


def test_intensities_on_other_scales_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shard(tmp_path, 0, Skies(), "train", STANDARD, size=2)  # type: ignore[arg-type]
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
    write_shard(tmp_path, 0, Skies(), "train", STANDARD, size=2)  # type: ignore[arg-type]
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
