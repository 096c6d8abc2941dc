"""Which moments and which places of a video are looked at: pure functions of what probing found."""

from __future__ import annotations

from dataclasses import dataclass

from aqs_batch.records import FRAMES_PER_SEQUENCE, TILE_PX, Video

SCENE_CUT = 0.4  # ffmpeg's scene score above which two frames belong to different scenes
LEAST_SEQUENCES = 8

# Roberts' R2 sequence: its two-dimensional points cover the frame evenly however many there are.
_PLASTIC = 1.32471795724474602596
_STEP_X, _STEP_Y = 1 / _PLASTIC, 1 / _PLASTIC**2


@dataclass(frozen=True)
class SamplePlan:
    """One sequence every `interval_s` from the first frame on, `count` of them at most."""

    interval_s: float
    count: int


def plan(video: Video, interval_s: float, max_sequences: int) -> SamplePlan:
    """Spread sequences over a video.

    At least 8 if the clip has the frames for them, at most `max_sequences`: then the interval
    grows. Sequences never overlap.
    """
    times = video.frame_times_s
    duration = max(video.duration_s, 1e-3)
    window = duration * FRAMES_PER_SEQUENCE / max(len(times), FRAMES_PER_SEQUENCE)
    interval = min(interval_s, duration / LEAST_SEQUENCES)
    interval = max(interval, window, duration / max_sequences)
    return SamplePlan(interval, min(max(int(duration / interval + 1e-6), 1), max_sequences))


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
