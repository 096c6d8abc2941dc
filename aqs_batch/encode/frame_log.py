"""The scores of every frame of a rung: kept as a file, and thinned out for a chart."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aqs_batch.atomic import unfinished
from aqs_batch.encode.vmaf import CELLS, Series

STRIP_BINS = 600
WORST = 4
_APART_S = 1.0  # worst frames are at least this far apart, or they all show one moment


@dataclass(frozen=True)
class FrameLog:
    """Scores by name, with the number and time of each frame in the source.

    In the encode of a window a frame's number is less by the window's start and by `offset`.
    """

    numbers: NDArray[np.int64]
    times_s: Series
    scores: Mapping[str, Series]
    worst_cell: NDArray[np.uint8]
    offset: int = 0

    def write(self, path: Path, facts: Mapping[str, object]) -> None:
        """Write gzipped JSON, the same bytes every time; raises OSError."""
        columns = {name: np.round(series, 4).tolist() for name, series in self.scores.items()}
        document = {
            **facts,
            "frame": self.numbers.tolist(),
            "t_s": np.round(self.times_s, 6).tolist(),
            **columns,
        }
        raw = json.dumps(document, allow_nan=False).encode()
        with unfinished(path) as temporary:
            temporary.write_bytes(gzip.compress(raw, 6, mtime=0))

    def strip(self) -> tuple[float, ...]:
        """VMAF over time in at most STRIP_BINS values, each the lowest of its frames."""
        series = self.scores.get("vmaf")
        if series is None or not len(series):
            return ()
        parts = np.array_split(series, min(STRIP_BINS, len(series)))
        return tuple(round(float(part.min()), 2) for part in parts)

    def worst(self) -> list[int]:
        """Positions of the frames with the lowest VMAF, well apart, the worst first."""
        series = self.scores.get("vmaf")
        if series is None:
            return []
        chosen: list[int] = []
        for position in np.argsort(series, kind="stable").tolist():
            at = self.times_s[position]
            if all(abs(at - self.times_s[other]) >= _APART_S for other in chosen):
                chosen.append(position)
            if len(chosen) == WORST:
                break
        return chosen

    def place(self, position: int) -> tuple[float, float]:
        """Where a frame differs most from its source: (x, y) of the middle, 0-1 of the frame."""
        row, column = divmod(int(self.worst_cell[position]), CELLS)
        return (column + 0.5) / CELLS, (row + 0.5) / CELLS


def joined(logs: Sequence[FrameLog]) -> FrameLog:
    """The logs of several windows of one offset, one after another."""
    return FrameLog(
        np.concatenate([log.numbers for log in logs]),
        np.concatenate([log.times_s for log in logs]),
        {name: np.concatenate([log.scores[name] for log in logs]) for name in logs[0].scores},
        np.concatenate([log.worst_cell for log in logs]),
        logs[0].offset,
    )
