"""Test pictures as scenes: colour bars, clocks and fractals that ffmpeg draws, clean by definition.

Archives open with bars, and engineers try a tool on such pictures first; to a detector that has
seen none of them their colours are garish and their edges ring.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aqs_batch.ffmpeg import child, find
from training.sources import BURST_FRAMES, REGION_PX, WHOLE_PX, ClipScene

Frames = NDArray[np.uint8]
Rng = np.random.Generator

SIZES = ((640, 360), (960, 540), (1280, 720), (1920, 1080))
SQUEEZED = f"scale={WHOLE_PX}:{WHOLE_PX}:flags=neighbor"  # points, as sources.squeezed
# ffmpeg's sources by split; what depends on chance gets a seed or a place to begin.
SOURCES = {
    "train": (
        "testsrc2=size={size}:rate=25",
        "smptebars=size={size}:rate=25",
        "smptehdbars=size={size}:rate=25",
        "pal100bars=size={size}:rate=25",
        "rgbtestsrc=size={size}:rate=25",
        "yuvtestsrc=size={size}:rate=25",
        "mandelbrot=size={size}:rate=25:start_scale={scale:.5f}",
        "gradients=size={size}:rate=25:seed={seed}:speed=0.02:n={count}",
        "life=size={size}:rate=25:seed={seed}:mold=10:life_color={colour}:death_color={other}",
        "cellauto=size={size}:rate=25:seed={seed}:rule={rule}",
        "zoneplate=size={size}:rate=25:kx2={count}:ky2={count}:kt={count}",
        "color=color={colour}:size={size}:rate=25",
    ),
    "val": ("testsrc=size={size}:rate=25", "sierpinski=size={size}:rate=25:seed={seed}"),
    "test": ("pal75bars=size={size}:rate=25", "colorspectrum=size={size}:rate=25"),
}


class Pattern(ClipScene):
    """A burst of one test picture at one place; drawn when it is looked at."""

    length = BURST_FRAMES

    def __init__(self, graph: str, place: str, name: str) -> None:
        self._graph, self._place = graph, place
        self.name = f"pattern-{name}"

    @cached_property
    def _frames(self) -> Frames:  # type: ignore[override]
        return drawn(f"{self._graph},{self._place}")

    @cached_property
    def _whole(self) -> Frames:  # type: ignore[override]
        (whole,) = drawn(f"{self._graph},{SQUEEZED}", 1, WHOLE_PX)
        return whole


class PatternLibrary:
    """The test pictures of one split; draws as sources.Library does, deterministic by `rng`."""

    def __init__(self, split: str) -> None:
        self._sources = SOURCES[split]

    def draw(self, rng: Rng) -> Pattern:
        source = self._sources[rng.integers(len(self._sources))]
        return Pattern(*graph_of(source, rng), source.partition("=")[0])


def graph_of(source: str, rng: Rng) -> tuple[str, str]:
    """The source with its chances drawn and a burst of its frames, and the cut of a region."""
    slow = source.startswith("mandelbrot")  # ten seconds at 1080p
    wide, high = SIZES[0] if slow else SIZES[rng.integers(len(SIZES))]
    filled = graph_with(source, (wide, high), rng)
    x, y = (int(rng.integers(0, side - REGION_PX + 1)) for side in (wide, high))
    first = int(rng.integers(0, 100))
    burst = f"{filled},trim=start_frame={first}:end_frame={first + BURST_FRAMES}"
    return burst, f"crop={REGION_PX}:{REGION_PX}:{x}:{y}"


def graph_with(source: str, size: tuple[int, int], rng: Rng) -> str:
    """The source at a size (width, height), with its chances drawn."""
    return source.format(
        size=f"{size[0]}x{size[1]}",
        seed=int(rng.integers(1, 2**31)),
        scale=10 ** rng.uniform(-3, 0.4),
        count=int(rng.integers(2, 8)),
        rule=int(rng.choice([18, 22, 30, 90, 110, 150])),
        colour=_colour(rng),
        other=_colour(rng),
    )


def drawn(graph: str, count: int = BURST_FRAMES, side_px: int = REGION_PX) -> Frames:
    """What a filter graph without inputs draws: uint8[count,side_px,side_px,3]."""
    argv = [find().path, "-hide_banner", "-nostdin", "-f", "lavfi", "-i", graph]
    argv += ["-frames:v", str(count), "-sws_flags", "accurate_rnd+full_chroma_int+bicubic"]
    argv += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    frames = np.empty((count, side_px, side_px, 3), np.uint8)
    with child(argv) as running:
        read = running.read_into(frames.data.cast("B"))
    if read < frames.nbytes:
        raise RuntimeError(f"ffmpeg drew nothing for {graph}")
    return frames


def _colour(rng: Rng) -> str:
    return "0x" + "".join(f"{int(c):02x}" for c in rng.integers(0, 256, 3))
