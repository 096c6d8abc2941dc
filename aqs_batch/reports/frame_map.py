"""Where in the frame the damage is: tiles of a whole video, gathered in a grid."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from aqs_batch.records import TILE_PX, SequenceScore, TileScores
from aqs_batch.reports import svg
from aqs_batch.wording import decimal


@dataclass(frozen=True)
class FrameMap:
    """A heat map over the frame, and what it says in words."""

    drawing: str
    words: str


QUALITY_STEPS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85)
_LONG_SIDE_CELLS = 24
_UNSEEN = 9  # the step after the eight: cells no tile has covered
_LONG_SIDE_PX = 400.0


def artifact_map(sequences: Sequence[SequenceScore], width: int, height: int) -> FrameMap:
    """The frame with the mean of each tile's strongest severity (0-1); its size as it was cut."""
    values = ((tile, _strongest(tile)) for sequence in sequences for tile in sequence.tiles)
    return _map(values, width, height, svg.SEVERITY_STEPS, "Strongest artifact over the frame")


def quality_map(sequences: Sequence[SequenceScore], width: int, height: int) -> FrameMap:
    """The frame with the mean of each tile's missing quality, 1 - quality; its size as above."""
    values = ((tile, 1 - tile.quality) for sequence in sequences for tile in sequence.tiles)
    return _map(values, width, height, QUALITY_STEPS, "Missing quality over the frame")


def coverage(sequences: Sequence[SequenceScore], width: int, height: int) -> float:
    """Share of the frame, 0-1, that at least one tile has looked at."""
    tiles = ((tile, 0.0) for sequence in sequences for tile in sequence.tiles)
    return float(np.isfinite(_grid(tiles, width, height)).mean())


def _map(
    values: Iterable[tuple[TileScores, float]],
    width: int,
    height: int,
    steps: Sequence[float],
    heading: str,
) -> FrameMap:
    grid = _grid(values, width, height)
    rows, columns = grid.shape
    cell = _LONG_SIDE_PX / max(rows, columns)
    levels = np.where(np.isfinite(grid), np.searchsorted(steps, grid, side="right"), _UNSEEN)
    boxes = []
    for row in range(rows):
        column = 0
        for step, run in groupby(levels[row].tolist()):  # neighbours of one step, joined
            width_cells = len(list(run))
            boxes.append((step, column * cell, row * cell, width_cells * cell, cell))
            column += width_cells
    frame_width, frame_height = columns * cell, rows * cell
    parts = [svg.rect(0.5, 0.5, frame_width - 1, frame_height - 1, "track"), svg.cells(boxes)]
    parts.append(svg.rect(0.5, 0.5, frame_width - 1, frame_height - 1, "frame"))
    words = worst_area(grid, steps[0])
    description = f"{heading}: {words}."
    drawing = svg.chart("frame-map", frame_width, frame_height, description, parts)
    return FrameMap(drawing, words)


def _grid(
    values: Iterable[tuple[TileScores, float]], width: int, height: int
) -> NDArray[np.float64]:
    """Mean value of the tiles over each cell; NaN where no tile was cut.

    A tile counts for every cell whose centre it covers: tiles are far larger than cells, so a
    short video still gives a map without holes between its tiles.
    """
    width, height = max(1, width), max(1, height)
    longer = max(width, height)
    rows = max(1, round(_LONG_SIDE_CELLS * height / longer))
    columns = max(1, round(_LONG_SIDE_CELLS * width / longer))
    half_x = max(0.5 / columns, TILE_PX / width / 2)
    half_y = max(0.5 / rows, TILE_PX / height / 2)
    centre_x = (np.arange(columns) + 0.5) / columns
    centre_y = (np.arange(rows) + 0.5) / rows
    known = np.array([(tile.x, tile.y, value) for tile, value in values]).reshape(-1, 3)
    down = (np.abs(centre_y[:, None] - known[:, 1]) <= half_y + 1e-9).astype(float)
    along = (np.abs(known[:, :1] - centre_x) <= half_x + 1e-9).astype(float)
    # All tiles at once: one by one they took a sixth of a report's time.
    total, looks = (down * known[:, 2]) @ along, down @ along
    mean: NDArray[np.float64] = np.full_like(total, np.nan)
    np.divide(total, looks, out=mean, where=looks > 0)
    return mean


def worst_area(grid: NDArray[np.float64], least: float) -> str:
    """The worst ninth of the frame in words, with its mean value; below `least` none is drawn."""
    if not np.isfinite(grid).any():
        return "no tiles kept"
    if np.nanmax(grid) < least:
        return "no part stands out"
    if np.nanmax(grid) - np.nanmin(grid) < 1e-9:  # every tile is the whole of a small frame
        return f"the same all over (mean {decimal(float(np.nanmean(grid)))})"
    best: tuple[float, str] = (-1.0, "")
    for row, vertical in zip(
        np.array_split(grid, 3, axis=0), ("top", "middle", "bottom"), strict=True
    ):
        for part, side in zip(
            np.array_split(row, 3, axis=1), ("left", "centre", "right"), strict=True
        ):
            if part.size and np.isfinite(part).any():
                best = max(best, (float(np.nanmean(part)), f"{vertical} {side}"))
    return f"worst at the {best[1]} (mean {decimal(best[0])})"


def _strongest(tile: TileScores) -> float:
    return max(map(operator.mul, tile.probability, tile.intensity), default=0.0)
