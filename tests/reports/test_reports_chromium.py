"""The index in a real browser."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aqs_batch.records import (
    RE_ENCODE,
    Check,
    Outcome,
    Rung,
    RunRecord,
    Status,
    Vmaf,
    WorstFrame,
)
from aqs_batch.reports.render import render, render_index
from aqs_batch.reports.summary import row_of, summarise
from aqs_batch.wording import video_time
from tests.reports.conftest import picture

Dump = Callable[[str], tuple[str, str]]
LaidOut = Callable[[Path, int, str], str]

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)


@pytest.fixture
def dump(tmp_path: Path) -> Dump:
    """The document of an address after its scripts ran, and what the console said."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is missing, and CI must run the browser tests")
        pytest.skip("chromium is not installed")

    def read(address: str) -> tuple[str, str]:
        options = (
            "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
            "--disable-background-networking --disable-component-update --disable-sync "
            "--enable-logging=stderr --v=0 --virtual-time-budget=4000 --dump-dom"
        )
        done = subprocess.run(
            [str(CHROMIUM), *options.split(), f"--user-data-dir={tmp_path / 'browser'}", address],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=True,
        )
        console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return done.stdout, "\n".join(console)

    return read


@pytest.fixture
def laid_out(dump: Dump, tmp_path: Path) -> LaidOut:
    """What an expression over `page` says of a page on a screen of some width: in a frame, since
    a page may run no script but its own, and a browser's window has a least width.
    """

    def ask(page: Path, width: int, expression: str) -> str:
        script = (
            "onload=()=>{const page=document.querySelector('iframe').contentDocument;"
            f"document.title={expression}}}"
        )
        source = html.escape(page.read_text(encoding="utf-8"))
        around = tmp_path / "around.html"
        around.write_text(
            f'<iframe width="{width}" height="800" srcdoc="{source}"></iframe>'
            f"<script>{script}</script>",
            encoding="utf-8",
        )
        document, _ = dump(around.as_uri())
        return document.partition("<title>")[2].partition("</title>")[0]

    return ask


@pytest.fixture
def index(tmp_path: Path, outcome: Outcome, run: RunRecord) -> Path:
    """The index of one file."""
    return render(tmp_path / "report", [outcome], run)


def body_rows(document: str) -> list[str]:
    table = document[document.index('<table id="table"') :]
    body = table[table.index("<tbody>") : table.index("</tbody>")]
    return re.findall(r"<tr.*?</tr>", body, re.DOTALL)


def test_the_table_draws_filters_and_sorts(
    tmp_path: Path,
    build_archive: Callable[[int], list[Outcome]],
    build_failure: Callable[..., Outcome],
    run: RunRecord,
    dump: Dump,
) -> None:
    hostile = "<img src=x onerror=alert(1)>/clip 99999.mp4"
    rows = [row_of(outcome) for outcome in [*build_archive(300), build_failure(hostile)]]
    address = render_index(tmp_path / "report", rows, run).as_uri()

    document, console = dump(address)
    assert console == ""
    assert len(body_rows(document)) == 100
    assert "1–100 of 301 files" in document
    assert "<button" in document and 'aria-sort="ascending"' in document

    document, console = dump(address + "#find=clip+00007")
    assert console == ""
    assert len(body_rows(document)) == 1 and "clip 00007.mp4" in body_rows(document)[0]

    document, console = dump(address + "#failed=1&sort=-file&page=1")
    assert console == ""
    failed = [row for row in rows if row.status.value == "failed"]
    assert len(body_rows(document)) == len(failed)
    assert "&lt;img src=x onerror=alert(1)&gt;" in document
    assert "<img" not in document

    document, _ = dump(address + "#sort=-aqs&level=Good")
    scores = [float(re.findall(r"<b>([0-9.]+)</b>", row)[0]) for row in body_rows(document)]
    assert scores == sorted(scores, reverse=True) and scores
    assert all(0.695 <= score <= 0.855 for score in scores)


def test_a_name_is_found_however_its_letters_are_written(
    tmp_path: Path,
    build: Callable[..., Outcome],
    run: RunRecord,
    dump: Dump,
) -> None:
    rows = [row_of(build(name)) for name in ("cafe\u0301.mp4", "caf\u00e9 2.mp4", "cafe.mp4")]
    address = render_index(tmp_path / "report", rows, run).as_uri()
    for typed in ("caf%C3%A9", "cafe%CC%81", "CAF%C3%89"):
        document, _ = dump(f"{address}#find={typed}")
        assert len(body_rows(document)) == 2


