"""Which files of an output folder a report may write over: those that an earlier one wrote."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from aqs_batch.errors import SettingsError
from aqs_batch.reports.export import targets_of

_HEAD_BYTES = 4096
PAGE = b'content="aqs-batch '  # what every page says near its beginning
# In the first lines of an export, also of one that a spreadsheet or a formatter saved again.
_EXPORTS = {"results.json": b'"run_id"', "results.csv": b"aqs_p5", "sequences.csv": b"blocking"}


def check(output_dir: Path, formats: Collection[str]) -> None:
    """Raises SettingsError for a file that is somebody else's and would be written over.

    Told before hours of work: a person's index.html or results.csv had been lost without a word.
    """
    marks = {place: _EXPORTS[place.name] for place in targets_of(output_dir, formats)}
    if "html" in formats:
        marks[output_dir / "index.html"] = PAGE
    for place, mark in marks.items():
        if not is_ours(place, mark):
            raise SettingsError(
                f"{place} is not of aqs-batch, and the report would be written over it",
                hint="Name another --output_dir, or move the file away.",
            )


def is_ours(file: Path, mark: bytes) -> bool:
    """Whether nobody's work is lost with a file: it bears our mark, is empty or is not there."""
    try:
        if not file.is_file():
            return True
    except OSError:  # what keeps it from us, a folder without rights say, is told by writing
        return True
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD_BYTES).replace(b"\0", b"")  # in UTF-16 after Excel
    except OSError:
        return False
    return not head or mark in head
