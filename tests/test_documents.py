"""What the documents name is there: flags, make's targets, links, and the headings they lead to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from aqs_batch.auditing.findings import Findings
from aqs_batch.cli import commands

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted({ROOT / "README.md", *(ROOT / "docs").glob("*.md")})


def _flags(command: click.Command) -> set[str]:
    options = (flag for flag in command.params if isinstance(flag, click.Option))
    return {"--help", *(name for flag in options for name in (*flag.opts, *flag.secondary_opts))}


def _calls(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each `aqs-batch COMMAND ...` of a page with the flags that it is given."""
    for name, rest in re.findall(r"aqs-batch ([a-z-]+)([^`\n|#]*)", text):
        if name in commands.commands:
            yield name, [flag.replace("_", "-") for flag in re.findall(r" (--[\w-]+)", rest)]


def _heading_names(page: Path) -> set[str]:
    """The names by which a link leads to a heading, as forges and editors make them."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_every_flag_of_a_command_that_is_shown_exists(page: Path) -> None:
    for name, flags in _calls(page.read_text(encoding="utf-8")):
        assert set(flags) <= _flags(commands.commands[name]), name


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_every_link_leads_to_a_page_and_its_heading(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        file, _, heading = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not heading or heading in _heading_names(target), link


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_every_target_of_make_exists(page: Path) -> None:
    made = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z ]+):", made, re.MULTILINE))
    known = {name for line in targets for name in line.split()}
    for words in re.findall(r"`make ([a-z ]+)", page.read_text(encoding="utf-8")):
        assert set(words.split()) <= known, words


def test_every_flag_of_a_run_and_a_re_encode_is_in_their_tables() -> None:
    """--video, --debug, --db and --config were in the help alone."""
    guide, encode = ((ROOT / "docs" / f"{name}.md").read_text() for name in ("guide", "encode"))
    told = {name.replace("_", "-") for name in re.findall(r"--[\w-]+", guide + encode)}
    for name in ("run", "encode"):
        options = [
            flag for flag in commands.commands[name].params if isinstance(flag, click.Option)
        ]
        lacking = [f.name for f in options if not {*f.opts, *f.secondary_opts} & told]
        assert not lacking, name


def test_an_audit_has_one_word_for_what_it_finds() -> None:
    """Its help had said rotten, and its summary corrupt."""
    first = (commands.commands["audit"].help or "").partition(".")[0]
    kinds = re.findall(r"\w+", first.partition("what is ")[2].partition(" in an")[0])
    found = Findings(folder="/in", run=1, at="").as_json(night_s=1.0)["counts"]
    assert set(kinds) - {"or"} <= set(found)
