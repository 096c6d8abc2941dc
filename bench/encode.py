"""Figures of ladders and VMAF: `python -m bench.encode`. Ratios; nothing passes or fails.

Parts: rung, measure, ladder (against plain ffmpeg commands), samples (against --full), alignment
(our figure beside the naive one), memory (of libvmaf at 2160p). Ours and theirs take turns, and
the quicker of the repetitions counts, so that a busy machine does less harm.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from aqs_batch import ffmpeg
from aqs_batch.config import load
from aqs_batch.encode import child, command, pair, plan, vmaf
from aqs_batch.encode.child import Tool
from aqs_batch.encode.codec import Recipe
from aqs_batch.encode.ladder import LadderMaker, Tools, Wanted
from aqs_batch.encode.target import Target
from aqs_batch.encoders import Codec
from aqs_batch.errors import EncodeError
from aqs_batch.ingest.fingerprint import fingerprint
from aqs_batch.ingest.probe import probe
from aqs_batch.records import Video
from aqs_batch.reencoding import encoding
from bench.alignment_cases import CASES, build

PARTS = ("rung", "measure", "ladder", "samples", "alignment", "memory")
CRFS = (22.0, 26.0, 30.0, 34.0)
MEDIA = Path(__file__).resolve().parent.parent.parent / "shared" / "media" / "clips"


@cache
def tool() -> ffmpeg.Ffmpeg:
    """The ffmpeg that the package uses, looked for once."""
    return ffmpeg.find()


def plain(*options: str) -> None:
    """A command as anyone would type it."""
    done = ffmpeg.run([tool().path, "-hide_banner", "-nostdin", "-y", *options])
    if done.returncode:
        raise SystemExit("\n".join(done.tail))


def quickest(repetitions: int, *works: Callable[[], object]) -> list[float]:
    """Seconds of each work, the best of several turns."""
    best = [float("inf")] * len(works)
    for _ in range(repetitions):
        for number, work in enumerate(works):
            began = time.perf_counter()
            work()
            best[number] = min(best[number], time.perf_counter() - began)
    return best


def say(what: str, *figures: str) -> None:
    print(f"{what:<44} " + "  ".join(figures), flush=True)


class Bench:
    """One clip under one preset."""

    def __init__(self, clip: Path, preset: str, repetitions: int, folder: Path) -> None:
        self.clip, self.preset, self.folder = clip, preset, folder
        self.repetitions = repetitions
        self.video: Video = probe(clip)
        self.recipe = Recipe(Codec.X265, preset)
        self.models = vmaf.models(self.video.width, self.video.height, with_v1=False)

    def ladder(self) -> LadderMaker:
        wanted = Wanted(
            self.video, fingerprint(self.clip), plan.whole(self.video), self.recipe, self.models
        )
        cores = os.cpu_count() or 1
        ours = Tool(tool().path, 3600.0)
        tools = Tools(ours, tool().version, cores, max(cores, 4), self.folder, self.folder)
        return LadderMaker(wanted, tools, lambda key: None)

    def encode_plain(self, crf: float) -> None:
        plain(
            "-i", f"file:{self.clip}", "-map", f"0:{self.video.stream_index}", "-c:v", "libx265",
            "-preset", self.preset, "-crf", f"{crf:g}", f"file:{self.folder}/plain{crf:g}.mkv",
        )  # fmt: skip

    def encode_ours(self, crf: float) -> None:
        target = Target(crf, self.folder / f"ours{crf:g}.mkv", "matroska")
        window = plan.whole(self.video).windows[0]
        child.run(
            command.encoder_argv(tool().path, self.video, window, self.recipe, [target]), "encoding"
        )

    def measure_plain(
        self, crf: float, *, models: Sequence[str], threads: int, xpsnr: bool
    ) -> None:
        """libvmaf by hand, as fast as it goes: no clock is repaired, no frame is looked at."""
        said = "|".join(f"version={name}\\:name=m{n}" for n, name in enumerate(models))
        graph = f"[0:v][1:v]libvmaf=model='{said}':n_threads={threads}:log_fmt=json"
        graph += f":log_path={self.folder}/plain.json"
        if xpsnr:
            graph += f"[v];[1:v][v]xpsnr=stats_file={self.folder}/plain.log"
        plain(
            "-i", f"file:{self.folder}/plain{crf:g}.mkv", "-i", f"file:{self.clip}", "-lavfi",
            graph, "-f", "null", "-",
        )  # fmt: skip

    def measure_ours(self, crf: float) -> None:
        window = plan.whole(self.video).windows[0]
        sides = pair.own(self.folder / f"plain{crf:g}.mkv", 0, self.video, window, self.recipe)
        vmaf.measure(*sides, vmaf.Measuring(Tool(tool().path), self.models, os.cpu_count() or 1))

    def rung(self) -> None:
        ours, theirs = quickest(
            self.repetitions, lambda: self.encode_ours(28), lambda: self.encode_plain(28)
        )
        say("one rung / plain libx265", f"{ours / theirs:.3f}", f"({ours:.1f} s, {theirs:.1f} s)")

    def measure(self) -> None:
        self.encode_plain(28)
        cores = os.cpu_count() or 1
        both = list(self.models.values())
        ours, same, single, alone = quickest(
            self.repetitions,
            lambda: self.measure_ours(28),
            lambda: self.measure_plain(28, models=both, threads=cores, xpsnr=True),
            lambda: self.measure_plain(28, models=both, threads=0, xpsnr=True),
            lambda: self.measure_plain(28, models=both[:1], threads=cores, xpsnr=False),
        )
        say("measuring / VMAF + NEG + XPSNR, all cores", f"{ours / same:.3f}", f"({ours:.1f} s)")
        say("measuring / the same, ffmpeg's own threads", f"{ours / single:.3f}")
        say("measuring / VMAF alone, all cores", f"{ours / alone:.3f}")

    def four(self) -> None:
        cores = os.cpu_count() or 1
        both = list(self.models.values())

        def theirs() -> None:
            for crf in CRFS:
                self.encode_plain(crf)
                self.measure_plain(crf, models=both, threads=cores, xpsnr=True)

        def measured(threads: int) -> None:
            for crf in CRFS:
                self.measure_plain(crf, models=both, threads=threads, xpsnr=True)

        ours, plain_s, default_s = quickest(
            self.repetitions, lambda: self.ladder().climb(CRFS), theirs, partial(measured, 0)
        )
        (measured_s,) = quickest(1, partial(measured, cores))
        encodes_s = plain_s - measured_s
        say("four rungs / four commands, all cores", f"{ours / plain_s:.3f}", f"({ours:.1f} s)")
        say("four rungs / the same, ffmpeg's own threads", f"{ours / (encodes_s + default_s):.3f}")


def long_clip(folder: Path, seconds: int) -> Path:
    """A film of many scenes: pieces of the shared clips, or of ffmpeg's sources without them."""
    clips = sorted(MEDIA.glob("*.mp4"))[::3] if MEDIA.is_dir() else []
    fit = "fps=25,scale=640:360:force_original_aspect_ratio=increase,crop=640:360,setsar=1"
    quick = ("-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-crf", "12")
    inputs = [("-stream_loop", "-1", "-i", f"file:{clip}") for clip in clips]
    inputs = inputs or [("-f", "lavfi", "-i", "mandelbrot=size=640x360:rate=25")]
    length = f"{seconds / len(inputs):.3f}"
    for number, options in enumerate(inputs):
        piece = folder / f"piece{number}.mkv"
        plain(*options, "-t", length, "-vf", fit, "-an", *quick, f"file:{piece}")
    (folder / "pieces.txt").write_text("".join(f"file piece{n}.mkv\n" for n in range(len(inputs))))
    target = folder / "long.mkv"
    plain("-f", "concat", "-i", f"{folder}/pieces.txt", "-c", "copy", f"file:{target}")
    return target


