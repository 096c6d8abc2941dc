"""The pages: what they hold, how large they are, and what cannot get out of them."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqs_batch.records import (
    FULL,
    RE_ENCODE,
    Artifact,
    Fraction,
    Outcome,
    QualityLevel,
    Rung,
    RunRecord,
    Status,
    Video,
    WorstFrame,
)
from aqs_batch.reports.explanations import EXPLANATIONS, label
from aqs_batch.reports.names import page_name, visible_name
from aqs_batch.reports.render import render, render_index
from aqs_batch.reports.rung_frames import strips
from aqs_batch.reports.summary import WORST_MOMENTS, row_of
from aqs_batch.reports.video_page import video_page
from aqs_batch.wording import video_time
from tests.reports.conftest import picture

ANY_TEXT = st.text(alphabet=st.characters(), max_size=40)
MEGABYTE = 1_000_000


class Page(HTMLParser):
    """The tags, links and visible text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_bytes().decode("utf-8")
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(self.source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open.append(tag)
        assert not any(name.startswith("on") for name, _ in attributes)
        self.links += [value or "" for name, value in attributes if name in ("href", "src")]

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.texts.setdefault(tag, []).append(data)

    def text(self, tag: str = "body") -> str:
        return "".join(self.texts.get(tag, []))


def video_path(folder: Path, outcome: Outcome) -> Path:
    return folder / "videos" / page_name(outcome.file)


def table_rows(page: Page) -> list[list[object]]:
    found = re.search(r'id="data">(.*?)</script>', page.source, re.DOTALL)
    assert found
    assert not re.search(r"[<>&\u2028\u2029]", found.group(1))
    rows: list[list[object]] = json.loads(found.group(1))["rows"]
    return rows


def test_one_video(
    tmp_path: Path, build: Callable[..., Outcome], rungs: tuple[Rung, ...], run: RunRecord
) -> None:
    outcome = build(
        sequences=30, pictures=4, encodes=rungs, bd_rate={"vmaf": -3.1}, bd_anchor="x264 slow",
        warnings=("Scaled.",),
    )  # fmt: skip
    index = render(tmp_path, [outcome], run)
    assert index == tmp_path / "index.html"
    page = Page(video_path(tmp_path, outcome))
    words = page.text()
    assert outcome.score is not None
    assert f"{outcome.score.aqs:.2f}" in words and outcome.score.level.value in words
    assert page.source.count("data:image/jpeg;base64,") == 4
    for heading in (
        "Over time",
        "Over the frame",
        "Worst moments",
        "Re-encodes",
        "Provenance",
        "1 warning",
    ):
        assert heading in page.text("h2")
    for artifact in Artifact:
        assert EXPLANATIONS[artifact].label in words
    assert EXPLANATIONS[outcome.score.detected[0]].looks in words
    assert (
        "BD-rate against x264 slow: -3.1 %" in words
        and "0.6 ×" in words
        and "aqs-b0-2026a" in words
    )
    assert "script" not in page.tags  # a video's page needs no JavaScript at all
    assert page.tags.count("svg") >= 6


def test_what_is_worst_comes_first(outcome: Outcome) -> None:
    verdict = video_page(outcome, {}).verdict
    assert verdict is not None and outcome.score is not None
    told = [(line.detected, line.severity) for line in verdict.artifacts]
    assert told == sorted(told, reverse=True) and len(told) == len(Artifact)
    lowest = sorted(outcome.score.sequences, key=lambda sequence: sequence.aqs)
    times = [video_time(sequence.t_s) for sequence in lowest]
    assert [moment.time for moment in verdict.moments] == times[: len(verdict.moments)] != []


def test_every_worst_moment_has_its_picture(build: Callable[..., Outcome]) -> None:
    """Six pictures were kept, and eight moments shown."""
    verdict = video_page(build(sequences=60, pictures=WORST_MOMENTS), {}).verdict
    assert verdict is not None
    assert [bool(moment.image) for moment in verdict.moments] == [True] * WORST_MOMENTS


def test_what_is_there_for_part_of_the_time_is_told(
    tmp_path: Path, build: Callable[..., Outcome], run: RunRecord
) -> None:
    """Two seconds of blur in nine had been "None of the ten artifacts was detected"."""
    score = build().score
    assert score is not None
    seldom = {artifact: replace(d, time_share=0.0) for artifact, d in score.artifacts.items()}
    blur = replace(seldom[Artifact.DEFOCUS_BLUR], time_share=0.22, worst_t_s=5.08)
    for share, says in ((seldom, "was detected."), (seldom | {Artifact.DEFOCUS_BLUR: blur}, "")):
        outcome = build(score=replace(score, detected=(), artifacts=share))
        render(tmp_path, [outcome], run)
        words = " ".join(Page(video_path(tmp_path, outcome)).text().split())
        assert says in words
        assert (
            "For part of the time only: Defocus blur for 22 % of it, worst at 0:05" in words
        ) is (not says)


def test_the_map_goes_by_the_size_that_was_scored(
    tmp_path: Path, build: Callable[..., Outcome], run: RunRecord
) -> None:
    """Tiles of a 4K video scored as it is had counted for four times their area."""
    outcome = build(seed=3, sequences=1)  # four tiles of a 4K frame
    told = []
    for most in (1080, 2160):
        made = replace(run, settings={"analysis": {"max_height": most}})
        render(tmp_path, [outcome], made)
        words = Page(video_path(tmp_path, outcome)).text()
        found = re.search(r"Tiles looked at (\d+) % of the frame", words)
        assert found
        told.append(int(found[1]))
    assert told[0] > 2 * told[1] > 0


def test_the_filter_is_named_wherever_an_encode_is(
    tmp_path: Path, build: Callable[..., Outcome], rungs: tuple[Rung, ...], run: RunRecord
) -> None:
    best = replace(rungs[0], recommended="it is best", preprocess="pre x1", strip=(90.0, 95.0))
    outcome = build(encodes=(best,))
    render(tmp_path, [outcome], run)
    words = Page(video_path(tmp_path, outcome)).text()
    assert f"at CRF {best.crf:g} with preprocess: it is best" in words
    assert f"{best.codec} {best.preset} with preprocess, CRF {best.crf:g}" in words


def test_why_no_rung_is_recommended(
    tmp_path: Path, build: Callable[..., Outcome], rungs: tuple[Rung, ...], run: RunRecord
) -> None:
    plain = tuple(replace(rung, recommended="") for rung in rungs)
    hdr = tuple(replace(rung, vmaf=None, vmaf_neg=None) for rung in plain)
    failed = "re-encode: VMAF of 93 needs CRF 27, which is too large a file"
    for encodes, reason, why in (
        (plain, "", "none of them saves bytes"),
        (hdr, "", "no VMAF was measured"),
        (plain, failed, "recommended: what was asked for failed"),
    ):
        outcome = replace(build(encodes=encodes), reason=reason)
        render(tmp_path, [outcome], run)
        assert why in Page(video_path(tmp_path, outcome)).text()


def test_names_of_ladders_stay_as_they_are_beside_a_bd_rate(
    tmp_path: Path, build: Callable[..., Outcome], run: RunRecord, rungs: tuple[Rung, ...]
) -> None:
    """They had been shouted: VMAF X264 MEDIUM AQ-MODE=3."""
    rates = {"vmaf": -3.1, "vmaf_neg x264 medium aq-mode=3": -2.0}
    outcome = build(encodes=rungs, bd_rate=rates, bd_anchor="x265 slow")
    render(tmp_path, [outcome], run)
    words = Page(video_path(tmp_path, outcome)).text()
    assert "-3.1 % by VMAF, -2.0 % by VMAF NEG x264 medium aq-mode=3 (" in words


def test_the_pixels_of_a_turned_picture_are_turned_too(
    build: Callable[..., Outcome],
) -> None:
    """Beside 240 x 160 stood the 1:2 of the pixels before they were turned."""
    outcome = build()
    assert outcome.video is not None
    for rotation_deg, shape in ((0, "1:2"), (90, "2:1"), (180, "1:2"), (270, "2:1")):
        video = replace(outcome.video, sar=Fraction(1, 2), rotation_deg=rotation_deg)
        facts = dict(video_page(replace(outcome, video=video), {}).video_facts)
        assert facts["Pixel shape (SAR)"] == shape


def test_a_rate_is_never_shown_as_less_than_it_is(
    tmp_path: Path, build: Callable[..., Outcome], run: RunRecord, rungs: tuple[Rung, ...]
) -> None:
    outcome = build(encodes=(replace(rungs[0], kbps=400.44),))
    render(tmp_path, [outcome], run)
    html = video_path(tmp_path, outcome).read_text(encoding="utf-8")
    assert ">401</td>" in html and " at 401 kbit/s" in html


@pytest.mark.parametrize(
    ("folders", "heading", "name"),
    [
        (["/archive/films"], "/archive/films", "Input folder"),
        (["/archive/films", "/more"], "/archive/films, /more", "Input folders"),
        (["/cameras/cam:1"], "/cameras/cam:1", "Input folder"),
    ],
)
def test_several_folders_are_told_as_such(
    folders: list[str], heading: str, name: str, tmp_path: Path, outcome: Outcome, run: RunRecord
) -> None:
    """They had been "Input folder /archive/films:/more"."""
    index = Page(render(tmp_path, [outcome], replace(run, input_dir=os.pathsep.join(folders))))
    assert index.text("h1") == heading
    assert name in index.texts["dt"]


def test_the_index_lists_and_links_its_pages(
    tmp_path: Path, build: Callable[..., Outcome], failure: Outcome, run: RunRecord
) -> None:
    outcomes = [build(), build("b.mp4", seed=1), failure]
    page = Page(render(tmp_path, outcomes, run))
    for outcome in outcomes:
        link = f"videos/{page_name(outcome.file)}"
        assert link in page.links and (tmp_path / link).is_file()
    assert failure.reason in page.text() and failure.hint in page.text()
    assert "2026-03-01 22:00 UTC" in page.text() and "2 h 3 min" in page.text()
    assert page.tags.count("script") == 2
    assert len(table_rows(page)) == 3


def test_the_index_tells_of_re_encodes_where_there_are_any(
    tmp_path: Path, build: Callable[..., Outcome], rungs: tuple[Rung, ...], run: RunRecord
) -> None:
    words = Page(render(tmp_path, [build()], run)).text()
    assert "Re-encode" not in words and "re-encode" not in words
    taken = replace(rungs[1], recommended="the smallest", ratio=0.314)
    outcomes = [
        build("good.mp4", encodes=(rungs[0], taken)),
        build("large.mp4", encodes=rungs[:1]),
        build("two.mkv", reason=f"{RE_ENCODE}too small a picture", hint="Leave it."),
        build("plain.mp4"),
    ]
    page = Page(render(tmp_path, outcomes, run))
    assert page.text("th").count("Re-encode") == 1
    assert "1 re-encode failed" in page.text("h2") and "could not be scored" not in page.text()
    assert "too small a picture" in page.text("td") and "Leave it." in page.text("td")
    told = {str(row[0]): row[-2:] for row in table_rows(page)}
    assert told == {
        "good.mp4": ["CRF\u00a025, VMAF\u00a094.3, 31\u00a0%", 0.314],
        "large.mp4": ["none recommended", None],
        "two.mkv": ["failed", None],
        "plain.mp4": ["", None],
    }


def test_a_failed_files_page(tmp_path: Path, failure: Outcome, run: RunRecord) -> None:
    render(tmp_path, [failure], run)
    words = Page(video_path(tmp_path, failure)).text()
    assert "Not scored" in words and failure.reason in words and failure.hint in words
    assert "AQS, the mean" not in words


def test_the_rung_to_take_is_among_those_shown_frame_by_frame(
    tmp_path: Path, build: Callable[..., Outcome], rungs: tuple[Rung, ...], run: RunRecord
) -> None:
    """It had been left out for lower CRFs, and two tunings had had the same heading."""
    strip = (90.0, 95.0)
    tuned = [replace(rung, params="aq-mode=3", strip=strip) for rung in rungs]
    tuned[3] = replace(tuned[3], recommended="the smallest")
    encodes = (*(replace(rung, strip=strip) for rung in rungs), *tuned)
    outcome = build(encodes=encodes)
    found = [words for words, _ in video_page(outcome, run.settings).strips]
    assert len(found) == 8 == len(set(found))
    assert f"{tuned[3].codec} {tuned[3].preset} aq-mode=3, CRF {tuned[3].crf:g}" in found
    render(tmp_path, [outcome], run)
    words = Page(video_path(tmp_path, outcome)).text()
    assert "VMAF frame by frame, 8 of 16 encodes" in words
    assert f"aq-mode=3 at CRF {tuned[3].crf:g}" in words


def test_a_strip_of_vmaf_says_when_where_its_frames_are_evenly_spread(
    build: Callable[..., Outcome], rungs: tuple[Rung, ...]
) -> None:
    """That an encode is bad somewhere had been seen, but not at what time to look at it."""
    rung = replace(rungs[0], plan=FULL, frames=100, strip=(90.0, 95.0))
    video = replace(build().video, frame_rate=Fraction(25, 1), variable_frame_rate=False)

    def times(rung: Rung, video: Video) -> list[str]:
        ((_, drawing),) = strips([rung], video)
        return re.findall(r">(\d:\d\d)<", drawing)

    assert times(rung, video) == ["0:00", "0:01", "0:02", "0:03", "0:04"]
    assert times(replace(rung, plan="12 x 5.0 s of 600.0 s"), video) == []
    assert times(rung, replace(video, variable_frame_rate=True)) == []


def test_what_fails_in_every_run_is_no_change_since_the_last(
    tmp_path: Path, failure: Outcome, run: RunRecord
) -> None:
    document = render(tmp_path, [failure], run).read_text(encoding="utf-8")
    changes = document.partition("Since the last run")[2].partition("</section>")[0]
    assert re.findall("<dt>(.*?)</dt>", changes) == ["New", "Improved", "Worse"]


def test_no_files(tmp_path: Path, run: RunRecord) -> None:
    assert "0 files" in Page(render(tmp_path, iter([]), run)).text()


def test_pages_reach_for_nothing_outside(
    tmp_path: Path,
    build: Callable[..., Outcome],
    rungs: tuple[Rung, ...],
    failure: Outcome,
    run: RunRecord,
) -> None:
    render(tmp_path, [build(pictures=2, encodes=rungs), failure], run)
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) == 3
    for path in pages:
        page = Page(path)
        assert not re.search(r"https?://|@import|//cdn|url\((?!#)", page.source)
        assert "default-src 'none'" in page.source
        for link in page.links:
            assert link.startswith(
                ("videos/", "results.", "sequences.", "../index.html", "data:image/jpeg")
            )


