"""One ffmpeg command run to its end: frames told on the way, failure told in words."""

from __future__ import annotations

import logging
import re
import shlex
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aqs_batch.errors import EncodeError
from aqs_batch.ffmpeg import Child, Finished, child

_LINES_SHOWN = 4
_LOOKS = 60  # at whether a child moves, until it is said not to
_LOG = logging.getLogger(__name__)
_ORIGIN = re.compile(r"^((\[[^]]* @ \w+\] )+|(x265 |Svt)\[error\]: )")
# How encoders tell of a parameter that they go on without, and of one that stops them.
_IGNORED = ("Unknown option:", "Invalid value for", "Error parsing option")
_REFUSED = (*_IGNORED, "Error setting option", "x265 [error]: ", "Svt[error]: ")
_ECHOES = (
    "Error sending frames to consumers", "Task finished with error", "Terminating thread with",
    "Could not open encoder before EOF", "Nothing was written into output", "Conversion failed!",
)  # fmt: skip


@dataclass(frozen=True)
class Tool:
    """An ffmpeg, and how long one of its commands may stand still before it is ended."""

    path: str
    stall_s: float = float("inf")


class Stalled(EncodeError):
    """A command stood still: that says nothing of what it was to read."""


class NoSpace(EncodeError):
    """A command filled the disk; whoever gave it its folder knows which one."""


def run(
    argv: Sequence[str],
    what: str,
    on_frame: Callable[[int], None] = lambda frame: None,
    stall_s: float = float("inf"),
) -> int:
    """Run a command that writes `-progress` to stdout; returns the frames it says it wrote.

    `on_frame` sees the running count. Raises EncodeError as `check` does, and Stalled when that
    count and the time it has come to (sound alone has no frames) stand still for `stall_s`;
    whatever happens, no process is left.
    """
    frames = 0
    with child(argv) as running, Watch((running,), stall_s) as watch:
        for line in running.lines():
            key, _, value = line.partition("=")
            if key == "frame" and value.strip().isdigit():
                frames = int(value)
                on_frame(frames)
            elif key == "out_time_us":
                watch.at = frames, value
        finished = running.wait(timeout_s=60.0)
    watch.check(what)
    check(what, argv, finished)
    return frames


class Watch(threading.Thread):
    """Ends children that stand still: one whose threads wait for each other had held up a service
    for ever.

    `at` is where they are, told by whoever runs them. It counts looks, not the time: who was asleep
    or stopped together with its child has missed none.
    """

    def __init__(self, running: Sequence[Child], longest_s: float) -> None:
        super().__init__(name="stall", daemon=True)
        self.at: object = None
        self._running, self._longest_s, self._has_ended_them = running, longest_s, False
        self._every_s = longest_s / _LOOKS
        self._over = threading.Event()

    def __enter__(self) -> Watch:
        if self._every_s < threading.TIMEOUT_MAX:
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def run(self) -> None:
        seen, still = self.at, 0
        while still < _LOOKS:
            if self._over.wait(self._every_s):
                return
            still = still + 1 if self.at == seen else 0
            seen = self.at
        self._has_ended_them = True
        for running in self._running:
            running.end()

    def check(self, what: str) -> None:
        """Raises Stalled where it had to end them."""
        if self._has_ended_them:
            raise Stalled(
                f"{what}: ffmpeg made no progress for {self._longest_s:g} s and was ended",
                hint="Is the disk or share well? [limits] stall_s says how long it is waited for.",
            )


def check(what: str, argv: Sequence[str], finished: Finished) -> None:
    """Raises EncodeError with the cause, in plain words where it is a known one.

    An encoder that went on without a parameter it did not know has failed, too. The command is a
    page long and tells a person nothing: it goes into the log, which --debug shows.
    """
    said = _complaint(finished)
    if finished.returncode == 0 and not said:
        return
    _LOG.debug("%s: the command was: %s", what, shlex.join(argv))
    if any("No space left" in line for line in finished.tail):
        raise NoSpace(
            f"{what}: no space is left on the disk", hint="Free disk space and run again."
        )
    if said:
        raise EncodeError(f"{what}: the encoder says: {said}", hint="Look at --params.")
    died = f"killed by signal {-finished.returncode}" if finished.returncode < 0 else ""
    raise EncodeError(
        f"{what} failed ({died or f'exit {finished.returncode}'}): {_told(finished.tail)}",
        hint="--debug shows ffmpeg's command, to be tried by hand.",
    )


def _complaint(finished: Finished) -> str:
    """What an encoder says of its parameters, "" where it is content."""
    signs = _REFUSED if finished.returncode else _IGNORED
    found = (line for line in finished.tail if any(words in line for words in signs))
    return _ORIGIN.sub("", next(found, ""))


def _told(lines: Sequence[str]) -> str:
    """The lines that tell of the cause, those that only follow from it left out."""
    told = [_ORIGIN.sub("", line) for line in lines if not any(w in line for w in _ECHOES)]
    if len(told) > _LINES_SHOWN:  # the cause comes first, what followed from it last
        told = [told[0], "...", *told[1 - _LINES_SHOWN :]]
    return " | ".join(told) or "it wrote no message"