def samples(folder: Path, seconds: int, preset: str) -> None:
    """Samples beside the whole of a long clip: time, VMAF and size."""
    clip = long_clip(folder, seconds)
    figures = []
    for full in (False, True):
        flags = {
            "output.dir": str(folder / f"full{full}"), "encode.full": full, "encode.aqs": False,
            "encode.preset": preset, "encode.crf": (28,),
        }  # fmt: skip
        order = encoding.Order(
            clip, fingerprint(clip), load(None, {}, flags).settings, tool(), lambda key: None, None
        )
        began = time.perf_counter()
        (stored,) = encoding.encode(order).rungs
        figures.append((time.perf_counter() - began, stored.rung))
    (quick, sampled), (slow, whole) = figures
    assert sampled.vmaf is not None and whole.vmaf is not None
    say(f"samples / whole file, time ({seconds} s clip)", f"{quick / slow:.3f}", sampled.plan)
    say("VMAF of samples, of the whole", f"{sampled.vmaf.mean:.2f}", f"{whole.vmaf.mean:.2f}")
    say("size told by samples / true size", f"{sampled.size_bytes / whole.size_bytes:.3f}")


def alignment(folder: Path) -> None:
    """Our verdict and figure beside what the plain command answers."""
    say("case", f"{'ours':>8}", f"{'naive':>8}", "verdict")
    for number, case in enumerate(CASES):
        place = folder / f"case{number}"
        place.mkdir()
        source, target = build(case, tool().path, place)
        reference = probe(source)
        models = vmaf.models(reference.width, reference.height, with_v1=False)
        try:
            frames = vmaf.measure(
                *pair.foreign(probe(target), reference),
                vmaf.Measuring(Tool(tool().path), models, 2),
            )
            ours, verdict = f"{frames.vmaf['vmaf'].mean():.2f}", frames.alignment.words
        except EncodeError as error:
            ours, verdict = "refused", str(error).partition("(")[2].rstrip(")")
        log = place / "naive.json"
        argv = [tool().path, "-hide_banner", "-nostdin", "-i", f"file:{target}", "-i"]
        argv += [f"file:{source}", "-lavfi", f"libvmaf=log_fmt=json:log_path={log}"]
        naive = "fails"
        if ffmpeg.run([*argv, "-f", "null", "-"]).returncode == 0:
            naive = f"{json.loads(log.read_text())['pooled_metrics']['vmaf']['mean']:.2f}"
        say(case.name, f"{ours:>8}", f"{naive:>8}", verdict)


