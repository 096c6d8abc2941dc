"""Charts are valid, labelled and small, and show what they should."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqs_batch.records import Outcome, QualityLevel, Rung, SequenceScore, TileScores
from aqs_batch.reports import svg
from aqs_batch.reports.charts import bit_rate, gauge, histogram, severity_bars
from aqs_batch.reports.frame_map import artifact_map, coverage, quality_map, worst_area
from aqs_batch.reports.rd_curve import letters, rd_curve
from aqs_batch.reports.timeline import alert_count, aqs_timeline, artifact_heat_map, scene_count
from aqs_batch.wording import size, video_time


def flat(
    aqs: list[float], severity: float = 0.0, scenes: list[int] | None = None
) -> list[SequenceScore]:
    """Sequences one second apart with the given AQS and one severity of blocking."""
    vector = (severity,) + (0.0,) * 9
    tile = TileScores(0.5, 0.5, 0.9, vector, (1.0,) * 10)
    return [
        SequenceScore(
            float(t),
            value,
            0.9,
            0.1,
            vector,
            (1.0,) * 10,
            vector,
            (tile,),
            (scenes or [0] * len(aqs))[t],
        )
        for t, value in enumerate(aqs)
    ]


def parsed(drawing: str) -> ElementTree.Element:
    root = ElementTree.fromstring(drawing)
    assert root.tag == "svg" and root.get("role") == "img" and root.get("aria-label")
    assert (
        "NaN" not in drawing
        and "nan" not in drawing
        and "inf" not in drawing.lower().replace("info", "")
    )
    return root


def classes(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [node for node in root.iter() if name in (node.get("class") or "").split()]


def test_the_timeline_marks_scenes_alerts_and_p5() -> None:
    sequences = flat([0.9, 0.9, 0.4, 0.2, 0.9, 0.45], scenes=[0, 0, 1, 1, 1, 2])
    root = parsed(aqs_timeline(sequences, 6.0, 0.25))
    assert len(classes(root, "scene")) == 2 == scene_count(sequences) - 1
    assert alert_count(sequences, 6.0) == 2
    spans = [node for node in classes(root, "alert") if node.tag == "rect"]
    words = [title.text or "" for span in spans for title in span]
    assert words[0].startswith("Alert 0:02–0:04, 0:03: AQS 0.20, Very Poor")
    assert words[1].startswith("Alert 0:05–0:06")
    labels = [node.text for node in root.iter("text")]
    assert "p5 0.25" in labels
    assert {level.value for level in QualityLevel} <= set(labels)


def test_a_good_video_has_no_alert() -> None:
    root = parsed(aqs_timeline(flat([0.5, 0.6]), 2.0, 0.5))  # 0.5 is Fair
    assert classes(root, "alert") == []


@pytest.mark.parametrize("count", [0, 1, 2])
def test_tiny_videos_draw(count: int) -> None:
    sequences = flat([0.8] * count)
    parsed(aqs_timeline(sequences, 0.0, 0.8))
    parsed(artifact_heat_map(sequences, 0.0))
    parsed(artifact_map(sequences, 320, 240).drawing)


def test_long_videos_are_bucketed_without_losing_the_worst() -> None:
    values = [0.9 + 0.05 * math.sin(t) for t in range(2000)]
    values[1234] = 0.1
    drawing = aqs_timeline(flat(values), 2000.0, 0.9)
    assert len(drawing) < 20_000
    assert "20:34: AQS 0.10, Very Poor" in drawing
    assert "lowest 0.10" in drawing
    sequences = flat(values)
    sequences[1234] = replace(flat([0.1], severity=0.7)[0], t_s=1234.0)
    assert "Blocking: peaks at 0.70 near 20:" in artifact_heat_map(sequences, 2000.0)


def test_the_heat_map_labels_rows_and_peaks() -> None:
    sequences = flat([0.5] * 10, severity=0.1)
    strong = replace(flat([0.5], severity=0.7)[0], t_s=4.0)
    sequences[4] = strong
    drawing = artifact_heat_map(sequences, 10.0)
    root = parsed(drawing)
    labels = [node.text for node in root.iter("text")]
    assert "Blocking" in labels and "Color saturation" in labels and "0.70" in labels
    assert "Blocking: peaks at 0.70 near 0:04" in drawing
    kinds = {node.get("class") for node in root.iter("path")}
    assert kinds == {"s3", "s8"}  # 0.1 and 0.7; the nine clean rows draw nothing


def test_the_frame_map_finds_the_bad_corner() -> None:
    tiles = tuple(
        TileScores(
            x / 10 + 0.05, y / 10 + 0.05, 0.2 if x > 6 and y > 6 else 0.9, (0.0,) * 10, (0.0,) * 10
        )
        for x in range(10)
        for y in range(10)
    )
    sequences = [replace(flat([0.5])[0], tiles=tiles)]
    found = quality_map(sequences, 1920, 1080)
    assert "bottom right" in found.words
    assert coverage(sequences, 1920, 1080) == 1.0
    one = [replace(sequences[0], tiles=tiles[44:45])]
    assert coverage(one, 1920, 1080) == pytest.approx(224 * 224 / (1920 * 1080), rel=0.3)
    box = [float(part) for part in (parsed(found.drawing).get("viewBox") or "").split()]
    assert box[2] / box[3] == pytest.approx(16 / 9, rel=0.05)
    portrait = [
        float(p)
        for p in (parsed(quality_map(sequences, 1080, 1920).drawing).get("viewBox") or "").split()
    ]
    assert portrait[3] > portrait[2]


def test_the_frame_map_says_where_nobody_looked() -> None:
    sequences = flat([0.5])  # one tile, in the middle of a large frame
    assert 0 < coverage(sequences, 1920, 1080) < 0.1
    assert coverage(sequences, 1080, 1920) == coverage(sequences, 1920, 1080)
    assert classes(parsed(artifact_map(sequences, 1920, 1080).drawing), "s9")
    assert coverage(sequences, 160, 120) == 1.0
    assert worst_area(np.full((9, 9), np.nan), 0.03) == "no tiles kept"
    assert worst_area(np.full((9, 9), 0.02), 0.03) == "no part stands out"
    assert worst_area(np.linspace(0.03, 0.1, 81).reshape(9, 9), 0.03).startswith("worst at the b")


def test_no_corner_of_an_even_map_is_called_its_worst() -> None:
    """The one cell of a 64x48 video had been its "top right"."""
    assert worst_area(np.full((9, 9), 0.03), 0.03) == "the same all over (mean 0.03)"
    assert artifact_map(flat([0.5]), 64, 48).words.startswith(("the same", "no part"))


def test_the_histogram_colours_bars_by_level() -> None:
    counts = [0] * 20
    counts[6], counts[14], counts[17] = 3, 2, 5  # 0.30, 0.70 and 0.85
    root = parsed(histogram(counts))
    kinds = [node.get("class") for node in classes(root, "level")]
    assert kinds == ["level l3", "level l1", "level l0"]
    assert "10 files" in (root.get("aria-label") or "")
    parsed(histogram([0] * 20))


def test_one_time_is_one_column_in_all_charts_of_a_video() -> None:
    times = (0.0, 1.36, 2.16, 3.52, 4.28, 5.08, 6.44, 7.2, 8.56)  # of every phase
    sequences = [replace(s, t_s=t) for s, t in zip(flat([0.9] * 9), times, strict=True)]
    for duration_s in (8.7, 9.0):
        drawings = (
            aqs_timeline(sequences, duration_s, 0.9),
            artifact_heat_map(sequences, duration_s),
            bit_rate([500.0] * 9, duration_s),
        )
        ends = [
            {n.get("x") for n in parsed(drawing).iter("text") if n.text == "0:08"}
            for drawing in drawings
        ]
        assert ends[0] and ends == [ends[0]] * 3


def test_small_charts_draw_their_extremes() -> None:
    for aqs, p5 in ((0.0, 0.0), (1.0, 1.0), (0.5, 0.1)):
        parsed(gauge(aqs, p5))
    assert severity_bars(()) == ""
    root = parsed(severity_bars((0.5,) + (0.0,) * 9))
    assert (root.get("aria-label") or "").startswith("Blocking 0.50")
    parsed(bit_rate((), 0.0))
    assert "peak 9,000" in (
        parsed(bit_rate([100.0] * 5000 + [9000.0], 5001)).get("aria-label") or ""
    )


@pytest.mark.parametrize("rest_s", [0.04, 0.5, 1.0])
def test_a_steady_rate_stays_so_to_the_last_part_of_a_second(rest_s: float) -> None:
    """The bits of half a second had been shown as the rate of a whole one."""
    drawing = bit_rate([500.0, 500.0, 500.0, 500.0 * rest_s], 3 + rest_s)
    assert "mean 500 and peak 500" in (parsed(drawing).get("aria-label") or "")
    (outline,) = (n for n in parsed(drawing).iter("path") if n.get("class") == "area")
    steps = (outline.get("d") or "").removeprefix("M").removesuffix("z").split("L")
    assert len({step.split(" ")[1] for step in steps}) == 2  # the top and the axis


def test_the_rd_curve_has_a_pair_per_preprocess(rungs: tuple[Rung, ...]) -> None:
    root = parsed(rd_curve(rungs))
    assert len(classes(root, "rd")) == 4
    assert len(classes(root, "neg")) == 2
    assert len(classes(root, "point")) == 2 * len(rungs)
    parsed(rd_curve(rungs[:1]))


def test_curves_are_named_by_what_tells_them_apart(rungs: tuple[Rung, ...]) -> None:
    plain, filtered = (replace(rungs[0], preprocess=words) for words in (None, "pre 0.1.0 x1"))
    whole, sampled = replace(plain, plan="full"), replace(plain, plan="12 x 5 s of 600 s")
    for pair, names in (
        ((plain, filtered), {"VMAF plain", "NEG plain", "VMAF preprocess", "NEG preprocess"}),
        ((whole, sampled), {"VMAF whole file", "NEG whole file", "VMAF sampled", "NEG sampled"}),
    ):
        assert names <= {node.text for node in parsed(rd_curve(pair)).iter()}


@pytest.mark.parametrize(
    "other", [{"plan": "3 x 5.0 s of 600.0 s"}, {"model": "vmaf_v0.6.1, libvmaf 4, mean of frames"}]
)
def test_scores_of_other_frames_or_another_model_are_no_points_of_one_curve(
    rungs: tuple[Rung, ...], other: dict[str, str]
) -> None:
    """One line had gone to and fro between samples of 12 places and of 3."""
    first = [replace(rung, preprocess=None, plan="12 x 5.0 s of 600.0 s") for rung in rungs[:3]]
    again = [replace(rung, **other) for rung in first]
    root = parsed(rd_curve([*first, *again]))
    assert len(classes(root, "vmaf")) == len(classes(root, "neg")) == 2
    assert [name for _, name in letters([*first, *again])][1] == next(iter(other.values()))


def test_more_ladders_than_hues_are_told_apart(rungs: tuple[Rung, ...]) -> None:
    """The fifth had looked like the first."""
    presets = ("veryfast", "fast", "medium", "slow", "slower", "veryslow")
    ladders = [replace(rungs[0], preset=preset) for preset in presets]
    root = parsed(rd_curve(ladders))
    looks = [node.get("class") for node in classes(root, "example")]
    assert len(looks) == 12 and len(set(looks)) == 6
    assert set(looks) == {
        (node.get("class") or "").replace("point", "example") for node in classes(root, "point")
    }


def test_names_without_room_beside_the_curves_stand_below(rungs: tuple[Rung, ...]) -> None:
    plain, tuned = rungs[0], replace(rungs[0], params="aq-mode=3:psy-rd=2.0:psy-rdoq=1.0")
    assert letters(rungs) == ()
    assert letters([plain, tuned]) == (("A", plain.preset), ("B", tuned.params))
    names = {node.text for node in parsed(rd_curve([plain, tuned])).iter() if node.text}
    assert {"VMAF A", "NEG A", "VMAF B", "NEG B"} <= names
    alone = replace(plain, plan="12 x 5 s of 600 s")
    assert letters([alone]) == (("", f"{plain.codec} {plain.preset} sampled"),)
    assert "VMAF" in {node.text for node in parsed(rd_curve([alone])).iter()}


def test_the_rd_curve_without_scores_is_empty(rungs: tuple[Rung, ...]) -> None:
    broken = replace(rungs[0], vmaf=replace(rungs[0].vmaf, mean=math.nan))
    assert rd_curve(()) == "" == rd_curve([broken])


@given(st.text(max_size=40))
def test_text_in_charts_is_escaped(words: str) -> None:
    drawn = (
        svg.text(0, 0, words) + svg.rect(0, 0, 1, 1, "x", words) + svg.chart("x", 1, 1, words, [])
    )
    assert "<" not in re.sub(r"</?(text|rect|title|svg)\b", "", drawn)
    assert drawn.count('"') % 2 == 0


@given(st.integers(0, 5000), st.integers(1, 300))
def test_slices_cover_everything_once(length: int, at_most: int) -> None:
    runs = svg.slices(length, at_most)
    assert len(runs) <= at_most
    assert [index for run in runs for index in run] == list(range(length))


@given(st.floats(0.01, 1e7))
def test_ticks_are_few_and_inside(top: float) -> None:
    for ticks in (svg.time_ticks(top), svg.round_ticks(top)):
        assert 1 <= len(ticks) <= 9
        assert all(0 <= tick <= top * 1.001 for tick in ticks)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0:00"),
        (7.5, "0:07.5"),
        (59.99, "0:59.9"),
        (60, "1:00"),
        (754, "12:34"),
        (3723, "1:02:03"),
        (math.nan, "–"),
    ],
)
def test_video_time(seconds: float, words: str) -> None:
    assert video_time(seconds) == words


@pytest.mark.parametrize(
    ("bytes_", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1200, "1.2 kB"),
        (34_000_000, "34 MB"),
        (999_600, "1.0 MB"),
        (9_960, "10 kB"),
    ],
)
def test_size(bytes_: int, words: str) -> None:
    assert size(bytes_) == words


def test_charts_do_not_depend_on_the_clock(build: Callable[..., Outcome]) -> None:
    one, two = build(seed=6).score, build(seed=6).score
    assert one and two
    assert aqs_timeline(one.sequences, 12, 0.5) == aqs_timeline(two.sequences, 12, 0.5)
