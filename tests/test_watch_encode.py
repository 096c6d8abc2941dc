"""A watched folder whose files are re-encoded: scored, measured, moved, each once."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from aqs_batch import reporting
from aqs_batch.errors import SettingsError
from aqs_batch.events import Listener
from aqs_batch.ingest.fingerprint import fingerprint
from aqs_batch.service import Service
from aqs_batch.settings import Settings
from aqs_batch.stop import Stop
from aqs_batch.store import Store
from aqs_batch.watching.vitals import Tally
from bench.faults.clock import FakeClock
from bench.standin import KEY, StandIn, settings_for

ENCODE = {
    "encode__crf": [30], "encode__preset": "ultrafast", "encode__aqs": False,
    "encode__full": True,
}  # fmt: skip


@pytest.fixture
def inbox(make_clip, tmp_path: Path) -> Path:
    """A watched folder with one clip that has bits to spare."""
    options = ("-c:v", "libx264", "-crf", "4", "-preset", "ultrafast")
    clip = make_clip("film.mp4", seconds=0.6, size="320x240", options=options)
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(clip, folder / "film.mp4")
    return folder


def profile(inbox: Path, **more: object) -> Settings:
    settings = settings_for(inbox, inbox.parent / "out", **ENCODE)
    folder = settings.watch.folders[0].model_copy(update={"encode": "on", **more})
    watch = settings.watch.model_copy(update={"folders": (folder,)})
    return settings.model_copy(update={"watch": watch})


def serve(settings: Settings) -> tuple[Tally, list[str], Store]:
    told: list[str] = []
    tally, store = serve_to(settings, lambda event: told.append(event.kind))
    return tally, told, store


def serve_to(settings: Settings, listen: Listener) -> tuple[Tally, Store]:
    clock = FakeClock()
    store = Store(settings.output.url)
    stop = Stop(clock, 1.0)
    service = Service(store, settings, KEY, lambda: StandIn(), listen, clock, stop)
    return service.run(command="test", once=True), store


def test_a_folders_profile_has_its_files_encoded_before_they_move(inbox: Path) -> None:
    done = inbox.parent / "done"
    print_ = fingerprint(inbox / "film.mp4")
    tally, told, store = serve(profile(inbox, move_done=str(done)))
    assert tally == Tally(scored=1)
    assert told.index("scored") < told.index("encoded") < told.index("moved")
    assert (done / "film.mp4").is_file()
    (rung,) = store.rungs(print_)
    assert rung.vmaf is not None
    assert rung.alignment == "exact"
    assert not store.open_jobs()
    store.close()


def test_frames_of_an_encode_are_not_told_as_sequences_that_are_scored(inbox: Path) -> None:
    told: list[str] = []
    _, store = serve_to(profile(inbox), lambda event: told.append(event.kind))
    store.close()
    first = told.index("encoding")
    assert "progress" not in told[first:]


def test_a_service_does_not_begin_with_what_its_encoder_refuses(inbox: Path) -> None:
    settings = profile(inbox)
    wrong = settings.encode.model_copy(update={"params": "aq-mode=99"})
    with pytest.raises(SettingsError, match="Aq-Mode is out of range"):
        serve(settings.model_copy(update={"encode": wrong}))


def test_a_replacement_is_scored_and_not_encoded_again(inbox: Path) -> None:
    settings = profile(inbox)
    encode = settings.encode.model_copy(update={"keep": "best", "replace": True, "good_vmaf": 10.0})
    settings = settings.model_copy(update={"encode": encode})
    before = fingerprint(inbox / "film.mp4")
    _, told, store = serve(settings)
    store.close()
    assert told.count("encoded") == told.count("replaced") == 1
    _, told, store = serve(settings)
    store.close()
    assert told.count("encoded") == 0
    films = [p for p in inbox.iterdir() if p.is_file()]
    assert len(films) == 1
    assert fingerprint(films[0]) != before
    assert os.stat(films[0]).st_size > 0


def test_a_scored_file_is_encoded_after_a_restart(inbox: Path) -> None:
    settings = profile(inbox)
    plain = settings.watch.folders[0].model_copy(update={"encode": "off"})
    watch = settings.watch.model_copy(update={"folders": (plain,)})
    _, told, store = serve(settings.model_copy(update={"watch": watch}))
    store.close()
    assert "encoded" not in told
    _, told, store = serve(settings)
    store.close()
    assert told.count("encoded") == 1
    assert "scored" not in told


def test_a_failed_re_encode_is_in_the_report_beside_the_score(inbox: Path) -> None:
    settings = profile(inbox)
    encode = settings.encode.model_copy(update={"target_vmaf": 100.0, "crf": (30.0,)})
    tally, told, store = serve(settings.model_copy(update={"encode": encode}))
    run = store.last_run()
    assert run is not None
    (outcome,) = reporting.outcomes(store, run, lambda _: (0.2,) * 10)
    store.close()
    assert tally.failed == 1
    assert "scored" in told and "encoded" not in told
    assert "encode_failed" in told and "failed" not in told
    assert outcome.score is not None
    assert outcome.reason.startswith("re-encode: ")


def test_the_aqs_of_a_re_encode_by_another_checkpoint_is_not_shown(inbox: Path) -> None:
    settings = profile(inbox)
    _, _, store = serve(settings)
    run = store.last_run()
    assert run is not None
    shown = []
    for key in (KEY, "of another checkpoint"):
        with sqlite3.connect(inbox.parent / "out" / "aqs.db") as database:
            change = "UPDATE rungs SET rung = json_set(rung, '$.aqs', 0.5, '$.aqs_key', ?)"
            database.execute(change, (key,))
        (outcome,) = reporting.outcomes(store, run, lambda _: (0.2,) * 10)
        shown.append((outcome.encodes[0].aqs, any("not shown" in w for w in outcome.warnings)))
    store.close()
    assert shown == [(0.5, False), (None, True)]
