"""The commands that make encodes, as argument lists: pure functions of what they are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aqs_batch.encode import codec, frame_times, pixels
from aqs_batch.encode.codec import Recipe
from aqs_batch.encode.plan import SEEK_MARGIN_S, WHOLE, Window
from aqs_batch.encode.target import Cover, Target, place_of
from aqs_batch.media.containers import SAFELY_ARGV, input_name
from aqs_batch.records import Video

ATTACHED_PIC = 0x400  # libav's flag of a stream that is cover art
# By ffmpeg's scaler, whatever is asked of it.
_REFUSED_MATRICES = ("ycgco", "bt2020c", "chroma-derived-nc", "chroma-derived-c", "ictcp")
_BRANDS = ("major_brand", "minor_version", "compatible_brands")

Filter = tuple[str, Mapping[str, object]]
Filters = Sequence[Filter]


@dataclass(frozen=True)
class Piped:
    """Frames that come over stdin instead of out of the source: the seam of a frame filter.

    A filter that works on decoded frames (the learned preprocess, `encode.filtered`) runs between
    two children: a decoder (`decoder_argv`) whose raw frames it reads, and the encoder
    (`encoder_argv` with this record as `piped`) to which it writes them with their times.
    Everything else (measuring, alignment, cache, store) stays as it is, since a rung is a file
    whatever made it. The reference of VMAF is the untouched source all the same.
    """

    options: tuple[str, ...]  # how ffmpeg reads stdin
    shown_as: str  # filters that name the frames' times, colours and shape, which a pipe does not


def opened(path: Path, window: Window, *, cropped: bool = False) -> list[str]:
    """Input options that open a media file safely, at the beginning of `window`.

    `cropped`: as its container says, not its stream alone (Final Cut's clean aperture, Matroska's
    pixel crop). Else every pixel comes: cropped ones had been enlarged to the size in the header.

    Where frames change their tags or size half-way, ffmpeg would build its filters anew: trim would
    count from zero, and libvmaf's log would tell only of the last part. So it must not; what reads
    such frames begins with `one_size`.
    """
    argv = ["-reinit_filter:v", "0", "-apply_cropping:v", "all" if cropped else "codec"]
    argv += SAFELY_ARGV
    if window.seek_s is not None:
        # The offset puts nought at `seek_s`, and ffmpeg drops what is shown before nought.
        argv += ["-seek_timestamp", "1", "-ss", f"{window.seek_s - window.early_s:.6f}"]
        argv += ["-itsoffset", f"{-window.early_s:.6f}"]
    if window.frames is not None:
        argv += ["-t", f"{window.length_s + SEEK_MARGIN_S:.6f}"]  # frames are counted by trim
    return [*argv, "-i", input_name(path)]


def source_filters(video: Video, recipe: Recipe) -> Filters:
    """What happens to the source's pixels before the encoder, and before VMAF compares them.

    Interlaced frames are deinterlaced one to one; an odd size loses its last row or column, which
    4:2:0 cannot hold; chroma and bit depth stay as far as the encoder knows them, and levels that
    are full stay full: grey ones had been squeezed.
    """
    name, size = one_size(video.coded_width, video.coded_height)
    matrix, levels = codec.colours(video)
    turned = {"out_color_matrix": matrix} if codec.is_rgb(video.pixel_format) else {}
    kept = {"out_range": levels} if turned or levels == "full" else {}
    filters: list[Filter] = [*unnamed(video), (name, {**size, **turned, **kept})]
    if video.interlaced and video.pixel_format.startswith("yuv"):
        # Or ffmpeg would make 4:2:0 of DV's 4:1:1 here, and mix the colours of both fields.
        filters.append(("format", {"pix_fmts": video.pixel_format}))
    if video.interlaced:
        filters.append(("bwdif", {"mode": "send_frame", "deint": "interlaced"}))
    width, height = even_size(video)
    if (width, height) != (video.coded_width, video.coded_height):
        filters.append(("crop", {"w": width, "h": height, "x": 0, "y": 0}))
    if pixels.is_411(video.pixel_format):
        # It lies at the left, by DV's rules: taken for the middle, colours moved by a pixel.
        left = {"in_h_chr_pos": 0, "out_h_chr_pos": 0}
        filters.append(("scale", {"flags": "bicubic", **left}))
    filters.append(("format", {"pix_fmts": codec.pixel_format(video, recipe.codec)}))
    if video.chroma_location:  # scalers forget it; told of it, they would move the pixels
        filters.append(("setparams", {"chroma_location": video.chroma_location}))
    return filters


def unnamed(video: Video) -> Filters:
    """Takes a matrix's name from frames where scalers would refuse it; YUV stays YUV without it."""
    return [("setparams", {"colorspace": "unknown"})] if _is_refused(video) else []


