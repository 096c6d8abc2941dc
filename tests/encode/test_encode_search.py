"""Target search on made-up curves: it ends, it finds the edge, and it says what it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqs_batch.encode.choose import recommend
from aqs_batch.encode.ladder import Made
from aqs_batch.encode.search import MOST_STEPS, Goal, broken, search, together, within
from aqs_batch.errors import TargetError
from aqs_batch.records import Rung, Vmaf
from aqs_batch.settings import Encode

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


def test_what_was_missed_by_little_is_not_shown_as_reached() -> None:
    """It had been "at least 93; the best was 93.00", and "at most 1.5e+06; ... was 1500000.00"."""
    with pytest.raises(TargetError, match=r"at least 93; the best was 92\.99 at CRF 4"):
        search(lambda crf: 92.997 + (4 - crf), Goal("VMAF", 93, True), 4, 51)
    rate = Goal("kbit/s", 500, False, logarithmic=True)
    with pytest.raises(TargetError, match=r"at most 500; the best was 500\.01 at CRF 51"):
        search(lambda crf: 500.004 + (51 - crf), rate, 4, 51)
    size = Goal("bytes", 1_500_000, False, logarithmic=True)
    with pytest.raises(TargetError, match=r"at most 1,500,000; the best was 1,500,001 at CRF 51"):
        search(lambda crf: 1_500_001 + (51 - crf), size, 4, 51)


def test_interpolation_saves_steps() -> None:
    asked = []

    def at(crf: float) -> float:
        asked.append(crf)
        return 104 - 1.3 * crf

    assert search(at, Goal("VMAF", 70, True), 4, 51) == 26
    assert len(asked) <= 5


VMAF, RATE, SIZE = (Goal("VMAF", 90, True), Goal("kbit/s", 2000, False), Goal("bytes", 1e5, False))


def test_of_two_sizes_the_smaller_one_is_kept() -> None:
    """The first one's CRF had been taken: 499,212 bytes where 100,000 were the most."""
    assert together([(RATE, 12), (SIZE, 24)]) == together([(SIZE, 24), (RATE, 12)]) == 24
    assert together([(VMAF, 30), (RATE, 12), (SIZE, 24)]) == 30
    assert together([(VMAF, 30)]) == 30
    with pytest.raises(TargetError, match="VMAF of at least 90 needs CRF 20"):
        together([(VMAF, 20), (RATE, 12), (SIZE, 24)])


def test_a_whole_file_that_looks_worse_than_its_samples_says_so() -> None:
    def rung(vmaf: float) -> Rung:
        return Rung(24, "slow", None, 10, 1.0, Vmaf(vmaf, vmaf, vmaf, vmaf), None, 40, "exact")

    asked = Encode(good_vmaf=93)
    assert broken(rung(91), rung(94), asked) == [
        "the whole file has VMAF 91.00, its samples promised 93"
    ]
    assert broken(rung(94), rung(94), asked) == broken(rung(80), rung(85), asked) == []
    assert broken(rung(91), rung(94), Encode(target_vmaf=93)) == []  # another CRF is looked for


def whole_files(kbps: float, vmaf: float = 95) -> tuple[list[float], Callable[[float], Made]]:
    """What was encoded, and what encodes: this rate and VMAF at CRF 24, half the rate every six
    steps and a point of VMAF less with each.
    """
    asked: list[float] = []

    def climb(crf: float) -> Made:
        asked.append(crf)
        rate, mean = kbps * 2 ** ((24 - crf) / 6), vmaf + 24 - crf
        pooled = Vmaf(mean, mean, mean, mean)
        return Made(Rung(crf, "slow", None, 10, rate, pooled, None, 40, "exact"), f"{crf}")

    return asked, climb


def test_a_whole_file_that_is_too_large_is_made_smaller() -> None:
    asked, climb = whole_files(3900)
    assert within(climb, Encode(max_kbps=1000), 24, 0, 51).rung.crf == 36
    assert asked == [24, 36]
    asked, climb = whole_files(900)
    assert within(climb, Encode(max_kbps=1000, target_vmaf=90), 24, 0, 51).rung.crf == 24


