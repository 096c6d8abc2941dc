"""Damage as ffmpeg's own filters and codecs do it, to be found in whole clips.

CASES and EXTREMES are the field's (training.field), REHEARSED are what thresholds are chosen with
(training.rehearsal): the same artifacts by other ways or in other strengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aqs_batch.records import Artifact

SECONDS = 2.6
NEARLY_LOSSLESS = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "10")
EVEN = "scale=trunc(iw/2)*2:trunc(ih/2)*2"
IMPULSES = "geq=lum='if(lt(random(1),{rate}),{value},lum(X,Y))':cb='cb(X,Y)':cr='cr(X,Y)'"
LATER = "split[a][b];[b]trim=start_frame={frames},setpts=PTS-STARTPTS[c];[a][c]blend={how}"
EITHER_END = "16+219*gt(random(2),0.5)"


@dataclass(frozen=True)
class Case:
    """One way to damage a clip: an ffmpeg filter, an encoder, or both; no artifact: still good."""

    artifact: Artifact | None
    name: str
    filters: str = ""
    encoder: tuple[str, ...] = NEARLY_LOSSLESS

    @property
    def to_find(self) -> str:
        """The artifact's name, "-" for none."""
        return self.artifact.value if self.artifact else "-"

    def argv(self, ffmpeg_path: str, source: Path, target: Path) -> list[str]:
        """The command that makes the clip; sides are made even, since codecs want it."""
        chain = ",".join(part for part in (EVEN, self.filters) if part)
        pixels = () if "-pix_fmt" in self.encoder else ("-pix_fmt", "yuv420p")
        return [
            ffmpeg_path, "-hide_banner", "-nostdin", "-y", "-i", f"file:{source}",
            "-t", str(SECONDS), "-an", "-filter_complex", chain, *self.encoder, *pixels,
            f"file:{target}",
        ]  # fmt: skip


_QUICK = ("-deadline", "realtime", "-cpu-used", "5")


def _coded(codec: str, *options: str) -> tuple[str, ...]:
    return ("-c:v", codec, *options)


def _not_deblocked(crf: int) -> Case:
    encoder = _coded("libx264", "-crf", str(crf), "-x264-params", "no-deblock=1")
    return Case(Artifact.BLOCKING, f"x264 crf {crf}, no deblocking", encoder=encoder)


def _later(frames: int, opacity: float) -> str:
    return LATER.format(frames=frames, how=f"all_mode=normal:all_opacity={opacity}")


