"""BD-rate against known answers, and the pairs it must refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aqs_batch.encode.bd_rate import Incomparable, bd_rate, bd_rates, hull, ladders, with_hull
from aqs_batch.records import Rung, Vmaf


def ladder(share: float = 1.0, lift: float = 0.0, **changes: object) -> list[Rung]:
    rungs = []
    for crf, kbps, score in ((22, 8000, 97), (26, 4000, 94), (30, 2000, 88), (34, 1000, 78)):
        pooled = Vmaf(score + lift, score + lift, score - 9, score - 4)
        rung = Rung(crf, "medium", None, kbps * 1000, kbps * share, pooled, pooled, 40.0, "exact")
        rungs.append(replace(rung, **changes))
    return rungs


def test_half_the_bits_is_minus_fifty_percent() -> None:
    assert bd_rate(ladder(), ladder(0.5)) == pytest.approx(-50, abs=0.01)
    assert bd_rate(ladder(), ladder()) == pytest.approx(0, abs=1e-6)
    assert bd_rate(ladder(0.5), ladder()) == pytest.approx(100, abs=0.02)


def test_too_few_rungs_no_overlap_or_no_rise_give_no_number() -> None:
    with pytest.raises(Incomparable, match="one ladder has 3"):
        bd_rate(ladder()[:3], ladder())
    with pytest.raises(Incomparable, match="share only"):
        bd_rate(ladder(lift=-30), ladder())
    for change in ({"vmaf": ladder()[0].vmaf}, {"kbps": ladder()[0].kbps}):
        bent = ladder()
        bent[1] = replace(bent[1], **change)
        with pytest.raises(Incomparable, match="does not rise"):
            bd_rate(bent, ladder())


def test_ladders_that_overlap_by_less_than_half_give_no_number() -> None:
    """Of 19 points of VMAF each; what they do not share would be made up."""
    assert bd_rate(ladder(0.5), ladder(lift=-9)) > 0
    with pytest.raises(Incomparable, match=r"share only 9\.0 of 19\.0 vmaf"):
        bd_rate(ladder(0.5), ladder(lift=-10))
    narrow = [  # all of it is shared, and less than half of the other
        replace(ladder()[0], kbps=kbps, vmaf=Vmaf(score, score, score, score))
        for kbps, score in ((3000, 92), (2000, 90), (1500, 88), (1000, 86))
    ]
    for pair in ((narrow, ladder()), (ladder(), narrow)):
        with pytest.raises(Incomparable, match=r"share only 6\.0 of 19\.0 vmaf"):
            bd_rate(*pair)


def test_ladders_are_told_apart_by_all_but_their_crf() -> None:
    rungs = [*ladder(), *ladder(0.9, preprocess="pre-v1"), *ladder(preset="slow")]
    assert sorted(len(found.rungs) for found in ladders(rungs)) == [4, 4, 4]
    rates, reasons = bd_rates(rungs)
    assert rates["vmaf x265 medium pre-v1"] == pytest.approx(-10, abs=0.01)
    assert not reasons
    assert set(bd_rates([*ladder(), *ladder(0.9, codec="x264")])[0]) == {"vmaf", "vmaf_neg"}
    _, reasons = bd_rates([*ladder(), *ladder(codec="svtav1")[:2]])
    assert "one ladder has 2" in reasons[0]


def test_what_a_search_adds_to_a_filtered_ladder_does_not_change_its_number() -> None:
    """The page had told of -26.8 % beside a verdict of -28.8 %."""
    filtered = ladder(0.9, preprocess="pre-v1")
    steeper = replace(filtered[3], crf=39.0, kbps=10.0)
    best = [replace(filtered[0], crf=crf, kbps=kbps) for crf, kbps in ((4.0, 9e4), (10.0, 5e4))]
    for added in ([steeper], best):
        rates, reasons = bd_rates([*ladder(), *filtered, *added])
        assert rates["vmaf"] == pytest.approx(bd_rate(ladder(), filtered))
        assert not reasons


def test_the_kept_file_is_no_ladder_beside_its_own_samples() -> None:
    kept = ladder(plan="full")[1:2]
    assert bd_rates([*kept, *ladder(plan="12 x 5 s of 600 s")]) == ({}, [])
    # A single rung of another call, at a lower CRF, is not what ladders are measured against.
    alone = [replace(ladder(preset="slow")[0], crf=18.0)]
    rates, reasons = bd_rates([*alone, *ladder(), *ladder(0.9, codec="x264")])
    assert rates["vmaf x264 medium"] == pytest.approx(-10, abs=0.01)
    assert len(reasons) == 1
    assert "one ladder has 1" in reasons[0]


def test_the_hull_leaves_out_what_a_mixture_beats() -> None:
    rungs = ladder()
    beaten = replace(rungs[2], kbps=3900.0)
    assert hull([rungs[0], rungs[1], beaten, rungs[3]]) == [rungs[3], rungs[1], rungs[0]]
    for vmaf in (rungs[1].vmaf, rungs[0].vmaf):  # more bits for less, or for no more
        worse = replace(rungs[0], kbps=9000.0, vmaf=vmaf)
        assert hull([worse, *rungs]) == rungs[::-1]
    worse = replace(rungs[1], vmaf=rungs[2].vmaf)  # less for as many bits
    assert hull([worse, *rungs]) == hull([*rungs, worse]) == rungs[::-1]
    unmeasured = replace(rungs[1], vmaf=None)
    assert unmeasured not in hull([rungs[0], unmeasured])


SAMPLES = "12 x 5 s of 600 s"


def test_ladders_of_other_frames_are_not_compared() -> None:
    """Samples against a whole file had given +31.8 %."""
    rates, reasons = bd_rates([*ladder(plan=SAMPLES), *ladder(0.7, preset="slow")])
    assert not rates
    assert "other frames" in reasons[0]
    rates, reasons = bd_rates([*ladder(), *ladder(0.7, preset="slow", model="of another screen")])
    assert not rates
    assert "another model" in reasons[0]
    rates, reasons = bd_rates(
        [*ladder(plan=SAMPLES), *ladder(), *ladder(0.7, preset="slow", plan=SAMPLES)]
    )
    assert rates["vmaf"] == pytest.approx(-30, abs=0.02)
    assert not reasons


def test_a_kept_file_of_the_filtered_ladder_changes_no_key() -> None:
    filtered = ladder(0.9, preprocess="pre x1", plan=SAMPLES)
    kept = ladder(0.9, preprocess="pre x1")[1:2]
    rates, reasons = bd_rates([*ladder(plan=SAMPLES), *filtered, *kept])
    assert set(rates) == {"vmaf", "vmaf_neg"}
    assert not reasons


def test_a_whole_file_is_no_point_of_its_samples_hull() -> None:
    kept = [replace(ladder()[1], kbps=900.0)]  # beats three of them
    marked = with_hull([*ladder(plan=SAMPLES), *kept])
    assert [rung.plan for rung in marked if rung.on_hull] == [SAMPLES] * 4
