"""What the pipeline refuses and keeps, without its model."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from aqs_batch.config import load
from aqs_batch.errors import RefusedMedia
from aqs_batch.pipeline import WORST_MOMENTS, WorstMoments, process


def test_the_pictures_kept_are_those_of_the_worst_moments() -> None:
    worst, picture = WorstMoments(), np.zeros((8, 8, 3), np.uint8)
    values = [0.9, 0.2, 0.8, 0.1, 0.7, 0.3, 0.6, 0.4, 0.5, 0.95]
    for number, aqs in enumerate(values):
        worst.offer(number, aqs, picture)
    lowest = sorted(range(len(values)), key=values.__getitem__)[:WORST_MOMENTS]
    assert sorted(worst.thumbnails()) == sorted(lowest)


def test_what_is_longer_than_the_limit_is_refused(make_clip) -> None:
    settings = load(None, {}, {"limits.max_hours": 0.9 / 3600}).settings
    with pytest.raises(RefusedMedia, match=r"the limit of 0\.00025"):
        process(make_clip(seconds=1), "", SimpleNamespace(settings=settings))  # type: ignore[arg-type]
