"""The speed table of one machine in one run: `python -m bench.speed [--only NAME] [--json FILE]`.

Nothing passes or fails: each figure stands beside its aim. `--write FILE` puts the table between
the markers of a Markdown page; `--small` only shows that the bench works.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np

from aqs_batch import ffmpeg, pipeline
from aqs_batch.analysis.checkpoint import chosen
from aqs_batch.analysis.engine import usable_cores
from aqs_batch.config import PROFILES, load
from aqs_batch.ingest.probe import probe
from aqs_batch.machine.measure import decoding_s, make_clip, model_speed
from aqs_batch.records import FRAMES_PER_SEQUENCE, TILE_PX
from aqs_batch.store import Analysis
from bench import first_light, scale

IN_A_ROW = 6
CLOSE_TILES = 32  # a moment: four times the thorough profile's
BEGIN, END = "<!-- speed -->", "<!-- end of speed -->"


@dataclass(frozen=True)
class Sizes:
    """How large the work is: of the true run, or of a trial that shows that the bench works."""

    picture: str = "1920x1080"
    large_picture: str = "3840x2160"
    seconds: int = 8
    long_seconds: int = 60  # so long that the quick profile has more to decode than to look at
    videos: int = 10_000
    per_video: int = 200


SMALL = Sizes("320x240", "640x360", 2, 4, 20, 4)


@dataclass(frozen=True)
class Row:
    """One figure with its unit and its aim; `at_least` says on which side of the aim is good."""

    what: str
    value: float
    unit: str
    aim: float | None = None
    at_least: bool = True

    @property
    def reached(self) -> bool | None:
        """Whether the aim is reached; None where there is none."""
        if self.aim is None:
            return None
        return self.value >= self.aim if self.at_least else self.value <= self.aim


@dataclass
class Speed:
    """One run of the bench: clips and the loaded model are made when first asked for."""

    folder: Path
    sizes: Sizes = field(default_factory=Sizes)

    @cached_property
    def clip(self) -> Path:
        return self._made(self.sizes.picture, self.sizes.seconds)

    def _made(self, size: str, seconds: int, *, heavy: bool = False) -> Path:
        return make_clip(ffmpeg.find().path, self.folder, size, seconds, heavy=heavy)

    @cached_property
    def bench(self) -> pipeline.Workbench:
        return self._bench("standard")

    def _bench(self, profile: str, **changed: float) -> pipeline.Workbench:
        flags = {
            **PROFILES[profile],
            **{f"analysis.{key}": value for key, value in changed.items()},
        }
        settings = load(None, {}, flags).settings
        return pipeline.set_up(settings, chosen(settings.model.checkpoint))

    @cached_property
    def model_tiles_per_s(self) -> float:
        """The network alone on tiles that are ready."""
        return model_speed(self.bench.engine.backend, self.bench.engine.batch).tiles_per_s

    @cached_property
    def standard(self) -> Analysis:
        """The clip from file to result with default settings; the first time warms up."""
        return _second_time(self.clip, self.bench)

    def model(self) -> Iterator[Row]:
        yield Row(
            "7-frame tile sequence, default CPU backend", 1e3 / self.model_tiles_per_s, "ms", 30,
            at_least=False,
        )  # fmt: skip
        thorough = _second_time(self.clip, self._bench("thorough"))
        yield Row("end to end / bare model, thorough profile", self._of_bare(thorough), "x")
        yield Row(
            f"the same with {CLOSE_TILES} tiles a moment: inference-bound",
            self._of_bare(self.close), "x", 0.85,
        )  # fmt: skip

    def _of_bare(self, analysis: Analysis) -> float:
        rate = _tiles(analysis) / analysis.processing_time_s
        return rate / self.model_tiles_per_s

    @cached_property
    def close(self) -> Analysis:
        """So many tiles that the model, not decoding, sets the pace."""
        return _second_time(self.clip, self._bench("thorough", tiles=CLOSE_TILES))

    def original(self) -> Iterator[Row]:
        """Against the cost of the original project's engine, made again without its code.

        It looks at seven whole frames scaled to the model's size where we look at tiles: the first
        two rows give both as many 7-frame inputs; the last, both the same moments of the clip.
        """
        moments, tiles = len(self.standard.sequences), _tiles(self.standard)
        spent = self.standard.processing_time_s
        yield Row(
            "end to end / original's cost, same number of 7-frame inputs",
            original_s(self.clip, tiles) / spent, "x", 5,
        )  # fmt: skip
        yield Row(
            f"the same with {CLOSE_TILES} tiles a moment: inference-bound",
            original_s(self.clip, _tiles(self.close)) / self.close.processing_time_s, "x",
        )  # fmt: skip
        yield Row(
            f"the same, its one input against our {tiles // moments} tiles a moment",
            original_s(self.clip, moments) / spent, "x",
        )  # fmt: skip

    def real_time(self) -> Iterator[Row]:
        spent = self.standard.processing_time_s
        yield Row("1080p at the default sampling", self.sizes.seconds / spent, "x real time", 4)
        in_a_row = IN_A_ROW * self.sizes.seconds / self._in_a_row()
        yield Row("the same, file after file as `run` takes them", in_a_row, "x real time", 4)
        path = self._made(self.sizes.picture, self.sizes.seconds, heavy=True)
        alone = decoding_s(probe(path), self.bench.ffmpeg.path)
        spent = _second_time(path, self.bench).processing_time_s
        yield Row("the same, seven times the rate", self.sizes.seconds / spent, "x real time")
        yield Row("  of which ffmpeg -f null takes", alone / spent, "x")

    def _in_a_row(self) -> float:
        """Seconds for copies of the clip, the next begun while one is being finished."""
        copies = [self.folder / f"copy-{n}.mp4" for n in range(IN_A_ROW)]
        for copy in copies:
            shutil.copyfile(self.clip, copy)
        ahead = pipeline.look_ahead(self.bench)
        began = time.perf_counter()
        for number, copy in enumerate(copies):
            ahead.finish(copy, lambda done, of: None, copies[number + 1 :])
        return time.perf_counter() - began

    def decode(self) -> Iterator[Row]:
        seconds = self.sizes.long_seconds
        path = self._made(self.sizes.picture, seconds, heavy=True)
        bench = self._bench("quick")
        alone = decoding_s(probe(path), bench.ffmpeg.path)
        quick = _second_time(path, bench)
        yield Row("quick profile / ffmpeg -f null", alone / quick.processing_time_s, "x", 0.8)

    def memory(self) -> Iterator[Row]:
        path = self._made(self.sizes.large_picture, self.sizes.seconds)
        row = first_light.peak_memory(path, "2160p", self.folder)
        yield Row("peak resident memory, 2160p", row.value * 2**20 / 1e9, "GB", 2, at_least=False)

    def help(self) -> Iterator[Row]:
        row = first_light.start_up()
        yield Row(row.what, row.value, row.unit, 0.3, at_least=False)

    def index(self) -> Iterator[Row]:
        aims = {"index rendered": 20, "index opened and sorted": 2, "index page": 8}
        for row in scale.measured(self.sizes.videos, self.sizes.per_video):
            aim = aims.get(row.what)
            yield Row(
                f"{row.what}, {self.sizes.videos:,} videos",
                row.value,
                row.unit,
                aim,
                at_least=False,
            )


PARTS: dict[str, Callable[[Speed], Iterator[Row]]] = {
    "model": Speed.model,
    "original": Speed.original,
    "real-time": Speed.real_time,
    "decode": Speed.decode,
    "memory": Speed.memory,
    "help": Speed.help,
    "index": Speed.index,
}


def _tiles(analysis: Analysis) -> int:
    return sum(len(s.tiles) for s in analysis.sequences)


def _second_time(path: Path, bench: pipeline.Workbench) -> Analysis:
    pipeline.process(path, bench)  # pays for memory and start-up
    return pipeline.process(path, bench)


def original_s(path: Path, sequences: int) -> float:
    """Seconds for `sequences` 7-frame inputs as the original project takes them.

    Frames scaled to 224 px, an eager fp32 EfficientNet-B0 on each, one sequence at a time. Windows
    are spread over the clip and may overlap; the clip is decoded once, which flatters it.
    """
    import timm
    import torch

    network = timm.create_model("efficientnet_b0", pretrained=False, num_classes=0).eval()
    total = len(probe(path).frame_times_s)
    starts = np.linspace(0, total - FRAMES_PER_SEQUENCE, sequences).astype(int)
    with torch.inference_mode():
        network(torch.zeros(FRAMES_PER_SEQUENCE, 3, TILE_PX, TILE_PX))
        began = time.perf_counter()
        frames = _scaled(path, total)
        for start in starts:
            window = torch.from_numpy(frames[start : start + FRAMES_PER_SEQUENCE])
            network(window.permute(0, 3, 1, 2).contiguous().float() / 255)
        return time.perf_counter() - began


def _scaled(path: Path, count: int) -> np.ndarray:
    """All frames scaled to the model's size: uint8[count,224,224,3]."""
    frames = np.zeros((count, TILE_PX, TILE_PX, 3), np.uint8)
    argv = [ffmpeg.find().path, "-hide_banner", "-nostdin", "-i", f"file:{path}"]
    argv += ["-vf", f"scale={TILE_PX}:{TILE_PX}", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    with ffmpeg.child(argv, wall_limit_s=600) as running:
        running.read_into(frames.data.cast("B"))
    return frames


def table(rows: list[Row]) -> str:
    """A Markdown table of the figures with their aims, and of what they were taken.

    The detector is among it: rows of an older one had stood in the page for many versions.
    """
    lines = ["| figure | measured | aim | reached |", "| --- | ---: | ---: | --- |"]
    for row in rows:
        aim = "" if row.aim is None else f"{'≥' if row.at_least else '≤'} {row.aim:g} {row.unit}"
        reached = {None: "", True: "yes", False: "**no**"}[row.reached]
        lines.append(f"| {row.what} | {row.value:.3g} {row.unit} | {aim} | {reached} |")
    when = datetime.now(UTC).date().isoformat()
    of = f"{usable_cores()} cores, {platform.machine()}, {when}, {chosen('').card.label}."
    return "\n".join([*lines, "", of])


def write(page: Path, text: str) -> None:
    """Replace what stands between the markers of a page; both must be there."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{page} has no {BEGIN} … {END}: add both lines where the table belongs.")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=list(PARTS), action="append", help="These parts alone.")
    parser.add_argument("--json", type=Path, help="Write the figures here too.")
    parser.add_argument("--write", type=Path, help="Markdown page to write the table into.")
    parser.add_argument("--small", action="store_true", help="Tiny sizes: shows that it works.")
    options = parser.parse_args()
    if options.write and (options.only or options.small):
        parser.error("--write takes a whole run: leave out --only and --small")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="aqs-speed-") as scratch:
        speed = Speed(Path(scratch), SMALL if options.small else Sizes())
        for name in options.only or PARTS:
            for row in PARTS[name](speed):
                rows.append(row)
                print(f"{row.what:<62} {row.value:>10.3g} {row.unit}", flush=True)
    print(f"\n{table(rows)}")
    if options.json:
        found = [asdict(row) | {"reached": row.reached} for row in rows]
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.write:
        write(options.write, table(rows))


if __name__ == "__main__":
    main()
