"""Which frames of a source a ladder encodes: all of them, or samples spread over it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from aqs_batch.media.containers import TIMELESS
from aqs_batch.records import FULL, Video

MOSTLY = 0.6  # samples that would cover more of a file than this are not worth their seams
SEEK_MARGIN_S = 2.0
REORDER_FRAMES = 32  # a keyframe is decoded at most so many early: 16 B-frames, 16 late ones


@dataclass(frozen=True)
class Window:
    """Consecutive frames of the source: from the one numbered `start`, `frames` of them.

    `seek_s` is a time between two frames on the file's own clock, None: read from the beginning.
    The file is opened `early_s` before that; what is shown until then is dropped. `frames` None:
    to the end, however many there are.
    """

    start: int
    frames: int | None
    seek_s: float | None
    t_s: float  # since the source's first frame
    length_s: float
    early_s: float = 0.0


WHOLE = Window(0, None, None, 0.0, 0.0)  # of a file whose length need not be known


@dataclass(frozen=True)
class Plan:
    """The windows of one ladder; `share` is the part of the source's frames that they hold, 0-1.

    How long a frame stands still is left out of account: hardly a byte is spent on that.
    """

    windows: tuple[Window, ...]
    words: str
    share: float

    @property
    def full(self) -> bool:
        return self.words == FULL


def whole(video: Video) -> Plan:
    """The source from its first to its last frame."""
    return Plan((Window(0, None, None, 0.0, video.duration_s),), FULL, 1.0)


def samples(video: Video, count: int, length_s: float) -> Plan:
    """`count` windows of `length_s` in parts of equally many frames, or the whole of a short one.

    A window begins at the keyframe nearest to where it would be centred: encoders put keyframes at
    scene cuts, so that few windows hold one, and a seek there decodes nothing in vain. Parts of
    equal time had met the frame after a long still (a screen recording's) again and again.
    """
    times, moving_s = video.frame_times_s, video.duration_s - video.held_s
    usable = len(times) > count and moving_s > 0 and video.container not in TIMELESS
    if not usable or len(set(times)) < len(times):
        return whole(video)
    windows, taken = [], 0
    for number in range(count):
        first, end = (len(times) * part // count for part in (number, number + 1))
        begin = _begin(video, first, end, length_s)
        frames = max(bisect_left(times, times[begin] + length_s, hi=end) - begin, 1)
        windows.append(window(times, begin, frames, moving_s, video.keyframe_times_s))
        taken += frames
    if taken > MOSTLY * len(times):
        return whole(video)
    return Plan(
        tuple(windows), f"{count} x {length_s:.1f} s of {moving_s:.1f} s", taken / len(times)
    )


def window(
    times_s: Sequence[float],
    first: int,
    frames: int,
    duration_s: float,
    keyframes_s: Sequence[float] | None = None,
) -> Window:
    """The window of `frames` frames from number `first` on, `times_s` the sorted times of all.

    The seek goes to the middle between two frames, so that a container which rounds its clock
    to a millisecond still begins at the same frame. `keyframes_s` None: they may be anywhere.
    """
    frames = min(frames, len(times_s) - first)
    seek_s = (times_s[first - 1] + times_s[first]) / 2 if first else None
    early_s = 0.0 if seek_s is None else _early_s(times_s, first, seek_s, keyframes_s)
    after = first + frames
    end = times_s[after] if after < len(times_s) else times_s[0] + duration_s
    t_s, length_s = times_s[first] - times_s[0], end - times_s[first]
    return Window(first, frames, seek_s, t_s, length_s, early_s)


def segments(times_s: Sequence[float], most: int, overlap: int) -> list[tuple[Window, slice]]:
    """A whole file in parts of `most` frames: what to read, and which of it to keep.

    Neighbours overlap by `overlap` frames on each side, for scores that look at the frames before
    and after; the last part is read to wherever the file ends. Needs strictly rising times.
    """
    parts = []
    for first in range(0, len(times_s), most):
        begin = max(first - overlap, 0)
        end = first + most + overlap
        last = first + most >= len(times_s)
        part = window(times_s, begin, end - begin, times_s[-1] - times_s[0])
        part = replace(part, frames=None) if last else part
        keep = slice(first - begin, None if last else first - begin + most)
        parts.append((part, keep))
    return parts


def _early_s(
    times_s: Sequence[float], first: int, seek_s: float, keyframes_s: Sequence[float] | None
) -> float:
    """How much earlier than `seek_s` a seek finds a keyframe that is shown at or before `first`.

    MP4 is sought by the time of decoding, in which a keyframe stands before frames that are shown
    before it: at 12 frames/s a seek to 1997 began at 2000. Without a keyframe soon after, none of
    later frames can stand that early, and nothing is decoded in vain.
    """
    until_s = times_s[min(first + REORDER_FRAMES, len(times_s) - 1)]
    if keyframes_s is not None and not any(times_s[first] < t <= until_s for t in keyframes_s):
        return 0.0
    return seek_s - times_s[max(first - REORDER_FRAMES, 0)]


def _begin(video: Video, first: int, end: int, length_s: float) -> int:
    """The frame to begin at, from `first` on and before `end`: a keyframe that leaves `length_s`
    until then, the nearest to the middle.
    """
    times = video.frame_times_s
    until_s = times[end] if end < len(times) else times[0] + video.duration_s - video.held_s
    earliest_s, latest_s = times[first], until_s - length_s
    middle = (earliest_s + latest_s) / 2
    inside = [t for t in video.keyframe_times_s if earliest_s <= t <= latest_s]
    at = min(inside, key=lambda t: abs(t - middle), default=middle)
    return min(bisect_left(times, at - 1e-6, first, end), end - 1)
