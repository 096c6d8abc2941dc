"""Which containers may be opened, how that is done safely, and when to take one at its word."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aqs_batch.errors import EncodeError, reason_of

if TYPE_CHECKING:
    import av
    import av.container

# Containers that hold media themselves. What only points elsewhere (hls, dash, concat, image2,
# imf, sdp) is left out, so that a playlist named .mp4 cannot reach another file.
DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,mpegts,mpegtsraw,mpeg,mpegvideo,asf,"
    "asf_o,mxf,gxf,ogg,ivf,obu,av1,h261,h263,h264,hevc,vvc,vc1,vc1test,m4v,mjpeg,mjpeg_2000,avs2,"
    "avs3,cavsvideo,dirac,dnxhd,dv,nut,nuv,rm,ivr,roq,swf,wtv,vivo,yuv4mpegpipe,gif,apng,webp_anim,"
    "r3d,smjpeg,mpjpeg,wav,w64,mp3,aac,ac3,eac3,flac,aiff,caf,au,amr,wv,ape,dts,truehd,loas,"
    "png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,tiff_pipe,gif_pipe,jpegxl_pipe,dpx_pipe,exr_pipe,j2k_pipe"
)

# What ffmpeg opens every media file with: no protocol but files, no playlists.
SAFELY = {"protocol_whitelist": "file,pipe", "format_whitelist": DEMUXERS}
SAFELY_ARGV = tuple(word for name, value in SAFELY.items() for word in (f"-{name}", value))

# libav's names of raw streams without times: a seek finds nothing in them.
TIMELESS = ("h264", "hevc", "vvc")

LONG_S = 1.0  # a last frame that a container shows for longer is held on purpose


def input_name(path: Path) -> str:
    """The file as ffmpeg must see it, so that no name is an option, a protocol or a pattern."""
    return f"file:{os.path.abspath(path)}"


class Nameless(io.BufferedReader):
    """A file whose name libav does not hear: it would choke on one that is not UTF-8."""

    @property
    def name(self) -> str:
        return "video"


def libav(handle: Nameless, **options: str) -> av.container.InputContainer:
    """Open a file object, not a name: libavformat then has no protocol to follow elsewhere."""
    import av  # not where a command line is all that is made

    options["format_whitelist"] = DEMUXERS
    return av.open(handle, "r", options=options, metadata_errors="replace")


def rate_and_sar(path: Path, stream: int) -> tuple[Fraction | None, Fraction | None]:
    """Frames a second as ffmpeg takes them from a file, and the pixels' shape; None where unsaid.

    Not the mean of the times: what is encoded straight from the file is reckoned by this.
    """
    import av.error

    try:
        with Nameless(io.FileIO(path)) as handle, libav(handle) as container:
            picture = next((p for p in container.streams.video if p.index == stream), None)
            return (picture.guessed_rate, picture.sample_aspect_ratio) if picture else (None, None)
    except (av.error.FFmpegError, OSError) as error:
        raise EncodeError(f"{path} cannot be read: {reason_of(error)}") from error


def tags_passed_over(path: Path) -> list[str]:
    """Names of tags that libav reads only where it is told to export all."""
    import av.error

    usual, every = list[str](), list[str]()
    try:
        for export_all, names in (("0", usual), ("1", every)):
            with Nameless(io.FileIO(path)) as handle, libav(handle, export_all=export_all) as held:
                places = [held.metadata, *(stream.metadata for stream in held.streams)]
                names += [name for tags in places for name in tags]
    except (av.error.FFmpegError, OSError) as error:
        raise EncodeError(f"{path} cannot be read: {reason_of(error)}") from error
    return [name for name in every if name not in usual]


def packets_of(container: av.container.InputContainer, streams: Any) -> Iterator[av.Packet[Any]]:
    """The packets of one stream or of several, an empty one last.

    Where a stream begins within the file, as sound does in many a recording, PyAV asks it for its
    last packet as well, and does not find it. All others have come by then.
    """
    try:
        yield from container.demux(streams)
    except IndexError:
        return
