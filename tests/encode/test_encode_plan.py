"""Where samples lie."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqs_batch.encode import plan
from aqs_batch.ingest.probe import probe


@pytest.fixture(scope="module")
def film(make_clip):
    """A minute at 25 fps with a keyframe every 2 s, made up from a real probe."""
    video = probe(make_clip())
    times = tuple(n / 25 for n in range(1500))
    return replace(video, frame_times_s=times, keyframe_times_s=times[::50], duration_s=60.0)


def test_samples_begin_at_keyframes_and_do_not_overlap(film) -> None:
    found = plan.samples(film, 6, 2.0)
    assert [w.frames for w in found.windows] == [50] * 6
    assert all(film.frame_times_s[w.start] in film.keyframe_times_s for w in found.windows)
    assert all(b.start >= a.start + a.frames for a, b in pairwise(found.windows))
    assert found.share == pytest.approx(0.2)
    assert found.words == "6 x 2.0 s of 60.0 s"


def test_samples_that_would_cover_most_of_a_file_are_the_whole_file(film) -> None:
    assert plan.samples(film, 10, 4.0).full
    assert plan.samples(film, 10, 3.0).words != "full"


def test_a_still_part_is_not_sampled_again_and_again(film) -> None:
    """Half a screen recording is one frame: what follows it had filled four samples of six."""
    times = tuple(n / 10 + (80.0 if n >= 200 else 0.0) for n in range(400))
    keys = tuple(times[::50])
    still = replace(film, frame_times_s=times, keyframe_times_s=keys, duration_s=120.0)
    found = plan.samples(still, 4, 3.0)
    assert all(b.start >= a.start + (a.frames or 0) for a, b in pairwise(found.windows))
    assert [w.frames for w in found.windows] == [30] * 4
    assert found.share == pytest.approx(0.3)  # of the frames, which is where the bytes are


def test_a_seek_goes_between_two_frames(film) -> None:
    window = plan.window(film.frame_times_s, 100, 5, film.duration_s)
    assert window.seek_s == pytest.approx(3.98)
    assert window.length_s == pytest.approx(0.2)
    assert plan.window(film.frame_times_s, 0, 5, 60.0).seek_s is None


def test_a_seek_goes_early_enough_for_keyframes_that_are_decoded_early(film) -> None:
    times, keys = film.frame_times_s, film.keyframe_times_s  # every fiftieth
    assert plan.window(times, 100, 5, 60.0).early_s == pytest.approx(31.5 / 25)
    assert plan.window(times, 120, 5, 60.0, keys).early_s == pytest.approx(31.5 / 25)
    assert plan.window(times, 100, 5, 60.0, keys).early_s == 0
    assert plan.window(times, 1, 5, 60.0).early_s == pytest.approx(0.5 / 25)
    assert {w.early_s for w in plan.samples(film, 6, 2.0).windows} == {0}


@given(st.integers(1, 400), st.integers(1, 90), st.integers(0, 5))
def test_segments_tell_every_frame_once(frames: int, most: int, overlap: int) -> None:
    times = [n / 25 for n in range(frames)]
    told = []
    for window, keep in plan.segments(times, most, overlap):
        numbers = list(range(frames))[window.start :]
        told += numbers[: window.frames][keep]
    assert told == list(range(frames))


def test_a_probe_without_times_is_encoded_whole(film, tmp_path: Path) -> None:
    assert plan.samples(replace(film, frame_times_s=()), 6, 2.0).full
    assert plan.samples(replace(film, frame_times_s=(0.0,) * 1500), 6, 2.0).full
