"""What a file is, from its container and packets; only the first frame is decoded."""

from __future__ import annotations

import io
import itertools
import math
from dataclasses import dataclass, replace
from fractions import Fraction as Ratio
from pathlib import Path

import av
import av.container
import av.error

from aqs_batch.errors import MediaError, RefusedMedia, reason_of
from aqs_batch.ingest import colours, duration, encryption, frame_rate, keyframes, wholeness
from aqs_batch.ingest.encryption import clear
from aqs_batch.ingest.fields import Mpeg2Fields
from aqs_batch.ingest.fingerprint import regular_size
from aqs_batch.ingest.first_frame import FirstFrame
from aqs_batch.ingest.stream_time import StreamTime
from aqs_batch.media import colour
from aqs_batch.media.containers import Nameless, libav, packets_of
from aqs_batch.records import Fraction, Video
from aqs_batch.settings import LimitSettings

_FIELD_ORDERS = {1: "progressive", 2: "tt", 3: "bb", 4: "tb", 5: "bt"}
_IMAGE_FORMATS = ("_pipe", "image2", "ico")
_RAW = ("h264", "hevc", "vvc", "m4v", "mpegvideo", "vc1", "cavsvideo")
_ANIMATED = 0x02  # of the flags in the head of a WebP that has any
_TRANSPORT = ("mpegts", "mpegtsraw")
_PLAYLIST_HEADS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"[playlist]", b"<MPD", b"<smil")
MOST_SECONDS = 400_000  # of bit rate: of 111 hours; a clock that leaps must not fill the memory


@dataclass(frozen=True)
class _Packets:
    """What one pass over the packets of the video stream found, in presentation order."""

    times_s: tuple[float, ...]
    keyframes_s: tuple[float, ...]
    kbps: tuple[float, ...]
    size_bytes: int
    last_lasts_s: float  # as the container says, the frame that is shown last
    damaged: bool


def probe(path: Path, limits: LimitSettings = LimitSettings()) -> Video:
    """Probe one file.

    Raises MediaError when it is not a readable video, RefusedMedia when it is outside the limits.
    """
    size = regular_size(path)
    try:
        with Nameless(io.FileIO(path)) as handle:
            _refuse_by_head(handle, path)
            with libav(handle) as container:
                video = _describe(path, size, container, limits)
                declared_s = wholeness.declared_s(container)
            warnings = list(video.warnings)
            if wholeness.ends_early(declared_s, video.duration_s):
                handle.seek(0)
                with libav(handle) as container:  # sound may go on longer than the picture
                    until_s = wholeness.goes_to_s(container, limits.max_packets)
                if wholeness.ends_early(declared_s, until_s):
                    words = f"the header says {declared_s:.1f} s, the file ends at {until_s:.1f} s"
                    warnings.append(f"{wholeness.DAMAGED}{words}")
        return replace(video, warnings=tuple(warnings))
    except av.error.FFmpegError as error:
        raise _unreadable(path, error) from error
    except OSError as error:
        raise MediaError(f"cannot be read: {reason_of(error)}") from error


def _refuse_by_head(handle: io.BufferedReader, path: Path) -> None:
    head = handle.read(512).lstrip(b"\xef\xbb\xbf \r\n\t")
    handle.seek(0)
    if head.startswith(_PLAYLIST_HEADS):
        raise RefusedMedia(
            "a playlist or text document, not a video; what it points to was not opened",
            hint="Score the files it names instead.",
        )
    if head[8:16] == b"WEBPVP8X" and head[20] & _ANIMATED:  # PyAV would see its first picture
        raise MediaError(
            "an animated WebP, whose times cannot be read",
            hint="Make a video of it: ffmpeg -i IN -c:v ffv1 OUT.mkv",
        )


def _unreadable(path: Path, error: Exception) -> MediaError:
    text = reason_of(error)
    hint = "Play it with another tool; if that works, please report the file."
    if wholeness.lacks_index(path):
        text = "its index, the moov box, is missing: it was cut short or never finished"
        hint = "Copy it again from its source, or have the camera repair its recording."
    return MediaError(f"not a readable video ({text})", hint=hint)


