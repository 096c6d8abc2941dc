"""results.json, results.csv and sequences.csv."""

from __future__ import annotations

import csv
import json
import re
import tempfile
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqs_batch.records import Check, Outcome, Rung, RunRecord, Status
from aqs_batch.reports.export import (
    ENCODE_COLUMNS,
    RESULT_COLUMNS,
    SEQUENCE_COLUMNS,
    exporting,
    targets_of,
    text_cell,
)
from tests.reports.conftest import original

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("x")', "＝1"]


DOCUMENT = Path(__file__).parents[2] / "docs" / "results.md"


def keys(value: Any) -> Iterator[str]:
    """Every key of a JSON value, however deep."""
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from keys(inner)
    if isinstance(value, dict):
        yield from value


def test_every_column_is_explained_once() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    lines, _, after = text.partition("## sequences.csv")
    explained = [
        name
        for line in lines.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    ]
    assert sorted(explained) == sorted(RESULT_COLUMNS)
    told = set(re.findall(r"`(\w+)`", after.partition("## results.json")[0]))
    assert told >= set(SEQUENCE_COLUMNS) - set(RESULT_COLUMNS)


def test_every_key_is_explained(
    tmp_path: Path, outcome: Outcome, run: RunRecord, rungs: tuple[Rung, ...]
) -> None:
    checked = replace(rungs[0], vmaf_v1=rungs[0].vmaf, checks=(Check("audio", "1", "1", True),))
    outcome = replace(outcome, encodes=(checked,), bd_rate={"vmaf": -1.0, "vmaf_neg": -1.0})
    export(tmp_path, [outcome], replace(run, settings={}, counts={}), formats=("json",))
    document = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    text = DOCUMENT.read_text(encoding="utf-8").replace('"', "`")
    assert set(keys(document)) - set(re.findall(r"`(\w+)`", text)) == set()


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def export(*arguments: Any, **options: Any) -> None:
    deque(exporting(*arguments, **options), maxlen=0)


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
    assert rows[1]["aqs_score"] == "" and rows[1]["reason"] == failed["reason"]
    moments = table(tmp_path / "sequences.csv")
    assert tuple(moments[0]) == SEQUENCE_COLUMNS
    assert [float(row["t"]) for row in moments] == [s["t"] for s in scored["sequences"]]


def cell(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def test_every_column_holds_what_its_name_says(
    tmp_path: Path, build: Callable[..., Outcome], rungs: tuple[Rung, ...], run: RunRecord
) -> None:
    best = replace(rungs[5], recommended="it is best", codec="x264", aqs=0.71, ratio=0.4)
    best = replace(best, output="/kept.mkv", plan="5 x 2.0 s of 60.0 s")
    told = build(encodes=(rungs[0], best), previous_aqs=0.5, warnings=("one", "two"))
    rates = {"vmaf": -3.1, "vmaf_neg": -0.4}
    export(tmp_path, [replace(told, bd_rate=rates, bd_anchor="x264 slow")], run)
    (video,) = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["videos"]
    rung = video["encodes"][1]
    facts = video["artifacts"] | video["video"] | video["provenance"] | video
    facts |= {"detected": ";".join(video["detected"]), "warnings": "one; two"}
    facts |= {f"encode_{name}": value for name, value in rung.items()} | {"encode_count": 2}
    facts |= {"encode_vmaf": rung["vmaf"]["mean"], "encode_vmaf_p5": rung["vmaf"]["p5"]}
    facts |= {"encode_vmaf_neg": rung["vmaf_neg"]["mean"]}
    facts |= {f"bd_rate_{measure}": rate for measure, rate in rates.items()}
    (row,) = table(tmp_path / "results.csv")
    assert row == {column: cell(facts[column]) for column in RESULT_COLUMNS}
    for row, moment in zip(table(tmp_path / "sequences.csv"), video["sequences"], strict=True):
        facts = {"file": video["file"], **moment, **moment["artifacts"]}
        assert row == {column: cell(facts[column]) for column in SEQUENCE_COLUMNS}


def test_cells_of_encodes_are_empty_where_none_is_taken(
    tmp_path: Path, build: Callable[..., Outcome], rungs: tuple[Rung, ...], run: RunRecord
) -> None:
    export(tmp_path, [build(encodes=rungs), build()], run)
    for row, count in zip(table(tmp_path / "results.csv"), (len(rungs), 0), strict=True):
        told = {column: row[column] for column in ENCODE_COLUMNS if row[column]}
        assert told == {"encode_count": str(count)}
        assert row["checkpoint"] == "aqs-b0-2026a" and row["fingerprint"] != ""


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
    export(tmp_path, [outcome], run, formats=formats)
    written = targets_of(tmp_path, formats)
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
