"""Whether a version is still free: `python -m training.version 0.15.0`, before hours of training.

Results name their checkpoint by it, so two checkpoints must not share one.
"""

from __future__ import annotations

import argparse

from aqs_batch.analysis.checkpoint import inspect, shipped_path
from aqs_batch.errors import CheckpointError
from training.command import plainly


def refuse_taken(version: str) -> None:
    """Raise CheckpointError unless a version comes after that of the checkpoint that ships; one
    that is no numbers with dots between them has to be another only.
    """
    if not shipped_path().exists():
        return
    card = inspect(shipped_path()).card
    said = _numbers(version)
    if version == card.version or (said and said <= _numbers(card.version)):
        raise CheckpointError(
            f"VERSION={version} is taken: {card.label} ships",
            hint="Name a later one, or put back the checkpoint that shipped before it.",
        )


def _numbers(version: str) -> tuple[int, ...]:
    """Of "0.15.0" (0, 15, 0), of other words nothing."""
    parts = version.split(".")
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else ()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", help="of the checkpoint to be made")
    refuse_taken(parser.parse_args().version)


if __name__ == "__main__":
    plainly(main)
