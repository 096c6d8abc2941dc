"""Ghosting and judder: what goes wrong between frames."""

from __future__ import annotations

import cv2
import numpy as np

from aqs_batch.records import Artifact
from training.degrade.generator import (
    PAST,
    Clip,
    Floats,
    Frames,
    Rng,
    ahead,
    between,
    each,
    generator,
)


@generator(Artifact.GHOSTING, Artifact.MOTION_BLUR)
def _temporal_blend(clip: Clip, strength: float, rng: Rng) -> Clip:
    lag = int(rng.integers(1, 4))
    weight = between(0.15, 0.5, strength)
    return clip.replaced(clip.frames * (1 - weight) + _delayed(clip, lag) * weight)


def _delayed(clip: Clip, lag: int) -> Floats:
    """The frames `lag` steps ago.

    Once time ran backwards before the start. A mixture with the future is no ghost: what was
    learned from it was that frames repeat in reverse, and of clips that ffmpeg blended next to
    nothing was found.
    """
    shown = np.concatenate([ahead(clip), clip.frames])
    return shown[PAST - lag : len(shown) - lag].astype(np.float32)


@generator(Artifact.GHOSTING)
def _double_image(clip: Clip, strength: float, rng: Rng) -> Clip:
    angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(4, 24)
    dx, dy = reach * np.cos(angle), reach * np.sin(angle)
    weight = between(0.12, 0.5, strength)
    matrix = np.array([[1.0, 0, dx], [0, 1.0, dy]])
    high, wide = clip.frames.shape[1:3]

    def blend(frame: Frames) -> Floats:
        other = cv2.warpAffine(
            frame, matrix, (wide, high), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        return frame * (1 - weight) + other.astype(np.float32) * weight

    return each(clip, blend)


@generator(Artifact.GHOSTING, Artifact.JUDDER, Artifact.MOTION_BLUR)
def _rate_conversion(clip: Clip, strength: float, rng: Rng) -> Clip:
    """24 to 30 or 25 to 30 by blending: a frame mixes with the next by how far it falls between.

    The clock is kept, so that only mixing changes: a frame on the source's beat stays pure, one
    halfway between two beats is half of each.
    """
    phase = (rng.uniform(0, 1) + rng.uniform(0.2, 0.45) * np.arange(len(clip.frames))) % 1.0
    depth = between(0.4, 1.0, strength)
    part = (0.5 * depth * (1 - np.abs(2 * phase - 1)))[:, None, None, None].astype(np.float32)
    following = np.minimum(np.arange(len(clip.frames)) + 1, len(clip.frames) - 1)
    following[-1] = len(clip.frames) - 2  # past the end time runs backwards
    return clip.replaced(clip.frames * (1 - part) + clip.frames[following] * part)


@generator(Artifact.GHOSTING, Artifact.MOTION_BLUR)
def _multiple_exposure(clip: Clip, strength: float, rng: Rng) -> Clip:
    """The mean of two to five frames that stand apart in time, as long exposures in steps are."""
    count, lag = int(rng.integers(2, 6)), int(rng.integers(1, 3))
    weight = between(0.35, 1.0, strength)
    copies = np.mean([_delayed(clip, lag * n) for n in range(count)], axis=0)
    return clip.replaced(clip.frames * (1 - weight) + copies * np.float32(weight))


@generator(Artifact.GHOSTING, Artifact.MOTION_BLUR, later=2)
def _mean_of_many(clip: Clip, strength: float, rng: Rng) -> Clip:
    """The mean of three to nine frames in a row: what moves is a mist, and nothing of it sharp.

    Of such clips the jury, which knew five copies at most, thought the better the more there were.
    """
    count = round(between(3, PAST + 1, strength))
    return clip.replaced(np.mean([_delayed(clip, lag) for lag in range(count)], axis=0))


@generator(Artifact.GHOSTING, Artifact.MOTION_BLUR, held_out=True)
def _decaying_trail(clip: Clip, strength: float, rng: Rng) -> Clip:
    """A recursive noise reducer that is too strong: each frame keeps part of the last output."""
    keep = between(0.3, 0.75, strength)
    past = ahead(clip)
    state = past[0].astype(np.float32)
    for frame in past:
        state = keep * state + (1 - keep) * frame
    out = []
    for frame in clip.frames:
        state = keep * state + (1 - keep) * frame
        out.append(state)
    return clip.replaced(np.stack(out))


@generator(Artifact.GHOSTING, Artifact.MOTION_BLUR, later=1)
def _bright_trail(clip: Clip, strength: float, rng: Rng) -> Clip:
    """Phosphor that glows on: what was brighter before fades away instead of being gone.

    The screen is turned down by what the glow adds, so that brightness alone tells nothing.
    """
    keep = between(0.6, 0.96, strength)
    out, glow = [], np.zeros(clip.frames.shape[1:], np.float32)
    for frame in np.concatenate([ahead(clip), clip.frames]):
        glow = np.maximum(frame.astype(np.float32), glow * np.float32(keep))
        out.append(glow)
    trailed = np.stack(out[PAST:])
    return clip.replaced(trailed * np.float32(clip.frames.mean() / max(trailed.mean(), 1.0)))


def _retimed(clip: Clip, index: list[int]) -> Clip:
    """The scene shown at other times, from the same start: what was done to its frames before is
    gone (training.recipe).
    """
    if clip.scene is None:
        return clip.replaced(clip.frames[np.clip(index, 0, len(clip.frames) - 1)])
    start, step = clip.times[0], clip.times[1] - clip.times[0]
    return clip.replaced(clip.scene.sequence([start + step * i for i in index]))


@generator(Artifact.JUDDER)
def _dropped_and_repeated(clip: Clip, strength: float, rng: Rng) -> Clip:
    index = list(range(len(clip.frames)))
    for at in rng.choice(np.arange(1, len(index)), round(between(1, 4, strength)), replace=False):
        index[at] = index[at - 1]
    return _retimed(clip, index)


@generator(Artifact.JUDDER)
def _uneven_cadence(clip: Clip, strength: float, rng: Rng) -> Clip:
    """3:2 and its relatives: frames are held for alternating counts."""
    pattern = [[1, 1, 2], [1, 2], [2, 3]][min(int(strength * 3), 2)]
    held: list[int] = []
    phase, shown = int(rng.integers(0, 3)), 0
    while len(held) < len(clip.frames) + 4:
        count = pattern[(shown + phase) % len(pattern)]
        held += [shown] * count
        shown += 1
    skip = int(rng.integers(0, 3))
    return _retimed(clip, [h - held[skip] for h in held[skip : skip + len(clip.frames)]])


@generator(Artifact.JUDDER)
def _held_frames(clip: Clip, strength: float, rng: Rng) -> Clip:
    """A low frame rate shown at a high one: every frame two or three times, time kept."""
    hold = 2 if strength < 0.6 else 3
    phase = int(rng.integers(0, hold))
    return _retimed(clip, [max((i + phase) // hold * hold - phase, 0) for i in range(7)])


@generator(Artifact.JUDDER, held_out=True)
def _jumping_clock(clip: Clip, strength: float, rng: Rng) -> Clip:
    """Uneven sampling times: a stalling player that catches up by skipping."""
    index, now = [], 0
    stall = between(0.35, 0.75, strength)
    for due in range(1, len(clip.frames) + 1):
        index.append(now)
        now = now if rng.random() < stall else due  # what was due while it stood still is skipped
    if index == list(range(len(index))):
        index[3] = 2
    return _retimed(clip, index)
