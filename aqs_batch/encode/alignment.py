"""Whether frame n of an encode is frame n of its source: a verdict from small luma pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aqs_batch.errors import Misaligned

PICTURE_PX = 32  # side of the luma picture that stands for a frame
REACH = 4  # frames looked at on both sides
CLEARLY = 2.0  # another frame fits clearly better when its difference is smaller by this factor
LEAST_LEVELS = 1.0  # and by this many of 255 levels: below that, coding noise decides
FAINT_LEVELS = 8.0  # a change that an encoder may leave out for a frame or two
LEAST_LIKENESS = 0.5  # correlation below which two pictures, or changes, are not the same

Pictures = NDArray[np.uint8]  # [N, PICTURE_PX, PICTURE_PX]


@dataclass(frozen=True)
class Alignment:
    """Frame n of the encode is frame n + `offset` of the source, for every frame compared."""

    offset: int = 0

    @property
    def words(self) -> str:
        return f"offset {self.offset}" if self.offset else "exact"


def verdict(encode: Pictures, source: Pictures) -> Alignment:
    """Find the one shift under which every frame of the encode fits its source frame.

    Equal counts and shift 0 are "exact". A shift that holds from the first to the last frame is
    an offset. Everything else (frames dropped or doubled along the way, an end that is missing,
    another picture) raises Misaligned, for no mean over such pairs says anything.
    """
    ours, theirs = _flat(encode), _flat(source)
    if not len(ours) or not len(theirs):
        raise _refused(f"{len(ours)} frames in the encode, {len(theirs)} in the source")
    odd = _strangers(ours, theirs, 0)
    if len(ours) == len(theirs) and all(
        _left_out(ours, theirs, n) or _softened(ours, theirs, n) for n in odd.tolist()
    ):
        _check_likeness(ours, theirs)
        return Alignment()
    for offset in sorted(range(-REACH, REACH + 1), key=abs):
        if offset and _fits(ours, theirs, offset):
            return Alignment(offset)
    if len(ours) != len(theirs):
        raise _refused(f"the encode has {len(ours)} frames, the source {len(theirs)}" + _where(odd))
    raise _refused("frames were dropped and others doubled" + _where(odd))


def together(parts: Sequence[Alignment]) -> Alignment:
    """The alignment of several windows of one encode; raises Misaligned where they differ."""
    offsets = {part.offset for part in parts}
    if len(offsets) > 1:
        raise _refused(f"its samples are shifted differently ({sorted(offsets)})")
    return Alignment(offsets.pop() if offsets else 0)


def overlap(encode: int, source: int, offset: int) -> tuple[int, int, int]:
    """(first frame of the encode, first of the source, frames both have) under a shift."""
    first, other = max(0, -offset), max(0, offset)
    return first, other, max(min(encode - first, source - other), 0)


def _fits(ours: NDArray[np.float32], theirs: NDArray[np.float32], offset: int) -> bool:
    """Whether a shift explains every frame, and leaves only as many over as it must."""
    first, other, common = overlap(len(ours), len(theirs), offset)
    if common < 2 or common < max(len(ours), len(theirs)) - abs(offset):
        return False
    if len(_strangers(ours, theirs, offset)):
        return False
    here = _difference(ours, theirs, offset)
    still = _difference(ours, theirs, 0)
    # A shift must be seen: on a still picture any shift fits, and then none is known.
    moved = float(np.mean(still)) > CLEARLY * float(np.mean(here)) + LEAST_LEVELS / 2
    return moved and _likeness(ours[first:][:common], theirs[other:][:common]) >= LEAST_LIKENESS


def _strangers(
    ours: NDArray[np.float32], theirs: NDArray[np.float32], offset: int
) -> NDArray[np.int64]:
    """Frames of the encode that another source frame fits clearly better than the shifted one."""
    first, other, common = overlap(len(ours), len(theirs), offset)
    here = _difference(ours, theirs, offset)
    best = np.full(common, np.inf, np.float32)
    numbers = np.arange(common)
    for step in range(-REACH, REACH + 1):
        partners = numbers + other + step
        known = (partners >= 0) & (partners < len(theirs))
        if step and known.any():
            pairs = np.abs(ours[first:][:common][known] - theirs[partners[known]]).mean(1)
            best[known] = np.minimum(best[known], pairs)
    return np.flatnonzero(here > CLEARLY * best + LEAST_LEVELS)


def _left_out(ours: NDArray[np.float32], theirs: NDArray[np.float32], frame: int) -> bool:
    """Whether the encode repeats its frame before, where the source changed but faintly.

    An encoder at a low rate leaves out a faint change that lasts for a frame or two (seen: a
    caption just before a cut). Its picture then fits the frame before better, but all others are
    at their place, so the pairs are right and VMAF says what was lost. Frames that were dropped
    here and doubled there shift all that lie between, and those move.
    """
    if not frame:
        return False
    still = float(np.abs(ours[frame] - ours[frame - 1]).mean()) <= LEAST_LEVELS / 2
    return still and float(np.abs(ours[frame] - theirs[frame]).mean()) <= FAINT_LEVELS


def _softened(ours: NDArray[np.float32], theirs: NDArray[np.float32], frame: int) -> bool:
    """Whether the encode changes into and out of a frame as its source does there, only less.

    An encoder at a low rate lets a flash fade too slowly (seen: lightning), and the frame then fits
    the one before better. A frame that stands in another's place changes as that one does.
    """
    known = [at for at in (frame, frame + 1) if 0 < at < len(ours)]
    return bool(known) and all(_changes_alike(ours, theirs, at) for at in known)


def _changes_alike(ours: NDArray[np.float32], theirs: NDArray[np.float32], at: int) -> bool:
    """Whether what changes from the frame before is like the source's change there, and like none
    of those around it as much.
    """
    likeness = {
        step: _cosine(ours[at] - ours[at - 1], theirs[at + step] - theirs[at + step - 1])
        for step in range(-REACH, REACH + 1)
        if 0 < at + step < len(theirs)
    }
    return likeness[0] >= LEAST_LIKENESS and likeness[0] == max(likeness.values())


def _cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if lengths else 0.0


def _difference(
    ours: NDArray[np.float32], theirs: NDArray[np.float32], offset: int
) -> NDArray[np.float32]:
    """Mean absolute difference, in levels, of every pair under a shift."""
    first, other, common = overlap(len(ours), len(theirs), offset)
    pairs = np.abs(ours[first:][:common] - theirs[other:][:common])
    result: NDArray[np.float32] = pairs.mean(1)
    return result


def _likeness(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """Median correlation of the pairs; 1 where neither picture has any contrast."""
    a = ours - ours.mean(1, keepdims=True)
    b = theirs - theirs.mean(1, keepdims=True)
    contrast = np.sqrt((a * a).mean(1) * (b * b).mean(1))
    seen = contrast > LEAST_LEVELS
    if not seen.any():
        return 1.0
    return float(np.median((a * b).mean(1)[seen] / contrast[seen]))


def _check_likeness(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> None:
    likeness = _likeness(ours, theirs)
    if likeness < LEAST_LIKENESS:
        raise _refused(f"they do not show the same picture (correlation {likeness:.2f})")


def _flat(pictures: Pictures) -> NDArray[np.float32]:
    flat: NDArray[np.float32] = pictures.reshape(len(pictures), -1).astype(np.float32)
    return flat


def _where(odd: NDArray[np.int64]) -> str:
    return f"; the first frame that does not fit is number {odd[0]}" if len(odd) else ""


def _refused(why: str) -> Misaligned:
    return Misaligned(
        f"no VMAF: encode and source are not frame by frame the same ({why})",
        hint="A score over such pairs would mean nothing. Was the file cut or its rate changed?",
    )