def test_the_filter_for_what_got_worse_shows_as_many_as_are_counted(
    tmp_path: Path,
    outcome: Outcome,
    run: RunRecord,
    dump: Dump,
) -> None:
    """A loss of 0.0097, the same by the count, had been 0.01 and worse by the filter."""
    assert outcome.score is not None
    aqs = outcome.score.aqs
    outcomes = [
        replace(outcome, file=f"{loss}.mp4", previous_aqs=aqs + loss) for loss in (0.0097, 0.02)
    ]
    rows = [row_of(each) for each in outcomes]
    assert summarise(rows).worse == 1
    address = render_index(tmp_path / "report", rows, run).as_uri()
    (line,) = body_rows(dump(address + "#change=worse")[0])
    assert "0.02.mp4" in line


def test_an_earlier_content_that_was_put_back_is_found_as_a_change(
    tmp_path: Path, outcome: Outcome, run: RunRecord, dump: Dump
) -> None:
    """Its score was known, so the filter for what got worse had passed it over."""
    assert outcome.score is not None
    aqs = outcome.score.aqs
    before = {"as it was": aqs, "worse": aqs + 0.1, "improved": aqs - 0.1, "renamed": None}
    rows = [
        row_of(replace(outcome, file=f"{name}.mp4", status=Status.UNCHANGED, previous_aqs=then))
        for name, then in before.items()
    ]
    address = render_index(tmp_path / "report", rows, run).as_uri()
    found = {
        change: body_rows(dump(f"{address}#sort=file&change={change}")[0])
        for change in ("worse", "improved", "unchanged")
    }
    assert [len(lines) for lines in found.values()] == [1, 1, 2]
    assert "worse.mp4" in found["worse"][0] and "improved.mp4" in found["improved"][0]


def test_re_encodes_that_failed_are_among_the_failed(
    tmp_path: Path,
    build: Callable[..., Outcome],
    build_failure: Callable[..., Outcome],
    rungs: tuple[Rung, ...],
    run: RunRecord,
    dump: Dump,
) -> None:
    taken = [replace(rungs[0], recommended="the smallest", ratio=share) for share in (0.5, 0.3)]
    outcomes = [
        build("half.mp4", encodes=taken[:1]),
        build("third.mp4", encodes=taken[1:]),
        build("two.mkv", reason=f"{RE_ENCODE}too small a picture"),
        build_failure("tape.avi"),
    ]
    address = render(tmp_path / "report", outcomes, run).as_uri()
    document, console = dump(address + "#failed=1")
    assert console == ""
    rows = body_rows(document)
    assert len(rows) == 2 and "two.mkv" in rows[0] and "tape.avi" in rows[1]
    assert rows[0].endswith('<td class="words">failed</td></tr>')
    document, _ = dump(address + "#sort=encode")
    assert "third.mp4" in body_rows(document)[0] and "half.mp4" in body_rows(document)[1]


@pytest.mark.parametrize("width", [390, 1400])
def test_no_page_scrolls_sideways(
    width: int,
    tmp_path: Path,
    build: Callable[..., Outcome],
    rungs: tuple[Rung, ...],
    run: RunRecord,
    laid_out: LaidOut,
) -> None:
    worst = (WorstFrame(1.0, 40.0, picture(1)), WorstFrame(2.0, 50.0, picture(2)))
    encodes = (replace(rungs[0], recommended="the cheapest", worst=worst), *rungs[1:])
    index = render(tmp_path / "report", [build(encodes=encodes, pictures=3)], run)
    (page,) = (tmp_path / "report" / "videos").iterdir()
    assert "Worst frames" in page.read_text(encoding="utf-8")
    too_wide = "page.documentElement.scrollWidth - page.documentElement.clientWidth"
    assert laid_out(page, width, too_wide) == "0"
    assert laid_out(index, width, too_wide) == "0"


def test_a_phone_shows_why_a_file_failed_and_rows_that_are_not_tall(
    tmp_path: Path,
    build: Callable[..., Outcome],
    build_failure: Callable[..., Outcome],
    run: RunRecord,
    laid_out: LaidOut,
) -> None:
    """The reason lay beyond the edge, and four artifacts took five lines."""
    index = render(tmp_path / "report", [build(), build_failure("tape.avi")], run)
    right = "page.querySelector('.failures .reason').getBoundingClientRect().right"
    assert float(laid_out(index, 390, right)) < 390
    words = "page.querySelector('.files tbody .words').getBoundingClientRect().width"
    assert float(laid_out(index, 390, words)) >= 240


