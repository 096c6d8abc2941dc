"""Tiles out of frames: native-resolution crops, never resizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from aqs_batch.records import TILE_PX, Pixels


@dataclass(frozen=True)
class Tile:
    """uint8[7,224,224,3] with the place of its centre in the frame, 0-1.

    `swatch`, uint8[64,64,3], is what colours the whole frame has: whether they are pale or garish
    cannot be told from a part of it (docs/decisions/021).
    """

    pixels: Pixels
    swatch: Pixels
    x: float
    y: float


class Frames(Protocol):
    """Consecutive frames of one size, turned into RGB where they are looked at."""

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    def crop(self, y: int, x: int, height: int, width: int) -> Pixels:
        """The same place in all frames: uint8[7,height,width,3]."""

    def swatch(self) -> Pixels:
        """Pixels spread over the middle frame: uint8[64,64,3]."""


def cut(frames: Frames, corners: list[tuple[int, int]]) -> list[Tile]:
    """Cut one tile at each (y, x); a frame under 224 px is continued by reflection."""
    height, width = frames.height, frames.width
    high, wide = min(TILE_PX, height), min(TILE_PX, width)
    short = TILE_PX - high, TILE_PX - wide
    swatch, tiles = frames.swatch(), []
    for y, x in corners:
        pixels = frames.crop(y, x, high, wide)
        if max(short):
            pixels = np.pad(pixels, ((0, 0), (0, short[0]), (0, short[1]), (0, 0)), mode="reflect")
        tiles.append(Tile(pixels, swatch, (x + wide / 2) / width, (y + high / 2) / height))
    return tiles
