"""What a person sees of a run without a terminal."""

from __future__ import annotations

import io
import json
import os
import re
from contextlib import suppress
from pathlib import Path

import pytest
from rich.progress import Progress

from aqs_batch import console
from aqs_batch.auditing.findings import Findings
from aqs_batch.events import Event, EventKind, Unheard
from aqs_batch.records import QualityLevel
from aqs_batch.watching.health import Health, Pulse, State
from aqs_batch.wording import aqs_words, cut, kbps, without_password
from aqs_batch.worker import End


def test_long_work_says_how_far_it_is_once_a_minute() -> None:
    stream, clock = io.StringIO(), iter([0.0, 30.0, 61.0, 61.0, 62.0])
    steps = [(10, "CRF 22"), (20, "CRF 22"), (30, "CRF 26")]
    with console.listener(as_json=False, stream=stream, now=lambda: next(clock)) as listen:
        for done, what in steps:
            facts = {"done": done, "planned": 40, "what": what}
            listen(Event(EventKind.ENCODING, "a/film.mkv", facts))
    assert stream.getvalue() == "a/film.mkv  CRF 22: 50%\n"


def test_an_event_is_a_line() -> None:
    stream = io.StringIO()
    with console.listener(as_json=False, stream=stream) as listen:
        listen(Event(EventKind.FOUND, "", {"files": 2}))
        listen(Event(EventKind.PROGRESS, "x", {"done": 1, "planned": 4}))
    assert stream.getvalue() == "2 files to look at\n"


def test_one_is_one_and_none_says_why() -> None:
    assert console.describe(Event(EventKind.FOUND, "", {"files": 1})) == "1 file to look at"
    none = console.describe(Event(EventKind.FOUND, "", {"files": 0}))
    assert none == "0 files to look at: there is no file whose ending is in [run] extensions"
    watching = Event(EventKind.WATCHING, "/in", {"files": 1, "silent": ""})
    assert console.describe(watching) == "watching /in: 1 file, events are on"


def test_a_score_is_never_shown_as_one_of_a_better_level() -> None:
    for aqs, words in ((0.696187, "0.69"), (0.7, "0.70"), (0.84996, "0.84"), (0.614, "0.61")):
        assert aqs_words(aqs, QualityLevel.of(aqs)) == words
    facts = {"aqs_score": 0.7, "quality_level": "Fair"}  # events have six decimals
    facts |= {"detected": [], "processing_time": 1.0}
    assert "AQS 0.69 Fair" in console.describe(Event(EventKind.SCORED, "a.mp4", facts))


def test_what_is_below_a_gate_is_shown_below_it() -> None:
    facts = {"aqs_score": 0.69996, "fail_under": 0.7}
    assert console.describe(Event(EventKind.GATE, "a.mp4", facts)).endswith("AQS 0.699 < 0.7")
    assert (cut(0.5, 3), cut(92.96)) == ("0.500", "92.9")


def test_a_bar_takes_names_as_they_are() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    with console.listener(as_json=False, stream=terminal) as listen:
        listen(Event(EventKind.FOUND, "", {"files": 1}))
        listen(Event(EventKind.STARTED, "in/x[/y].mp4", {"number": 1, "of": 1}))
        listen(Event(EventKind.PROGRESS, "in/x[/y].mp4", {"done": 1, "planned": 2}))
    assert "in/x[/y].mp4" in terminal.getvalue()


def test_a_bar_shows_where_a_long_name_is_cut() -> None:
    with Progress(disable=True) as progress:
        bar = console._Bar(progress)
        bar(Event(EventKind.FOUND, "", {"files": 1}))
        bar(Event(EventKind.STARTED, "folder/" + "n" * 39, {"number": 1, "of": 1}))
        assert progress.tasks[0].description == "…" + "n" * 39


def test_each_ladder_has_a_rate_of_its_own() -> None:
    """The second file's was counted from the first one's beginning: 12 minutes had been a day."""
    now = 0.0
    with Progress(disable=True, get_time=lambda: now) as progress:
        bar = console._Bar(progress)
        bar(Event(EventKind.FOUND, "", {"files": 2}))
        for begins, first in ((0.0, 40), (3600.0, 60)):
            for step in range(3):
                now = begins + 10 * step
                facts = {"done": first + 20 * step, "planned": 1500, "what": "encoding CRF 22"}
                bar(Event(EventKind.ENCODING, "a.mp4", facts))
        assert progress.tasks[0].description == "encoding CRF 22  2.0 fps, 700 s left"


