"""How a command ends: its exit codes, and errors as plain words."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aqs_batch.errors import AqsError

EXIT_FAILED, EXIT_USAGE, EXIT_GATE, EXIT_INTERRUPTED, EXIT_PIPE = 1, 2, 3, 130, 141
INTERRUPTED = "interrupted: what was finished is saved; run again to go on"


def complain(words: str) -> None:
    """Say what went wrong on standard error; where that is full or gone, the exit code says it."""
    with suppress(OSError):
        click.echo(words, err=True)


def announce(words: str) -> None:
    """Say on a terminal what takes minutes before its first word; a log needs no such line."""
    if sys.stderr.isatty():
        complain(words)


def tell(error: AqsError) -> None:
    """Say what went wrong, and what to do."""
    from aqs_batch.wording import shown

    complain(f"error: {shown(str(error))}")
    if error.hint:
        complain(f"  {error.hint}")


def code_of(error: AqsError) -> int:
    """The exit code of a command that ended with `error`."""
    from aqs_batch.errors import CheckpointError, SettingsError

    return EXIT_USAGE if isinstance(error, SettingsError | CheckpointError) else EXIT_FAILED


@contextmanager
def plain_errors(debug: bool) -> Iterator[None]:
    """Our own errors as a message for a person; with --debug as a traceback, and with the log."""
    import logging
    import traceback

    from aqs_batch.errors import AqsError
    from aqs_batch.events import Unheard

    if debug:
        logging.basicConfig(format="%(name)s: %(message)s")
        logging.getLogger("aqs_batch").setLevel(logging.DEBUG)
    try:
        yield
    except AqsError as error:
        traceback.print_exc() if debug else tell(error)
        raise click.exceptions.Exit(code_of(error)) from error
    except (BrokenPipeError, Unheard) as error:  # `aqs-batch run | head`: not all of it was done
        raise click.exceptions.Exit(EXIT_PIPE) from error
    except OSError as error:
        traceback.print_exc() if debug else complain(f"error: {_of_system(error)}")
        raise click.exceptions.Exit(EXIT_FAILED) from error


def _of_system(error: OSError) -> str:
    """What the system refused, and where it says so: a full disk has no name."""
    from aqs_batch.errors import reason_and_place
    from aqs_batch.wording import shown

    if error.filename:
        return shown(reason_and_place(error))
    try:
        Path.cwd()
    except FileNotFoundError:
        return "the current folder was deleted; go to another one"
    return error.strerror or str(error)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """What is wrong with a file is told with its name, where no list of files tells it."""
    from aqs_batch.errors import MediaError

    try:
        yield
    except MediaError as error:
        raise MediaError(f"{path}: {error}", hint=error.hint) from error
