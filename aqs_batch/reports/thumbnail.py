"""One frame as a small JPEG for the report."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from aqs_batch.records import Pixels


def jpeg(frame: Pixels, max_px: int = 320) -> bytes:
    """A frame, uint8[H,W,3] RGB, as a JPEG whose longer side is at most `max_px`.

    Never enlarges. Raises ValueError for any other shape or type.
    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
        raise ValueError(f"a thumbnail needs uint8[H,W,3], not {frame.dtype}{list(frame.shape)}")
    image = Image.fromarray(np.ascontiguousarray(frame))
    image.thumbnail((max_px, max_px), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=82, optimize=True)
    return stream.getvalue()
