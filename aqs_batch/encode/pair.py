"""The same chain on both sides: how an encode and its source are brought to comparable pixels."""

from __future__ import annotations

from pathlib import Path

from aqs_batch.encode import codec
from aqs_batch.encode.codec import Recipe
from aqs_batch.encode.command import Filter, one_size, source_filters, unnamed
from aqs_batch.encode.plan import WHOLE, Window
from aqs_batch.encode.vmaf import Side
from aqs_batch.encoders import Codec
from aqs_batch.errors import Misaligned
from aqs_batch.records import Video

SAME_SHAPE = 0.01  # aspect ratios closer than this are scaled, others must be a crop


def own(
    encode: Path, stream: int, video: Video, window: Window, recipe: Recipe
) -> tuple[Side, Side]:
    """An encode that this project made of `window`: the source goes through the same filters."""
    pixels: Filter = ("format", {"pix_fmts": codec.pixel_format(video, recipe.codec)})
    kept = [*unnamed(video), pixels]
    distorted = Side(encode, stream, WHOLE, kept)
    return distorted, Side(video.path, video.stream_index, window, source_filters(video, recipe))


def foreign(distorted: Video, reference: Video) -> tuple[Side, Side]:
    """An encode that something else made: turned upright, deinterlaced, scaled or cropped to fit.

    Another size of the same shape is scaled to the reference's; a picture that is smaller in one
    direction only is taken for its middle. Raises Misaligned where neither explains the sizes.
    """
    chains: list[list[Filter]] = [[], []]
    for chain, video in zip(chains, (distorted, reference), strict=True):
        chain += [*unnamed(video), one_size(video.width, video.height)]
        if video.interlaced:
            chain.append(("bwdif", {"mode": "send_frame", "deint": "interlaced"}))
    size, wanted = (distorted.width, distorted.height), (reference.width, reference.height)
    if size != wanted:
        _fit(chains, size, wanted)
    pixels: Filter = ("format", {"pix_fmts": codec.pixel_format(reference, Codec.X265)})
    sides = [
        Side(video.path, video.stream_index, WHOLE, [*chain, pixels], upright=True)
        for chain, video in zip(chains, (distorted, reference), strict=True)
    ]
    return sides[0], sides[1]


def _fit(
    chains: list[list[Filter]],
    size: tuple[int, int],
    wanted: tuple[int, int],
) -> None:
    (width, height), (wide, high) = size, wanted
    if abs(width * high / (wide * height) - 1) < SAME_SHAPE:
        chains[0].append(("scale", {"w": wide, "h": high, "flags": "bicubic"}))
    elif (width == wide and height < high) or (height == high and width < wide):
        chains[1].append(("crop", {"w": width, "h": height}))
    else:
        raise Misaligned(
            f"no VMAF: {width}x{height} is neither the shape nor a crop of {wide}x{high}",
            hint="Scale or crop the encode as its source was, then compare.",
        )
