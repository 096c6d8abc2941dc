"""Whether a file goes on as long as its header says: a copy that was cut short does not."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import av
import av.container
import av.error

from aqs_batch.media.boxes import boxes
from aqs_batch.media.containers import packets_of

DAMAGED = "damaged: "  # how a warning begins that says a file is not whole
NOT_ALL = "not all was read: "  # and one that says what a file holds besides
# Of a picture whose first frames are not of fields, so that its encodes keep their combs.
FIELDS_IN_PART = "interlaced in part: that was deinterlaced before scoring"
_DAMAGED_OF_OLD = ("decoder: ", "the container is damaged")  # in analyses of earlier versions
_HEADED = ("matroska", "mov", "avi", "asf", "mxf")  # their headers say how long the file is
SHORT_S, SHORT_SHARE = 0.5, 0.05  # what a file may end early by, the larger of the two
_MOST_BOXES = 1000
_COVER = av.stream.Disposition.attached_pic


@dataclass
class _Track:
    """How far one stream goes: its last time, how long that lasts, and the longest step so far."""

    last_s: float
    lasts_s: float = 0.0
    longest_s: float = 0.0
    packets: int = 0


def unread(warnings: Iterable[str]) -> list[str]:
    """Those warnings, each once, that say that a file holds or held more than could be read."""
    begin = (DAMAGED, NOT_ALL, *_DAMAGED_OF_OLD)
    return list(dict.fromkeys(words for words in warnings if words.startswith(begin)))


def declared_s(container: av.container.InputContainer) -> float:
    """How long the file says it is; 0 where it does not, or where that is known to be a guess."""
    headed = any(name in container.format.name for name in _HEADED)
    return (container.duration or 0) / 1e6 if headed else 0.0


def ends_early(declared_s: float, until_s: float) -> bool:
    """Whether a file that says `declared_s` and goes to `until_s` was cut short."""
    return declared_s - until_s > max(SHORT_S, SHORT_SHARE * declared_s)


def lacks_index(path: Path) -> bool:
    """Whether a file is an MP4 or MOV that ends before its index does.

    Most write it last of all, so that copies that were cut short have none: people were told of
    "invalid data" and looked for another player.
    """
    try:
        with path.open("rb") as handle:
            end = handle.seek(0, os.SEEK_END)
            found = list(itertools.islice(boxes(handle, 0, end), _MOST_BOXES))
    except OSError:
        return False
    if not found or found[0].kind not in (b"ftyp", b"mdat", b"wide"):
        return False
    whole = any(box.kind == b"moov" and box.until <= end for box in found)
    return not whole and found[-1].until >= end  # else what stopped us is no box, but damage


def goes_to_s(container: av.container.InputContainer, most_packets: int) -> float:
    """How far sound and picture go, as the header counts; infinity where it cannot be told.

    Other streams claim more than they hold: one packet of timecode lasts the whole film. But what
    Matroska says of a file counts its subtitles, too. A last packet that does not say may last as
    long as any before it; of a lone slide nobody can tell.
    """
    matroska = "matroska" in container.format.name
    counted = ("audio", "video", "subtitle") if matroska else ("audio", "video")
    kinds = [s for s in container.streams if s.type in counted]
    streams = [s for s in kinds if not s.disposition & _COVER]
    tracks: dict[int, _Track] = {}
    seen = 0
    try:
        for packet in itertools.islice(packets_of(container, streams), most_packets):
            seen += 1
            stamp = packet.pts if packet.pts is not None else packet.dts
            if packet.size and stamp is not None and packet.time_base:
                at_s = float(stamp * packet.time_base)
                track = tracks.setdefault(packet.stream_index, _Track(at_s))
                track.packets += 1
                if at_s >= track.last_s:
                    track.longest_s = max(track.longest_s, at_s - track.last_s)
                    track.last_s = at_s
                    track.lasts_s = float((packet.duration or 0) * packet.time_base)
    except (av.error.FFmpegError, OSError):
        pass
    if seen == most_packets or not tracks:
        return float("inf")
    if any(t.packets == 1 and not t.lasts_s for t in tracks.values()):
        return float("inf")
    # Matroska writes when it ends, the others how long they are.
    begins_s = 0.0 if matroska else (container.start_time or 0) / 1e6
    return max(t.last_s + (t.lasts_s or t.longest_s) for t in tracks.values()) - begins_s
