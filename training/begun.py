"""What a training was begun with, so that it goes on with nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from aqs_batch.errors import CheckpointError


def unreadable(folder: Path, error: Exception) -> CheckpointError:
    """What is said of a run whose files are no use."""
    return CheckpointError(
        f"{folder}: what is left of its run cannot be read: {error}",
        hint="Delete the folder to begin anew.",
    )


def refuse_other(
    folder: Path, begun: Mapping[str, Any], asked: Mapping[str, Any], may_change: Collection[str]
) -> None:
    """Raise CheckpointError where a run is asked to go on with what it was not begun with: its card
    would tell of a plan that half of its steps had not followed.
    """
    for name, had in begun.items():
        if name not in may_change and had != asked.get(name):
            raise CheckpointError(
                f"{folder}: its run was begun with {name} {had}, not {asked.get(name)}",
                hint="Go on with that, delete the folder, or name another with --run.",
            )
