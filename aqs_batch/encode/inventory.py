"""What a media file holds besides its picture, so that before and after can be compared."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import av.error
import av.stream
import av.video.stream

from aqs_batch.encode import hdr_data
from aqs_batch.encode.command import ATTACHED_PIC
from aqs_batch.encode.hdr_data import HdrData
from aqs_batch.encode.pixels import are_as_fine
from aqs_batch.errors import EncodeError, reason_of
from aqs_batch.media import colour, side_data
from aqs_batch.media.containers import LONG_S, Nameless, libav, packets_of
from aqs_batch.media.turning import UPRIGHT, Turn, turn_of
from aqs_batch.records import Check

# What every muxer writes of itself, and what counts the old encode's bytes: it cannot stay.
OWN_TAGS = (
    "encoder", "duration", "major_brand", "minor_version", "compatible_brands", "vendor_id",
    "handler_name", "creation", "_statistics", "bps", "number_of_",
)  # fmt: skip
LIMITED = 1  # libav's number of the range that is meant where none is said
_PROGRESSIVE = 1  # of libav's field orders; 0 says nothing, those above name the fields
_SHOWN_WITH = ("A53_CC", "STEREO3D", "SPHERICAL", side_data.NAMELESS)
_ALPHA_ASIDE = ("vp8", "vp9")  # transparency is a second picture beside the first, told by a tag
_CLOCK_MS = 50.0  # an end may move by less than this: containers round, audio ends in blocks


@dataclass(frozen=True)
class Stream:
    """One stream: what it is, how it is marked, and what is said of it."""

    index: int
    kind: str
    codec: str
    language: str
    disposition: int
    tags: Mapping[str, str]
    frames: int = 0  # as its header says, where it does

    @property
    def is_cover(self) -> bool:
        return bool(self.disposition & ATTACHED_PIC)


@dataclass(frozen=True)
class Picture:
    """What the main video stream says of its picture."""

    stream: int  # its index
    size: tuple[int, int]  # width, height as coded
    colour: tuple[int, int, int, int]  # primaries, transfer, matrix, range, as in H.273
    turn: Turn
    hdr: HdrData
    shown_with: tuple[str, ...]  # captions in the picture, and how its halves or sphere are seen
    pixels: str  # libav's name of the format: chroma, depth
    transparent: bool
    interlaced: bool
    sar: tuple[int, int]  # 1:1 where nothing is said
    times_s: tuple[float, ...]  # of every packet, sorted
    held_s: float  # how long the last frame is shown, 0 where that is not long
    size_bytes: int

    @property
    def frames(self) -> int:
        return len(self.times_s)

    @property
    def span_s(self) -> tuple[float, float]:
        """Times of the first and the last frame, of one that is held for long its end."""
        return (self.times_s[0], self.times_s[-1] + self.held_s) if self.times_s else (0.0, 0.0)


@dataclass(frozen=True)
class Inventory:
    """One file: container, streams, chapters (start, end, title), tags and picture."""

    container: str
    streams: tuple[Stream, ...]
    chapters: tuple[tuple[float, float, str], ...]
    tags: Mapping[str, str]
    picture: Picture
    start_s: float


def take(path: Path, video_stream: int | None = None) -> Inventory:
    """List a file's contents by reading its packets; raises EncodeError when it is unreadable.

    `video_stream` None: the first stream that is video.
    """
    try:
        with Nameless(io.FileIO(path)) as handle, libav(handle) as container:
            streams = tuple(_stream(s) for s in container.streams)
            main = container.streams.video[0] if video_stream is None else (
                container.streams[video_stream]
            )  # fmt: skip
            chapters = tuple(_chapter(c) for c in container.chapters())
            start = (container.start_time or 0) / 1e6
            tags = _clean(container.metadata)
            name = container.format.name
            return Inventory(name, streams, chapters, tags, _picture(container, main), start)
    except (av.error.FFmpegError, OSError, IndexError) as error:
        raise EncodeError(f"{path} cannot be read back: {reason_of(error)}") from error


def compare(before: Inventory, after: Inventory, frames: int) -> list[Check]:
    """The table of what was and what is; `frames`: how many the picture must have."""
    lines = [
        Check("frames", str(frames), str(after.picture.frames), frames == after.picture.frames)
    ]
    old, new = before.picture, after.picture
    lines += [
        _line("picture size", "x".join(map(str, old.size)), "x".join(map(str, new.size))),
        Check(
            "colour tags", colour.words(*old.colour), colour.words(*new.colour),
            _same_colour(old, new),
        ),
        _line("rotation", _turn(old), _turn(new)),
        hdr_data.check(old.hdr, new.hdr),
        _line(
            "captions, 3D", ", ".join(old.shown_with) or "none", ", ".join(new.shown_with) or "none"
        ),
        Check("pixels", old.pixels, new.pixels, are_as_fine(new.pixels, old.pixels)),
        Check(
            "transparency", _yes(old.transparent), _yes(new.transparent),
            new.transparent >= old.transparent,
        ),
        Check(
            "scan", _scan(old.interlaced), _scan(new.interlaced), new.interlaced >= old.interlaced
        ),
        _line("pixel shape", ":".join(map(str, old.sar)), ":".join(map(str, new.sar))),
        _times(before, after),
        Check(
            "chapters", str(len(before.chapters)), str(len(after.chapters)),
            len(before.chapters) == len(after.chapters)
            and all(
                abs(a[0] - before.start_s - b[0] + after.start_s) < 0.1 and a[2] == b[2]
                for a, b in zip(before.chapters, after.chapters, strict=True)
            ),
        ),
        _tag_line("file tags", before.tags, after.tags),
    ]  # fmt: skip
    ours, theirs = (
        # Covers last: what is attached is read after all else, wherever it had been.
        sorted((s for s in side.streams if not is_remade(s, side)), key=lambda s: s.is_cover)
        for side in (before, after)
    )
    return [*lines, *(_stream_line(*pair) for pair in _paired(ours, theirs))]


def is_remade(stream: Stream, held: Inventory) -> bool:
    """Tracks that a muxer writes by itself from what is carried over: MP4's chapters, timecode."""
    nameless = stream.kind == "data" and not stream.codec
    is_chapters = stream.frames == len(held.chapters) > 0  # telemetry may lie beside them
    return nameless and (is_chapters or "timecode" in stream.tags)