def test_no_password_of_a_url_is_shown() -> None:
    for url in (
        "postgresql://me:secret@host/d",
        "postgresql://me:se@secret@host/d",
        "--db 'postgresql://me:a secret@host/d' --x a@b",
        "postgresql://host/d?user=me&password=secret",
    ):
        assert "secret" not in without_password(url) and "host/d" in without_password(url)
    for harmless in ("sqlite:////a:b/c@d.db", "file:///x", "see a@b.c"):
        assert without_password(harmless) == harmless


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_full_disk_under_the_log_loses_words_and_no_work(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file in hand was blamed, or the service ended."""
    with suppress(OSError), open("/dev/full", "w") as stream:  # closing it fails as well
        listen = console.log_listener(form, stream)
        for _ in range(3):
            listen(Event(EventKind.RETURNED, "in"))
    assert capsys.readouterr().err.count("the output is lost, the work goes on: No space") == 1


def test_json_lines_hold_names_of_any_bytes_as_text() -> None:
    """Half a surrogate in a fact, which strict readers take for no JSON at all."""
    stream, name = io.StringIO(), os.fsdecode(b"caf\xe9.mp4")
    facts = {"to": name, "written": [name], "rungs": [{"output": name, "crf": 28.0}]}
    console.log_listener("json", stream)(Event(EventKind.MOVED, name, facts))
    assert "\\udc" not in stream.getvalue()
    told, fit = json.loads(stream.getvalue()), "caf\\xe9.mp4"
    assert told["file"] == told["to"] == told["written"][0] == told["rungs"][0]["output"] == fit
    assert told["rungs"][0]["crf"] == 28.0


def test_a_reader_who_leaves_is_no_fault_of_a_file() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with suppress(BrokenPipeError), open(writer, "w") as stream:
        listen = console.log_listener("json", stream)
        with pytest.raises(Unheard) as caught:
            listen(Event(EventKind.PROGRESS, "a.mp4", {"done": 1, "planned": 2}))
    assert caught.type is Unheard  # closing the pipe fails as well, and that is left aside above


EVENTS = Path(__file__).parents[1] / "docs" / "events.md"


def test_every_event_is_explained_once() -> None:
    text = EVENTS.read_text(encoding="utf-8").split("\n## ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", "".join(rows))) == sorted(EventKind)


def test_every_key_of_an_audits_summary_is_explained() -> None:
    text = EVENTS.read_text(encoding="utf-8").split("\n## ")[1]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    summary = Findings(folder="/in", run=1, at="").as_json(night_s=1.0)
    told = {*summary, "exit_code", "gates"}
    assert set(re.findall(r"`(\w+)`", "".join(rows))) == told
    assert all(f"`{kind}`" in text for kind in summary["counts"])


def test_every_key_of_the_heartbeat_is_explained(tmp_path: Path) -> None:
    """A monitoring system reads it, and had to guess."""
    text = EVENTS.read_text(encoding="utf-8").partition("\n## The heartbeat")[2]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    Health(tmp_path, "").beat(Pulse(State.IDLE, "", "", {}, 0, 0, 0, 0, 0.0), 0.0, 0.0)
    beat = json.loads((tmp_path / "heartbeat.json").read_text(encoding="utf-8"))
    assert set(re.findall(r"`(\w+)`", "".join(rows))) == set(beat)
    assert all(f"`{state}`" in text for state in State)


@pytest.mark.parametrize(
    "kind", [EventKind.FAILED, EventKind.ENCODE_FAILED, EventKind.LEFT, EventKind.TROUBLE]
)
def test_hints_hold_names_of_any_bytes_as_text(kind: EventKind) -> None:
    """A re-encode that could not replace such a file had ended the service with a traceback."""
    stream = io.TextIOWrapper(io.BytesIO(), "utf-8")
    with console.listener(as_json=False, stream=stream) as listen:
        listen(Event(kind, "a.mp4", {"reason": "it stays", "hint": "It is b\udcff\n.mkv."}))
    stream.seek(0)
    (line,) = stream.read().splitlines()
    assert r"it stays (It is b\xff\x0a.mkv.)" in line


def test_where_no_rung_is_recommended_it_says_why() -> None:
    """Four rungs and not a word had looked as if the choice was forgotten."""
    rung = {"crf": 22, "codec": "x265", "preprocess": None, "kbps": 310.0, "vmaf": 95.0}
    rung |= {"alignment": "exact", "plan": "full", "recommended": "", "output": ""}
    for told, why in (
        ([rung], "none of them saves bytes"),
        ([rung | {"vmaf": None}], "no VMAF was measured to choose by"),
    ):
        lines = console.describe(Event(EventKind.ENCODED, "a.mp4", {"rungs": told, "warnings": []}))
        (*_, last) = lines.splitlines()
        assert last.startswith(f"a.mp4  no rung is recommended: {why}, so --keep best keeps none")
    taken = {"rungs": [rung | {"recommended": "the smallest"}], "warnings": []}
    assert "no rung" not in console.describe(Event(EventKind.ENCODED, "a.mp4", taken))


def test_a_job_that_is_put_off_says_what_becomes_of_it() -> None:
    """It had been "a.mp4  stale: ..." and "a.mp4  released", which are words of the program's."""
    for end in End:
        if end in (End.SAVED, End.FAILED, End.GAVE_UP):  # told as scored and failed
            continue
        facts = {"end": end.value, "reason": "the file changed", "hint": ""}
        (words, why) = console.describe(Event(EventKind.LATER, "a.mp4", facts)).split(": ")
        assert " " in words.removeprefix("a.mp4  ") and why == "the file changed"


def test_a_rate_above_what_was_asked_for_is_not_shown_as_if_kept() -> None:
    """400.44 kbit/s had been "400", and --max-kbps 400 was not kept."""
    rung = {"crf": 22, "codec": "x265", "preprocess": None, "kbps": 400.44, "vmaf": 95.0}
    rung |= {"alignment": "exact", "plan": "full", "recommended": "", "output": ""}
    told = Event(EventKind.ENCODED, "a.mp4", {"rungs": [rung], "warnings": []})
    assert ", 401 kbit/s," in console.describe(told)
    assert kbps(400.0) == "400" and kbps(1234.0) == "1,234"
