"""results.json, results.csv and sequences.csv: the same facts for other programs."""

from __future__ import annotations

import csv
import json
import re
import time
from collections.abc import Collection, Generator, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from aqs_batch import __version__
from aqs_batch.atomic import atomic_file, remove_abandoned
from aqs_batch.records import Artifact, Outcome, RunRecord
from aqs_batch.reports.video_json import json_value, video_json

ARTIFACT_COLUMNS = tuple(artifact.value for artifact in Artifact)
SEQUENCE_COLUMNS = ("file", "t", "aqs", "quality", *ARTIFACT_COLUMNS)

_SCORE_COLUMNS = (
    "aqs_score",
    "aqs_p5",
    "quality_level",
    "quality_component",
    "artifact_component",
)
_VIDEO_COLUMNS = (
    "duration_s",
    "size_bytes",
    "container",
    "codec",
    "width",
    "height",
    "fps",
    "bit_rate_kbps",
    "pixel_format",
    "bit_depth",
    "hdr",
    "interlaced",
    "variable_frame_rate",
)
_PROVENANCE_COLUMNS = ("checkpoint", "settings_key")
# Of the recommended rung, and of the two ladders where there are two; all else is in results.json.
ENCODE_COLUMNS = (
    "encode_count",
    "encode_crf",
    "encode_codec",
    "encode_bytes",
    "encode_kbps",
    "encode_vmaf",
    "encode_vmaf_p5",
    "encode_vmaf_neg",
    "encode_xpsnr",
    "encode_aqs",
    "encode_alignment",
    "encode_plan",
    "encode_output",
    "encode_preset",
    "encode_preprocess",
    "encode_ratio",
    "bd_rate_vmaf",
    "bd_rate_vmaf_neg",
    "bd_rate_against",
)
RESULT_COLUMNS = (
    "file",
    "status",
    "reason",
    "hint",
    *_SCORE_COLUMNS,
    *ARTIFACT_COLUMNS,
    "detected",
    *_VIDEO_COLUMNS,
    "sequence_count",
    "frame_count",
    "processing_time",
    "previous_aqs",
    *ENCODE_COLUMNS,
    *_PROVENANCE_COLUMNS,
    "fingerprint",
    "warnings",
)

# What a spreadsheet takes for a formula at the start of a cell, with any apostrophes before it,
# so that taking one apostrophe off always gives the name back.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def targets_of(output_dir: Path, formats: Collection[str]) -> list[Path]:
    """The files of some formats: json (results.json) and csv (results.csv, sequences.csv)."""
    targets = [output_dir / "results.json"] if "json" in formats else []
    if "csv" in formats:
        targets += [output_dir / "results.csv", output_dir / "sequences.csv"]
    return targets


def exporting(
    output_dir: Path,
    outcomes: Iterable[Outcome],
    run: RunRecord,
    *,
    formats: Collection[str] = ("json", "csv"),
) -> Generator[Outcome]:
    """Write the exports of a run as its outcomes pass through, on their way to the pages.

    Holds one video in memory at a time. No file is replaced before the last outcome has passed; an
    OSError (a full disk), here or further on, leaves the old files as they were.
    """
    targets = targets_of(output_dir, formats)
    remove_abandoned(output_dir, now_s=time.time())
    with ExitStack() as files:
        streams = [files.enter_context(atomic_file(path)) for path in targets]
        results = _ResultsJson(streams[0], run) if "json" in formats else None
        tables = _Tables(streams[-2], streams[-1]) if "csv" in formats else None
        for outcome in outcomes:
            document = video_json(outcome) if targets else {}
            if results is not None:
                results.add(document)
            if tables is not None:
                tables.add(document)
            yield outcome
        if results is not None:
            results.end()
        for stream in streams:  # a full disk shows here, before the first file is replaced
            stream.flush()


def text_cell(text: str) -> str:
    """Text as a CSV cell that no spreadsheet runs: a formula gets a leading apostrophe."""
    return f"'{text}" if _FORMULA.match(text) else text


class _Tables:
    """results.csv and sequences.csv, one video at a time."""

    def __init__(self, results: TextIO, sequences: TextIO) -> None:
        self._results, self._sequences = csv.writer(results), csv.writer(sequences)
        self._results.writerow(RESULT_COLUMNS)
        self._sequences.writerow(SEQUENCE_COLUMNS)

    def add(self, document: dict[str, Any]) -> None:
        row = _result_row(document)
        self._results.writerow([_cell(value) for value in row])
        file = text_cell(document["file"])
        self._sequences.writerows(_sequence_row(file, part) for part in document["sequences"])


class _ResultsJson:
    """results.json, one video at a time: a list of 10,000 never stands in memory."""

    def __init__(self, stream: TextIO, run: RunRecord) -> None:
        self._stream = stream
        self._separator = "\n"
        head = json.dumps({"version": __version__, "run": run_json(run)}, allow_nan=False)
        stream.write(head[:-1] + ', "videos": [')

    def add(self, document: dict[str, Any]) -> None:
        self._stream.write(self._separator + json.dumps(document, allow_nan=False))
        self._separator = ",\n"

    def end(self) -> None:
        self._stream.write("\n]}\n")


def run_json(run: RunRecord) -> dict[str, Any]:
    """The facts of a run as strict JSON; settings of other types are written as text."""
    document: dict[str, Any] = json_value(vars(run))
    return document


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return text_cell(value) if isinstance(value, str) else value  # a number is never quoted


def _result_row(document: dict[str, Any]) -> list[object]:
    video, provenance = document["video"] or {}, document["provenance"] or {}
    return [
        *(document[key] for key in ("file", "status", "reason", "hint", *_SCORE_COLUMNS)),
        *(document["artifacts"].get(name) for name in ARTIFACT_COLUMNS),
        ";".join(document["detected"]),
        *(video.get(key) for key in _VIDEO_COLUMNS),
        document["sequence_count"],
        document["frame_count"],
        document["processing_time"],
        document["previous_aqs"],
        *_encode_cells(document["encodes"]),
        *(document["bd_rate"].get(measure) for measure in ("vmaf", "vmaf_neg")),
        document["bd_rate_against"],
        *(provenance.get(key) for key in _PROVENANCE_COLUMNS),
        document["fingerprint"],
        "; ".join(document["warnings"]),
    ]


def _encode_cells(encodes: list[dict[str, Any]]) -> list[object]:
    best = next((rung for rung in encodes if rung["recommended"]), None)
    if best is None:
        # The count is there in any case, and the BD-rates at the end are no matter of a rung.
        return [len(encodes), *[None] * (len(ENCODE_COLUMNS) - 4)]
    vmaf, neg = best["vmaf"] or {}, best["vmaf_neg"] or {}
    return [
        len(encodes),
        *(best[key] for key in ("crf", "codec", "bytes", "kbps")),
        vmaf.get("mean"),
        vmaf.get("p5"),
        neg.get("mean"),
        *(best[key] for key in ("xpsnr", "aqs", "alignment", "plan", "output")),
        *(best[key] for key in ("preset", "preprocess", "ratio")),
    ]


def _sequence_row(file: str, sequence: dict[str, Any]) -> list[object]:
    severities = (sequence["artifacts"][name] for name in ARTIFACT_COLUMNS)
    return [file, sequence["t"], sequence["aqs"], sequence["quality"], *severities]
