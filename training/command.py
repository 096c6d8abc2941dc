"""What every training command shares: its errors as words for a person."""

from __future__ import annotations

from collections.abc import Callable

from safetensors import SafetensorError

from aqs_batch.errors import AqsError


def plainly(main: Callable[[], None]) -> None:
    """Run a command; what goes wrong ends it with a message, not with a traceback."""
    try:
        main()
    except (AqsError, OSError, SafetensorError) as error:  # a full disk is one of the latter two
        hint = getattr(error, "hint", "")
        raise SystemExit(f"error: {error}" + (f"\n  {hint}" if hint else "")) from error