def _describe(
    path: Path, size: int, container: av.container.InputContainer, limits: LimitSettings
) -> Video:
    if encryption.is_locked(path, container.format.name):
        raise encryption.refused()
    stream = _pick_stream(path, container, limits)
    said = colour.tags_of(stream.codec_context)  # before a decoder has changed what the stream says
    video = _declared(path, size, container, stream)
    first, fields = FirstFrame(), Mpeg2Fields()
    packets = _read_packets(container, stream, limits, first, fields)
    rate, variable = _rate(container.format.name, stream, packets.times_s)
    if not packets.times_s:
        raise MediaError("the video stream holds no frames", hint="The file may be cut short.")
    turned = first.turn.rotation_deg % 180 == 90  # by any other angle ffmpeg turns within the frame
    held_s = duration.held_s(packets.last_lasts_s, rate)
    last_s = packets.last_lasts_s if variable else 0.0
    duration_s = duration.moving_s(packets.times_s, rate, last_s) + held_s
    tags = colour.first_said(first.colour, said)
    colours.check(tags[2])
    warnings = []
    if packets.damaged:
        words = "the container is broken or cut short; read up to there"
        warnings.append(f"{wholeness.DAMAGED}{words}")
    if container.format.name == "dv" and packets.size_bytes > size:  # libav fills it up
        warnings.append(f"{wholeness.DAMAGED}the last frame is cut short")
    if not first.decodes:
        warnings.append("the first frame does not decode")
    return replace(
        video,
        width=video.height if turned else video.width,
        height=video.width if turned else video.height,
        frame_rate=rate,
        variable_frame_rate=variable,
        field_order=_field_order(video, first, fields),
        **first.turn._asdict(),
        **colour.named(tags),
        duration_s=duration_s,
        held_s=held_s,
        bit_rate_kbps=size * 8 / 1000 / duration_s if duration_s else 0.0,
        frame_times_s=packets.times_s,
        keyframe_times_s=packets.keyframes_s,
        kbps_over_time=packets.kbps,
        warnings=tuple(warnings),
    )


def _declared(
    path: Path,
    size: int,
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
) -> Video:
    """What the headers say."""
    codec = stream.codec_context
    sar = stream.sample_aspect_ratio  # the container's word, else the codec's
    return Video(
        path=path,
        size_bytes=size,
        container=container.format.name,
        codec=codec.codec.canonical_name,  # of the format; its decoder may be called libdav1d
        pixel_format=codec.pix_fmt or "",
        bit_depth=codec.format.components[0].bits if codec.format else 8,
        coded_width=codec.coded_width or codec.width,
        coded_height=codec.coded_height or codec.height,
        width=codec.width,
        height=codec.height,
        sar=Fraction(sar.numerator, sar.denominator) if sar else Fraction(1, 1),
        frame_rate=Fraction(0, 1),  # this and what follows it: as the packets say
        variable_frame_rate=False,
        duration_s=0.0,
        bit_rate_kbps=0.0,
        rotation_deg=0,
        field_order=_FIELD_ORDERS.get(int(codec.field_order), "unknown"),
        color_primaries="",  # these: as the first frame says, which is what ffmpeg goes by
        color_transfer="",
        color_matrix="",
        color_range="",
        hdr="",
        stream_index=stream.index,
        streams=tuple(_stream_line(s) for s in container.streams),
    )


def _field_order(video: Video, first: FirstFrame, fields: Mpeg2Fields) -> str:
    """As the header says; where it tells of no fields, as DV's and AVI's, by the pictures' word."""
    if video.interlaced or fields.order:
        return video.field_order if video.interlaced else fields.order
    if not first.is_interlaced:
        return video.field_order
    return "bb" if video.codec == "dvvideo" else "tt"


def _stream_line(stream: av.stream.Stream) -> str:
    name = stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
    return f"{stream.index} {stream.type} {name}"


