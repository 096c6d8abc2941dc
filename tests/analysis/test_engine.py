"""The engine: the same score whatever the backend, the batch and the company."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from aqs_batch.analysis.checkpoint import Checkpoint, inspect, shipped_path
from aqs_batch.analysis.engine import Backend, Engine, choose_backend
from aqs_batch.analysis.openvino_cpu import OpenVinoBackend
from aqs_batch.analysis.tiles import Tile
from aqs_batch.analysis.torch_device import TorchBackend, is_there
from aqs_batch.errors import SettingsError
from aqs_batch.records import SWATCH_PX, TileScores

DEVICES = ["cpu", "cuda", "mps"]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return inspect(shipped_path())


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def openvino(checkpoint: Checkpoint, cache_dir: Path) -> Backend:
    return OpenVinoBackend(checkpoint, cache_dir, 2)


@pytest.fixture(scope="module")
def tiles() -> list[Tile]:
    """Moving blocks under noise, noise alone, a still and black: four unlike tiles, twice."""
    rng = np.random.default_rng(1)
    base = rng.integers(0, 256, (1, 28, 28, 3), dtype=np.uint8)
    blocks = base.repeat(7, axis=0).repeat(8, axis=1).repeat(8, axis=2)
    moving = np.stack([np.roll(frame, 3 * n, axis=1) for n, frame in enumerate(blocks)])
    noisy = np.clip(moving.astype(np.int16) + rng.integers(0, 24, moving.shape), 0, 255)
    noise = rng.integers(0, 256, moving.shape)
    pixels = [noisy.astype(np.uint8), noise.astype(np.uint8), blocks, np.zeros_like(blocks)]
    swatches = [np.ascontiguousarray(p[3, ::3, ::3][:SWATCH_PX, :SWATCH_PX]) for p in pixels]
    both = zip([*pixels, *pixels], [*swatches, *swatches], strict=True)
    return [Tile(p, s, 0.1 * n, 0.5) for n, (p, s) in enumerate(both)]


def vectors(scores: list[TileScores]) -> np.ndarray:
    return np.array([[s.quality, *s.probability, *s.intensity] for s in scores])


@pytest.mark.parametrize("device", DEVICES)
def test_every_backend_present_gives_the_same_scores(
    checkpoint: Checkpoint, openvino: Backend, tiles: list[Tile], device: str
) -> None:
    if not is_there(device):
        pytest.skip(f"no {device} here")
    reference = vectors(Engine(openvino, checkpoint.card, 8).score(tiles))
    theirs = vectors(Engine(TorchBackend(checkpoint, device, 8), checkpoint.card, 8).score(tiles))
    assert np.abs(reference - theirs).max() < 0.01


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_a_score_does_not_depend_on_the_batch(
    checkpoint: Checkpoint, openvino: Backend, tiles: list[Tile], batch: int
) -> None:
    reference = vectors(Engine(openvino, checkpoint.card, 8).score(tiles))
    again = vectors(Engine(openvino, checkpoint.card, batch).score(tiles))
    assert np.array_equal(reference, again)
    assert np.array_equal(again[:4], again[4:])  # nor on the place in it


def test_torch_fills_up_the_last_batch_without_a_trace(
    checkpoint: Checkpoint, tiles: list[Tile]
) -> None:
    backend = TorchBackend(checkpoint, "cpu", 3)
    backend._rows = 3  # as on a GPU
    one = backend.run(tiles[:1])
    three = backend.run(tiles[:3])
    for alone, together in zip(one, three, strict=True):
        assert alone.shape[0] == 1
        assert np.allclose(alone[0], together[0], atol=1e-4)


def test_tiles_of_many_threads_meet_in_batches_and_come_back_to_their_own(
    tiles: list[Tile], checkpoint: Checkpoint
) -> None:
    class Brightness:
        """Answers with the tile's mean, so that a mix-up shows; waits until all have asked."""

        name, device = "brightness", "cpu"

        def __init__(self):
            self.sizes, self.everyone = [], threading.Event()

        def run(self, tiles):
            self.everyone.wait(30)
            self.sizes.append(len(tiles))
            mean = np.array([t.pixels.mean() / 255 for t in tiles], np.float32)
            ten = np.repeat(mean[:, None], 10, axis=1)
            return mean, ten, ten

    backend = Brightness()
    engine = Engine(backend, checkpoint.card, 4)
    futures = [engine.submit([tile]) for tile in tiles]
    backend.everyone.set()
    for tile, future in zip(tiles, futures, strict=True):
        (score,) = future.result(30)
        assert score.quality == pytest.approx(1 / (1 + np.exp(-tile.pixels.mean() / 255)))
        assert score.x == tile.x
    assert max(backend.sizes) == 4


def test_an_error_of_the_backend_is_raised_where_the_score_was_asked_for(
    tiles: list[Tile], checkpoint: Checkpoint
) -> None:
    class Broken:
        name, device = "broken", "cpu"

        def run(self, tiles):
            raise RuntimeError("out of memory")

    engine = Engine(Broken(), checkpoint.card, 4)
    for _ in range(2):  # and the engine goes on to answer
        with pytest.raises(RuntimeError, match="out of memory"):
            engine.score(tiles[:1])


def test_the_converted_network_is_kept_and_read_back(
    checkpoint: Checkpoint, openvino: Backend, cache_dir: Path, tiles: list[Tile], monkeypatch
) -> None:
    monkeypatch.setattr(
        "aqs_batch.analysis.openvino_cpu.load_model", lambda _: pytest.fail("converted again")
    )
    again = OpenVinoBackend(checkpoint, cache_dir, 1)
    for one, two in zip(openvino.run(tiles[:1]), again.run(tiles[:1]), strict=True):
        assert np.array_equal(one, two)
    assert [p.name for p in cache_dir.iterdir() if p.name.startswith(".part")] == []


def test_a_kept_network_that_lost_a_part_is_made_again(
    checkpoint: Checkpoint, openvino: Backend, tmp_path: Path, tiles: list[Tile]
) -> None:
    told: list[str] = []
    OpenVinoBackend(checkpoint, tmp_path, 1, lambda: told.append("first"))
    (kept,) = tmp_path.glob("openvino-*")
    (kept / "jury.xml").unlink()
    again = OpenVinoBackend(checkpoint, tmp_path, 1, lambda: told.append("again"))
    assert (kept / "jury.xml").exists()
    OpenVinoBackend(checkpoint, tmp_path, 1, lambda: told.append("though it is there"))
    assert told == ["first", "again"]
    for one, two in zip(openvino.run(tiles[:1]), again.run(tiles[:1]), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_where_nothing_can_be_kept_the_network_is_converted_here(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "file").touch()

    class ConvertedError(Exception):
        pass

    def convert(_: Checkpoint) -> None:
        raise ConvertedError

    monkeypatch.setattr("aqs_batch.analysis.openvino_cpu._convert", convert)
    with pytest.raises(ConvertedError):
        OpenVinoBackend(checkpoint, tmp_path / "file" / "cache", 1)


@pytest.mark.parametrize(
    ("backend", "device"), [("openvino", "cuda"), ("torch", "cuda:99"), ("auto", "mps")]
)
def test_a_device_that_is_not_there_is_named(
    checkpoint: Checkpoint, cache_dir: Path, backend: str, device: str
) -> None:
    if device == "mps" and is_there("mps"):
        pytest.skip("mps is here")
    with pytest.raises(SettingsError, match=device):
        choose_backend(checkpoint, backend, device, batch=1, cache_dir=cache_dir)
