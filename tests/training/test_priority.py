"""Tests for real-time priority that is not taken."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root has it")
def test_what_runs_in_our_processes_takes_no_real_time_priority() -> None:
    """Two makers of samples held a machine to themselves as soon as they encoded AV1."""
    take = "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))"
    lines = [
        "import os",
        "from training.priority import forgo_real_time",
        "forgo_real_time()",
        take,
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert "PermissionError" in done.stderr