@pytest.mark.parametrize(("medium", "width"), [("screen", 1400), ("print", 720)])
def test_no_column_is_cut_off(
    medium: str,
    width: int,
    tmp_path: Path,
    build: Callable[..., Outcome],
    rungs: tuple[Rung, ...],
    run: RunRecord,
    laid_out: LaidOut,
) -> None:
    told = {"plan": "12 x 5.0 s of 600.0 s", "params": "aq-mode=3:psy-rd=2.0", "ratio": 0.4}
    encodes = [replace(rung, aqs=0.7, encode_fps=24.0, **told) for rung in rungs]
    encodes[0] = replace(encodes[0], recommended="the cheapest")
    index = render(tmp_path / "report", [build(encodes=tuple(encodes))], run)
    (page,) = (tmp_path / "report" / "videos").iterdir()
    table = "page.querySelector('.files,.rungs')"
    for document in (index, page):
        printed = document.read_text(encoding="utf-8").replace(f"@media {medium}", "@media all")
        document.write_text(printed, encoding="utf-8")
        too_wide = f"Math.max(0, {table}.offsetWidth - {table}.parentElement.clientWidth)"
        assert laid_out(document, width, too_wide) == "0"


def test_why_a_file_failed_is_not_squeezed_into_a_narrow_column(
    tmp_path: Path,
    outcome: Outcome,
    failure: Outcome,
    run: RunRecord,
    laid_out: LaidOut,
) -> None:
    index = render(tmp_path / "report", [outcome, failure], run)
    cells = "[...page.querySelectorAll('.files tbody tr')].map(r => [...r.cells]"
    assert laid_out(index, 1400, f"{cells}.reduce((n, c) => n + c.colSpan, 0))") == "11,11"
    why = "page.querySelector('.why')"
    assert laid_out(index, 1400, f"{why}.textContent") == failure.reason
    assert int(laid_out(index, 1400, f"{why}.offsetWidth")) > 200


def test_many_warnings_do_not_push_the_score_off_the_screen(
    tmp_path: Path,
    build: Callable[..., Outcome],
    run: RunRecord,
    laid_out: LaidOut,
) -> None:
    warnings = tuple(f"the stream changes its size at {second}.0 s" for second in range(40))
    render(tmp_path / "report", [build(warnings=warnings)], run)
    (page,) = (tmp_path / "report" / "videos").iterdir()
    top = "Math.round(page.querySelector('.big').getBoundingClientRect().bottom)"
    assert int(laid_out(page, 1400, top)) < 700
    assert laid_out(page, 1400, "page.querySelectorAll('.notice li').length") == "40"


def test_an_empty_run_blames_no_filters(tmp_path: Path, run: RunRecord, laid_out: LaidOut) -> None:
    index = render(tmp_path / "report", [], run)
    said = laid_out(index, 1400, "page.querySelector('.none').textContent")
    assert said == "This run had no files."


def test_links_in_text_are_told_by_more_than_their_colour(index: Path, laid_out: LaidOut) -> None:
    lines = "[...page.querySelectorAll('p a')].map(a => getComputedStyle(a).textDecorationLine)"
    assert laid_out(index, 1400, lines) == "underline,underline,underline"


def test_a_printed_index_says_which_files_it_shows(
    tmp_path: Path, index: Path, laid_out: LaidOut
) -> None:
    printed = tmp_path / "printed.html"
    document = index.read_text(encoding="utf-8")
    printed.write_text(document.replace("@media print", "@media all"), encoding="utf-8")
    seen = "['#shown', '#next', '#controls'].map(id => page.querySelector(id).checkVisibility())"
    assert laid_out(printed, 900, seen) == "true,false,false"


def test_a_length_reads_the_same_in_the_table_and_on_its_page(
    tmp_path: Path, build: Callable[..., Outcome], run: RunRecord, dump: Dump
) -> None:
    """1.9997 s had been 0:02 beside 0:01.9, and a clip of one frame had no length at all."""
    video = build().video
    assert video is not None
    lengths_s = {"a": 0.04, "b": 1.999667, "c": 59.96}
    outcomes = [
        build(f"{name}.mp4", video=replace(video, duration_s=length_s))
        for name, length_s in lengths_s.items()
    ]
    address = render(tmp_path / "report", outcomes, run).as_uri()
    rows = body_rows(dump(address + "#sort=duration")[0])
    for row, length_s in zip(rows, lengths_s.values(), strict=True):
        assert f'<td class="num">{video_time(length_s)}</td>' in row