def _pick_stream(
    path: Path, container: av.container.InputContainer, limits: LimitSettings
) -> av.video.stream.VideoStream:
    if (kind := container.format.name).endswith(_IMAGE_FORMATS):
        if sum(p.size > 0 for p in itertools.islice(container.demux(), 2)) > 1:
            raise MediaError(
                "pictures without a container, such as raw Motion JPEG; how fast is not said",
                hint=f"Give them one: ffmpeg -framerate 25 -f {kind} -i IN -c copy OUT.mkv",
            )
        raise MediaError("a still image, not a video", hint="Only moving pictures are scored.")
    if len(container.streams) > limits.max_streams:
        raise RefusedMedia(
            f"{len(container.streams)} streams, more than the limit of {limits.max_streams}",
            hint="Raise [limits] max_streams if you trust the file.",
        )
    cover = av.stream.Disposition.attached_pic
    videos = [s for s in container.streams.video if not s.disposition & cover]
    usable = [s for s in videos if s.codec_context and s.codec_context.width]
    if usable:
        # As players choose: of several, the first may be a preview, or a cover that is not said so.
        best = container.streams.best("video")
        chosen = next((s for s in usable if best and s.index == best.index), usable[0])
        _check_pixels(chosen.codec_context.width, chosen.codec_context.height, limits)
        return chosen
    if videos:
        if container.format.name in _TRANSPORT and encryption.is_scrambled(path):
            raise encryption.refused()
        raise MediaError("the video stream cannot be decoded (no picture size or no decoder)")
    if container.streams.video:
        raise MediaError("cover art only, no video", hint="This is a sound file with a picture.")
    if container.streams.audio:
        raise MediaError("audio only, no video stream")
    raise MediaError("no video stream")


def _check_pixels(width: int, height: int, limits: LimitSettings) -> None:
    if width * height > limits.max_pixels:
        raise RefusedMedia(
            f"{width}x{height} pixels, more than the limit of {limits.max_pixels}",
            hint="Raise [limits] max_pixels if you trust the file.",
        )


def _read_packets(
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
    limits: LimitSettings,
    first: FirstFrame,
    fields: Mpeg2Fields,
) -> _Packets:
    times: list[float] = []
    last = -math.inf, 0.0
    keys: list[float] = []
    sizes: dict[int, int] = {}
    damaged = False
    base = float(stream.time_base or 0)
    step = 1 / float(_nominal_rate(container.format.name, stream) or 25)
    stream_time = StreamTime(container.format.name, step)
    codec = stream.codec_context.name
    avc, vp8, mpeg2 = (codec == name for name in ("h264", "vp8", "mpeg2video"))
    lead = keyframes.length_bytes(stream.codec_context.extradata)
    try:
        for packet in itertools.islice(clear(packets_of(container, stream)), limits.max_packets):
            first.look(packet)
            if not packet.size or packet.is_discard:
                continue
            if vp8 and not keyframes.is_shown_vp8(memoryview(packet)):
                continue  # counted as a frame, it had put off all that came after it
            if mpeg2:
                fields.look(memoryview(packet))
            stamp = packet.pts if packet.pts is not None else packet.dts
            # A raw stream has no times: frames then follow each other at the nominal rate.
            at = len(times) * step if stamp is None else stamp * base
            decoded_at = at if packet.dts is None else packet.dts * base
            lasts_s = float((packet.duration or 0) * base)
            at = stream_time.going_on(at, decoded_at, lasts_s)
            times.append(at)
            last = max(last, (at, lasts_s))
            if packet.is_keyframe and (not avc or keyframes.is_whole(memoryview(packet), lead)):
                keys.append(at)
            second = max(int(at - times[0]), 0)  # of the video, whatever its clock says
            sizes[second] = sizes.get(second, 0) + packet.size
    except (av.error.FFmpegError, OSError):
        damaged = True
    if len(times) >= limits.max_packets:
        raise RefusedMedia(
            f"more than {limits.max_packets} packets of video",
            hint="Raise [limits] max_packets if you trust the file.",
        )
    times.sort()
    span = min(max(sizes, default=0) + 1, MOST_SECONDS)
    kbps = tuple(sizes.get(second, 0) * 8 / 1000 for second in range(span)) if sizes else ()
    return _Packets(tuple(times), tuple(sorted(keys)), kbps, sum(sizes.values()), last[1], damaged)


def _nominal_rate(container: str, stream: av.video.stream.VideoStream) -> Ratio | None:
    """What is said of the rate; a raw stream's demuxer says 25 whatever the stream itself says."""
    said = stream.average_rate, stream.guessed_rate
    first, second = said[::-1] if container in _RAW else said
    return first or second


def _rate(
    container: str, stream: av.video.stream.VideoStream, times_s: tuple[float, ...]
) -> tuple[Fraction, bool]:
    rate = _nominal_rate(container, stream) or stream.base_rate
    said = Fraction(rate.numerator, rate.denominator) if rate else Fraction(25, 1)
    return frame_rate.by_times(said, times_s, float(stream.time_base or 0))
