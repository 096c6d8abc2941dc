"""What the pipeline refuses and keeps, without its model."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from aqs_batch import pipeline
from aqs_batch.config import load
from aqs_batch.errors import RefusedMedia
from aqs_batch.events import Progress
from aqs_batch.ingest.probe import probe
from aqs_batch.lookahead import MOST_SEQUENCES
from aqs_batch.pipeline import WORST_MOMENTS, WorstMoments, look_ahead, process
from aqs_batch.records import Video


def test_the_pictures_kept_are_those_of_the_worst_moments() -> None:
    worst, picture = WorstMoments(), np.zeros((8, 8, 3), np.uint8)
    values = [0.9, 0.2, 0.8, 0.1, 0.7, 0.3, 0.6, 0.4, 0.5, 0.95]
    for number, aqs in enumerate(values):
        worst.offer(number, aqs, picture)
    lowest = sorted(range(len(values)), key=values.__getitem__)[:WORST_MOMENTS]
    assert sorted(worst.thumbnails()) == sorted(lowest)


class Scored(Exception):
    """A file was not refused."""


@pytest.mark.parametrize(
    ("max_hours", "said", "error"),
    [(4.9, r"5\.0 hours, more than the limit of 4\.9", RefusedMedia), (5.1, None, Scored)],
)
def test_what_is_longer_than_the_limit_is_refused(
    max_hours: float, said: str | None, error: type, make_clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(*_: object) -> None:
        raise Scored

    settings = load(None, {}, {"limits.max_hours": max_hours}).settings
    film = replace(probe(make_clip(seconds=1), settings.limits), duration_s=5 * 3600.0)
    monkeypatch.setattr(pipeline, "probe", lambda *_: film)
    monkeypatch.setattr(pipeline, "score", score)
    with pytest.raises(error, match=said):
        process(film.path, SimpleNamespace(settings=settings))  # type: ignore[arg-type]


def test_a_long_film_that_was_begun_ahead_is_probed_once(
    make_clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its index is read packet by packet, which takes minutes over a network."""
    probed, scored = [], []

    def count(*arguments: Any) -> Any:
        probed.append(arguments[0])
        return probe(*arguments)

    def score(video: Video, bench: object, progress: Progress) -> None:
        progress(0, MOST_SEQUENCES + 1)
        scored.append(video.path)
        raise Scored

    monkeypatch.setattr(pipeline, "probe", count)
    monkeypatch.setattr(pipeline, "score", score)
    settings, engine = load(None, {}, {}).settings, SimpleNamespace(busy_s=0.0)
    ahead = look_ahead(SimpleNamespace(settings=settings, engine=engine))  # type: ignore[arg-type]
    films = [make_clip(f"{name}.mp4", seconds=1) for name in ("first", "second")]
    for number, film in enumerate(films, start=1):
        with pytest.raises(Scored):
            ahead.finish(film, lambda done, of: None, films[number:])
    assert (sorted(probed), scored) == (films, films)