def test_a_change_too_small_to_count_is_none_in_the_table(
    tmp_path: Path, outcome: Outcome, run: RunRecord, dump: Dump
) -> None:
    assert outcome.score is not None
    found = replace(outcome, previous_aqs=outcome.score.aqs + 0.004)
    (row,) = body_rows(dump(render(tmp_path / "report", [found], run).as_uri())[0])
    assert '<td class="num">0.00</td>' in row and "-0.00" not in row


def test_paging_by_keyboard_to_an_end_keeps_the_focus(
    tmp_path: Path,
    build_archive: Callable[[int], list[Outcome]],
    run: RunRecord,
    laid_out: LaidOut,
) -> None:
    """A button that can do no more had thrown it to the top of the page."""
    rows = [row_of(outcome) for outcome in build_archive(150)]
    index = render_index(tmp_path / "report", rows, run)
    press = "page.getElementById('{0}').focus() || page.getElementById('{0}').click()"
    focus = "page.activeElement.id"
    to_the_end = press.format("next")
    assert laid_out(index, 900, f"({to_the_end}, {focus})") == "previous"
    and_back = press.format("previous")
    assert laid_out(index, 900, f"({to_the_end}, {and_back}, {focus})") == "next"


def test_what_scrolls_sideways_can_be_reached_by_keyboard(
    tmp_path: Path,
    build: Callable[..., Outcome],
    rungs: tuple[Rung, ...],
    run: RunRecord,
    laid_out: LaidOut,
) -> None:
    kept = Check("sound", "aac", "aac", True)
    encodes = (replace(rungs[0], checks=(kept,), strip=(90.0, 95.0), recommended="x"), *rungs[1:])
    render(tmp_path / "report", [build(encodes=encodes)], run)
    (page,) = (tmp_path / "report" / "videos").iterdir()
    wide = "[...page.querySelectorAll('*')].filter(e => e.scrollWidth > e.clientWidth && "
    wide += "getComputedStyle(e).overflowX === 'auto')"
    assert int(laid_out(page, 360, f"{wide}.length")) >= 6
    out_of_reach = f"{wide}.filter(e => e.tabIndex !== 0 || !e.ariaLabel).length"
    assert laid_out(page, 360, out_of_reach) == "0"
    names = "[...page.querySelectorAll('.wide')].map(e => e.ariaLabel)"
    assert laid_out(page, 360, f"{names}.length === new Set({names}).size") == "true"


def test_the_names_of_curves_are_not_cut_off(
    tmp_path: Path,
    build: Callable[..., Outcome],
    rungs: tuple[Rung, ...],
    run: RunRecord,
    laid_out: LaidOut,
) -> None:
    """They had run past what a phone can scroll to."""
    tuned = replace(rungs[0], preset="slow", params="aq-mode=3:psy-rd=2.0:psy-rdoq=1.0")
    render(tmp_path / "report", [build(encodes=(*rungs, tuned))], run)
    (page,) = (tmp_path / "report" / "videos").iterdir()
    edge = "page.querySelector('.rd-curve').getBoundingClientRect().right"
    beyond = "[...page.querySelectorAll('.rd-curve text')].filter("
    beyond += f"t => t.getBoundingClientRect().right > {edge} + 1).length"
    assert laid_out(page, 390, beyond) == "0"
    below = "page.querySelector('.rd-curve').parentElement.nextElementSibling.textContent"
    assert tuned.params in laid_out(page, 390, below)


def test_a_printed_figure_is_not_torn_in_two(
    tmp_path: Path,
    build: Callable[..., Outcome],
    rungs: tuple[Rung, ...],
    run: RunRecord,
    laid_out: LaidOut,
) -> None:
    """A VMAF of 100.0 had been 10 on one line and 0.0 on the next."""
    perfect = Vmaf(100.0, 100.0, 100.0, 100.0)
    taken = replace(rungs[0], vmaf=perfect, recommended="the smallest", ratio=0.4)
    index = render(tmp_path / "report", [build("n" * 200, encodes=(taken,))], run)
    printed = index.read_text(encoding="utf-8").replace("@media print", "@media all")
    index.write_text(printed, encoding="utf-8")
    cell = "page.querySelector('#table tbody tr').lastElementChild"
    text = f"{cell}.firstChild"
    lines = (
        f"(() => {{const r = page.createRange(), t = {text}, at = t.data.indexOf('100.0');"
        "r.setStart(t, at); r.setEnd(t, at + 5); return r.getClientRects().length})()"
    )
    assert laid_out(index, 600, lines) == "1"