def test_a_whole_file_that_looks_worse_than_asked_is_made_better() -> None:
    """It had been kept, though its target was missed, and `--replace` refused it after hours."""
    asked, climb = whole_files(900, vmaf=92)
    assert within(climb, Encode(target_vmaf=93), 24, 0, 51).rung.crf == 23
    assert asked == [24, 23]
    asked, climb = whole_files(900, vmaf=89)
    assert within(climb, Encode(target_vmaf=93), 24, 0, 51).rung.crf == 20
    assert asked == [24, 22, 21, 20]


def test_a_size_and_a_quality_that_exclude_each_other_are_not_looked_for_for_ever() -> None:
    asked, climb = whole_files(1100, vmaf=92)
    with pytest.raises(TargetError, match="VMAF of at least 93 and kbit/s of at most 1,000"):
        within(climb, Encode(target_vmaf=93, max_kbps=1000), 24, 0, 51)
    assert asked == [24]
    asked, climb = whole_files(1050, vmaf=93.5)  # each CRF breaks one of the two
    with pytest.raises(TargetError, match="though its samples did"):
        within(climb, Encode(target_vmaf=93, max_kbps=1000), 24, 0, 51)
    assert asked == [24, 25]


def test_where_the_best_there_is_looks_worse_than_asked_that_is_told() -> None:
    asked, climb = whole_files(900, vmaf=60)
    with pytest.raises(TargetError, match="VMAF of at least 93, though its samples did"):
        within(climb, Encode(target_vmaf=93), 3, 0, 51)
    assert asked == [3, 0]


def test_no_whole_file_is_encoded_twice() -> None:
    asked, climb = whole_files(100_000)
    with pytest.raises(TargetError, match="kbit/s of at most 1,000, though its samples did"):
        within(climb, Encode(max_kbps=1000), 48, 0, 51)
    assert asked == [48, 51]


def test_the_smallest_that_looks_good_and_saves_bytes_is_taken() -> None:
    def rung(crf: float, vmaf: float, ratio: float) -> Rung:
        pooled = Vmaf(vmaf, vmaf, vmaf, vmaf)
        rate = 8000 * ratio
        return Rung(crf, "slow", None, 10, rate, pooled, pooled, 40, "exact", ratio=ratio)

    rungs = [rung(18, 99, 1.1), rung(22, 96, 0.6), rung(26, 93, 0.4), rung(30, 88, 0.2)]
    taken = recommend(rungs, 93)
    assert taken is not None and taken[0] == 2
    assert "VMAF of at least 93; 60% smaller than the source" in taken[1]
    nearest = recommend(rungs, 99.5)
    assert nearest is not None and nearest[0] == 1
    assert recommend([rung(18, 99, 1.0)], 93) is None
    assert recommend([replace(rungs[1], vmaf=None)], 93) is None


def test_the_nearest_is_not_said_to_be_all_there_is() -> None:
    """ "None reaches VMAF 93" was said below rungs that did, and were larger than the source."""

    def rung(vmaf: float, ratio: float) -> Rung:
        pooled = Vmaf(vmaf, vmaf, vmaf, vmaf)
        return Rung(24, "slow", None, 10, 1.0, pooled, pooled, 40, "exact", ratio=ratio)

    taken = recommend([rung(98, 1.2), rung(87, 0.5)], 93)
    assert taken is not None and "CRFs asked for none that reaches VMAF 93 is smaller" in taken[1]
    taken = recommend([rung(90, 0.8), rung(87, 0.5)], 93)
    assert taken is not None and "none reaches VMAF 93" in taken[1]
    # The nearest is one that saves nothing; of a whole file its samples promised more.
    taken = recommend([rung(89, 1.2), rung(66, 0.4)], 93)
    assert taken is not None and taken[0] == 1
    assert taken[1].endswith("of those that save bytes this comes nearest")
    taken = recommend([rung(92, 0.6)], 93, samples=[rung(97, 0.9), rung(93.5, 0.5)])
    assert taken is not None and "smallest whose samples have VMAF of at least 93" in taken[1]
