"""`aqs-batch watch`, `audit`, `status`, `cancel`, `retry` and `prune` as their users see them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import pytest

from aqs_batch.records import Status
from aqs_batch.store import Place, RunFile, Store
from bench.standin import KEY

ROOT = Path(__file__).resolve().parent.parent
QUICK = {
    "AQS_ANALYSIS_TILES": "1",
    "AQS_ANALYSIS_MAX_SEQUENCES": "2",
    "AQS_MODEL_BACKEND": "torch",
    "AQS_WATCH_SETTLE_S": "0.2",
    "AQS_WATCH_RESCAN_S": "0.5",
    "PYTHONPATH": str(ROOT),
}


def aqs(
    *arguments: str, cwd: Path, out: TextIO | int = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aqs_batch", *arguments]
    if arguments[0] == "daemon":
        command = [sys.executable, str(ROOT / "daemon.py"), *arguments[1:]]
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **QUICK, **environment},
        stdout=out,
        stderr=out,
        text=True,
        timeout=300,
    )


@pytest.fixture
def place(make_clip, tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    shutil.copy(make_clip(seconds=0.4), tmp_path / "in" / "a.mp4")
    return tmp_path


def test_status_lists_what_could_not_be_read_and_has_no_job(place: Path) -> None:
    (place / "in" / "zero.mp4").touch()
    (place / "in" / "noise.mp4").write_bytes(b"no video at all" * 100)
    for command in (("run", "in"), ("watch", "--watch_dir", "in", "--once")):
        assert aqs(*command, "--output_dir", command[0], cwd=place).returncode == 1
        said = aqs("status", "--output_dir", command[0], cwd=place).stdout
        assert "1 failed" in said and "unreadable files, which have no job: 1" in said
        assert "zero.mp4: " in said
        facts = json.loads(aqs("status", "--json", "--output_dir", command[0], cwd=place).stdout)
        assert [Path(f["file"]).name for f in facts["unreadable"]] == ["zero.mp4"]
        (failed,) = facts["open"]  # what to do was shown once, when it happened
        assert failed["hint"] and f"({failed['hint']})" in said


def test_the_daemon_scores_what_is_dropped_and_the_report_shows_it(place: Path) -> None:
    done = aqs("daemon", "--watch_dir", "in", "--output_dir", "out", "--once", "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["event"] for e in events if e["event"] in ("queued", "scored", "stopped")] == [
        "queued", "scored", "stopped",
    ]  # fmt: skip
    assert all("at" in e for e in events)
    document = json.loads((place / "out" / "results.json").read_text())
    assert [v["file"] for v in document["videos"]] == ["a.mp4"]
    assert document["run"]["finished_at"]
    assert "a.mp4" in (place / "out" / "index.html").read_text()
    check = aqs("status", "--check", "--output_dir", "out", cwd=place)
    assert check.returncode == 1
    assert "was stopped" in check.stdout
    again = aqs("report", "--output_dir", "out", cwd=place)
    assert again.returncode == 0, again.stderr


def night_that_misses_a(place: Path) -> str:
    """What an audit says that fails on missing files, hands on what it found, and misses a.mp4."""
    night = aqs(
        "audit", "in", "--output_dir", "out", "--fail_on", "missing",
        "--notify_cmd", "tee note.json", cwd=place,
    )  # fmt: skip
    assert night.returncode == 3
    assert "missing: a.mp4" in night.stdout
    return night.stdout


def test_the_daemons_own_hint_leads_to_its_help(tmp_path: Path) -> None:
    refused = aqs("daemon", "--nope", cwd=tmp_path)
    hint = refused.stderr.split("'")[1].split()
    assert refused.returncode == 2 and hint[0] == "daemon.py"
    assert "--watch-dir" in aqs("daemon", *hint[1:], cwd=tmp_path).stdout


def test_an_audit_tells_the_night_and_hands_it_on(place: Path) -> None:
    first = aqs("audit", "in", "--output_dir", "out", cwd=place)
    assert first.returncode == 0, first.stderr
    assert "1 new" in first.stdout
    (place / "in" / "b.mp4").touch()
    (place / "in" / "a.mp4").unlink()
    night_that_misses_a(place)
    note = json.loads((place / "note.json").read_text())
    assert note["exit_code"] == 3
    assert note["counts"]["missing"] == 1
    (place / "in" / "b.mp4").unlink()
    empty = aqs("audit", "in", "--output_dir", "out", "--notify_cmd", "tee note.json", cwd=place)
    assert empty.returncode == 1
    assert "nothing is taken as missing" in empty.stderr
    assert "nothing is taken as missing" in json.loads((place / "note.json").read_text())["error"]
    pruned = aqs("prune", "--folder", "in", "--output_dir", "out", cwd=place)
    assert pruned.returncode == 0
    assert aqs("audit", "in", "--output_dir", "out", cwd=place).returncode == 0


def test_what_a_night_found_is_told_though_its_report_cannot_be_written(place: Path) -> None:
    """Nobody had heard of it: the next night took it for told."""
    (place / "in" / "a.mp4").write_bytes(b"")  # needs no model
    (place / "in" / "b.mp4").touch()
    assert aqs("audit", "in", "--output_dir", "out", cwd=place).returncode == 1
    (place / "in" / "a.mp4").unlink()
    (place / "out" / "index.html").unlink()
    (place / "out" / "index.html").mkdir()
    told = night_that_misses_a(place)
    assert "the report could not be written" in told
    assert json.loads((place / "note.json").read_text())["counts"]["missing"] == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
def test_a_full_disk_under_the_output_ends_no_night_and_nothing_is_taken_for_told(
    place: Path,
) -> None:
    (place / "in" / "a.mp4").write_bytes(b"")  # needs no model
    arguments = ("audit", "in", "--output_dir", "out", "--json")
    with open("/dev/full", "w") as full:
        night = aqs(*arguments, cwd=place, out=full)
    assert night.returncode == 1  # a.mp4 has failed; the night is whole
    again = aqs(*arguments, cwd=place)
    summary = json.loads(again.stdout.splitlines()[-1])
    assert [f["file"] for f in summary["found"]["new"]] == ["a.mp4"]
    assert (summary["run"], summary["pending"]) == (2, 0)


def test_a_notice_that_fails_fails_the_night(place: Path) -> None:
    (place / "in" / "a.mp4").unlink()
    done = aqs("audit", "in", "--output_dir", "out", "--notify_cmd", "false", cwd=place)
    assert done.returncode == 1
    assert "--notify-cmd ended with 1" in done.stderr


@pytest.mark.parametrize("command", ["no-such-program --now", "mail 'it", " "])
def test_a_notice_that_nobody_can_get_is_told_before_the_night(command: str, place: Path) -> None:
    done = aqs("audit", "in", "--output_dir", "out", "--notify_cmd", command, cwd=place)
    assert done.returncode == 2
    assert "--notify-cmd: " in done.stderr
    assert not (place / "out").exists()


def test_a_night_without_its_database_is_told_too(place: Path) -> None:
    """Who waits for notices alone had heard nothing, night after night."""
    (place / "out").mkdir()
    (place / "out" / "aqs.db").write_bytes(b"no database" * 100)
    night = aqs("audit", "in", "--output_dir", "out", "--notify_cmd", "tee note.json", cwd=place)
    note = json.loads((place / "note.json").read_text())
    assert night.returncode == note["exit_code"] == 1
    assert note["error"] in night.stderr and "database" in note["error"]


@pytest.mark.parametrize(("fail_on", "code"), [("corrupt, failed", 3), ("", 1)])
def test_gates_are_listed_as_elsewhere_and_can_be_switched_off(
    fail_on: str, code: int, place: Path
) -> None:
    (place / "in" / "a.mp4").write_bytes(b"")  # needs no model
    (place / "aqs.toml").write_text('audit.fail_on = ["failed"]')
    night = aqs("audit", "in", "--output_dir", "out", "--fail_on", fail_on, cwd=place)
    assert night.returncode == code, night.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("watch", "--output_dir", "out"), "no folder to watch"),
        (("watch", "--watch_dir", "in", "--output_dir", "in"), "our own folder"),
        (("watch", "--watch_dir", "in", "--until", "25:00"), "--until"),
        (("watch", "--watch_dir", "a.mp4", "--output_dir", "out"), "a.mp4 is a file"),
        (("audit", "in", "--fail_on", "ugly"), "--fail-on"),
        (("cancel", "--output_dir", "out"), "name files"),
        (("status", "--check", "--json"), "leave out --json"),
    ],
)
def test_wrong_usage_exits_2(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "a.mp4").touch()
    done = aqs(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr


def test_what_only_waits_does_not_hide_what_failed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    store = Store(f"sqlite:///{tmp_path / 'out' / 'aqs.db'}")
    for number in range(30):
        store.enqueue(f"{number}", "key", tmp_path / f"{number}.mp4", force=False)
    job = store.claim_next("key", "w", 0.0, 60.0)
    again = store.claim_next("key", "w", 0.0, 60.0)
    assert job is not None
    assert again is not None
    store.postpone(again, "no memory", "", 0.0, 3)
    store.enqueue("last", "key", tmp_path / "last.mp4", force=False)
    store.fail(job, "not a video", "")
    store.close()
    lines = aqs("status", "--output_dir", "out", cwd=tmp_path).stdout.splitlines()
    listed = [line for line in lines if line.startswith("  ")]
    assert listed[0] == f"  failed  score  {tmp_path / '0.mp4'}: not a video"
    assert listed[1] == f"  queued  score  {tmp_path / '1.mp4'}: no memory"
    assert listed[-1] == "  queued  and 20 more; --json lists them all"
    assert len(listed) == 12
    status = json.loads(aqs("status", "--json", "--output_dir", "out", cwd=tmp_path).stdout)
    assert len(status["open"]) == 31
    text = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    part = text.partition("\n## The object of `status")[2].partition("\n## ")[0]
    told = re.findall(r"`(\w+)`", part)
    assert set(told) >= {*status, *status["jobs"], *status["rows"], *status["open"][0]}


def test_cancel_and_retry_name_their_files(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    store = Store(f"sqlite:///{tmp_path / 'out' / 'aqs.db'}")
    for name in ("a.mp4", "b.mp4"):
        store.enqueue(name, "key", tmp_path / name, force=False)
    store.enqueue("a.mp4", "encode-key", tmp_path / "a.mp4", force=False)
    store.close()
    assert aqs("cancel", "c.mp4", "--output_dir", "out", cwd=tmp_path).returncode == 1
    assert "2 jobs cancelled" in aqs("cancel", "a.mp4", "--output_dir", "out", cwd=tmp_path).stdout
    status = json.loads(aqs("status", "--json", "--output_dir", "out", cwd=tmp_path).stdout)
    assert status["jobs"] == {
        "queued": 1, "running": 0, "done": 0, "failed": 2, "quarantined": 0,
    }  # fmt: skip
    assert [job["work"] for job in status["open"]] == ["score", "score", "re-encode"]
    assert "2 jobs queued" in aqs("retry", "a.mp4", "--output_dir", "out", cwd=tmp_path).stdout


def test_prune_shrinks_a_database_that_is_mostly_free_and_else_says_what_is(tmp_path: Path) -> None:
    """Its file had kept the size of all the runs that it ever held."""
    file = tmp_path / "out" / "aqs.db"
    store = Store(f"sqlite:///{file}")
    for number in range(4):
        files = [RunFile(f"{n:0100}.mp4", "", KEY, Status.FAILED) for n in range(3000)]
        run = store.start_run(f"2026-01-0{number + 1}", "", "", {})
        store.record_file(run, *files)
        store.finish_run(run, "2026-01-09")
    store.close()
    before = file.stat().st_size

    def last_line(*arguments: str) -> str:
        done = aqs("prune", *arguments, "--output_dir", "out", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    assert re.fullmatch("database: .* MB, of which .* are free for what comes",
                        last_line("--keep-runs", "3"))  # fmt: skip
    assert file.stat().st_size == before
    assert "are free for what comes" in last_line("--keep-runs", "1", "--dry-run")
    reader = Store(f"sqlite:///{file}")  # a service that has it open is not in the way
    assert re.fullmatch("database: .* MB, now .* kB", last_line("--keep-runs", "1"))
    assert file.stat().st_size < before / 2
    assert len(reader.run_files(4)) == 3000
    reader.close()


def test_prune_of_a_folder_that_is_not_known_forgets_nothing_and_says_so(tmp_path: Path) -> None:
    """A typo had ended with code 0, and with the other files' runs forgotten."""
    store = Store(f"sqlite:///{tmp_path / 'out' / 'aqs.db'}")
    archive = str(tmp_path / "archive")
    store.note(Place(archive, "a.mp4", "1 1 1 1", "print", KEY))
    for number in range(2):
        store.finish_run(store.start_run(f"2026-01-0{number + 1}", "", "", {}), "2026-01-09")
    for typo in ("archiv", "archive/sub", ""):
        arguments = ("--folder", typo, "--keep-runs", "1", "--output_dir", "out")
        done = aqs("prune", *arguments, cwd=tmp_path)
        assert done.returncode == 1
        assert done.stdout == ""
        assert archive in done.stderr.splitlines()[1]
    assert len(list(store.places(archive))) == store.run(1).id == 1
    store.close()


def test_prune_keeps_the_newest_copy_of_upgrades(tmp_path: Path) -> None:
    """Each is as large as the database, and there had been one more after every upgrade."""
    out = tmp_path / "out"
    Store(f"sqlite:///{out / 'aqs.db'}").close()
    copies = [out / f"aqs.db.before-000{number}" for number in (4, 5, 6)]
    own = ("aqs.db.before-mine", "aqs.db.before-2026-04-move", "aqs.db.before-2026-05-move")
    others = [out / name for name in (*own, "other.db.before-0004")]
    for file in (*copies, *others):
        file.touch()
    for more, left in ((("--dry-run",), copies), ((), copies[-1:])):
        done = aqs("prune", *more, "--output_dir", "out", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "copies from before older upgrades: 2 " in done.stdout
        assert sorted(out.glob("*.before-*")) == sorted([*left, *others])
