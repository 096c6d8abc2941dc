"""What happens while files are worked on, as a person or a program may want to see it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class EventKind(StrEnum):
    """What can happen; the values are what `--json` prints, a public interface."""

    # of any run
    FOUND = "found"
    CONVERTING = "converting"  # the network, for this machine
    STARTED = "started"
    WAITING = "waiting"  # for another process that has the file in hand
    PROGRESS = "progress"
    SCORED = "scored"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    TROUBLE = "trouble"
    REPORT = "report"
    # of re-encodes
    ENCODING = "encoding"
    ENCODED = "encoded"
    ENCODE_FAILED = "encode_failed"
    LEFT = "left"
    REPLACED = "replaced"
    # of a watch folder
    WATCHING = "watching"
    QUEUED = "queued"
    LATER = "later"
    GATE = "gate"
    MOVED = "moved"
    VANISHED = "vanished"
    RETURNED = "returned"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Event:
    """Something that happened, to `file` where it concerns one."""

    kind: EventKind
    file: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


class Unheard(BaseException):
    """Whoever read what happens has left. No Exception, or the file in hand would be blamed."""


Listener = Callable[[Event], None]
Progress = Callable[[int, int], None]  # sequences (of an encode: frames) done, and planned

REMIND_S = 3600.0


def hourly(listen: Listener, now: Callable[[], float] = time.monotonic) -> Listener:
    """`listen`, which hears of one and the same trouble once an hour, however often it is met.

    A disk that was full for a night had been told of every minute.
    """
    told: dict[tuple[str, str], float] = {}

    def hear(event: Event) -> None:
        if event.kind is EventKind.TROUBLE:
            trouble = event.file, event.facts["reason"]
            if now() < told.get(trouble, float("-inf")) + REMIND_S:
                return
            told[trouble] = now()
        listen(event)

    return hear
