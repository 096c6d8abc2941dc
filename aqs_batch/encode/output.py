"""An encode that can stand in for its original: its container, its losses, and when it is real."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aqs_batch.encode import child, command, covers, cropping, inventory, service, siting, unread
from aqs_batch.encode.child import Tool
from aqs_batch.encode.inventory import Inventory, Picture, Stream
from aqs_batch.encode.target import Along
from aqs_batch.encoders import Codec
from aqs_batch.errors import EncodeError, reason_of
from aqs_batch.records import Check, Rung, Video

_MP4_FAMILY = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".qt": "mov"}
_SUBTITLES = {
    "matroska": {"subrip", "srt", "ass", "ssa", "webvtt", "hdmv_pgs_subtitle", "pgssub",
                 "dvd_subtitle", "dvdsub", "dvb_subtitle", "dvbsub", "text", "hdmv_text_subtitle"},
    "mp4": {"mov_text"},
    "mov": {"mov_text"},
}  # fmt: skip
_AUDIO = {
    # What Matroska has a name for, and what it takes under AVI's.
    "matroska": {"aac", "ac3", "eac3", "mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float",
                 "alac", "flac", "opus", "libopus", "dts", "dca", "truehd", "mlp", "vorbis", "tta",
                 "wavpack", "atrac1", "atrac3", "cook", "sipr", "real_144", "real_288", "ra_144",
                 "ra_288", "qdm2", "qdmc", "pcm_u8", "pcm_s16le", "pcm_s16be", "pcm_s24le",
                 "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f64le", "pcm_alaw",
                 "pcm_mulaw", "adpcm_ms", "adpcm_ima_wav", "adpcm_yamaha", "gsm_ms", "wmav1",
                 "wmav2", "wmapro", "wmavoice", "wmalossless"},
    "mp4": {"aac", "ac3", "eac3", "mp3", "mp3float", "mp2", "mp2float", "alac", "flac", "opus",
            "libopus", "dts", "dca", "truehd", "vorbis"},
    "mov": {"aac", "ac3", "eac3", "mp3", "mp3float", "mp2", "alac", "adpcm_ima_qt", "qdm2", "qdmc"},
}  # fmt: skip
_LONGEST_NAME_BYTES = 255  # on nearly every file system
_PCM_NOT_IN_MOV = {"pcm_bluray", "pcm_dvd", "pcm_s16le_planar", "pcm_s24daud", "pcm_lxf"}


@dataclass(frozen=True)
class Container:
    """The muxer, the name's ending, what it takes along with the picture, and what it does not."""

    name: str
    suffix: str
    along: Along  # its covers are still to be taken out
    left_out: tuple[str, ...]
    covers: tuple[Stream, ...] = ()  # to be attached


def container_for(source: Path, held: Inventory, video_stream: int, codec: Codec) -> Container:
    """The source's own container where it takes every stream, else the one that takes the most.

    Matroska is tried second. A stream that neither takes is named in `left_out`.
    """
    suffix = source.suffix.lower()
    own = _MP4_FAMILY.get(suffix, "matroska")
    if own == "mov" and codec is Codec.SVTAV1:
        own = "mp4"
    names = list(dict.fromkeys((own, "matroska")))
    found = []
    for name in names:
        beside = [s for s in held.streams if s.index != video_stream]
        taken = [s for s in beside if takes(name, s)]
        attached = tuple(s for s in taken if s.is_cover and name == "matroska")
        copied = tuple(s.index for s in taken if s not in attached)
        lost = left_out(held, {*(s.index for s in taken), video_stream})
        ending = suffix if _MP4_FAMILY.get(suffix) == name else f".{name}"
        ending = ".mkv" if name == "matroska" else ending
        within = [s for s in held.streams if s.index in {*copied, video_stream}]
        flags = tuple(s.disposition for s in within)
        # MP4's name of a track is written by another word than it is read by.
        titles = tuple(s.tags.get("name", "") for s in within) if name != "matroska" else ()
        along = Along(copied, flags, titles, tags=service.own(held.tags))
        found.append(Container(name, ending, along, lost, attached))
    return min(found, key=lambda c: len(c.left_out))


def container_of(ffmpeg_path: str, video: Video, held: Inventory, codec: Codec) -> Container:
    """The container for all that a video holds; what it shows less of is named as left out, too."""
    found = container_for(video.path, held, video.stream_index, codec)
    unsaid = siting.left_out(video, codec, found.name)
    beside = *cropping.told(ffmpeg_path, video), *unsaid, *unread.told(video.path, held)
    return replace(found, left_out=(*found.left_out, *beside))


