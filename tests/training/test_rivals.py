"""Rival measures of a shard: right tile, right direction, computed once."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from aqs_batch.errors import FfmpegError
from training import naturalness, rivals
from training.remembered import Arrays, digest, remembered

MOVING, BLURRED, BLOCKS, BANDED, SMOOTH = range(5)


def natural(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Luma whose spectrum falls like a photograph's."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    frequency[0, 0] = 1
    noise = np.fft.fft2(rng.normal(size=(height, width))) / frequency
    picture = np.fft.ifft2(noise).real
    return np.clip(128 + 45 * picture / picture.std(), 0, 255)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texture in motion, the same blurred, the same in blocks, a still slope in bands, dithered."""
    rng = np.random.default_rng(2)
    wide = natural(rng, 224, 260)
    moving = np.stack([wide[:, 4 * t : 4 * t + 224] for t in range(7)])
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 3) for frame in moving])
    means = moving.reshape(7, 28, 8, 28, 8).mean((2, 4))
    blocks = np.repeat(np.repeat(means, 8, axis=1), 8, axis=2)
    slope = np.broadcast_to(np.linspace(60, 120, 224), (7, 224, 224))
    banded, smooth = np.rint(slope / 2) * 2, np.rint(slope + rng.normal(0, 1, (224, 224)))
    grey = np.stack([moving, blurred, blocks, banded, smooth]).astype(np.uint8)
    path = tmp_path_factory.mktemp("shards") / "test" / "00000.tiles.npy"
    path.parent.mkdir()
    np.save(path, np.repeat(grey[..., None], 3, axis=-1))
    return path


@pytest.fixture(scope="module")
def measured(shard: Path, ffmpeg_path: str) -> Arrays:
    return rivals.filter_scores(ffmpeg_path, shard)


def test_the_filters_see_what_they_are_for(measured: Arrays) -> None:
    assert measured["blurdetect"][BLURRED] > measured["blurdetect"][MOVING]
    assert measured["blockdetect"][BLOCKS] > 5 * measured["blockdetect"][MOVING]
    assert measured["siti SI"][MOVING] > measured["siti SI"][BLURRED]
    assert all(len(column) == 5 for column in measured.values())


def test_no_change_is_seen_from_one_tile_to_the_next(measured: Arrays) -> None:
    for name in ("siti TI", "signalstats YDIF"):
        assert measured[f"{name} max"][BANDED] == measured[f"{name} max"][SMOOTH] == 0
        assert measured[f"{name} min"][MOVING] > 0


def test_cambi_sees_bands(shard: Path, ffmpeg_path: str) -> None:
    columns = rivals.cambi_scores(ffmpeg_path, shard)
    assert set(columns) == {"CAMBI", "CAMBI wide"}
    for values in columns.values():
        assert values[BANDED] > values[SMOOTH] + 0.1


@pytest.mark.parametrize("name", list(naturalness.PACKAGES))
def test_naturalness_falls_with_damage(name: str, shard: Path) -> None:
    if name == "BRISQUE" and not naturalness.installed(name):
        pytest.skip("BRISQUE comes with the `rivals` extra")
    measure = naturalness.niqe if name == "NIQE" else naturalness.brisque
    tiles = np.load(shard)[:, 3]
    assert measure(tiles[BLOCKS]) > measure(tiles[MOVING])


def test_a_pickle_of_anything_but_numbers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "normalize.pickle"
    path.write_bytes(pickle.dumps({"min_": [0.5, 1.0], "max_": [2.0, 3.0]}))
    assert naturalness.plain_pickle(path) == {"min_": [0.5, 1.0], "max_": [2.0, 3.0]}
    path.write_bytes(pickle.dumps({"min_": [Path("x")]}))
    with pytest.raises(ValueError, match="more than lists of numbers"):
        naturalness.plain_pickle(path)


def test_scores_are_computed_once_until_shard_or_instrument_changes(
    shard: Path, tmp_path: Path
) -> None:
    asked: list[Path] = []

    def measure(path: Path) -> Arrays:
        asked.append(path)
        return {"mean": np.load(path).mean((1, 2, 3, 4))}

    copy = tmp_path / "shards" / "test" / shard.name
    copy.parent.mkdir(parents=True)
    copy.write_bytes(shard.read_bytes())
    for _ in range(2):
        found = rivals.scores([copy], tmp_path, [rivals.Instrument("mean", "1", measure)])
    assert len(asked) == 1
    assert found["mean"] == pytest.approx(np.load(copy).mean((1, 2, 3, 4)))
    rivals.scores([copy], tmp_path, [rivals.Instrument("mean", "2", measure)])
    assert len(asked) == 2
    np.save(copy, np.load(copy)[::-1])
    again = rivals.scores([copy], tmp_path, [rivals.Instrument("mean", "2", measure)])
    assert len(asked) == 3
    assert again["mean"] == pytest.approx(found["mean"][::-1])


def test_a_shard_that_is_none_is_refused(tmp_path: Path, ffmpeg_path: str) -> None:
    wrong = tmp_path / "00000.tiles.npy"
    np.save(wrong, np.zeros((4, 4), np.float32))
    with pytest.raises(ValueError, match="does not hold tiles"):
        rivals.filter_scores(ffmpeg_path, wrong)


def test_metadata_is_read_by_frame() -> None:
    text = "frame:0    pts:0\nlavfi.block=1.5\nlavfi.blur=-nan\nframe:1    pts:1\nlavfi.block=2\n"
    first, second = rivals.metadata(text)
    assert first["lavfi.block"] == 1.5
    assert np.isnan(first["lavfi.blur"])
    assert second == {"lavfi.block": 2.0}


def test_a_digest_changes_with_every_part(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    values = [
        digest(file),
        digest("abc", "d"),
        digest("ab", "cd"),
        digest([np.arange(3)]),
        digest([np.arange(4)]),
    ]
    assert len(set(values)) == len(values)


def test_what_failed_is_not_remembered(tmp_path: Path) -> None:
    def fail() -> Arrays:
        raise FfmpegError("no")

    with pytest.raises(FfmpegError):
        remembered(tmp_path / "x.npz", "k", fail)
    assert list(tmp_path.iterdir()) == []
    kept = remembered(tmp_path / "x.npz", "k", lambda: {"a": np.arange(2)})
    assert remembered(tmp_path / "x.npz", "k", fail)["a"].tolist() == kept["a"].tolist()
