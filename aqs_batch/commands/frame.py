"""What every command shares: its flags, its settings, its database, and errors as plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aqs_batch.config import Loaded
    from aqs_batch.errors import AqsError
    from aqs_batch.settings import Settings
    from aqs_batch.store import Store

EXIT_FAILED, EXIT_USAGE, EXIT_GATE, EXIT_INTERRUPTED, EXIT_PIPE = 1, 2, 3, 130, 141
Load = Callable[..., "Loaded"]  # `load` with the flags of one call; takes what else was set
INTERRUPTED = "interrupted: what was finished is saved; run again to go on"


def complain(words: str) -> None:
    """Say what went wrong on standard error; where that is full or gone, the exit code says it."""
    with suppress(OSError):
        click.echo(words, err=True)


def tell(error: AqsError) -> None:
    """Say what went wrong, and what to do."""
    from aqs_batch.wording import shown

    complain(f"error: {shown(str(error))}")
    if error.hint:
        complain(f"  {error.hint}")


@contextmanager
def plain_errors(debug: bool) -> Iterator[None]:
    """Our own errors as a message for a person; with --debug as a traceback, and with the log."""
    import logging

    from aqs_batch.errors import AqsError, CheckpointError, SettingsError
    from aqs_batch.events import Unheard

    if debug:
        logging.basicConfig(format="%(name)s: %(message)s")
        logging.getLogger("aqs_batch").setLevel(logging.DEBUG)
    try:
        yield
    except AqsError as error:
        if debug:
            raise
        tell(error)
        raise click.exceptions.Exit(
            EXIT_USAGE if isinstance(error, SettingsError | CheckpointError) else EXIT_FAILED
        ) from error
    except (BrokenPipeError, Unheard) as error:  # `aqs-batch run | head`: not all of it was done
        raise click.exceptions.Exit(EXIT_PIPE) from error
    except OSError as error:
        if debug:
            raise
        complain(f"error: {_of_system(error)}")
        raise click.exceptions.Exit(EXIT_FAILED) from error


def _of_system(error: OSError) -> str:
    """What the system refused, and where it says so: a full disk has no name."""
    from aqs_batch.wording import shown

    if error.filename:
        return f"{error.strerror}: {shown(str(error.filename))}"
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


CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), help="Settings file (aqs.toml in this folder)."
)


def settings_flags(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the flags by which all find their settings, as `load`; its errors are plain.

    For every command that reads or writes results.
    """

    @wraps(command)
    def with_settings(
        config: Path | None, output_dir: str | None, db: str | None, debug: bool, **own: Any
    ) -> int:
        with plain_errors(debug):
            return command(load=partial(load, config, output_dir, db), **own)

    function: Callable[..., int] = with_settings
    for option in reversed(
        (
            CONFIG,
            click.option(
                "--output-dir",
                help="Folder for the database, the exports and the report (reports).",
            ),
            click.option("--db", help="Database URL (aqs.db in the output folder)."),
            click.option("--debug", is_flag=True, help="Show tracebacks and failed commands."),
        )
    ):
        function = option(function)
    return function


PROFILE = click.option(
    "--profile",
    type=click.Choice(["quick", "standard", "thorough"]),
    help="How closely to look: quick (a sequence every 5 s, 2 tiles), standard (as the settings "
    "say), thorough (every 0.5 s, 8 tiles).",
)
THRESHOLD = click.option(
    "--threshold",
    type=float,
    help="One probability for all ten, 0-1, above which an artifact counts as detected (each "
    "artifact's own).",
)
EXPORT = click.option("--export", help="Which results to write: any of json,csv,html (all).")
CHECKPOINT = click.option(
    "--checkpoint", help="Path of a .safetensors checkpoint (the one shipped with aqs-batch)."
)
FAIL_UNDER = click.option(
    "--fail-under", type=float, help="Exit 3 if any file scores below this AQS, 0-1 (0: no gate)."
)


def profile_flags(profile: str | None) -> dict[str, Any]:
    """What --profile sets, as `load` takes it."""
    from aqs_batch.config import PROFILES

    return dict(PROFILES[profile]) if profile else {}


def listed(text: str | None) -> list[str] | None:
    """A comma-separated flag; None where it was not given."""
    from aqs_batch import config as settings

    return None if text is None else settings.listed(text)


def load(config: Path | None, output_dir: str | None, db: str | None, **more: Any) -> Loaded:
    from aqs_batch import config as settings

    flags = {"output.dir": output_dir, "output.db": db, **more}
    return settings.load(config, settings.environment(), flags)


@contextmanager
def open_store(settings: Settings) -> Iterator[Store]:
    """The database of an earlier run; asking about one that is not there does not create it."""
    from aqs_batch.errors import StoreError
    from aqs_batch.store import Store, missing_file

    if missing := missing_file(settings.output.url):
        where = missing if settings.output.db else settings.output.dir
        raise StoreError(
            f"no results in {where}",
            hint="Run `aqs-batch run` first, or name its folder with --output_dir.",
        )
    store = Store(settings.output.url)
    try:
        yield store
    finally:
        store.close()