A = Artifact
CASES = (
    Case(None, "as it is"),
    Case(None, "x264 crf 20", encoder=_coded("libx264", "-crf", "20")),
    Case(None, "x265 crf 20", encoder=_coded("libx265", "-preset", "fast", "-crf", "20")),
    Case(A.BLOCKING, "mpeg2 q 22", encoder=_coded("mpeg2video", "-q:v", "22")),
    Case(A.BLOCKING, "mpeg4 q 22", encoder=_coded("mpeg4", "-q:v", "22")),
    Case(A.BLOCKING, "mjpeg q 22", encoder=_coded("mjpeg", "-q:v", "22", "-pix_fmt", "yuvj420p")),
    _not_deblocked(38),
    Case(A.RINGING, "jpeg2000 q 30", encoder=_coded("jpeg2000", "-q:v", "30")),
    Case(A.RINGING, "unsharp 9x9 3.0", "unsharp=9:9:3:9:9:0"),
    Case(A.GHOSTING, "tmix 3", "tmix=frames=3"),
    Case(A.GHOSTING, "tblend average", "tblend=all_mode=average"),
    Case(A.GHOSTING, "lagfun 0.9", "lagfun=decay=0.9"),
    Case(A.GHOSTING, "blend with 3 frames later", LATER.format(frames=3, how="all_mode=average")),
    Case(A.JUDDER, "fps 12, fps 30", "fps=12,fps=30"),
    Case(A.JUDDER, "shuffleframes 0 1 1 3 4 4", "shuffleframes=0 1 1 3 4 4"),
    Case(A.GAUSSIAN_NOISE, "noise c0s 25 t", "noise=c0s=25:c0f=t"),
    Case(A.GAUSSIAN_NOISE, "noise alls 16 t", "noise=alls=16:allf=t"),
    Case(A.GAUSSIAN_NOISE, "noise alls 22 t+u", "noise=alls=22:allf=t+u"),
    Case(A.IMPULSE_NOISE, "geq 2 % to both ends", IMPULSES.format(rate=0.02, value=EITHER_END)),
    Case(A.IMPULSE_NOISE, "geq 0.6 % white", IMPULSES.format(rate=0.006, value=235)),
    Case(A.MOTION_BLUR, "dblur 0 degrees 12", "dblur=angle=0:radius=12"),
    Case(A.MOTION_BLUR, "dblur 60 degrees 8", "dblur=angle=60:radius=8"),
    Case(A.DEFOCUS_BLUR, "gblur 2.5", "gblur=sigma=2.5"),
    Case(A.DEFOCUS_BLUR, "boxblur 4", "boxblur=4:1"),
    Case(A.DEFOCUS_BLUR, "avgblur 4", "avgblur=4"),
    Case(
        A.COLOR_BANDING,
        "lutyuv 4 bits",
        "lutyuv=y='bitand(val,240)+8':u='bitand(val,248)+4':v='bitand(val,248)+4'",
    ),
    Case(
        A.COLOR_BANDING,
        "lutrgb 13 levels",
        "lutrgb=r='trunc(val/20)*20':g='trunc(val/20)*20':b='trunc(val/20)*20'",
    ),
    Case(A.COLOR_SATURATION, "eq saturation 2.4", "eq=saturation=2.4"),
    Case(A.COLOR_SATURATION, "eq saturation 0.25", "eq=saturation=0.25"),
    Case(A.COLOR_SATURATION, "vibrance 2", "vibrance=intensity=2"),
)

# Far beyond what anybody would call a defect of a film; AQS must not call it good.
EXTREMES = (
    Case(A.BLOCKING, "pixelize 16x16", "pixelize=w=16:h=16"),
    Case(A.RINGING, "jpeg2000 q 120", encoder=_coded("jpeg2000", "-q:v", "120")),
    Case(A.GHOSTING, "tmix 9", "tmix=frames=9"),
    Case(A.JUDDER, "fps 6, fps 30", "fps=6,fps=30"),
    Case(A.GAUSSIAN_NOISE, "noise alls 70 t+u", "noise=alls=70:allf=t+u"),
    Case(A.IMPULSE_NOISE, "geq 30 % to both ends", IMPULSES.format(rate=0.3, value=EITHER_END)),
    Case(A.MOTION_BLUR, "dblur 0 degrees 40", "dblur=angle=0:radius=40"),
    Case(A.MOTION_BLUR, "dblur 45 degrees 80", "dblur=angle=45:radius=80"),
    Case(A.DEFOCUS_BLUR, "gblur 12", "gblur=sigma=12"),
    Case(A.DEFOCUS_BLUR, "gblur 25", "gblur=sigma=25"),
    Case(A.COLOR_BANDING, "lutyuv 2 levels", "lutyuv=y='if(gt(val,110),180,60)'"),
    Case(A.COLOR_BANDING, "lutyuv 3 bits", "lutyuv=y='trunc(val/32)*32+16'"),
    Case(A.COLOR_SATURATION, "eq saturation 3", "eq=saturation=3"),
)

