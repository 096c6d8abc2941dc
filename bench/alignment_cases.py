"""Sources and encodes whose frames are hard to pair: how each is made, and the right verdict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aqs_batch import ffmpeg

X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-crf", "30", "-x265-params", "log-level=error")
FAST = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "16", "-pix_fmt", "yuv420p")
DEEP = (*FAST[:-1], "yuv420p10le")
FULL_CHROMA = (*FAST[:-1], "yuv444p")


@dataclass(frozen=True)
class Case:
    """How source and encode are made; `verdict` None: no score may be given.

    `true_chain` is what a knowing hand puts before libvmaf on both sides besides the clock.
    """

    name: str
    encode: tuple[str, ...] = X265
    source: tuple[str, ...] = FAST
    size: str = "320x240"
    suffix: str = ".mkv"
    turned: bool = False
    verdict: str | None = "exact"


CASES = (
    Case("Matroska of an MP4"),
    Case("23.976 fps", source=(*FAST, "-r", "24000/1001")),
    Case("29.97 fps", source=(*FAST, "-r", "30000/1001")),
    Case("59.94 fps", source=(*FAST, "-r", "60000/1001")),
    Case(
        "variable frame rate",
        (*X265, "-fps_mode", "passthrough", "-enc_time_base", "demux"),
        (*FAST, "-vf", "setpts='(N+0.4*mod(N,3))/25/TB'", "-fps_mode", "vfr"),
    ),
    Case(
        "B-frames with an edit list",
        (*X265, "-bf", "4"),
        (*FAST, "-bf", "3", "-video_track_timescale", "90000"),
        suffix=".mp4",
    ),
    Case("a dropped frame", ("-vf", "select='not(eq(n,11))'", *X265), verdict=None),
    Case(
        "a doubled frame",
        ("-vf", "loop=loop=1:size=1:start=11,setpts=N/25/TB", *X265),
        verdict=None,
    ),
    Case(
        "a one-frame offset",
        ("-vf", "trim=start_frame=1,setpts=PTS-STARTPTS", *X265),
        verdict="offset 1",
    ),
    Case("another size", ("-vf", "scale=160:120:flags=bicubic", *X265)),
    Case("a crop", ("-vf", "crop=320:176", *X265)),
    Case("rotation", turned=True),
    Case("10 bits", (*X265, "-pix_fmt", "yuv420p10le"), DEEP),
    Case(
        "interlaced",
        ("-vf", "bwdif=mode=send_frame:deint=interlaced", *X265),
        (*FAST, "-vf", "interlace", "-flags", "+ilme+ildct"),
    ),
    Case("an odd size", source=FULL_CHROMA, size="321x241"),
)


def build(
    case: Case, ffmpeg_path: str, folder: Path, picture: str = "testsrc2"
) -> tuple[Path, Path]:
    """Make (source, encode) of a case in `folder`: one second at 25 fps."""
    source, target = folder / "source.mp4", folder / f"encode{case.suffix}"
    graph = f"{picture}=size={case.size}:rate=25"
    _run(ffmpeg_path, "-t", "1", "-f", "lavfi", "-i", graph, *case.source, f"file:{source}")
    if case.turned:
        turned = folder / "turned.mp4"
        _run(
            ffmpeg_path, "-display_rotation", "90", "-i", f"file:{source}", "-c", "copy",
            f"file:{turned}",
        )  # fmt: skip
        source = turned
    _run(ffmpeg_path, "-i", f"file:{source}", *case.encode, f"file:{target}")
    return source, target


def _run(ffmpeg_path: str, *options: str) -> None:
    done = ffmpeg.run([ffmpeg_path, "-hide_banner", "-nostdin", "-y", *options], timeout_s=300)
    if done.returncode:
        raise SystemExit("\n".join(done.tail))
