"""Whether a version is still free: `python -m training.version 0.15.0`, before hours of training.

Results name their checkpoint by it, so two checkpoints must not share one. With `--from` also
whether the checkpoint is one that a training can go on with.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from aqs_batch.analysis.checkpoint import inspect, shipped_path
from aqs_batch.analysis.model import AqsNet
from aqs_batch.errors import CheckpointError
from training.command import plainly
from training.start import further_start


def refuse_taken(version: str, shipped: Path) -> None:
    """Raise CheckpointError unless a version comes after that of the checkpoint that ships; one
    that is no numbers with dots between them has to be another only.
    """
    if not shipped.exists():
        return
    card = inspect(shipped).card
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


def refuse_unfit(path: Path) -> None:
    """Raise CheckpointError unless a training can go on with a checkpoint: it had been looked for
    when all samples were made.
    """
    try:
        further_start(AqsNet(), inspect(path))
    except CheckpointError as error:
        raise CheckpointError(
            f"FROM={path} is nothing to go on with: {error}",
            hint="Name a checkpoint of the detector, or leave FROM out for the one that ships.",
        ) from error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", help="of the checkpoint to be made")
    parser.add_argument("--from", type=Path, dest="parent", help="checkpoint to go on with")
    args = parser.parse_args()
    refuse_taken(args.version, shipped_path())
    if args.parent is not None:
        refuse_unfit(args.parent)


if __name__ == "__main__":
    plainly(main)
