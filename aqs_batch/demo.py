"""Short clips from ffmpeg's own sources, each with one known damage, to try the tool on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from aqs_batch.errors import FfmpegError
from aqs_batch.ffmpeg import run

SECONDS = 3
SIZE, RATE = "640:360", 25

# A pan over a coloured fractal that slowly grows: fine detail, smooth slopes and motion everywhere.
# (Growth alone is less than a pixel a frame: a mean of four such frames is no ghost, and none was
# found.) Its colours are as pure as a screen can show and are toned down to what a camera sees;
# turned, too, since made strong again they would be ffmpeg's test picture as it should be.
_SOURCE = (
    f"mandelbrot=size=1280x720:rate={RATE}:start_scale=0.4:end_scale=0.25:end_pts=200,"
    f"scale=1100:-2:flags=area,crop={SIZE}:20+5*n:120+n,hue=h=300:s=0.4,format=yuv420p"
)
_CLEAN = ("-c:v", "libx264", "-crf", "12", "-preset", "fast")


@dataclass(frozen=True)
class Clip:
    """One demo clip: its name says its damage; a filter or an encoder makes it."""

    name: str
    filters: str = ""
    encoder: tuple[str, ...] = _CLEAN


CLIPS = (
    Clip("clean"),
    Clip("blocking", encoder=("-c:v", "mpeg2video", "-qscale:v", "28")),
    Clip("ringing", "unsharp=7:7:4"),
    Clip("ghosting", "tmix=frames=4:weights=1 1 1 1"),
    Clip("judder", f"fps=8,fps={RATE}"),
    Clip("gaussian_noise", "noise=alls=32:allf=t"),
    Clip("impulse_noise", "geq=lum='if(gt(random(1),0.97),255*gt(random(2),0.5),lum(X,Y))'"),
    Clip("motion_blur", "avgblur=sizeX=9:sizeY=1"),
    Clip("defocus_blur", "gblur=sigma=3"),
    Clip("color_banding", "elbg=codebook_length=12:seed=1,format=yuv420p"),
    Clip("color_saturation", "eq=saturation=2.8"),
)


def argv(ffmpeg_path: str, clip: Clip, target: Path) -> list[str]:
    """The command that makes one clip."""
    graph = f"{_SOURCE},{clip.filters}" if clip.filters else _SOURCE
    return [
        *(ffmpeg_path, "-hide_banner", "-nostdin", "-y", "-f", "lavfi", "-i", graph),
        *("-t", str(SECONDS), *clip.encoder, "-pix_fmt", "yuv420p", f"file:{target}"),
    ]


def make(ffmpeg_path: str, folder: Path) -> list[Path]:
    """Write the demo clips that `folder` lacks; raises FfmpegError when one cannot be made.

    A file that is there stays: it may be somebody's own "clean.mp4".
    """
    folder.mkdir(parents=True, exist_ok=True)
    targets = [folder / f"{clip.name}.mp4" for clip in CLIPS]
    for clip, target in zip(CLIPS, targets, strict=True):
        if os.path.lexists(target):
            continue
        partial = folder / f".{clip.name}.part.mp4"
        finished = run(argv(ffmpeg_path, clip, partial), timeout_s=300)
        if finished.returncode != 0:
            raise FfmpegError(f"could not make {target}: {' '.join(finished.tail[-2:])}")
        partial.rename(target)
    return targets
