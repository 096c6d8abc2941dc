"""results.json, results.csv and sequences.csv."""

from __future__ import annotations

import csv
import json
import re
import tempfile
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqs_batch.records import Outcome, Rung, RunRecord, Status
from aqs_batch.reports.export import RESULT_COLUMNS, SEQUENCE_COLUMNS, export, text_cell
from aqs_batch.reports.names import original

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("x")', "＝1"]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def uncelled(text: str) -> str:
    """What a reader takes off: one apostrophe before a formula."""
    return text[1:] if re.match("'+[=+\\-@\t\r\n＝＋－＠]", text) else text


def test_the_three_files_tell_the_same(
    tmp_path: Path, outcome: Outcome, failure: Outcome, run: RunRecord
) -> None:
    export(tmp_path, [outcome, failure], run)
    document = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert document["version"] and document["run"]["run_id"] == 17
    assert document["run"]["settings"]["input"] == "/archive"
    scored, failed = document["videos"]
    rows = table(tmp_path / "results.csv")
    assert tuple(rows[0]) == RESULT_COLUMNS
    assert [row["status"] for row in rows] == ["scored", "failed"]
    assert float(rows[0]["aqs_score"]) == scored["aqs_score"]
    assert float(rows[0]["judder"]) == scored["artifacts"]["judder"]
    assert rows[0]["detected"] == ";".join(scored["detected"]) != ""
    assert rows[0]["settings_key"] == "5f0c9e2b" and rows[0]["width"] == "3840"
    assert rows[1]["aqs_score"] == "" and rows[1]["reason"] == failed["reason"]
    moments = table(tmp_path / "sequences.csv")
    assert tuple(moments[0]) == SEQUENCE_COLUMNS
    assert [float(row["t"]) for row in moments] == [s["t"] for s in scored["sequences"]]


def test_the_table_says_how_the_recommended_encode_was_made(
    tmp_path: Path, build: Callable[..., Outcome], rungs: tuple[Rung, ...], run: RunRecord
) -> None:
    plain = [replace(rung, recommended="", preprocess=None) for rung in rungs]
    best = replace(plain[0], recommended="the smallest", preprocess="aqs-preprocess x1", ratio=0.4)
    rates = {"vmaf": -3.1, "vmaf_neg": -0.4}
    filtered, unread = build(encodes=(best, *plain[1:]), bd_rate=rates), build(encodes=plain)
    export(tmp_path, [filtered, unread, build()], run)
    rows = table(tmp_path / "results.csv")
    assert rows[0]["encode_preset"] == best.preset and float(rows[0]["encode_ratio"]) == 0.4
    assert rows[0]["encode_preprocess"] == "aqs-preprocess x1"
    assert (rows[0]["bd_rate_vmaf"], rows[0]["bd_rate_vmaf_neg"]) == ("-3.1", "-0.4")
    assert rows[1]["encode_count"] == str(len(plain)) and rows[1]["encode_crf"] == ""
    assert rows[2]["bd_rate_vmaf"] == "" and rows[2]["fingerprint"] != ""


@pytest.mark.parametrize(
    ("formats", "expected"),
    [
        (("json", "csv", "html"), {"results.json", "results.csv", "sequences.csv"}),
        (("json",), {"results.json"}),
        (("csv",), {"results.csv", "sequences.csv"}),
        (("html",), set()),
    ],
)
def test_only_the_wanted_formats_are_written(
    tmp_path: Path, outcome: Outcome, run: RunRecord, formats: tuple[str, ...], expected: set[str]
) -> None:
    written = export(tmp_path, [outcome], run, formats=formats)
    assert {path.name for path in written} == expected
    assert {path.name for path in tmp_path.iterdir()} == expected
    assert all(path.parent == tmp_path and path.stat().st_size for path in written)


def test_no_videos_is_valid_json(tmp_path: Path, run: RunRecord) -> None:
    export(tmp_path, [], run)
    assert json.loads((tmp_path / "results.json").read_text())["videos"] == []
    assert table(tmp_path / "results.csv") == []


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_become_text(
    tmp_path: Path, build_failure: Callable[..., Outcome], run: RunRecord, text: str
) -> None:
    outcome = build_failure(text, reason=text, hint=text, warnings=(text,))
    export(tmp_path, [outcome], run)
    row = table(tmp_path / "results.csv")[0]
    for column in ("file", "reason", "hint", "warnings"):
        assert row[column] == "'" + text


def test_ordinary_text_stays_as_it_is() -> None:
    for text in ("a=b.mp4", "'tis.mp4", "", "clip-1.mp4"):
        assert text_cell(text) == text


def test_numbers_are_never_quoted(
    tmp_path: Path, build: Callable[..., Outcome], run: RunRecord
) -> None:
    outcome = build(previous_aqs=-0.25)
    assert outcome.score is not None
    first = replace(outcome.score.sequences[0], t_s=-0.04)
    outcome = replace(outcome, score=replace(outcome.score, sequences=(first,)))
    export(tmp_path, [outcome], run)
    assert table(tmp_path / "results.csv")[0]["previous_aqs"] == "-0.25"
    assert table(tmp_path / "sequences.csv")[0]["t"] == "-0.04"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(), max_size=30), max_size=5))
def test_any_file_name_round_trips(names: list[str]) -> None:
    run = RunRecord(1, "", "", "/\udc80", "", {}, {})
    outcomes = [Outcome(file=name, status=Status.FAILED, reason=name) for name in names]
    with tempfile.TemporaryDirectory() as folder:
        export(Path(folder), outcomes, run)
        rows = table(Path(folder, "results.csv"))
        document: dict[str, Any] = json.loads(Path(folder, "results.json").read_bytes())
    assert [original(uncelled(row["file"])) for row in rows] == names
    assert [original(video["file"]) for video in document["videos"]] == names


def test_one_video_in_memory_at_a_time(
    tmp_path: Path, build: Callable[..., Outcome], run: RunRecord
) -> None:
    alive: list[int] = []

    def outcomes() -> Iterator[Outcome]:
        seen: list[weakref.ref[Outcome]] = []
        for index in range(6):
            alive.append(sum(reference() is not None for reference in seen))
            fresh = build(f"{index}.mp4", sequences=2)
            seen.append(weakref.ref(fresh))
            yield fresh
            del fresh

    export(tmp_path, outcomes(), run)
    assert max(alive) <= 1
