"""Tiles out of frames: native-resolution crops, never resizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aqs_batch.records import TILE_PX, Pixels


@dataclass(frozen=True)
class Tile:
    """uint8[7,224,224,3] with the place of its centre in the frame, 0-1."""

    pixels: Pixels
    x: float
    y: float


def cut(frames: Pixels, corners: list[tuple[int, int]]) -> list[Tile]:
    """Cut one tile at each (y, x); a frame under 224 px is continued by reflection."""
    height, width = frames.shape[1:3]
    short = max(TILE_PX - height, 0), max(TILE_PX - width, 0)
    if max(short):
        frames = np.pad(frames, ((0, 0), (0, short[0]), (0, short[1]), (0, 0)), mode="reflect")
    tiles = []
    for y, x in corners:
        pixels = np.ascontiguousarray(frames[:, y : y + TILE_PX, x : x + TILE_PX])
        centre_y = min(y + TILE_PX / 2, height / 2 if short[0] else y + TILE_PX / 2) / height
        centre_x = min(x + TILE_PX / 2, width / 2 if short[1] else x + TILE_PX / 2) / width
        tiles.append(Tile(pixels, centre_x, centre_y))
    return tiles
