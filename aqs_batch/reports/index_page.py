"""What the index of a report shows, ready to be laid out."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aqs_batch.records import Artifact, QualityLevel, RunRecord, Status
from aqs_batch.reports.charts import histogram
from aqs_batch.reports.explanations import label
from aqs_batch.reports.export import targets_of
from aqs_batch.reports.names import visible, visible_name
from aqs_batch.reports.summary import Row, Summary, summarise
from aqs_batch.reports.video_json import json_value
from aqs_batch.wording import aqs_words, count

PLAIN_ROWS_MAX = 200  # what a browser without JavaScript gets of the table
_FAILURES_MAX = 100
_EARLIER_MAX = 100
_REASON_MAX = 300


@dataclass(frozen=True)
class Segment:
    """One part of the bar of verdicts; `kind` is its class in the stylesheet."""

    name: str
    kind: str
    files: int
    share: float
    range: str  # of AQS, "" for what has none


@dataclass(frozen=True)
class Trouble:
    """What went wrong in one way: the first of its files, each with why."""

    heading: str
    label: str
    lines: tuple[tuple[Row, str], ...]
    has_more: bool


@dataclass(frozen=True)
class IndexPage:
    """The index: facts of the run, facts of the files, and the table."""

    run: RunRecord
    title: str
    folders: tuple[str, ...]  # of input
    took: str
    settings: tuple[tuple[str, str], ...]
    summary: Summary
    median: str  # AQS of all files, "" where there is none
    verdicts: tuple[Segment, ...]
    histogram: str
    troubles: tuple[Trouble, ...]
    earlier: tuple[str, ...]  # what nights had found that were cut off, at most _EARLIER_MAX
    has_encodes: bool
    exports: tuple[str, ...]  # names of the files for other programs that lie beside it
    rows: tuple[Row, ...]  # the worst, at most PLAIN_ROWS_MAX
    data: str  # every row, as JSON that is safe inside <script>


def index_page(rows: Sequence[Row], run: RunRecord) -> IndexPage:
    """Lay out the index of all files of a report; the table starts with the lowest AQS."""
    ordered = sorted(rows, key=lambda row: (row.aqs is None, row.aqs or 0.0, row.file))
    summary = summarise(ordered)
    middle = summary.median_aqs
    folders = tuple(map(visible_name, _folders(run.input_dir)))
    return IndexPage(
        run=run,
        title=", ".join(folders) or "Video quality",
        folders=folders,
        took=_took(run),
        settings=tuple(
            (str(name), json.dumps(json_value(value), ensure_ascii=False))
            for name, value in run.settings.items()
        ),
        summary=summary,
        median="" if middle is None else aqs_words(middle),
        verdicts=_verdicts(summary),
        histogram=histogram(summary.histogram),
        troubles=_troubles(ordered),
        earlier=run.earlier[:_EARLIER_MAX],
        has_encodes=any(row.encode for row in ordered),
        exports=tuple(path.name for path in targets_of(Path(), _formats(run))),
        rows=tuple(ordered[:PLAIN_ROWS_MAX]),
        data=table_data(ordered),
    )


def _folders(input_dir: str) -> list[str]:
    """Folders that are joined like a PATH; whole paths, where it is not one name with that sign."""
    parts = list(filter(None, input_dir.split(os.pathsep)))
    return parts if all(map(os.path.isabs, parts)) else [input_dir]


def _troubles(rows: Sequence[Row]) -> tuple[Trouble, ...]:
    """What could not be scored, and what could not be re-encoded, where there is such."""
    failed = [(row, row.reason) for row in rows if row.status is Status.FAILED]
    encodes = [(row, row.encode_problem) for row in rows if row.encode_problem]
    found = (
        (f"{count(len(failed), 'file')} could not be scored", "Files not scored", failed),
        (f"{count(len(encodes), 're-encode')} failed", "Re-encodes that failed", encodes),
    )
    return tuple(
        Trouble(heading, label, tuple(lines[:_FAILURES_MAX]), len(lines) > _FAILURES_MAX)
        for heading, label, lines in found
        if lines
    )


def table_data(rows: Sequence[Row]) -> str:
    """Every row as compact JSON for the table's script, safe inside a <script> element."""
    codecs = list(dict.fromkeys(row.codec for row in rows))
    places = {codec: index for index, codec in enumerate(codecs)}
    document = {
        "levels": [level.value for level in QualityLevel],
        "artifacts": [label(artifact) for artifact in Artifact],
        "statuses": [status.value for status in Status],
        "codecs": [visible(codec) for codec in codecs],
        "rows": [_row_data(row, places[row.codec]) for row in rows],
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    # ensure_ascii has escaped U+2028; these three could end the element or begin a comment.
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _row_data(row: Row, codec: int) -> list[object]:
    artifacts, levels, statuses = list(Artifact), list(QualityLevel), list(Status)
    return [
        visible_name(row.file),
        row.page,
        statuses.index(row.status),
        None if row.aqs is None else float(row.aqs_words),
        None if row.aqs_p5 is None else float(row.p5_words),
        levels.index(row.level) if row.level else -1,
        sum(1 << artifacts.index(artifact) for artifact in row.detected),
        [round(min(1.0, severity) * 100) for severity in row.severities],
        row.width,
        row.height,
        codec,
        json_value(row.duration_s),  # rounded, a length was one second more than on its page
        row.size_bytes,
        row.delta,
        visible(row.reason[:_REASON_MAX]),
        row.encode,
        json_value(row.encode_ratio),
    ]


def _verdicts(summary: Summary) -> tuple[Segment, ...]:
    total = max(1, summary.files)
    segments = [
        Segment(level.value, f"l{index}", files, files / total, _range(level))
        for index, (level, files) in enumerate(summary.levels.items())
    ]
    failed = Segment("Failed", "failed", summary.failed, summary.failed / total, "")
    return (*segments, failed)


def _range(level: QualityLevel) -> str:
    if level.floor > 0:
        return f"from {level.floor:.2f}"
    return f"below {min(other.floor for other in QualityLevel if other.floor > 0):.2f}"


def _formats(run: RunRecord) -> Sequence[str]:
    formats: Sequence[str] = run.settings.get("output", {}).get("export", ())
    return formats


def _took(run: RunRecord) -> str:
    """How long the run took, or "" where a time is missing (an interrupted run)."""
    try:
        start, end = (datetime.fromisoformat(t) for t in (run.started_at, run.finished_at))
        seconds = (end - start).total_seconds()
    except (ValueError, TypeError):
        return ""
    if seconds < 60:
        return f"{max(0.0, seconds):.0f} s"
    minutes, hours = int(seconds // 60) % 60, int(seconds // 3600)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
