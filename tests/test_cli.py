"""What `--help` says of every command and flag."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from aqs_batch import cli
from aqs_batch.cli import commands
from aqs_batch.settings import Settings

_BUILT_IN = Settings()
_OF_FLAG = {
    "output_dir": _BUILT_IN.output.dir,
    "device": _BUILT_IN.model.device,
    "backend": _BUILT_IN.model.backend,
    "fail_under": f"{_BUILT_IN.run.fail_under:g}: no gate",
    "crf": ",".join(f"{crf:g}" for crf in _BUILT_IN.encode.crf),
    "preset": _BUILT_IN.encode.preset,
    "codec": _BUILT_IN.encode.codec,
    "target_vmaf": f"{_BUILT_IN.encode.target_vmaf:g}: no target",
    "max_kbps": f"{_BUILT_IN.encode.max_kbps:g}: no limit",
    "max_bytes": f"{_BUILT_IN.encode.max_bytes:g}: no limit",
    "samples": str(_BUILT_IN.encode.samples),
    "keep": _BUILT_IN.encode.keep,
}


def _flags(command: click.Command) -> Iterator[click.Option]:
    yield from (flag for flag in command.params if isinstance(flag, click.Option))


@pytest.mark.parametrize("name", sorted(commands.commands))
def test_every_flag_is_a_sentence_with_its_built_in_value(name: str) -> None:
    for flag in _flags(commands.commands[name]):
        words = flag.help or ""
        assert words.endswith("."), f"{name} --{flag.name}: {words}"
        of_path = (name, flag.name) in {("demo", "keep"), ("preprocess", "crf")}
        if flag.name in _OF_FLAG and not of_path:
            assert words.endswith(f"({_OF_FLAG[flag.name]})."), f"{name} --{flag.name}: {words}"


def test_no_command_is_cut_off_in_the_list_of_a_common_terminal() -> None:
    told = CliRunner().invoke(commands, ["--help"], env={"COLUMNS": "80"}).output
    assert all(name in told for name in commands.commands)
    assert "..." not in told.partition("Commands:")[2]


def test_an_interrupt_that_a_library_calls_its_own_failure_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C in the first second of a run was a traceback, "ImportError: initialization failed"."""

    def half_loaded(**_: object) -> None:
        raise ImportError("initialization failed") from KeyboardInterrupt()

    monkeypatch.setattr(cli.commands, "main", half_loaded)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)  # the tests' own stay
    assert cli.invoke() == 130
    assert capsys.readouterr().err == "interrupted\n"
