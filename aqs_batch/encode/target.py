"""What becomes of one rung of a window: its file, and what goes along with the picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aqs_batch.records import Video


@dataclass(frozen=True)
class Cover:
    """Cover art that lies in a file of its own, and what is said of it."""

    path: Path
    tags: Mapping[str, str]  # Matroska wants a file name and a MIME type


@dataclass(frozen=True)
class Along:
    """What goes along with a picture: the indices of the source's streams that are copied beside
    it, all in their old order, and the covers that come after them.
    """

    others: tuple[int, ...] = ()
    dispositions: tuple[int, ...] = ()  # of the picture and the others in order, as libav's flags
    titles: tuple[str, ...] = ()  # of the same, "" for none
    covers: tuple[Cover, ...] = ()
    # Of the file, besides those that ffmpeg takes over by itself.
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """Where one rung of a window goes: its CRF, the file, and what comes along.

    A target with `along` None is the picture alone, without tags and chapters.
    """

    crf: float
    path: Path
    container: str  # ffmpeg's name of the muxer
    along: Along | None = None

    @property
    def others(self) -> tuple[int, ...]:
        """The source's streams that are copied beside the picture."""
        return self.along.others if self.along else ()


def place_of(video: Video, along: Along | None) -> int:
    """The index of the picture's stream in a target (see `Target`)."""
    return sum(index < video.stream_index for index in along.others) if along else 0
