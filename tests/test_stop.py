"""How a stop reaches the job in hand, with real signals and a clock of our own."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aqs_batch import cli
from aqs_batch.batch import Batch
from aqs_batch.clock import SystemClock, next_at
from aqs_batch.identity import is_gone, own_name
from aqs_batch.stop import Stop, Stopped
from bench.faults.clock import FakeClock


def test_a_signal_asks_and_the_grace_ends_in_an_interruption() -> None:
    stop = Stop(SystemClock(), grace_s=0.05)
    with stop.on_signals():
        with pytest.raises(Stopped), stop.interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.requested
            time.sleep(30)  # interrupted by the alarm, long before
        assert stop.signal == signal.SIGTERM


def test_a_second_signal_ends_the_grace() -> None:
    stop = Stop(SystemClock(), grace_s=1000.0)
    with stop.on_signals(), pytest.raises(Stopped), stop.interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)


def test_what_is_not_interruptible_is_not_torn() -> None:
    clock = FakeClock()
    stop = Stop(clock, grace_s=1.0)
    stop.request()
    clock.advance(2.0)
    stop._on_alarm(signal.SIGALRM, None)  # between two stretches: nothing is raised
    with pytest.raises(Stopped), stop.interruptible():
        pytest.fail("a new stretch must not begin")


def test_a_process_knows_its_own_name_and_a_dead_one(tmp_path) -> None:
    name = own_name()
    assert len(name) <= 64
    assert not is_gone(name)
    child = os.fork()
    if child == 0:
        (tmp_path / "name").write_text(own_name())
        os._exit(0)
    os.waitpid(child, 0)
    assert is_gone((tmp_path / "name").read_text())
    host, pid, _ = name.split(":")
    assert is_gone(f"{host}:{pid}:1")  # the number is in use again, by a later process
    assert not is_gone(f"elsewhere/1:{pid}:1")  # nobody here can know
    assert not is_gone("")


def test_until_is_the_next_time_the_clock_shows_it() -> None:
    noon = time.mktime((2026, 3, 1, 12, 0, 0, 0, 0, -1))
    assert next_at("13:30", noon) - noon == 5400
    assert next_at("12:00", noon) - noon == 86400
    assert next_at("06:00", noon) - noon == 18 * 3600


def test_a_bell_ends_a_wait() -> None:
    clock = SystemClock()
    clock.ring()
    clock.ring()
    began = clock.steady()
    clock.wait(30)
    assert clock.steady() - began < 5
    clock.close()


@pytest.fixture
def signals_as_before() -> Iterator[None]:
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals_as_before")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_plain_command_ends_on_signals_as_on_ctrl_c(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaned = []

    def command(**_: object) -> None:
        try:
            signal.raise_signal(number)
        finally:
            if number == signal.SIGHUP:  # a shell and its terminal both send it
                signal.raise_signal(number)
            cleaned.append(True)

    monkeypatch.setattr(cli.commands, "main", command)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert cli.invoke() == 130
    assert cleaned


@pytest.mark.usefixtures("signals_as_before")
def test_an_interrupted_run_says_that_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Batch, "run", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    monkeypatch.setattr(sys, "argv", ["aqs-batch", "run", "a.mp4", "--output_dir", str(tmp_path)])
    assert cli.invoke() == 130
    assert "what was finished is saved; run again to go on" in capsys.readouterr().err


@pytest.mark.usefixtures("signals_as_before")
def test_a_closed_terminal_asks_for_a_stop_unless_that_is_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop = Stop(SystemClock(), grace_s=1000.0)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    monkeypatch.setattr(cli.commands, "main", lambda **_: signal.raise_signal(signal.SIGHUP))
    assert cli.invoke() == 0
    with stop.on_signals():
        os.kill(os.getpid(), signal.SIGHUP)
        assert not stop.requested
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with stop.on_signals():
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.requested and stop.signal == signal.SIGHUP
