"""Which moments and which places of a video are looked at: pure functions of what probing found."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from aqs_batch.records import FRAMES_PER_SEQUENCE, TILE_PX, Video

SCENE_CUT = 0.4  # ffmpeg's scene score above which two frames belong to different scenes
LEAST_SEQUENCES = 8
PHASE = 0.618034  # of the golden ratio: multiples of it spread evenly over an interval
EARLY_S = 0.001  # a frame may be this much too early: Matroska rounds times to milliseconds

_INDEXED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
_CHILD_START_S = 0.15  # of one core: starting ffmpeg, reading the index, ending it
_DECODED_PIXELS_PER_S = 2.5e8  # of one core: 1080p H.264 at 120 frames/s
_REORDER_S = 0.5  # decoding order and order of show differ by less
_CLEARLY = 0.8  # one pass unless seeking is clearly cheaper

# Roberts' R2 sequence: its two-dimensional points cover the frame evenly however many there are.
_PLASTIC = 1.32471795724474602596
_STEP_X, _STEP_Y = 1 / _PLASTIC, 1 / _PLASTIC**2


@dataclass(frozen=True)
class SamplePlan:
    """One sequence in every `interval_s` from the first frame on, `count` of them at most.

    They begin up to `room_s` after their interval does, each at another part of it: what comes
    once a second in a file (keyframes, held frames) had been met by all sequences at one phase, so
    that one clip scored 0.98 and the same clip less five frames 0.22.
    """

    interval_s: float
    count: int
    room_s: float = 0.0

    def start_s(self, moment: int) -> float:
        """When a moment's sequence begins at the earliest, in seconds since the first frame."""
        part = moment * PHASE - math.floor(moment * PHASE)
        return moment * round(self.interval_s, 6) + round(self.room_s, 6) * part


def plan(video: Video, interval_s: float, max_sequences: int) -> SamplePlan:
    """Spread sequences over a video.

    At least 8 if the clip has the frames for them, at most `max_sequences`: then the interval
    grows. Sequences never overlap.
    """
    times = video.frame_times_s
    duration = max(video.duration_s - video.held_s, 1e-3)
    window = duration * FRAMES_PER_SEQUENCE / max(len(times), FRAMES_PER_SEQUENCE)
    interval = min(interval_s, duration / LEAST_SEQUENCES)
    interval = max(interval, window, duration / max_sequences)
    count = min(max(int(duration / interval + 1e-6), 1), max_sequences)
    # Half of the window as well, since frames fall where they like.
    return SamplePlan(interval, count, max(interval - 1.5 * window, 0.0))


@dataclass(frozen=True)
class Moments:
    """Which frame a sequence starts at, from the packet index, as ffmpeg's select would choose."""

    times_s: tuple[float, ...]
    plan: SamplePlan

    def number(self, frame: int) -> int:
        """The planned moment in whose interval a frame lies."""
        return int(self._since(frame) / round(self.plan.interval_s, 6))

    def _since(self, frame: int) -> float:
        return self.times_s[frame] - self.times_s[0] + EARLY_S

    def next(self, frame: int, moment: int) -> int | None:
        """The first frame from `frame` on at which `moment` or a later one begins; None: no more.

        `moment` may be one past the plan: then there is none.
        """
        while frame < len(self.times_s):
            due = max(moment, self.number(frame))
            if due >= self.plan.count:
                return None
            start_s = self.plan.start_s(due)
            if self._since(frame) >= start_s:
                return frame
            at = self.times_s[0] + start_s - EARLY_S - 1e-6
            frame = max(frame + 1, bisect_left(self.times_s, at))
        return None

    def starts(self) -> Iterator[int]:
        """The first frame of each sequence, where no cut moves one."""
        found = self.next(0, 0)
        while found is not None:
            yield found
            found = self.next(found + FRAMES_PER_SEQUENCE, self.number(found) + 1)


def reachable(video: Video, plan: SamplePlan) -> int:
    """How many of the planned sequences the frames can give: where these are sparse, seven of them
    last longer than the interval.
    """
    times = video.frame_times_s
    last = len(times) - FRAMES_PER_SEQUENCE
    return sum(start <= last for start in Moments(times, plan).starts())


def seek_point_s(video: Video, frame: int) -> float:
    """Where to start decoding for `frame`: a keyframe's time, in the container's own clock.

    Not the nearest: a demuxer seeks by decoding time, and may land behind a frame that is shown
    shortly before a keyframe but decoded after it.
    """
    keys = video.keyframe_times_s
    at = bisect_right(keys, video.frame_times_s[max(frame - 1, 0)] - _REORDER_S) - 1
    return keys[at] if at >= 0 else video.frame_times_s[0]


def seek_pays(video: Video, plan: SamplePlan) -> bool:
    """Whether seeking to each sequence decodes enough less than one pass, going by the keyframes.

    Only where a seek finds its frame for sure: an index in the container, strictly rising times,
    nothing damaged, nothing to deinterlace.
    """
    times = video.frame_times_s
    if (
        video.container not in _INDEXED
        or video.interlaced
        or video.warnings
        or any(b <= a for a, b in pairwise(times))
    ):
        return False
    # A child takes about as long to start as to decode this many frames of this size.
    start = _CHILD_START_S * _DECODED_PIXELS_PER_S / max(video.width * video.height, 1)
    return frames_by_seeking(video, plan) + plan.count * start < _CLEARLY * len(times)


def frames_by_seeking(video: Video, plan: SamplePlan) -> int:
    """How many frames are decoded when each sequence is sought."""
    times = video.frame_times_s
    return sum(
        start + FRAMES_PER_SEQUENCE - bisect_left(times, seek_point_s(video, start))
        for start in Moments(times, plan).starts()
    )


def tile_corners(sequence: int, tiles: int, height: int, width: int) -> list[tuple[int, int]]:
    """Top-left corners (y, x) of the tiles of one sequence, low-discrepancy over the whole video.

    A frame no larger than one tile has a single one, at (0, 0).
    """
    room_y, room_x = max(height - TILE_PX, 0), max(width - TILE_PX, 0)
    if room_y == 0 and room_x == 0:
        return [(0, 0)]
    corners = []
    for number in range(sequence * tiles, (sequence + 1) * tiles):
        x = (0.5 + (number + 1) * _STEP_X) % 1.0
        y = (0.5 + (number + 1) * _STEP_Y) % 1.0
        corners.append((round(y * room_y), round(x * room_x)))
    return corners


def analysed_size(video: Video, max_height: int) -> tuple[int, int]:
    """(height, width) the frames are decoded at: native, or scaled to `max_height` rows.

    Upright video counts its shorter side, so that a phone's 1080x1920 stays as it is.
    """
    short = min(video.width, video.height)
    if short <= max_height:
        return video.height, video.width
    factor = max_height / short
    return max(round(video.height * factor), 1), max(round(video.width * factor), 1)
