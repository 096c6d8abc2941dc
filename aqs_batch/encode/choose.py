"""Which rung to take, and what its worst frames look like beside the source's."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aqs_batch.encode import command, inventory, plan
from aqs_batch.encode.frame_log import FrameLog
from aqs_batch.encode.ladder import Wanted
from aqs_batch.encode.plan import Window
from aqs_batch.errors import FfmpegError
from aqs_batch.ffmpeg import child
from aqs_batch.records import Pixels, Rung

CROP_PX = (320, 180)


def recommend(
    rungs: Sequence[Rung], good_vmaf: float, samples: Sequence[Rung] = ()
) -> tuple[int, str] | None:
    """(position, why) of the rung to take: the smallest that looks good and saves bytes.

    The words hold for these rungs: a report shows them beside those of other requests. Of a whole
    file `samples` are those that it was chosen by. None where nothing was measured or every rung
    is larger than the source.
    """
    saving = [(n, r) for n, r in enumerate(rungs) if r.vmaf and not r.ratio >= 1]
    if not saving:
        return None
    good = [r for r in (*rungs, *samples) if r.vmaf and r.vmaf.mean >= good_vmaf]
    enough = f"of at least {good_vmaf:g}"
    if fit := [(n, r) for n, r in saving if r in good]:
        number, rung = min(fit, key=lambda pair: pair[1].kbps)
        saved = f"; {1 - rung.ratio:.0%} smaller than the source" if rung.ratio else ""
        return number, f"of the CRFs asked for the smallest with VMAF {enough}{saved}"
    number, rung = max(saving, key=lambda pair: pair[1].vmaf.mean if pair[1].vmaf else 0.0)
    if any(not r.ratio >= 1 for r in good):
        return number, f"of the CRFs asked for the smallest whose samples have VMAF {enough}"
    why = f"none reaches VMAF {good_vmaf:g}"
    if good:
        why = f"none that reaches VMAF {good_vmaf:g} is smaller than the source"
    return number, f"of the CRFs asked for {why}; of those that save bytes this comes nearest"


def side_by_side(
    ffmpeg_path: str, wanted: Wanted, files: Sequence[Path], log: FrameLog, position: int
) -> Pixels | None:
    """Crops of one frame, source left and encode right, uint8[H,W,3]; None if one is unreadable.

    `files` are the encode's, one a window, `position` counts the frames of `log`. None as well
    where some of the source do not decode: its packets do not say when the others are shown.
    """
    video, place = wanted.video, wanted.place
    theirs = video.frame_times_s
    if wanted.plan.full and len(log.numbers) + abs(log.offset) != len(theirs):
        return None
    starts = [window.start for window in wanted.plan.windows]
    source = int(log.numbers[position])
    at = bisect_right(starts, source) - 1
    encode, own = files[at], source - starts[at] - log.offset
    ours = inventory.take(encode, place).picture.times_s
    if source >= len(theirs) or own >= len(ours):
        return None
    middle = log.place(position)
    left, right = (
        _crop(
            ffmpeg_path, path, stream, plan.window(times, number, 1, times[-1] - times[0]), middle
        )
        for path, stream, times, number in (
            (video.path, video.stream_index, theirs, source),
            (encode, place, ours, own),
        )
    )
    if left is None or right is None or left.shape != right.shape:
        return None
    # As players turn it: of a phone's video, one half of the page had lain on its side.
    left, right = (np.rot90(crop, video.rotation_deg // 90) for crop in (left, right))
    if video.is_mirrored:
        left, right = np.flipud(left), np.flipud(right)
    gap = np.full((left.shape[0], 4, 3), 255, np.uint8)
    return np.concatenate([left, gap, right], axis=1)


def crop_argv(
    ffmpeg_path: str, path: Path, stream: int, window: Window, middle: tuple[float, float]
) -> list[str]:
    """One frame's crop at native resolution, as RGB in a PPM on stdout, which says its size."""
    width, height = CROP_PX
    box = (
        f"crop=w='min(iw,{width})':h='min(ih,{height})'"
        f":x='clip(iw*{middle[0]:.4f}-ow/2,0,iw-ow)':y='clip(ih*{middle[1]:.4f}-oh/2,0,ih-oh)'"
    )
    return [
        *command.quiet(ffmpeg_path), "-noautorotate", *command.opened(path, window),
        "-map", f"0:{stream}", "-frames:v", "1",
        "-vf", f"{box},format=rgb24", "-f", "image2pipe", "-c:v", "ppm", "pipe:1",
    ]  # fmt: skip


def _crop(
    ffmpeg_path: str, path: Path, stream: int, window: Window, middle: tuple[float, float]
) -> Pixels | None:
    room = np.zeros(CROP_PX[0] * CROP_PX[1] * 3 + 64, np.uint8)
    try:
        with child(crop_argv(ffmpeg_path, path, stream, window, middle)) as running:
            got = running.read_into(room.data)
    except FfmpegError:
        return None
    head, _, rest = room[:got].tobytes().partition(b"\n255\n")
    if not rest:
        return None
    width, height = (int(part) for part in head.split()[1:3])
    return np.frombuffer(rest, np.uint8)[: width * height * 3].reshape(height, width, 3)
