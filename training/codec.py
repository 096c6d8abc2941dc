"""Real encoders in one call, frames in, decoded frames out: x264, x265, MPEG-2/4, VP9, AV1."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]

# Of a stream with fewer frames than its B-frames reach, x265 says any time, and muxing fails.
X265_LEAST = 4

os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 writes a banner per encode otherwise


@dataclass(frozen=True)
class Encoder:
    """An encoder with the options that set its rate; `quality` is CRF or qscale by codec."""

    codec: str
    quality: float
    options: tuple[tuple[str, str], ...] = ()


def round_trip(frames: Frames, encoder: Encoder) -> Frames:
    """Encode and decode uint8[T,H,W,3]; odd sizes lose their last row or column to 4:2:0."""
    count, height, width = frames.shape[:3]
    height, width = height & ~1, width & ~1
    if encoder.codec == "libx265" and count < X265_LEAST:
        frames = np.concatenate([frames, frames[-1:].repeat(X265_LEAST - count, axis=0)])
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream(encoder.codec, rate=Fraction(25))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {**_options(encoder)}
        stream.codec_context.thread_count = 1
        if encoder.codec in {"mpeg2video", "mpeg4"}:
            quality = round(encoder.quality)
            stream.codec_context.qmin = stream.codec_context.qmax = quality
            stream.codec_context.gop_size = 12
            stream.bit_rate = 10_000_000
        for picture in frames[:, :height, :width]:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as written:
        decoded = [f.to_ndarray(format="rgb24") for f in written.decode(video=0)]
    if len(decoded) != len(frames):
        raise RuntimeError(f"{encoder.codec} returned {len(decoded)} of {len(frames)} frames")
    return np.stack(decoded[:count])


def _options(encoder: Encoder) -> dict[str, str]:
    crf = f"{encoder.quality:.0f}"
    fixed = {
        # mbtree off: with it, x264 gives other bytes for the same few frames from call to call.
        "libx264": {"crf": crf, "preset": "veryfast", "mbtree": "0"},
        "libx265": {"crf": crf, "preset": "ultrafast", "x265-params": "log-level=none:pools=1"},
        "libvpx-vp9": {"crf": crf, "b": "0", "deadline": "realtime", "cpu-used": "7"},
        "libsvtav1": {"crf": crf, "preset": "11", "svtav1-params": "lp=1"},
        "mpeg2video": {},
        "mpeg4": {},
    }[encoder.codec]
    return {**fixed, **dict(encoder.options)}


def chroma_subsampled(frames: Frames) -> Frames:
    """The frames as 4:2:0 video would carry them (limited range, rounded to 8 bits)."""
    height, width = (n & ~1 for n in frames.shape[1:3])
    out = []
    for picture in frames[:, :height, :width]:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        out.append(frame.reformat(format="yuv420p").to_ndarray(format="rgb24"))
    return np.stack(out)
