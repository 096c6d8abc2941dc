"""Which moments are looked at."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqs_batch.ingest.probe import probe
from aqs_batch.ingest.sampling import analysed_size, plan
from aqs_batch.records import Video


@pytest.fixture(scope="module")
def video(make_clip) -> Video:
    return probe(make_clip())


def lasting(video: Video, frames: int, rate: float) -> Video:
    times = tuple(n / rate for n in range(frames))
    return dataclasses.replace(video, frame_times_s=times, duration_s=frames / rate)


@given(st.integers(1, 20_000), st.sampled_from([8.0, 25.0, 60.0]), st.integers(1, 700))
def test_a_plan_fits_the_video(video: Video, frames: int, rate: float, most: int) -> None:
    chosen = plan(lasting(video, frames, rate), 1.0, most)
    assert 1 <= chosen.count <= most
    assert chosen.count * 7 <= max(frames, 7)
    assert (chosen.count - 1) * chosen.interval_s <= frames / rate + 1e-6


def test_a_short_clip_still_gives_eight(video: Video) -> None:
    assert plan(lasting(video, 75, 25), 1.0, 600).count == 8


def test_a_long_film_is_spread_thinner_not_cut_off(video: Video) -> None:
    chosen = plan(lasting(video, 25 * 7200, 25), 1.0, 600)
    assert chosen.count == 600
    assert chosen.interval_s == pytest.approx(12.0)


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (1920, 1080, (1080, 1920)),
        (3840, 2160, (1080, 1920)),
        (1080, 1920, (1920, 1080)),
        (2160, 3840, (1920, 1080)),
        (321, 243, (243, 321)),
    ],
)
def test_only_what_is_larger_than_max_height_is_scaled(
    video: Video, width: int, height: int, expected: tuple[int, int]
) -> None:
    assert analysed_size(dataclasses.replace(video, width=width, height=height), 1080) == expected
