"""What every training command shares: its errors as words for a person."""

from __future__ import annotations

import sys
from collections.abc import Callable

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