def _is_refused(video: Video) -> bool:
    return video.color_matrix in _REFUSED_MATRICES


def one_size(width: int, height: int) -> Filter:
    """Scales frames that are not of the size that the file said; others pass as they are."""
    return "scale", {"w": width, "h": height, "flags": "bicubic"}


def even_size(video: Video) -> tuple[int, int]:
    """(width, height) as coded, each without a last odd line."""
    return max(video.coded_width & ~1, 2), max(video.coded_height & ~1, 2)


def filter_text(filters: Filters, window: Window) -> str:
    """The filters as a -filter:v argument, the window's frames counted out first."""
    trim: Filters = [] if window.frames is None else [("trim", {"end_frame": window.frames})]
    return ",".join(
        name + "=" + ":".join(f"{key}={value}" for key, value in options.items())
        for name, options in [*trim, *filters]
    )


def encoder_argv(
    ffmpeg_path: str,
    video: Video,
    window: Window,
    recipe: Recipe,
    targets: Sequence[Target],
    piped: Piped | None = None,
) -> list[str]:
    """One decode of `window` feeding an encoder per target, progress on stdout.

    Timestamps go through as they are, and the picture is not turned: the display matrix is kept.
    """
    argv = [*quiet(ffmpeg_path), "-y"]
    if piped is None:
        argv += ["-progress", "pipe:1", "-stats_period", "1"]
    else:
        argv += piped.options
    # -noautorotate: frames stay as coded, and the muxer writes the display matrix on.
    argv += ["-noautorotate", *opened(video.path, window)]
    source, shown = ("1", "0:v:0") if piped else ("0", f"0:{video.stream_index}")
    named = [("setparams", {"colorspace": video.color_matrix})] if _is_refused(video) else []
    straight = [*source_filters(video, recipe), *named]
    filters = piped.shown_as if piped else filter_text(straight, window)
    for target in targets:
        place = place_of(video, target.along)
        streams = sorted((*target.others, video.stream_index))
        for number, index in enumerate(streams):
            is_ours = index == video.stream_index
            argv += ["-map", shown if is_ours else f"{source}:{index}"]
            argv += [] if is_ours else [f"-c:{number}", "copy"]
        said = codec.options(recipe, target.crf)
        said += codec.captions(recipe.codec)
        said += codec.container_tag(recipe.codec, target.container)
        if filters:
            said += ["-filter", filters]
        clock = "filter" if piped else "demux"
        said += ["-fps_mode", "passthrough", "-enc_time_base", clock]
        if window.frames is None:
            said += last_lasts(video)
            if video.held_s:
                said += codec.decoded_last(recipe.codec, len(video.frame_times_s) - 1)
        argv += [*_of_stream(place, said), *_belongings(source, target, streams)]
        argv += ["-f", target.container, input_name(target.path)]
    return [*argv, *aside("1", [video.stream_index])] if piped and targets[0].others else argv


def decoder_argv(
    ffmpeg_path: str,
    video: Video,
    window: Window,
    recipe: Recipe,
    *,
    planar: str,
    times: Path,
    others: Sequence[int] = (),
) -> list[str]:
    """The frames of a window as raw video on stdout, in format `planar`: what a filter reads.

    When each is shown stands in `times` before the frame itself is sent (see `frame_times`).
    `others` are the streams that the encoder's command copies: see `aside`.
    """
    filters = [*source_filters(video, recipe), ("format", {"pix_fmts": planar})]
    argv = [*quiet(ffmpeg_path), "-noautorotate", *opened(video.path, window)]
    argv += ["-map", f"0:{video.stream_index}", "-filter:v", filter_text(filters, window)]
    argv += ["-fps_mode", "passthrough", "-enc_time_base", "demux"]
    argv += ["-stats_enc_pre:v", input_name(times), "-stats_enc_pre_fmt:v", frame_times.FORMAT]
    argv += ["-f", "rawvideo", "pipe:1"]
    return [*argv, *aside("0", others)] if others else argv


def last_lasts(video: Video) -> list[str]:
    """Output options that show the last frame for as long as the source does: neither IVF nor
    SVT-AV1 says it.

    A slide that stood for a minute had been shown for a 25th of a second.
    """
    if not (video.held_s or video.variable_frame_rate):
        return []
    since_s = [t - video.frame_times_s[0] for t in video.frame_times_s]
    lasts_s, nearly_s = video.duration_s - since_s[-1], sum(since_s[-2:]) / 2
    is_last = f"gte((PTS-STARTPTS)*TB\\,{nearly_s:.6f})"
    return ["-bsf:v", f"setts=pts=PTS:dts=DTS:duration=if({is_last}\\,{lasts_s:.6f}/TB\\,DURATION)"]