def memory(folder: Path, counts: Sequence[int], size: str) -> None:
    """Peak memory of the measuring child at 2160p by length, in one go and in parts."""
    clip, target = folder / "big.mp4", folder / "big-d.mp4"
    graph = f"testsrc2=size={size}:rate=25,noise=alls=8:allf=t"
    fast = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    seconds = str(max(counts) / 25)
    plain("-f", "lavfi", "-i", graph, "-t", seconds, *fast, "-crf", "20", f"file:{clip}")
    plain("-i", f"file:{clip}", *fast, "-crf", "35", f"file:{target}")
    for frames in counts:
        for most in (10**9, max(frames // 4, 8)):
            code = (
                "import resource, sys; from bench.encode import measured; measured(*sys.argv[1:]); "
                "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
            )
            argv = [sys.executable, "-c", code, str(target), str(clip), str(frames), str(most)]
            done = subprocess.run(argv, capture_output=True, text=True, check=True)
            words = "in one go" if most > frames else f"in parts of {most}"
            say(f"memory, {size}, {frames} frames, {words}", f"{int(done.stdout) / 1024:.0f} MB")


def measured(target: str, clip: str, frames: str, most: str) -> None:
    """Measure the first frames of a pair in parts: what `memory` starts as its own process."""
    from aqs_batch.encode.segments import measure_in_parts

    reference, distorted = probe(Path(clip)), probe(Path(target))
    count, models = int(frames), vmaf.models(reference.width, reference.height, with_v1=False)
    sides = pair.foreign(distorted, reference)
    if int(most) > count:
        window = plan.window(reference.frame_times_s, 0, count, reference.duration_s)
        sides = (replace(sides[0], window=window), replace(sides[1], window=window))
    times = distorted.frame_times_s[:count], reference.frame_times_s[:count]
    measuring = vmaf.Measuring(Tool(tool().path), models, os.cpu_count() or 1)
    measure_in_parts(sides, measuring, times, lambda frame: None, most=int(most))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (all)")
    parser.add_argument("--clip", type=Path, default=MEDIA / "davis_car_turn_1080p.mp4")
    parser.add_argument("--preset", default="medium")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=600, help="of the long clip")
    parser.add_argument("--frames", default="50,200,400", help="of the memory part")
    parser.add_argument("--size", default="3840x2160", help="of the memory part")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory(prefix="aqs-bench-") as scratch:
        folder = Path(scratch)

        def bench() -> Bench:
            return Bench(asked.clip, asked.preset, asked.repetitions, folder)

        works: dict[str, Callable[[], None]] = {
            "rung": lambda: bench().rung(),
            "measure": lambda: bench().measure(),
            "ladder": lambda: bench().four(),
            "samples": lambda: samples(folder, asked.seconds, asked.preset),
            "alignment": lambda: alignment(folder),
            "memory": lambda: memory(folder, [int(n) for n in asked.frames.split(",")], asked.size),
        }
        for part in asked.parts or PARTS:
            works[part]()


if __name__ == "__main__":
    main()