def kept_name(stem: str, rung: Rung, key: str, suffix: str) -> str:
    """What a rung is kept as: its key is in the name, or another preset's was taken for it."""
    kind = "-preprocessed" if rung.preprocess else ""
    ending = f".{rung.codec}-crf{rung.crf:g}{kind}-{key[:8]}{suffix}"
    while len(os.fsencode(stem + ending)) > _LONGEST_NAME_BYTES:
        stem = stem[:-1]  # whose it is, its folder says
    return stem + ending


@dataclass(frozen=True)
class Draft:
    """An encode of all of `source` that has no name yet."""

    path: Path
    place: int  # the index of the picture's stream in it
    frames: int  # that were measured
    source: Video  # with its siting of chroma
    held: Inventory  # by the source


def finish(
    tool: Tool, draft: Draft, final: Path, on_frame: Callable[[int], None] = lambda frame: None
) -> list[Check]:
    """Prove that an encode is whole, then give it its name; returns the table of changes.

    Everything in it is decoded, its frames are counted against those that were measured, and what
    it holds is compared with its source. Raises EncodeError, the file then being gone.
    """
    part, frames = draft.path, draft.frames
    try:
        decoded, sounds = _decoded(tool, draft, f"decoding the finished {final.name}", on_frame)
        after = inventory.take(part, draft.place)
        if not decoded == after.picture.frames == frames:
            raise EncodeError(
                f"{final.name}: {frames} frames were measured, {after.picture.frames} are in the "
                f"file and {decoded} of them decode",
                hint="The file was not kept. Is the disk full or failing?",
            )
        checks = inventory.compare(draft.held, after, frames)
        checks.append(_siting(tool.path, draft, after.picture))
        if not sounds:
            checks.append(Check("sound", "damaged in the source", "copied as it is", True))
        with part.open("rb") as handle:
            os.fsync(handle.fileno())
        final.parent.mkdir(parents=True, exist_ok=True)
        part.replace(final)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise EncodeError(f"{final} cannot be written: {reason_of(error)}") from error
    except EncodeError:
        part.unlink(missing_ok=True)
        raise
    return checks


def _siting(ffmpeg_path: str, draft: Draft, picture: Picture) -> Check:
    ours = draft.source.chroma_location
    theirs = siting.of(ffmpeg_path, draft.path, picture.stream, picture.pixels)
    return Check("chroma siting", ours or siting.USUAL, theirs or siting.USUAL, ours == theirs)


def _decoded(
    tool: Tool, draft: Draft, what: str, on_frame: Callable[[int], None]
) -> tuple[int, bool]:
    """Frames of an encode that decode, and whether its sound does; raises EncodeError.

    Sound is copied, and so is what was wrong with it: a recording with one bad packet could never
    be kept. Where the source's own does not decode either, the picture alone must.
    """
    place = str(draft.place)
    try:
        argv = command.decode_check_argv(tool.path, draft.path, place, "a?")
        return child.run(argv, what, on_frame, tool.stall_s), True
    except child.Stalled:
        raise
    except EncodeError:
        if _sound_decodes(tool, draft.source.path):
            raise
    argv = command.decode_check_argv(tool.path, draft.path, place)
    return child.run(argv, what, on_frame, tool.stall_s), False


def _sound_decodes(tool: Tool, path: Path) -> bool:
    argv = command.decode_check_argv(tool.path, path, "a")
    try:
        child.run(argv, "decoding the sound", stall_s=tool.stall_s)
    except child.Stalled:
        raise
    except EncodeError:
        return False
    return True


def losses(checks: Sequence[Check], left_out: Sequence[str]) -> list[str]:
    """What speaks against putting an encode in its original's place."""
    changed = [f"{c.what}: {c.before} became {c.after}" for c in checks if not c.kept]
    return [*changed, *(f"{words} fits no container" for words in left_out)]


def left_out(held: Inventory, taken: Collection[int]) -> tuple[str, ...]:
    """The streams that are not among those taken, but for those that a muxer writes by itself."""
    lost = [s for s in held.streams if s.index not in taken and not inventory.is_remade(s, held)]
    return tuple(f"stream {s.index} ({s.kind} {s.codec})".replace(" )", ")") for s in lost)


def takes(container: str, stream: Stream) -> bool:
    """Whether a container, by its muxer's name, can hold a copy of a stream."""
    if stream.kind == "attachment":
        return container == "matroska"
    if stream.kind == "subtitle":
        return stream.codec in _SUBTITLES[container]
    if stream.kind == "audio":
        quicktime = stream.codec.startswith("pcm_") and stream.codec not in _PCM_NOT_IN_MOV
        return stream.codec in _AUDIO[container] or (container == "mov" and quicktime)
    if stream.is_cover and container == "matroska":
        return stream.codec in covers.KINDS
    return stream.kind == "video" and bool(stream.codec)
