"""A long file measured in parts, because libvmaf keeps memory for every frame it has seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from aqs_batch.encode import alignment, plan
from aqs_batch.encode.vmaf import Frames, Measuring, Side, measure

SEGMENT_FRAMES = 2000  # 60 kB a frame: 120 MB above what libvmaf takes at least
OVERLAP = 3  # VMAF's motion looks at the frames before and after


def measure_in_parts(
    sides: tuple[Side, Side],
    measuring: Measuring,
    times_s: tuple[Sequence[float], Sequence[float]],
    on_frame: Callable[[int], None],
    most: int,
) -> Frames:
    """Like `measure`; a file that is read whole and longer than `most` frames goes in parts.

    `times_s` are the sorted times of all frames of the encode and of the source. The frames at the
    seams are measured twice and told once, so that the scores are those of one pass.
    """
    distorted, reference = sides
    longest = max(map(len, times_s))
    one_go = distorted.window.frames is not None or reference.window.frames is not None
    if one_go or longest <= most or not all(map(_rises, times_s)):
        return measure(distorted, reference, measuring, on_frame)
    parts, done = [], 0
    ours, theirs = (plan.segments(times, most, OVERLAP) for times in times_s)
    if len(ours) != len(theirs):  # the counts differ: let the verdict say so
        return measure(distorted, reference, measuring, on_frame)
    for (window, keep), (other, _) in zip(ours, theirs, strict=True):

        def count(frame: int, before: int = done) -> None:
            on_frame(before + frame)

        pair = replace(distorted, window=window), replace(reference, window=other)
        found = measure(*pair, measuring, count)
        parts.append(_kept(found, keep))
        done += len(parts[-1].xpsnr)
    return _joined(parts)


def _rises(times_s: Sequence[float]) -> bool:
    return all(b > a for a, b in pairwise(times_s))


def _kept(frames: Frames, keep: slice) -> Frames:
    return replace(
        frames,
        vmaf={name: series[keep] for name, series in frames.vmaf.items()},
        xpsnr=frames.xpsnr[keep],
        worst_cell=frames.worst_cell[keep],
    )


def _joined(parts: Sequence[Frames]) -> Frames:
    return Frames(
        {name: np.concatenate([p.vmaf[name] for p in parts]) for name in parts[0].vmaf},
        np.concatenate([p.xpsnr for p in parts]),
        np.concatenate([p.worst_cell for p in parts]),
        alignment.together([p.alignment for p in parts]),
        parts[0].libvmaf,
    )
