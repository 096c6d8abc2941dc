"""Target search on made-up curves: it ends, it finds the edge, and it says what it found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqs_batch.encode.search import MOST_STEPS, Goal, search
from aqs_batch.errors import TargetError

falls = st.lists(st.floats(0.01, 8), min_size=48, max_size=48)


@given(falls, st.floats(1, 99))
def test_the_highest_crf_that_keeps_the_quality_is_found(drops: list[float], bound: float) -> None:
    values = [100 - sum(drops[:n]) for n in range(48)]  # CRF 4 to 51
    asked: list[float] = []

    def at(crf: float) -> float:
        asked.append(crf)
        return values[int(crf) - 4]

    goal = Goal("VMAF", bound, True)
    if values[0] < bound:
        with pytest.raises(TargetError, match="the best was"):
            search(at, goal, 4, 51)
        return
    found = search(at, goal, 4, 51)
    assert found == max(crf for crf in range(4, 52) if values[crf - 4] >= bound)
    assert len(asked) == len(set(asked)) <= MOST_STEPS


@given(falls, st.floats(50, 20000))
def test_the_lowest_crf_that_keeps_the_size_is_found(drops: list[float], bound: float) -> None:
    values = [20000 / (1.0 + sum(drops[:n]) ** 2) for n in range(48)]
    goal = Goal("kbit/s", bound, False, logarithmic=True)
    if values[-1] > bound:
        with pytest.raises(TargetError):
            search(lambda crf: values[int(crf) - 4], goal, 4, 51)
        return
    found = search(lambda crf: values[int(crf) - 4], goal, 4, 51)
    assert found == min(crf for crf in range(4, 52) if values[crf - 4] <= bound)


def test_a_target_out_of_reach_names_the_best() -> None:
    goal = Goal("VMAF", 99, True)
    with pytest.raises(TargetError, match=r"at least 99; the best was 96\.00 at CRF 4"):
        search(lambda crf: 100 - crf, goal, 4, 51)


def test_interpolation_saves_steps() -> None:
    asked = []

    def at(crf: float) -> float:
        asked.append(crf)
        return 104 - 1.3 * crf

    assert search(at, Goal("VMAF", 70, True), 4, 51) == 26
    assert len(asked) <= 5
