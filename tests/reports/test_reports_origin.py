"""Which pages are made again: those that would be others, and those that are not whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aqs_batch.records import Artifact, Outcome, RunRecord, Score, SequenceScore, Status, WorstFrame
from aqs_batch.reports import origin as origins
from aqs_batch.reports.names import page_name
from aqs_batch.reports.render import render
from tests.reports.conftest import make_rungs, picture


def page_of(folder: Path, outcome: Outcome) -> Path:
    return folder / "videos" / page_name(outcome.file)


def test_a_page_that_would_be_the_same_is_not_made_again(
    tmp_path: Path, outcome: Outcome, run: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    render(tmp_path, [outcome], run)
    before = page_of(tmp_path, outcome).read_bytes()
    monkeypatch.setattr("aqs_batch.reports.render.video_page", lambda *_: pytest.fail("made again"))
    render(tmp_path, [outcome], replace(run, run_id=run.run_id + 1, finished_at="2027"))
    assert page_of(tmp_path, outcome).read_bytes() == before


@pytest.mark.parametrize("keep", [0, 10, 1000, -1])
def test_a_page_that_is_cut_short_is_made_again(
    tmp_path: Path, outcome: Outcome, run: RunRecord, keep: int
) -> None:
    render(tmp_path, [outcome], run)
    page = page_of(tmp_path, outcome)
    whole = page.read_bytes()
    page.write_bytes(whole[:keep])
    render(tmp_path, [outcome], run)
    assert page.read_bytes() == whole


def test_a_page_of_another_version_of_the_program_is_made_again(
    tmp_path: Path, outcome: Outcome, run: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    render(tmp_path, [outcome], run)
    page = page_of(tmp_path, outcome)
    whole = page.read_bytes()
    monkeypatch.setattr(origins, "_makers", lambda: b"another")
    render(tmp_path, [outcome], run)
    assert page.read_bytes() != whole


def of_score(change: Callable[[Score], Score]) -> Callable[[Outcome], Outcome]:
    def changed(outcome: Outcome) -> Outcome:
        assert outcome.score is not None
        return replace(outcome, score=change(outcome.score))

    return changed


def of_worst(change: Callable[[SequenceScore], SequenceScore]) -> Callable[[Outcome], Outcome]:
    def changed(score: Score) -> Score:
        worst = min(range(len(score.sequences)), key=lambda n: score.sequences[n].aqs)
        sequences = list(score.sequences)
        sequences[worst] = change(sequences[worst])
        return replace(score, sequences=tuple(sequences))

    return of_score(changed)


def of_threshold(score: Score) -> Score:
    blocking = replace(score.artifacts[Artifact.BLOCKING], threshold=0.9)
    return replace(score, artifacts={**score.artifacts, Artifact.BLOCKING: blocking})


def of_rates(outcome: Outcome) -> Outcome:
    assert outcome.video is not None
    return replace(outcome, video=replace(outcome.video, kbps_over_time=(1.0, 9.0, 1.0)))


RUNGS = make_rungs()
WORST = replace(RUNGS[3], strip=(90.0, 20.0), worst=(WorstFrame(1.0, 20.0, picture(1)),))
CHANGES: dict[str, Callable[[Outcome], Outcome]] = {
    "status": lambda o: replace(o, status=Status.FAILED, score=None, reason="x", hint="y"),
    "previous": lambda o: replace(o, previous_aqs=0.1),
    "warnings": lambda o: replace(o, warnings=("beware",)),
    "time": lambda o: replace(o, processing_time_s=1234.5),
    "rates": of_rates,
    "p5": of_score(lambda score: replace(score, aqs_p5=0.0)),
    "threshold": of_score(of_threshold),
    "when": of_worst(lambda s: replace(s, t_s=s.t_s + 0.7)),
    "scene": of_worst(lambda s: replace(s, scene=s.scene + 50)),
    "moment": of_worst(lambda s: replace(s, aqs=0.01)),
    "picture": of_worst(lambda s: replace(s, thumbnail=picture(9))),
    "severity": of_worst(
        lambda s: replace(
            s, severity=(1.0,) * 10, tiles=tuple(t._replace(intensity=(1.0,) * 10) for t in s.tiles)
        )
    ),
    "place": of_worst(
        lambda s: replace(s, tiles=tuple(t._replace(x=0.01, y=0.01) for t in s.tiles))
    ),
    "rungs": lambda o: replace(o, encodes=RUNGS[:3]),
    "taken": lambda o: replace(o, encodes=(*RUNGS[:3], replace(RUNGS[3], recommended="best"))),
    "strip": lambda o: replace(o, encodes=(*RUNGS[:3], replace(WORST, worst=()))),
    "frames": lambda o: replace(o, encodes=(*RUNGS[:3], WORST)),
    "BD-rate": lambda o: replace(o, encodes=RUNGS, bd_rate={"vmaf": -9.0}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_a_page_makes_it_again(
    tmp_path: Path, outcome: Outcome, run: RunRecord, what: str
) -> None:
    changed = CHANGES[what](outcome)
    render(tmp_path / "new", [changed], run)
    render(tmp_path / "old", [outcome], run)
    old = page_of(tmp_path / "old", outcome).read_text()
    render(tmp_path / "old", [changed], run)
    again = page_of(tmp_path / "old", outcome).read_text()
    assert again == page_of(tmp_path / "new", changed).read_text()
    assert again.splitlines()[:-1] != old.splitlines()[:-1]  # else this tests nothing


def test_other_settings_make_it_again(tmp_path: Path, outcome: Outcome, run: RunRecord) -> None:
    render(tmp_path, [outcome], run)
    before = page_of(tmp_path, outcome).read_text()
    settings = {**run.settings, "analysis": {**run.settings.get("analysis", {}), "alpha": 0.25}}
    render(tmp_path, [outcome], replace(run, settings=settings))
    assert page_of(tmp_path, outcome).read_text().splitlines()[:-1] != before.splitlines()[:-1]
