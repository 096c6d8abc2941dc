"""Which moments are looked at."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqs_batch.ingest.probe import probe
from aqs_batch.ingest.sampling import (
    EARLY_S,
    Moments,
    SamplePlan,
    analysed_size,
    plan,
    reachable,
    seek_pays,
    seek_point_s,
    tile_corners,
)
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


def indexed(video: Video, frames: int, gop: int, **other) -> Video:
    long = lasting(video, frames, 25)
    keys = long.frame_times_s[::gop]
    return dataclasses.replace(long, keyframe_times_s=keys, width=1920, height=1080, **other)


def test_sparse_sampling_of_a_long_film_seeks_and_dense_sampling_reads_on(video: Video) -> None:
    film = indexed(video, 25 * 7200, 50)
    assert seek_pays(film, SamplePlan(12.0, 600))
    assert not seek_pays(film, SamplePlan(1.0, 7200))
    assert not seek_pays(indexed(video, 25 * 7200, 300), SamplePlan(12.0, 600))  # rare keyframes


def test_a_child_for_each_sequence_costs_more_than_decoding_small_frames(video: Video) -> None:
    film = indexed(video, 25 * 7200, 50)
    small = dataclasses.replace(film, width=320, height=240)
    assert seek_pays(film, SamplePlan(12.0, 600))
    assert not seek_pays(small, SamplePlan(12.0, 600))


def test_what_is_shown_just_before_or_at_a_keyframe_is_sought_from_the_one_before(
    video: Video,
) -> None:
    """It may be decoded after it: an open GOP's leading pictures are."""
    film = indexed(video, 250, 50)
    assert [seek_point_s(film, frame) for frame in (0, 49, 50, 55, 70)] == [0, 0, 0, 0, 2.0]


def test_times_that_stand_still_are_not_sought(video: Video) -> None:
    film = indexed(video, 25 * 7200, 50)
    times = (*film.frame_times_s[:100], film.frame_times_s[99], *film.frame_times_s[101:])
    assert not seek_pays(dataclasses.replace(film, frame_times_s=times), SamplePlan(12.0, 600))


def test_a_frame_as_low_as_a_tile_is_covered_in_its_width() -> None:
    corners = tile_corners(0, 4, 224, 1920)
    assert len(set(corners)) == 4 and {y for y, _ in corners} == {0}
    assert tile_corners(0, 4, 224, 200) == [(0, 0)]


@pytest.mark.parametrize(
    "flaw",
    [{"container": "mpegts"}, {"field_order": "tt"}, {"warnings": ("cut short",)}],
)
def test_what_cannot_be_sought_for_sure_is_read_in_one_pass(video: Video, flaw: dict) -> None:
    assert not seek_pays(indexed(video, 25 * 7200, 50, **flaw), SamplePlan(12.0, 600))


@given(
    st.lists(st.floats(0.001, 0.2), min_size=1, max_size=300),
    st.floats(0.3, 3.0),
    st.integers(1, 50),
    st.floats(0.0, 1.0),
)
def test_moments_are_where_select_would_find_them(
    steps: list[float], interval_s: float, count: int, room: float
) -> None:
    times = [0.5]
    for step in steps:
        times.append(times[-1] + step)
    chance = SamplePlan(interval_s, count, room * interval_s)
    moments = Moments(tuple(times), chance)
    chosen, wanted = [], 0  # the loop that select's expression is
    skip = 0
    for frame in range(len(times)):
        if skip:
            skip -= 1
            continue
        due = max(wanted, moments.number(frame))
        if due < count and times[frame] - times[0] + EARLY_S >= chance.start_s(due):
            assert moments.number(frame) == due
            chosen.append(frame)
            wanted, skip = due + 1, 6
    found, frame = [], moments.next(0, 0)
    while frame is not None:
        found.append(frame)
        frame = moments.next(frame + 7, moments.number(frame) + 1)
    assert found == chosen


@pytest.mark.parametrize("rate", [24, 25, 30, 60])
def test_sequences_meet_what_comes_once_a_second_at_every_phase(video: Video, rate: int) -> None:
    """Frames held for a quarter of a second were seen moving in none of the sequences, or in all.

    They never overlap, and none is lost.
    """
    film = lasting(video, 60 * rate, rate)
    chosen = plan(film, 1.0, 600)
    starts = list(Moments(film.frame_times_s, chosen).starts())
    assert len(starts) == chosen.count == 60
    assert min(b - a for a, b in pairwise(starts)) >= 7
    assert len({start % rate for start in starts}) > rate / 3


def test_times_in_whole_milliseconds_cost_no_sequence(video: Video) -> None:
    """Of 56 frames Matroska had given seven sequences, MP4 eight."""
    for rate in (24, 60):
        times = tuple(round(n / rate, 3) for n in range(56))
        film = dataclasses.replace(
            lasting(video, 56, rate), frame_times_s=times, duration_s=times[-1] + 1 / rate
        )
        assert reachable(film, plan(film, 1.0, 600)) == 8


def test_sparse_frames_give_fewer_sequences_than_planned(video: Video) -> None:
    """Whole files were said to be partly unreadable: seven frames lasted longer than a second."""
    times = (*(n / 30 for n in range(450)), *(15 + n / 2 for n in range(30)))
    uneven = dataclasses.replace(video, frame_times_s=times, duration_s=30.0)
    chosen = plan(uneven, 1.0, 600)
    assert reachable(uneven, chosen) < chosen.count
    even = lasting(video, 750, 25)
    assert reachable(even, plan(even, 1.0, 600)) == 30
