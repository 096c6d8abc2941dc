"""What monitoring sees: the heartbeat file, the check, systemd and Prometheus."""

from __future__ import annotations

import errno
import json
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from aqs_batch.errors import SettingsError
from aqs_batch.watching import health

PULSE = health.Pulse(
    state=health.State.IDLE, file="", why="", jobs={"queued": 2, "quarantined": 0}, files=7,
    waiting=1, scored=3, failed=0, scan_s=0.1,
)  # fmt: skip


def beat(place: Path, now: float = 1000.0, **changes: object) -> None:
    health.Health(place, "").beat(replace(PULSE, **changes), now, 0.0)


def test_a_fresh_heartbeat_is_well_and_an_old_one_is_not(tmp_path: Path) -> None:
    beat(tmp_path)
    assert health.check(tmp_path, 1100.0, 300.0) == []
    assert "last heard of 301 s ago" in health.check(tmp_path, 1301.0, 300.0)[0]
    assert health.check(tmp_path, 701.0, 300.0) == []  # two machines' clocks differ
    assert "yet to come: was the clock set?" in health.check(tmp_path, 699.0, 300.0)[0]
    assert json.loads((tmp_path / "heartbeat.json").read_text())["files"] == 7


def test_a_heart_beats_every_ten_seconds_at_most(tmp_path: Path) -> None:
    heart = health.Health(tmp_path, "")
    assert heart.is_due(0.0)
    heart.beat(PULSE, 1000.0, 5.0)
    assert not heart.is_due(14.9) and heart.is_due(15.0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"state": "stopped"}, "was stopped"),
        ({"state": "waiting"}, "waits for its database or disk"),
        (
            {"state": "waiting", "why": "disk is full"},
            "waits for its database or disk: disk is full",
        ),
        ({"jobs": {"quarantined": 2}}, "2 quarantined"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, changes: dict[str, object], says: str) -> None:
    beat(tmp_path, **changes)
    (wrong,) = health.check(tmp_path, 1001.0, 300.0)
    assert says in wrong


@pytest.mark.parametrize("text", [None, "", "{}", "[]", '{"at_s": "x", "jobs": 1, "state": 1}'])
def test_no_heartbeat_is_not_well(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "heartbeat.json").write_text(text)
    wrong = "no service has written" if text is None else "no heartbeat"
    assert wrong in health.check(tmp_path, 0.0, 300.0)[0]


def test_a_disk_that_is_full_does_not_stop_the_service(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    beat(tmp_path / "file" / "none")


def test_where_there_is_no_room_the_heartbeat_is_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service waited for its disk, and monitoring was told that nothing was heard of it."""
    beat(tmp_path, file="a long name of a file.mp4")

    def full(file: Path, text: str, **_: bool) -> bool:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(health, "replace_text", full)
    beat(tmp_path, now=2000.0, state="waiting")
    assert "waits for" in health.check(tmp_path, 2001.0, 300.0)[0]
    assert [p.name for p in tmp_path.iterdir()] == ["heartbeat.json"]


OTHER = """
import sys
from pathlib import Path
from tests.watching.test_health import beat
beat(Path(sys.argv[1]), state="working")
print("beaten", flush=True)
sys.stdin.read()
"""


def test_two_services_of_one_folder_have_a_heartbeat_each(tmp_path: Path) -> None:
    """One wrote over the other's, so that its death was never told."""
    argv = [sys.executable, "-c", OTHER, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(argv, cwd=Path(__file__).parents[2], text=True, **pipes) as other:
        assert other.stdout is not None and other.stdout.readline() == "beaten\n"
        beat(tmp_path, now=1600.0)
        (wrong,) = health.check(tmp_path, 1601.0, 300.0)
        remedy = f" (if it is not to come back, delete {tmp_path / 'heartbeat.json'})"
        assert wrong == f"the service was last heard of 601 s ago, working{remedy}"
        beat(tmp_path, now=1600.0, state="stopped")
        assert health.check(tmp_path, 1001.0, 300.0) == []  # the other goes on
        other.kill()
    assert {p.name for p in tmp_path.iterdir()} == {"heartbeat.json", "heartbeat-2.json"}
    beat(tmp_path, now=1700.0)  # what a dead one left is taken over
    assert health.check(tmp_path, 1701.0, 300.0) == []
    assert json.loads((tmp_path / "heartbeat.json").read_text())["at_s"] == 1700.0


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no such sockets")
def test_systemd_hears_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        beat(tmp_path)
        assert ear.recv(100) == b"WATCHDOG=1\nSTATUS=idle, 2 queued"
    health.notify("READY=1")  # nobody listens: no matter


def test_prometheus_reads_the_figures(tmp_path: Path) -> None:
    file = tmp_path / "aqs.prom"
    health.Health(tmp_path, str(file)).beat(replace(PULSE, failed=2), 1000.0, 0.0)
    lines = file.read_text().splitlines()
    assert 'aqs_jobs{status="queued"} 2.0' in lines
    for figure in ("watched_files 7.0", "unsettled_files 1.0", "scored_since_start 3.0"):
        assert f"aqs_{figure}" in lines
    assert "aqs_failed_since_start 2.0" in lines


def test_figures_that_could_never_be_written_are_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"prometheus_file cannot be written: .*/nowhere is"):
        health.Health(tmp_path, str(tmp_path / "nowhere" / "aqs.prom"))


def test_without_the_package_the_setting_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(SettingsError, match="prometheus-client"):
        health.Health(tmp_path, "x.prom")
