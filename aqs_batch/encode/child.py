"""One ffmpeg command run to its end: frames told on the way, failure told in words."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from aqs_batch.errors import EncodeError
from aqs_batch.ffmpeg import Finished, child

_LINES_SHOWN = 4
# How libx265 and libx264 tell of a parameter that they go on without.
_IGNORED = ("Unknown option:", "Invalid value for", "Error parsing option")


def run(
    argv: Sequence[str], what: str, on_frame: Callable[[int], None] = lambda frame: None
) -> int:
    """Run a command that writes `-progress` to stdout; returns the frames it says it wrote.

    `on_frame` sees the running count. Raises EncodeError as `check` does; whatever happens, no
    process is left.
    """
    frames = 0
    with child(argv) as running:
        for line in running.lines():
            key, _, value = line.partition("=")
            if key == "frame" and value.strip().isdigit():
                frames = int(value)
                on_frame(frames)
        finished = running.wait(timeout_s=60.0)
    check(what, argv, finished)
    return frames


def check(what: str, argv: Sequence[str], finished: Finished) -> None:
    """Raises EncodeError with the command and its last lines when it failed.

    An encoder that went on without a parameter it did not know has failed, too.
    """
    if finished.returncode != 0:
        raise failure(what, argv, finished)
    if ignored := [line for line in finished.tail if any(words in line for words in _IGNORED)]:
        said = ignored[0].rpartition("] ")[2]
        raise EncodeError(f"{what}: the encoder says: {said}", hint="Look at --params.")


def failure(what: str, argv: Sequence[str], finished: Finished) -> EncodeError:
    """What failed, why as ffmpeg put it, and the command to try by hand."""
    told = finished.tail
    if len(told) > _LINES_SHOWN:  # the cause comes first, what followed from it last
        told = (told[0], "...", *told[1 - _LINES_SHOWN :])
    tail = " | ".join(told) or "it wrote no message"
    died = f"killed by signal {-finished.returncode}" if finished.returncode < 0 else ""
    hint = f"The command was: {shlex.join(argv)}"
    if "No space left" in tail:
        hint = f"Free disk space and run again. {hint}"
    return EncodeError(
        f"{what} failed ({died or f'exit {finished.returncode}'}): {tail}", hint=hint
    )