REHEARSED = (
    Case(None, "as it is"),
    Case(None, "x264 crf 22", encoder=_coded("libx264", "-crf", "22")),
    Case(None, "vp9 crf 26", encoder=_coded("libvpx-vp9", "-b:v", "0", "-crf", "26", *_QUICK)),
    Case(None, "mpeg2 q 2", encoder=_coded("mpeg2video", "-q:v", "2")),
    Case(A.BLOCKING, "mpeg2 q 14", encoder=_coded("mpeg2video", "-q:v", "14")),
    Case(A.BLOCKING, "mpeg4 q 15", encoder=_coded("mpeg4", "-q:v", "15")),
    Case(A.BLOCKING, "wmv2 q 26", encoder=_coded("wmv2", "-q:v", "26")),
    _not_deblocked(35),
    Case(A.RINGING, "jpeg2000 q 50", encoder=_coded("jpeg2000", "-q:v", "50")),
    Case(A.RINGING, "snow q 14", encoder=_coded("snow", "-q:v", "14")),
    Case(A.RINGING, "unsharp 5x5 4.0", "unsharp=5:5:4:5:5:0"),
    Case(A.RINGING, "unsharp 13x13 2.5", "unsharp=13:13:2.5:13:13:0"),
    Case(
        A.RINGING,
        "half the size and back by sinc, unsharp 7x7 2.0",
        "scale=iw/2:-2:flags=sinc,scale=iw*2:-2:flags=sinc,unsharp=7:7:2:7:7:0",
    ),
    Case(A.GHOSTING, "tmix 2", "tmix=frames=2"),
    Case(A.GHOSTING, "tmix 4", "tmix=frames=4"),
    Case(A.GHOSTING, "lagfun 0.95", "lagfun=decay=0.95"),
    Case(A.GHOSTING, "lagfun 0.8", "lagfun=decay=0.8"),
    Case(A.GHOSTING, "blend with 2 frames later, 40 %", _later(2, 0.4)),
    Case(A.GHOSTING, "blend with 5 frames later, 35 %", _later(5, 0.35)),
    Case(A.JUDDER, "fps 15, fps 30", "fps=15,fps=30"),
    Case(A.JUDDER, "fps 8, fps 24", "fps=8,fps=24"),
    Case(A.JUDDER, "shuffleframes 0 0 2 3 3 5", "shuffleframes=0 0 2 3 3 5"),
    Case(A.GAUSSIAN_NOISE, "noise alls 10 t", "noise=alls=10:allf=t"),
    Case(A.GAUSSIAN_NOISE, "noise c0s 18 t+u", "noise=c0s=18:c0f=t+u"),
    Case(A.GAUSSIAN_NOISE, "noise alls 35 t", "noise=alls=35:allf=t"),
    Case(A.IMPULSE_NOISE, "geq 1 % to both ends", IMPULSES.format(rate=0.01, value=EITHER_END)),
    Case(A.IMPULSE_NOISE, "geq 0.4 % black", IMPULSES.format(rate=0.004, value=16)),
    Case(A.MOTION_BLUR, "dblur 90 degrees 10", "dblur=angle=90:radius=10"),
    Case(A.MOTION_BLUR, "dblur 135 degrees 6", "dblur=angle=135:radius=6"),
    Case(A.MOTION_BLUR, "dblur 20 degrees 16", "dblur=angle=20:radius=16"),
    Case(A.DEFOCUS_BLUR, "gblur 1.8", "gblur=sigma=1.8"),
    Case(A.DEFOCUS_BLUR, "gblur 4", "gblur=sigma=4"),
    Case(A.DEFOCUS_BLUR, "boxblur 2, twice", "boxblur=2:2"),
    Case(A.COLOR_BANDING, "lutyuv steps of 12", "lutyuv=y='trunc(val/12)*12+6'"),
    Case(
        A.COLOR_BANDING,
        "lutrgb 8 levels",
        "lutrgb=r='trunc(val/32)*32+16':g='trunc(val/32)*32+16':b='trunc(val/32)*32+16'",
    ),
    Case(A.COLOR_SATURATION, "eq saturation 2", "eq=saturation=2"),
    Case(A.COLOR_SATURATION, "eq saturation 2.8", "eq=saturation=2.8"),
    Case(A.COLOR_SATURATION, "eq saturation 0.35", "eq=saturation=0.35"),
    Case(A.COLOR_SATURATION, "eq saturation 0.15", "eq=saturation=0.15"),
    Case(A.COLOR_SATURATION, "huesaturation 0.7", "huesaturation=saturation=0.7"),
)