def _stream(stream: av.stream.Stream) -> Stream:
    codec = stream.codec_context
    return Stream(
        stream.index,
        stream.type or "unknown",
        codec.name if codec is not None else "",
        "" if stream.language in (None, "und") else stream.language,
        int(stream.disposition),
        _clean(stream.metadata),
        stream.frames,
    )


def _chapter(chapter: Mapping[str, Any]) -> tuple[float, float, str]:
    base = float(chapter["time_base"] or 1)
    title = str(chapter["metadata"].get("title", ""))
    return float(chapter["start"]) * base, float(chapter["end"]) * base, title


def _clean(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags by lower-case name without those that a muxer sets by itself."""
    named = {str(k).lower(): str(v) for k, v in tags.items()}
    return {k: v for k, v in named.items() if not k.startswith(OWN_TAGS) and k != "language"}


def _picture(container: av.container.InputContainer, stream: Any) -> Picture:
    codec = stream.codec_context
    tags = colour.tags_of(codec)
    sizes, times, side, turn, hdr = 0, [], set[str](), UPRIGHT, HdrData()
    last = -math.inf, 0.0
    looked = False
    order = int(codec.field_order)
    interlaced = order > _PROGRESSIVE
    for packet in packets_of(container, stream):
        if packet.size and not packet.is_discard:
            sizes += packet.size
            stamp = packet.pts if packet.pts is not None else packet.dts
            times.append(0.0 if stamp is None else float(stamp * stream.time_base))
            last = max(last, (times[-1], float((packet.duration or 0) * stream.time_base)))
            if not looked:
                for frame in _decoded(packet):
                    looked = True
                    tags = colour.first_said(tags, colour.tags_of(frame))
                    turn = turn_of(frame)
                    side |= side_data.names(frame)
                    hdr = hdr_data.of(frame)
                    # Where the header is silent, as DV's and AVI's are, the first frame tells.
                    interlaced |= not order and bool(frame.interlaced_frame)
    sar = stream.sample_aspect_ratio or Fraction(1, 1)
    return Picture(
        stream=stream.index,
        size=(codec.width, codec.height),
        colour=tags,
        turn=turn,
        hdr=hdr,
        shown_with=tuple(sorted(s for s in side if s.startswith(_SHOWN_WITH))),
        pixels=codec.pix_fmt or "",
        transparent=_is_transparent(stream),
        interlaced=interlaced,
        sar=(sar.numerator, sar.denominator),
        times_s=tuple(sorted(times)),
        held_s=last[1] if last[1] > LONG_S else 0.0,
        size_bytes=sizes,
    )


def _decoded(packet: Any) -> list[Any]:
    try:
        return list(packet.decode())
    except (av.error.FFmpegError, ValueError):
        return []


def _is_transparent(stream: av.video.stream.VideoStream) -> bool:
    """By its pixels; of VP8 and VP9, whose pixels do not say so, by a tag.

    Transcoding leaves the tag where it was, on an opaque stream of another codec.
    """
    codec = stream.codec_context
    if codec.name in _ALPHA_ASIDE:
        return _clean(stream.metadata).get("alpha_mode") == "1"
    return codec.format is not None and any(c.is_alpha for c in codec.format.components)


def _turn(picture: Picture) -> str:
    return str(picture.turn.rotation_deg) + ", mirrored" * picture.turn.is_mirrored


def _scan(interlaced: bool) -> str:
    return "interlaced" if interlaced else "progressive"


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _line(what: str, before: object, after: object) -> Check:
    return Check(what, str(before), str(after), before == after)


def _same_colour(old: Picture, new: Picture) -> bool:
    """Whether every tag is as it was; a range that was not said is limited, and may be said so."""
    (*before, before_range), (*after, after_range) = old.colour, new.colour
    return before == after and (before_range or LIMITED) == (after_range or LIMITED)


def _times(before: Inventory, after: Inventory) -> Check:
    old, new = before.picture, after.picture
    (old_first, old_last), (new_first, new_last) = old.span_s, new.span_s
    lengths = old_last - old_first, new_last - new_first
    begins = old_first - before.start_s, new_first - after.start_s
    far = max(abs(a - b) * 1000 for a, b in (lengths, begins))
    text = [f"{b:.3f} s to {b + n:.3f} s" for b, n in zip(begins, lengths, strict=True)]
    return Check("picture from and to", text[0], text[1], far < _CLOCK_MS)


def _tag_line(what: str, before: Mapping[str, str], after: Mapping[str, str]) -> Check:
    lost = sorted(k for k, v in before.items() if after.get(k) != v)
    words = f"{len(before) - len(lost)} of {len(before)}" + (f", lost {lost}" if lost else "")
    return Check(what, str(len(before)), words, not lost)


def _paired(ours: list[Stream], theirs: list[Stream]) -> Iterator[tuple[Stream, Stream | None]]:
    """Each stream with its copy; behind one that was left out, all had been told as changed."""
    waiting, lost = list(theirs), len(ours) - len(theirs)
    for stream in ours:
        is_lost = not waiting or (lost > 0 and not _is_copy(stream, waiting[0]))
        lost -= is_lost
        yield stream, None if is_lost else waiting.pop(0)


def _is_copy(before: Stream, after: Stream) -> bool:
    return before.kind == after.kind and (before.kind == "video" or before.codec == after.codec)


def _stream_line(before: Stream, after: Stream | None) -> Check:
    what = f"stream {before.index}"
    ours = f"{before.kind} {before.codec} {before.language}".strip()
    if after is None:
        return Check(what, ours, "missing", False)
    theirs = f"{after.kind} {after.codec} {after.language}".strip()
    same = (before.language, before.disposition) == (after.language, after.disposition)
    lost = [k for k, v in before.tags.items() if after.tags.get(k) != v]
    words = theirs + (f", lost tags {lost}" if lost else "")
    return Check(what, ours, words, same and _is_copy(before, after) and not lost)
