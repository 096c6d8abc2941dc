"""Sequences out of one ffmpeg child: selected frames only, over a pipe, with their real times."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace

import ffmpeg
import numpy as np

from aqs_batch.errors import MediaError
from aqs_batch.ffmpeg import Child, Finished, child
from aqs_batch.ingest import colours
from aqs_batch.ingest.frames import SWS_FLAGS, Colour, PipedFrames, PipeFormat, Sequence
from aqs_batch.ingest.sampling import (
    EARLY_S,
    PHASE,
    SCENE_CUT,
    Moments,
    SamplePlan,
    seek_pays,
    seek_point_s,
)
from aqs_batch.ingest.stamps import MOST_DAMAGE, SCENE_KEY, Stamps, complaint
from aqs_batch.ingest.wholeness import DAMAGED
from aqs_batch.media.containers import SAFELY, input_name
from aqs_batch.records import FRAMES_PER_SEQUENCE, Pixels, Video

_INPUT = "the input"
_PER_PICTURE = ("h264", "mpeg2video", "vc1")  # codecs that say of each picture whether of fields
_LEAST_PX = 3  # that bwdif takes
# Takes every frame, and tells once, in a line of its own, that one is made of fields.
_TELLING_OF_FIELDS = "1+0*if(interlace_type-PROGRESSIVE,if(ld(0),0,st(0,1)*print(1)),0)"


@dataclass(frozen=True)
class Decoding:
    """How to decode: the binary, the size to deliver, and how long a child may take.

    `crops`: the binary would crop as the container says. It must not: what is left had been
    enlarged to the size in the header, and the enlarging was scored.
    """

    ffmpeg_path: str
    height: int
    width: int
    wall_limit_s: float
    memory_bytes: int = 0  # address space of the child; 0: no limit
    crops: bool = True


@dataclass(frozen=True)
class Start:
    """Where a child seeks to (s, the container's clock), and from when on (s since) it chooses."""

    seek_s: float
    after_s: float


def piped_as(video: Video, decoding: Decoding) -> PipeFormat:
    """The frames' own planes where nothing but RGB is to be made of them, else RGB."""
    as_it_is = (decoding.height, decoding.width) == (video.height, video.width)
    even = video.height % 2 == video.width % 2 == 0
    planes = video.pixel_format in (PipeFormat.YUV420P, PipeFormat.YUVJ420P)
    if planes and as_it_is and even and not video.hdr:
        return PipeFormat(video.pixel_format)
    return PipeFormat.RGB24


def argv(
    video: Video, plan: SamplePlan, decoding: Decoding, start: Start | None = None
) -> list[str]:
    """The command that writes the planned sequences to stdout, in the format of `piped_as`.

    With `start` it writes one sequence, from that frame on.
    """
    # reinit_filter 0: a stream that changes its size must not start the choice of frames over.
    options: dict[str, object] = {"reinit_filter": 0, **SAFELY}
    if decoding.crops:
        options["apply_cropping:v"] = "codec"
    chosen = select_expression(plan, video.frame_rate.value or 25.0)
    if start is not None:
        options |= {"seek_timestamp": 1, "ss": f"{start.seek_s:.6f}"}
        chosen = select_from(start.after_s)
    node = ffmpeg.input(_INPUT, **options)[str(video.stream_index)]
    # First of all, since a stream may change its size half-way: the scene score of a frame that is
    # smaller than the first had been taken beyond its end. Frames of one size pass as they are.
    for name, arguments in colours.readable(video):
        node = node.filter(name, **arguments)
    planes = colours.to_planes(video)
    node = node.filter("scale", video.width, video.height, flags=SWS_FLAGS, **planes)
    if may_have_fields(video):
        node = node.filter("select", _TELLING_OF_FIELDS)
        node = node.filter("bwdif", mode="send_frame", deint="interlaced")
    node = node.filter("select", chosen).filter("metadata", "print", key=SCENE_KEY)
    if video.hdr:
        for name, arguments in colours.tone_map(video):
            node = node.filter(name, **arguments)
    node = node.filter("scale", decoding.width, decoding.height, flags=SWS_FLAGS)
    pipe_format = piped_as(video, decoding)
    node = node.filter("format", pipe_format.value).filter("showinfo", checksum=0)
    output = ffmpeg.output(
        node, "pipe:1", format="rawvideo", pix_fmt=pipe_format.value, fps_mode="passthrough"
    )
    # The name is put in last: ffmpeg-python hashes it, and cannot hash one that is not UTF-8.
    command = ffmpeg.compile(output, cmd=decoding.ffmpeg_path)
    command[command.index(_INPUT)] = input_name(video.path)
    return [command[0], "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info",
            *command[1:]]  # fmt: skip


def may_have_fields(video: Video) -> bool:
    """Whether a frame may be of two fields; the filter that parts them lets all others pass.

    Broadcasts change from frames to fields and back: what comes first tells nothing of the rest.
    """
    per_picture = video.codec in _PER_PICTURE and min(video.height, video.width) >= _LEAST_PX
    return video.interlaced or per_picture


def select_from(after_s: float) -> str:
    """ffmpeg's choice of the seven frames after `after_s`; variables as in `select_expression`."""
    rest = FRAMES_PER_SEQUENCE - 1
    return (
        f"if(gt(ld(0),0),st(0,if(gt(scene,{SCENE_CUT}),{rest},ld(0)-1));1,"
        f"if(ld(1)+lt(t,{after_s:.6f}),0,st(1,1);st(0,{rest});1))"
    )


def select_expression(plan: SamplePlan, frame_rate: float) -> str:
    """ffmpeg's choice of frames: seven from each planned moment on, again seven after a cut.

    Variable 0 counts the frames still wanted, variable 1 is the next moment's number, variable 2
    the time since the first frame (by frame number where the stream has no times), variable 3 the
    moment that is due, `sampling.Moments` in other words. A cut inside a window starts the window
    over, so the reader drops what it had (see `_windows`).
    """
    rest = FRAMES_PER_SEQUENCE - 1
    part = f"(ld(3)*{PHASE}-floor(ld(3)*{PHASE}))"
    return (
        f"st(2,if(isnan(t),n/{frame_rate:.6f},t-start_t)+{EARLY_S});"
        f"st(3,max(ld(1),floor(ld(2)/{plan.interval_s:.6f})));"
        f"if(gt(ld(0),0),st(0,if(gt(scene,{SCENE_CUT}),{rest},ld(0)-1));1,"
        f"if(lt(ld(3),{plan.count})*"
        f"gte(ld(2),ld(3)*{plan.interval_s:.6f}+{plan.room_s:.6f}*{part}),"
        f"st(1,ld(3)+1);st(0,{rest});1,0))"
    )


def sequences(
    video: Video, plan: SamplePlan, decoding: Decoding, stamps: Stamps
) -> Iterator[Sequence]:
    """Yield the planned sequences one after another, never more than one in memory here.

    A clip with fewer than seven frames gives one sequence that runs forth and back. Raises
    MediaError when nothing decodes; damage along the way is left in `stamps.damage`.
    """
    way = _by_seeking if seek_pays(video, plan) else _in_one_pass
    yield from way(video, plan, decoding, stamps)


def _in_one_pass(
    video: Video, plan: SamplePlan, decoding: Decoding, stamps: Stamps
) -> Iterator[Sequence]:
    count = 0
    with child(
        argv(video, plan, decoding),
        on_line=stamps.on_line,
        wall_limit_s=decoding.wall_limit_s,
        memory_bytes=decoding.memory_bytes,
    ) as running:
        for sequence, _ in _windows(running, stamps, video, decoding):
            count += 1
            yield sequence
        # Without a limit of its own: the child's ends it, and may be just about to (a test's run
        # failed where a decoder ended at its limit had closed its pipe and was not gone yet).
        finished = running.wait()
    if count == 0:
        raise _undecodable(video, finished)
    if finished.returncode != 0:
        stamps.damage.append(f"ffmpeg stopped early: {_last(finished)}")


def _by_seeking(
    video: Video, plan: SamplePlan, decoding: Decoding, stamps: Stamps
) -> Iterator[Sequence]:
    """The same sequences as in one pass, each from a child that starts just before it.

    Such a child prints times since its seek; how those of one pass differ from the container's
    own follows from the first sequence, which is read without a seek.
    """
    times = video.frame_times_s
    moments, scene, shift_s = Moments(times, plan), 0, 0.0
    found = moments.next(0, 0)
    while found is not None:
        start = None
        if found:
            seek_s = seek_point_s(video, found) - 0.001
            start = Start(seek_s, (times[found - 1] + times[found]) / 2 - seek_s)
        read = _one_sequence(video, plan, decoding, stamps, start)
        if read is None and not found:  # nothing is lost yet: let one pass find what it can
            yield from _in_one_pass(video, plan, decoding, stamps)
            return
        frame = found + FRAMES_PER_SEQUENCE
        if read is not None:
            sequence, last_s, first_s = read
            if start is None:  # (the sequence itself may begin later, at a cut)
                shift_s = first_s - times[0]
            offset_s = -shift_s if start is None else start.seek_s
            scene += sequence.scene
            begin = _nearest(times, sequence.t_s + offset_s)
            yield Sequence(times[begin] + shift_s, sequence.frames, scene)
            # After a cut inside the window it ends later than planned.
            frame = _nearest(times, last_s + offset_s) + 1
        found = moments.next(frame, moments.number(found) + 1)


def _nearest(times_s: tuple[float, ...], at_s: float) -> int:
    """The frame shown at `at_s`, give or take a tick of the container's clock.

    A seek counts from a whole tick: by QuickTime's 1/600 s, sequences that adjoin had begun a frame
    late.
    """
    after = bisect_left(times_s, at_s, 1, len(times_s) - 1)
    return min(after - 1, after, key=lambda frame: abs(times_s[frame] - at_s))


def _one_sequence(
    video: Video, plan: SamplePlan, decoding: Decoding, stamps: Stamps, start: Start | None
) -> tuple[Sequence, float, float] | None:
    """A single sequence, the time of its last frame and that of the first one looked at.

    None where seven frames are not left.
    """
    own = Stamps()
    command = argv(video, replace(plan, count=1), decoding, start)
    with child(
        command,
        on_line=own.on_line,
        wall_limit_s=decoding.wall_limit_s,
        memory_bytes=decoding.memory_bytes,
    ) as running:
        read = next(_windows(running, own, video, decoding), None)
    stamps.cuts += own.cuts
    stamps.has_dolby_vision |= own.has_dolby_vision
    stamps.has_crop |= own.has_crop
    stamps.has_fields |= own.has_fields
    stamps.streams = max(stamps.streams, own.streams)
    stamps.damage.extend(own.damage[: MOST_DAMAGE - len(stamps.damage)])
    return (*read, own.first_s) if read is not None and read[1] > read[0].t_s else None


def _windows(
    running: Child, stamps: Stamps, video: Video, decoding: Decoding
) -> Iterator[tuple[Sequence, float]]:
    """Group the frames of the pipe into sequences, starting over at scene cuts like the select.

    Each comes with the time of its last frame. Where a clip is too short for one sequence, or cuts
    come too close, its longest run comes as one that runs forth and back and ends where it begins.
    """
    size = decoding.height, decoding.width
    pipe_format = piped_as(video, decoding)
    shape = (FRAMES_PER_SEQUENCE, pipe_format.frame_bytes(*size))
    window = np.empty(shape, np.uint8)
    times: list[float] = []
    scene, colour, has_whole = 0, Colour(), False
    step_s = 1 / (video.frame_rate.value or 25.0)
    last_s = -step_s
    longest: tuple[Sequence, float] | None = None

    def sequence(data: Pixels) -> Sequence:
        return Sequence(times[0], PipedFrames(data, *size, pipe_format, colour), scene)

    def turned() -> tuple[Sequence, float] | None:
        """The longest run yet, where the one that ends here is counted."""
        if has_whole or len(times) < max(stamps.turned, 1):
            return longest
        stamps.turned = len(times)
        return sequence(_forth_and_back(window[: len(times)])), times[0]

    while running.read_into((frame := window[len(times)]).data) == frame.nbytes:
        at, score = stamps.next()
        last_s = at = at if math.isfinite(at) else last_s + step_s  # a stream without times
        if score > SCENE_CUT:
            longest = turned()
            scene += 1
            stamps.cuts += 1
            window[0], times = frame, []
        colour = stamps.colour()
        times.append(at)
        if len(times) == FRAMES_PER_SEQUENCE:
            has_whole, stamps.turned = True, 0
            yield sequence(window), times[-1]
            window, times = np.empty(shape, np.uint8), []
    if (longest := turned()) is not None and not has_whole:
        yield longest


def _forth_and_back(frames: Pixels) -> Pixels:
    """Seven frames from fewer, by reflecting time: a repeat would look like judder."""
    turn = list(range(len(frames))) + list(range(len(frames) - 2, 0, -1))
    return frames[[turn[i % len(turn)] for i in range(FRAMES_PER_SEQUENCE)]]


def _undecodable(video: Video, finished: Finished) -> MediaError:
    """What is known of a file without a picture; what the probe found wrong says most."""
    known = [w.removeprefix(DAMAGED) for w in video.warnings if w.startswith(DAMAGED)]
    hint = "Copy it again from its source." if known else "The stream may be damaged or encrypted."
    return MediaError(
        f"no frame could be decoded ({'; '.join([*known, _last(finished)])})", hint=hint
    )


def _last(finished: Finished) -> str:
    said = [words for line in finished.tail if (words := complaint(line))]
    lines = [words for words in said if "rror" in words or "nvalid" in words]
    return (lines or said or ["no message"])[-1][:300]
