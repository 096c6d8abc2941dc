"""Frames as small JPEGs."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from aqs_batch.reports.thumbnail import jpeg


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(1080, 1920, (320, 180)), (1920, 1080, (180, 320)), (90, 160, (160, 90)), (2, 4000, (320, 1))],
)
def test_the_longer_side_is_limited(height: int, width: int, expected: tuple[int, int]) -> None:
    image = Image.open(io.BytesIO(jpeg(np.zeros((height, width, 3), np.uint8))))
    assert image.format == "JPEG" and image.size == expected


def test_colors_stay_in_rgb_order() -> None:
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[..., 0] = 250
    red, green, blue = Image.open(io.BytesIO(jpeg(frame[:, ::-1]))).getpixel((9, 9))
    assert red > 230 and green < 20 and blue < 20


@pytest.mark.parametrize(
    "frame",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32), np.zeros((0, 8, 3), np.uint8)],
)
def test_other_arrays_are_refused(frame: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        jpeg(frame)
