"""The detector under test, run as the tool runs it; what it said of a tile is remembered."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aqs_batch import analysis
from aqs_batch.analysis.checkpoint import Checkpoint
from aqs_batch.analysis.engine import Backend, Engine
from aqs_batch.analysis.score import aqs as aqs_of
from aqs_batch.analysis.score import artifact_component
from aqs_batch.analysis.tiles import Tile
from aqs_batch.records import TileScores
from aqs_batch.settings import AnalysisSettings
from training.remembered import Arrays, digest, remembered

Floats = NDArray[np.float64]

CHUNK = 32  # tiles that are looked up, or computed, together


@dataclass(frozen=True)
class Read:
    """What was said of N tiles, all 0-1: probability and intensity [N,10], quality and AQS [N]."""

    probability: Floats
    intensity: Floats
    quality: Floats
    aqs: Floats


class Detector:
    """A checkpoint on a backend with the built-in scoring settings.

    Readings are kept under `cache`, addressed by checkpoint, code, backend and pixels, so that an
    evaluation that was stopped goes on where it was.
    """

    def __init__(self, checkpoint: Checkpoint, backend: Backend, cache: Path, batch: int = 8):
        self.checkpoint, self._backend = checkpoint, backend
        self._engine = Engine(backend, checkpoint.card, batch)
        self._folder = cache / "readings" / f"{checkpoint.digest}-{_code()}-{backend.name}"
        self._seconds, self._computed = 0.0, 0

    @property
    def tiles_per_s(self) -> float:
        """Speed over the tiles that had to be computed; nan when all were remembered."""
        return self._computed / self._seconds if self._computed else float("nan")

    def scores(self, tiles: Iterable[Tile]) -> list[TileScores]:
        """Calibrated scores of tiles, in order."""
        scores: list[TileScores] = []
        waiting = iter(tiles)
        while chunk := list(islice(waiting, CHUNK)):
            key = digest(part for tile in chunk for part in (tile.pixels, tile.swatch))
            arrays = remembered(self._folder / f"{key}.npz", key, partial(self._run, chunk))
            for quality, probability, intensity in zip(*_columns(arrays), strict=True):
                scores.append(TileScores(0.5, 0.5, quality, tuple(probability), tuple(intensity)))
        return scores

    def read(self, tiles: Iterable[Tile]) -> Read:
        """The same as arrays, with the AQS of each tile."""
        scores, scoring = self.scores(tiles), AnalysisSettings()
        return Read(
            np.array([s.probability for s in scores]),
            np.array([s.intensity for s in scores]),
            np.array([s.quality for s in scores]),
            np.array(
                [
                    aqs_of(
                        s.quality, artifact_component(s.probability, s.intensity, scoring), scoring
                    )
                    for s in scores
                ]
            ),
        )

    def _run(self, chunk: Sequence[Tile]) -> Arrays:
        began = time.perf_counter()
        scores = self._engine.score(chunk)
        self._seconds += time.perf_counter() - began
        self._computed += len(chunk)
        return {
            "quality": np.array([s.quality for s in scores]),
            "probability": np.array([s.probability for s in scores]),
            "intensity": np.array([s.intensity for s in scores]),
        }


def _code() -> str:
    """Changes with whatever in the analysis could change a reading."""
    return digest(*sorted(Path(analysis.__file__).parent.rglob("*.py")))


def _columns(arrays: Arrays) -> tuple[list[float], list[list[float]], list[list[float]]]:
    quality, probability, intensity = (
        arrays[name].tolist() for name in ("quality", "probability", "intensity")
    )
    return quality, probability, intensity
