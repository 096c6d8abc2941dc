"""Clocks that are set while a recording goes on."""

from __future__ import annotations

import pytest

from aqs_batch.ingest.stream_time import StreamTime


def shown(container: str, times_s: list[float]) -> list[float]:
    """What becomes of frames of 40 ms at some times."""
    stream_time = StreamTime(container, 0.04)
    return [round(stream_time.going_on(at, at, 0.04), 6) for at in times_s]


@pytest.mark.parametrize("again_s", [0.0, 95_000.0])
def test_a_clock_that_is_set_goes_on_from_where_it_was(again_s: float) -> None:
    times = [10.0, 10.04, again_s, again_s + 0.04]
    assert shown("mpegts", times) == [10.0, 10.04, 10.08, 10.12]
    assert shown("matroska,webm", times) == times


def test_a_gap_of_seconds_and_a_step_back_of_a_frame_are_times() -> None:
    for times in ([0.0, 0.04, 8.0], [0.0, 0.08, 0.04, 0.12]):
        assert shown("mpegts", times) == times
