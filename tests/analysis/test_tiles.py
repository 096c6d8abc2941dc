"""Tiles are crops, never resizes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aqs_batch.analysis.tiles import cut
from aqs_batch.ingest.frames import PipedFrames, PipeFormat
from aqs_batch.ingest.sampling import tile_corners


def frames(height: int, width: int) -> tuple[np.ndarray, PipedFrames]:
    """Seven random frames, as pixels and as they come over the pipe."""
    rng = np.random.default_rng(height * 10_000 + width)
    pixels = rng.integers(0, 256, (7, height, width, 3), dtype=np.uint8)
    return pixels, PipedFrames(pixels.reshape(7, -1), height, width, PipeFormat.RGB24)


def test_a_tile_is_the_very_pixels_of_the_frame() -> None:
    picture, piped = frames(300, 500)
    (tile,) = cut(piped, [(40, 120)])
    assert np.array_equal(tile.pixels, picture[:, 40:264, 120:344])
    assert (tile.x, tile.y) == ((120 + 112) / 500, (40 + 112) / 300)


@given(st.integers(1, 260), st.integers(1, 260))
def test_small_frames_are_continued_by_reflection(height: int, width: int) -> None:
    picture, piped = frames(height, width)
    for tile in cut(piped, tile_corners(0, 2, height, width)):
        assert tile.pixels.shape == (7, 224, 224, 3)
        assert 0 <= tile.x <= 1
        assert 0 <= tile.y <= 1
        assert tile.pixels.min() >= picture.min()
        assert tile.pixels.max() <= picture.max()


@given(st.integers(224, 2000), st.integers(224, 4000), st.integers(1, 9))
def test_tiles_stay_inside_the_frame(height: int, width: int, tiles: int) -> None:
    for sequence in range(3):
        for y, x in tile_corners(sequence, tiles, height, width):
            assert 0 <= y <= height - 224
            assert 0 <= x <= width - 224


def test_a_long_video_covers_its_whole_frame() -> None:
    seen = np.zeros((9, 16), bool)
    for sequence in range(60):
        for y, x in tile_corners(sequence, 4, 1080, 1920):
            seen[y // 120 : -(-(y + 224) // 120), x // 120 : -(-(x + 224) // 120)] = True
    assert seen.all()
