"""A report is written over an earlier one, and over nothing else."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import pytest
from click.testing import CliRunner

from aqs_batch.cli import commands
from aqs_batch.errors import SettingsError
from aqs_batch.records import Outcome, RunRecord
from aqs_batch.reports.export import exporting
from aqs_batch.reports.own import check
from aqs_batch.reports.render import render

ALL = ("json", "csv", "html")
NAMES = ("index.html", "results.json", "results.csv", "sequences.csv")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_ours_is_not_written_over(name: str, tmp_path: Path) -> None:
    own = tmp_path / name
    own.write_text("file;mine\n")
    with pytest.raises(SettingsError, match=f"{name} is not of aqs-batch"):
        check(tmp_path, ALL)
    check(
        tmp_path, set(ALL) - {"index.html": {"html"}, "results.json": {"json"}}.get(name, {"csv"})
    )


@pytest.mark.parametrize("command", ["run", "encode", "audit", "watch"])
def test_every_command_tells_it_before_it_works(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person's own page was gone for good, and so were the figures in results.csv."""
    site, videos = tmp_path / "site", tmp_path / "videos"
    for folder in (site, videos):
        folder.mkdir()
    (site / "index.html").write_text("my page")
    monkeypatch.chdir(tmp_path)
    named = ["--watch_dir", "videos", "--once"] if command == "watch" else ["videos"]
    done = CliRunner().invoke(commands, [command, *named, "--output_dir", "site"])
    assert done.exit_code == 2
    assert "site/index.html is not of aqs-batch" in done.output
    assert [path.name for path in site.iterdir()] == ["index.html"]
    assert (site / "index.html").read_text() == "my page"


def test_our_own_is_written_over_also_once_another_program_saved_it(
    tmp_path: Path, outcome: Outcome, run: RunRecord
) -> None:
    deque(exporting(tmp_path, [outcome], run), maxlen=0)
    render(tmp_path, [outcome], run)
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == set(NAMES)
    check(tmp_path, ALL)
    table = tmp_path / "results.csv"
    table.write_text(table.read_text().replace(",", ";"), encoding="utf-16")
    (tmp_path / "sequences.csv").write_bytes(b"")  # as a power cut may leave it
    check(tmp_path, ALL)
