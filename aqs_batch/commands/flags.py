"""The flags that commands share, and the settings that they lead to."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aqs_batch.commands.endings import plain_errors

if TYPE_CHECKING:
    from aqs_batch.config import Loaded

Load = Callable[..., "Loaded"]  # `load` with the flags of one call; takes what else was set

CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), help="Settings file (aqs.toml in this folder)."
)
DEBUG = click.option("--debug", is_flag=True, help="Show tracebacks and failed commands.")


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
            DEBUG,
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
    """All settings: of the file, the environment, and the flags of one call."""
    from aqs_batch import config as settings

    flags = {"output.dir": output_dir, "output.db": db, **more}
    return settings.load(config, os.environ, flags)
