"""What happens while files are worked on, as a person or a program may want to see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """Something that happened, to `file` where it concerns one.

    Kinds of a run: found, converting, started, waiting, progress, scored, unchanged, failed,
    trouble, report; of re-encodes: encoding, encoded, encode_failed, left, replaced. A watch folder
    adds watching, queued, later, gate, moved, vanished, returned and stopped.
    """

    kind: str
    file: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


class Unheard(BaseException):
    """Whoever read what happens has left. No Exception, or the file in hand would be blamed."""


Listener = Callable[[Event], None]
Progress = Callable[[int, int], None]  # sequences (of an encode: frames) done, and planned
