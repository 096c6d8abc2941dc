"""What every training command shares: its errors as words for a person."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from safetensors import SafetensorError

from aqs_batch.errors import AqsError
from training.priority import forgo_real_time

INTERRUPTED = 130  # what a shell says of a command that was ended by Ctrl-C


def plainly(main: Callable[[], None]) -> None:
    """Run a command; what goes wrong ends it with a message, not with a traceback."""
    forgo_real_time()
    try:
        main()
    except (AqsError, OSError, SafetensorError) as error:  # a full disk is one of the latter two
        hint = getattr(error, "hint", "")
        raise SystemExit(f"error: {error}" + (f"\n  {hint}" if hint else "")) from error
    except KeyboardInterrupt:
        print("stopped: run it again to go on", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


def results_folder(
    parser: argparse.ArgumentParser, args: argparse.Namespace, shipped: Path, shaping: Sequence[str]
) -> Path:
    """Where results go: --out, or `shipped` where no option that is `shaping` them was given.

    A try of two clips had taken the place of what is told of all. Ends the command where neither.
    """
    if args.out is not None:
        return Path(args.out)
    given = [
        f"--{name}"
        for name in shaping
        if _resolved(getattr(args, name)) != _resolved(parser.get_default(name))
    ]
    if given:
        parser.error(
            f"{shipped}/RESULTS.md is of what ships: with {', '.join(given)} say --out FOLDER"
        )
    return shipped


def _resolved(value: object) -> object:
    return value.resolve() if isinstance(value, Path) else value
