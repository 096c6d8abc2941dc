"""How long the preprocess filter takes beside x265 on the same frames: a ratio, no pass or fail.

`python -m bench.preprocess` makes 720p frames with ffmpeg's own source and a grain filter;
`--clip FILE` takes real ones. Run it on an idle machine: both sides use every core.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import deque
from pathlib import Path

from aqs_batch import ffmpeg
from aqs_batch.encode.filtered import in_order
from aqs_batch.encode.raw_frames import RawFormat, RawFrame, read_frames
from aqs_batch.reencoding import preprocessing

SIZES = {"240p": (426, 240), "720p": (1280, 720), "1080p": (1920, 1080)}


def decode(binary: str, source: list[str], raw: RawFormat, frames: int) -> list[RawFrame]:
    """The first frames of a source, scaled to the size asked for."""
    argv = [binary, "-hide_banner", "-nostdin", "-loglevel", "error", *source]
    argv += ["-frames:v", str(frames), "-vf", f"scale={raw.width}:{raw.height},format=yuv420p"]
    with ffmpeg.child([*argv, "-f", "rawvideo", "pipe:1"]) as running:
        return list(read_frames(running, raw))


def x265_s(binary: str, raw: RawFormat, frames: list[RawFrame], preset: str, crf: int) -> float:
    """Seconds that x265 takes for the frames, from a file, with all its threads."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "in.yuv")
        path.write_bytes(b"".join(f.luma.tobytes() + f.chroma for f in frames))
        argv = [binary, "-hide_banner", "-nostdin", "-loglevel", "error", "-f", "rawvideo"]
        argv += ["-pix_fmt", "yuv420p", "-s", f"{raw.width}x{raw.height}", "-i", f"file:{path}"]
        argv += ["-c:v", "libx265", "-preset", preset, "-crf", str(crf), "-f", "null", "-"]
        began = time.perf_counter()
        finished = ffmpeg.run(argv, timeout_s=600)
        if finished.returncode:
            raise SystemExit(" | ".join(finished.tail))
        return time.perf_counter() - began


def filter_s(frames: list[RawFrame], crf: int, workers: int) -> float:
    """Seconds that the filter takes for the frames, after a few to warm up."""
    apply = preprocessing.filters(1.0)(crf)
    deque(in_order(iter(frames[: 2 * workers]), apply, 8, workers), 0)
    began = time.perf_counter()
    deque(in_order(iter(frames), apply, 8, workers), 0)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--size", choices=sorted(SIZES), default="720p")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--preset", default="medium")
    parser.add_argument("--crf", type=int, default=28)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    binary, raw = ffmpeg.find().path, RawFormat("yuv420p", *SIZES[args.size])
    made = ["-f", "lavfi", "-i", f"testsrc2=size={raw.width}x{raw.height},noise=alls=6:allf=t"]
    source = ["-i", f"file:{args.clip}"] if args.clip else made
    frames = decode(binary, source, raw, args.frames)
    ours = filter_s(frames, args.crf, args.workers)
    theirs = x265_s(binary, raw, frames, args.preset, args.crf)
    print(f"{len(frames)} frames of {args.size}, {args.workers} frames at a time")
    for name, spent in (("filter", ours), (f"x265 {args.preset}", theirs)):
        print(f"{name:<14} {spent:7.2f} s  {len(frames) / spent:6.1f} frames a second")
    print(f"filter / x265  {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
