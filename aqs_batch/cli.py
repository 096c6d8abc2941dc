"""The command line. Importing this is cheap: what a command needs is imported when it runs."""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import suppress
from types import FrameType

import click

from aqs_batch import __version__
from aqs_batch.commands import (
    audit,
    bench,
    encode,
    jobs,
    machine,
    preprocess,
    results,
    run,
    watch,
)
from aqs_batch.commands.endings import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_PIPE,
    EXIT_USAGE,
    complain,
)
from aqs_batch.stop import ending_signals

# --input_dir and --input-dir are the same flag, here and everywhere.
_CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "token_normalize_func": lambda token: token.replace("_", "-"),
    "max_content_width": 100,
}


def main() -> None:
    """Entry point: ends the process with the exit code of its command."""
    _open_closed_streams()
    code = invoke()
    # Not sys.exit: a thread that is in the model at that moment would meet a Python that is being
    # torn down, and abort a run that went well ("terminate called without an active exception").
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # whoever read our output may be gone
            stream.flush()
    os._exit(code)


def _open_closed_streams() -> None:
    """What the caller closed (`>&-`) leads nowhere: a run ended at its first word, and a file that
    is opened later would get the number that all take for standard output.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # lowest number first
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def invoke() -> int:
    """Run the command that the process was called with; errors become one plain message."""
    for number in ending_signals():
        signal.signal(number, _interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):  # no name of a file may end a run
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = commands.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt, ImportError) as error:
        # OpenVINO cannot be imported, it says, where Ctrl-C comes while it is.
        if isinstance(error, ImportError) and not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        complain("interrupted")
        return EXIT_INTERRUPTED
    except OSError as error:  # --help into a full disk
        complain(f"error: {error.strerror}")
        return EXIT_FAILED
    except SystemExit:  # click's, where whoever read our --help has left
        return EXIT_PIPE
    return code if isinstance(code, int) else 0


def _interrupt(number: int, _: FrameType | None) -> None:
    """End like Ctrl-C where a command does not know better: children and scratch files go too."""
    if number != signal.SIGTERM:  # a shell and its terminal both send it: cleaning up goes on
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


@click.group(context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="aqs-batch")
def commands() -> None:
    """How good do these videos look, what is wrong with them, and where.

    No reference needed. Results go to a database, CSV, JSON and an HTML report. In
    parentheses: what holds where neither flag nor aqs.toml says otherwise.
    """


for command in (
    run.run,
    watch.watch,
    audit.audit,
    encode.encode,
    encode.restore,
    preprocess.preprocess,
    results.report,
    jobs.status,
    jobs.retry,
    jobs.cancel,
    jobs.prune,
    machine.doctor,
    run.demo,
    machine.config,
    bench.bench,
    bench.inspect_model,
):
    commands.add_command(command)

if __name__ == "__main__":
    main()
