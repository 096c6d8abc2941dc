"""The fault suite, short: `make faults` runs the long one and prints its table."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.faults import kills

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses /proc")


def check(rows) -> None:
    assert rows
    for row in rows:
        if row.ok is None:
            pytest.skip(f"{row.fault}: {row.figure}")
        assert row.ok, f"{row.fault}: {row.figure}"


def test_kill_9_loses_and_doubles_nothing(tmp_path: Path) -> None:
    check(kills.killed(tmp_path, kills=8))


def test_two_processes_share_the_work(tmp_path: Path) -> None:
    check(kills.shared(tmp_path, files=12))


def test_sigterm_stops_in_time_and_releases(tmp_path: Path) -> None:
    check(kills.terminated(tmp_path, times=2))