@settings(max_examples=40, deadline=None)
@given(ANY_TEXT, ANY_TEXT)
def test_no_text_becomes_markup(file: str, reason: str) -> None:
    outcome = Outcome(file, Status.FAILED, reason=reason, hint=file, warnings=(reason,))
    run = RunRecord(1, reason, file, file, reason, {}, {file: reason})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        index = Page(render(folder, [outcome], run))
        page = Page(video_path(folder, outcome))
        inside = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert inside == {"index.html", f"videos/{page_name(file)}"}
    assert index.tags.count("script") == 2 and "script" not in page.tags
    assert table_rows(index)[0][0] == visible_name(file)
    assert page.text("h1") == visible_name(file)


HOSTILE = [
    "<script>alert(1)</script>.mp4",
    "</script><img src=x onerror=alert(1)>.mp4",
    "<!--<script>.mp4",
    "' onmouseover='alert(1).mp4",
    '" onfocus="alert(1)" x=".mp4',
    "{{ 7*7 }}{% raw %}.mp4",
    "../../../etc/passwd",
    "/etc/passwd",
    "..\\..\\windows.mp4",
    "caf\udce9 \u2028 \u202e.mp4",
    "]]>&lt;b&gt;.mp4",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(
    tmp_path: Path, build: Callable[..., Outcome], run: RunRecord, name: str
) -> None:
    outcome = build(name, sequences=2, warnings=(name,), previous_aqs=0.99)
    folder = tmp_path / "report"
    index = Page(render(folder, [outcome], replace(run, input_dir=name, command=name)))
    page = Page(video_path(folder, outcome))
    assert index.tags.count("script") == 2 and "script" not in page.tags
    assert "img" not in index.tags + page.tags
    assert page.text("h1") == visible_name(name)
    assert table_rows(index)[0][0] == visible_name(name)
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_rendering_again_changes_no_page(
    tmp_path: Path, build: Callable[..., Outcome], run: RunRecord
) -> None:
    outcomes = [build(f"{index}.mp4", seed=index, sequences=3) for index in range(3)]
    render(tmp_path, outcomes, run)
    before = {path: path.stat().st_ino for path in (tmp_path / "videos").iterdir()}
    render(tmp_path, outcomes, replace(run, run_id=18))
    assert {path: path.stat().st_ino for path in (tmp_path / "videos").iterdir()} == before


def test_pages_of_vanished_files_are_removed_and_strangers_kept(
    tmp_path: Path, build: Callable[..., Outcome], run: RunRecord
) -> None:
    kept, gone = build("kept.mp4", sequences=2), build("gone.mp4", sequences=2)
    render(tmp_path, [kept, gone], run)
    # The second could be one of ours by its name, and was deleted.
    strangers = [tmp_path / "videos" / f"{n}.html" for n in ("my notes", "trip-1234567890123456")]
    for stranger in strangers:
        stranger.write_text("mine")
    render(tmp_path, [kept], run)
    assert video_path(tmp_path, kept).is_file()
    assert not video_path(tmp_path, gone).exists()
    assert all(stranger.is_file() for stranger in strangers)


def test_a_long_videos_page_is_under_a_megabyte(
    tmp_path: Path, build: Callable[..., Outcome], run: RunRecord
) -> None:
    outcome = build(sequences=2000, pictures=12)
    assert outcome.score is not None
    huge = bytes(range(256)) * 400  # pictures of 100 kB each: more than a page has room for
    sequences = [
        replace(one, thumbnail=huge) if one.thumbnail else one for one in outcome.score.sequences
    ]
    outcome = replace(outcome, score=replace(outcome.score, sequences=tuple(sequences)))
    render(tmp_path, [outcome], run)
    assert video_path(tmp_path, outcome).stat().st_size < MEGABYTE


def test_ten_thousand_files_make_a_small_index(
    tmp_path: Path, build_archive: Callable[[int], list[Outcome]], run: RunRecord
) -> None:
    rows = [row_of(outcome) for outcome in build_archive(10_000)]
    index = render_index(tmp_path, rows, run)
    assert index.stat().st_size < 8 * MEGABYTE
    page = Page(index)
    assert len(table_rows(page)) == 10_000
    assert page.tags.count("tr") < 500  # the rest is drawn by the table's script
    assert "200 lowest of 10,000" in page.text("noscript")


def test_the_plain_table_starts_with_the_worst(
    tmp_path: Path, build_archive: Callable[[int], list[Outcome]], run: RunRecord
) -> None:
    page = Page(render_index(tmp_path, [row_of(o) for o in build_archive(120)], run))
    scores = [row[3] for row in table_rows(page) if isinstance(row[3], float)]
    assert scores == sorted(scores) and len(scores) > 100
    assert table_rows(page)[-1][3] is None  # failed files come last, and have their own section


def test_the_table_has_the_facts_of_a_file(
    tmp_path: Path, build: Callable[..., Outcome], run: RunRecord
) -> None:
    row = row_of(build(previous_aqs=0.25))
    ((name, page, status, aqs, p5, level, detected, severities, *rest),) = table_rows(
        Page(render_index(tmp_path, [row], run))
    )
    assert (name, page, status, level) == (
        row.file,
        row.page,
        0,
        list(QualityLevel).index(row.level),
    )
    assert (aqs, p5) == pytest.approx((row.aqs, row.aqs_p5), abs=0.01)
    assert [a for n, a in enumerate(Artifact) if detected >> n & 1] == list(row.detected) != []
    assert severities == [round(severity * 100) for severity in row.severities]
    delta = row.aqs - 0.25
    assert rest[:6] == [row.width, row.height, 0, row.duration_s, row.size_bytes, delta]


def test_a_worst_frame_is_told_by_the_rule_of_the_tables(
    build: Callable[..., Outcome], rungs: tuple[Rung, ...]
) -> None:
    """The table's minimum of 39.9 had been 40.0 beside its picture."""
    worst = (WorstFrame(1.0, 39.96, picture(1)),)
    rung = replace(rungs[0], recommended="the cheapest", worst=worst, strip=(95.0, 39.96))
    page = video_page(build(encodes=(rung,)), {})
    assert [frame.vmaf for frame in page.worst_frames] == ["39.9"]
    assert "lowest 39.9," in page.strips[0][1]


def test_where_no_file_was_scored_nothing_is_said_of_artifacts(
    tmp_path: Path, outcome: Outcome, failure: Outcome, run: RunRecord
) -> None:
    assert outcome.score is not None
    clean = replace(outcome, score=replace(outcome.score, detected=()))
    said = [Page(render(tmp_path, found, run)).text("p") for found in ([failure], [clean])]
    assert ["None was detected." in words for words in said] == [False, True]
    assert ["No file was scored." in words for words in said] == [True, False]


def test_a_score_just_below_a_level_is_not_shown_as_of_it(
    tmp_path: Path, outcome: Outcome, run: RunRecord
) -> None:
    assert outcome.score is not None
    fair = replace(outcome.score, aqs=0.696187, level=QualityLevel.of(0.696187))
    outcome = replace(outcome, score=fair)
    index = Page(render(tmp_path, [outcome], run))
    assert table_rows(index)[0][3] == 0.69
    assert "0.69" in index.text("b") and "0.70" not in index.text("b")
    page = Page(video_path(tmp_path, outcome))
    assert '<p class="big">0.69</p>' in page.source and "AQS 0.69" in page.text("text")


def test_the_fifth_percentile_of_one_sequence_is_not_shown_above_its_score(
    tmp_path: Path, outcome: Outcome, run: RunRecord
) -> None:
    """AQS 0.69, Fair, had "worst moments" of 0.70."""
    assert outcome.score is not None
    one = replace(outcome.score, aqs=0.696187, aqs_p5=0.696187, level=QualityLevel.FAIR)
    outcome = replace(outcome, score=one)
    index = Page(render(tmp_path, [outcome], run))
    assert table_rows(index)[0][3:5] == [0.69, 0.69]
    assert index.text("td").count("0.69") == 2
    page = Page(video_path(tmp_path, outcome))
    assert "0.69" in page.text("dd") and "p5 0.70" not in page.source
    assert page.source.count("p5 0.69") == 2


def test_an_earlier_score_is_shown_as_it_was_then(
    tmp_path: Path, outcome: Outcome, run: RunRecord
) -> None:
    assert outcome.score is not None and outcome.score.aqs < 0.6
    outcome = replace(outcome, previous_aqs=0.696187)
    index = Page(render(tmp_path, [outcome], run))
    assert "0.69 →" in index.text("td") and "0.70" not in index.text("td")
    assert "against 0.69" in Page(video_path(tmp_path, outcome)).text("p")


def test_what_the_table_shows_is_explained_beside_it(
    tmp_path: Path, outcome: Outcome, run: RunRecord
) -> None:
    legend = Page(render(tmp_path, [outcome], run)).text("p")
    assert "p5: the 5th percentile" in legend
    names = [label(artifact).lower() for artifact in Artifact]
    assert f"in the order {', '.join(names)}" in legend


def test_scores_of_two_settings_are_announced(
    tmp_path: Path, build: Callable[..., Outcome], run: RunRecord
) -> None:
    one = build()
    assert one.provenance is not None
    other = replace(build("b.mp4"), provenance=replace(one.provenance, checkpoint="other"))
    words = Page(render(tmp_path, [one, other], run)).text()
    assert "2 different checkpoints or settings" in words and "median" not in words


def test_a_score_without_tiles_or_probe_still_renders(
    tmp_path: Path, build: Callable[..., Outcome], run: RunRecord
) -> None:
    outcome = build(video=None)
    assert outcome.score is not None
    bare = tuple(replace(one, tiles=()) for one in outcome.score.sequences)
    outcome = replace(outcome, score=replace(outcome.score, sequences=bare), provenance=None)
    render(tmp_path, [outcome], replace(run, finished_at="", settings={}))
    assert "α × quality" in Page(video_path(tmp_path, outcome)).text()


def test_what_counts_as_the_same_is_not_shown_as_a_change(
    tmp_path: Path, outcome: Outcome, run: RunRecord
) -> None:
    """0.004 less had been a change of -0.00, and 0.007 more one of +0.01, though neither counts."""
    assert outcome.score is not None
    for before, shown in ((0.004, "0.00"), (-0.007, "0.00"), (0.02, "-0.02")):
        found = replace(outcome, previous_aqs=outcome.score.aqs + before)
        index = Page(render(tmp_path, [found], run))
        rows = index.source[index.source.index('<table id="table"') :]
        assert f'<td class="num">{shown}</td>' in rows
        assert f"{shown} against " in Page(video_path(tmp_path, found)).text("p")


def test_what_waits_is_not_said_to_need_a_command(
    tmp_path: Path, outcome: Outcome, run: RunRecord
) -> None:
    """Of a watch folder the service goes on by itself."""
    waiting = replace(run, counts=dict(run.counts) | {"pending": 3})
    (said,) = re.findall(
        r"<p><b>3 files</b>.*</p>", Page(render(tmp_path, [outcome], waiting)).source
    )
    assert "Where nothing works on them by now, the same command again goes on with them." in said