def tags_of_each(source: str, streams: Sequence[int]) -> list[str]:
    """Output options that take the tags of `streams` over, one by one.

    Said of one stream, ffmpeg takes over none of the others': sound had lost its language.
    """
    pairs = ((f"-map_metadata:s:{n}", f"{source}:s:{i}") for n, i in enumerate(streams))
    return [word for pair in pairs for word in pair]


def tags_of_file(tags: Mapping[str, str]) -> list[str]:
    """Output options that set tags of the whole file."""
    pairs = (("-metadata", f"{name}={words}") for name, words in tags.items())
    return [word for pair in pairs for word in pair]


def attached(covers: Sequence[Cover], first: int) -> list[str]:
    """Output options that attach covers, the first of them as stream number `first`."""
    argv = []
    for number, cover in enumerate(covers, start=first):
        argv += ["-attach", input_name(cover.path)]
        for name, words in cover.tags.items():
            argv += [f"-metadata:s:{number}", f"{name}={words}"]
    return argv


def aside(source: str, streams: Sequence[int]) -> list[str]:
    """An output that drops streams, for their clock's sake.

    ffmpeg counts time from the first of the streams in use, and goes by all of them where a joined
    recording's clock starts over. With the same in use, picture and sound that come through two
    commands stay together.
    """
    mapped = [word for index in streams for word in ("-map", f"{source}:{index}")]
    return [*mapped, "-c", "copy", "-copy_unknown", "-f", "null", "-"]


def decode_check_argv(ffmpeg_path: str, path: Path, *streams: str) -> list[str]:
    """Decode some streams, as -map names them, to the first error; progress on stdout."""
    argv = [*quiet(ffmpeg_path), "-progress", "pipe:1", "-err_detect", "explode", "-xerror"]
    argv += opened(path, WHOLE)
    for stream in streams:
        argv += ["-map", f"0:{stream}"]
    return [*argv, "-fps_mode", "passthrough", "-f", "null", "-"]


def first_frame_argv(ffmpeg_path: str, path: Path, stream: int) -> list[str]:
    """What ffmpeg has to say of the first frame, in its log."""
    argv = [ffmpeg_path, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info"]
    argv += ["-noautorotate", *opened(path, WHOLE), "-map", f"0:{stream}", "-frames:v", "1"]
    return [*argv, "-vf", "showinfo=checksum=0", "-f", "null", "-"]


def header_argv(ffmpeg_path: str, video: Video, *, cropped: bool) -> list[str]:
    """The first frame on stdout behind a line that tells its size; `cropped`: see `opened`."""
    argv = [*quiet(ffmpeg_path), "-noautorotate"]
    argv += opened(video.path, WHOLE, cropped=cropped)
    argv += ["-map", f"0:{video.stream_index}", "-frames:v", "1", "-vf", "format=yuv420p"]
    return [*argv, "-f", "yuv4mpegpipe", "pipe:1"]


def quiet(ffmpeg_path: str) -> list[str]:
    """How every command begins: ffmpeg asks nothing, and tells of trouble alone."""
    return [ffmpeg_path, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning"]


def _of_stream(place: int, options: Sequence[str]) -> list[str]:
    """Output options said of one stream alone: cover art and second angles are copied."""
    said = []
    for key, value in zip(options[::2], options[1::2], strict=True):
        said += [f"{key.removesuffix(':v')}:{place}", value]
    return said


def _belongings(source: str, target: Target, streams: Sequence[int]) -> list[str]:
    along = target.along
    if along is None:
        return ["-map_metadata", "-1", "-map_chapters", "-1"]
    argv = ["-map_metadata", source, "-map_chapters", source, "-copy_unknown"]
    argv += tags_of_file(along.tags)
    # Said one by one: where none is the default, ffmpeg would make the first of each kind one.
    for number, flags in enumerate(along.dispositions):
        argv += [f"-disposition:{number}", str(flags)]
    for number, title in enumerate(along.titles):
        argv += [f"-metadata:s:{number}", f"title={title}"] if title else []
    if source != "0":  # a piped picture has lost what its stream said of itself
        argv += tags_of_each(source, streams)
    argv += attached(along.covers, len(streams))
    if target.container in {"mp4", "mov"}:
        # Tags of any name, but where they are allowed ffmpeg writes no cover art.
        has_cover = any(flags & ATTACHED_PIC for flags in along.dispositions)
        argv += ["-movflags", "+faststart" + ("" if has_cover else "+use_metadata_tags")]
        for name in _BRANDS:  # the new header's own; as tags they would name the old one's too
            argv += ["-metadata", f"{name}="]
    return [*argv, "-max_muxing_queue_size", "4096"]
