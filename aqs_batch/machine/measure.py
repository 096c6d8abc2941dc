"""What this machine reaches: decoding, the model alone, a file end to end, and a folder's forecast.

Figures are of this machine at this moment; compare their ratios, not the seconds of two machines.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aqs_batch import ffmpeg, pipeline
from aqs_batch.analysis.checkpoint import chosen
from aqs_batch.analysis.engine import Backend, choose_backend, usable_cores
from aqs_batch.analysis.tiles import Tile
from aqs_batch.errors import AqsError, MediaError
from aqs_batch.ingest import sampling
from aqs_batch.ingest.files import gather
from aqs_batch.ingest.probe import probe
from aqs_batch.media.containers import SAFELY_ARGV, input_name
from aqs_batch.records import FRAMES_PER_SEQUENCE, SWATCH_PX, TILE_PX, Video
from aqs_batch.settings import Settings

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from aqs_batch.analysis.checkpoint import Checkpoint
    from aqs_batch.analysis.openvino_cpu import Layer

SECONDS, RATE, WIDTH, HEIGHT = 8, 25, 1920, 1080
BITS_PER_PIXEL = 0.15  # of a clip: 8 Mb/s at 1080p, what services and cameras deliver
LEAST_S = 2.0  # of measuring the model, so that a first slow call does not count much
BATCHES = (1, 8)
GPU_BATCHES = (8, 64)
PROBED_FILES = 200  # of a folder, evenly; the rest are taken to be alike


@dataclass(frozen=True)
class ModelSpeed:
    """Tiles (7-frame sequences of 224 px) a second of one backend at one batch size."""

    backend: str
    device: str
    batch: int
    tiles_per_s: float


@dataclass(frozen=True)
class Measured:
    """All figures of one bench."""

    cores: int
    decode_fps: float
    model: tuple[ModelSpeed, ...]
    end_to_end_tiles_per_s: float
    times_real_time: float
    peak_memory_mb: float | None
    model_share: float  # of the end-to-end time, how long the model was at work
    bottleneck: str
    clip_s: float = float(SECONDS)
    clip_pixels: float = float(SECONDS * RATE * WIDTH * HEIGHT)  # of all its frames
    clip_frames: int = SECONDS * RATE


@dataclass(frozen=True)
class Forecast:
    """How long an audit of a folder takes on this machine with these settings."""

    files: int
    unreadable: int
    video_hours: float
    sequences: int
    hours: float
    problems: tuple[str, ...]


@contextmanager
def test_clip(ffmpeg_path: str) -> Iterator[Path]:
    """Eight seconds of 1080p H.264 at 8 Mb/s, moving under noise."""
    with tempfile.TemporaryDirectory(prefix="aqs-bench-") as folder:
        yield make_clip(ffmpeg_path, Path(folder), f"{WIDTH}x{HEIGHT}")


def make_clip(
    ffmpeg_path: str, folder: Path, size: str, seconds: int = SECONDS, *, heavy: bool = False
) -> Path:
    """A noisy moving test picture in H.264, at the rate of everyday video.

    A heavy one keeps all of its noise: seven times the rate, so that decoding sets the pace. Raises
    AqsError where ffmpeg cannot make it.
    """
    target = folder / f"{size}-{seconds}s{'-heavy' if heavy else ''}.mp4"
    graph = f"testsrc2=size={size}:rate={RATE},noise=alls=8:allf=t"
    argv = [ffmpeg_path, "-hide_banner", "-nostdin", "-y", "-f", "lavfi", "-i", graph]
    argv += ["-t", str(seconds), "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"]
    width, height = map(int, size.split("x"))
    kbps = round(BITS_PER_PIXEL * width * height * RATE / 1000)
    limited = ["-b:v", f"{kbps}k", "-maxrate", f"{kbps}k", "-bufsize", f"{2 * kbps}k"]
    argv += ["-crf", "20"] if heavy else limited
    finished = ffmpeg.run([*argv, f"file:{target}"], timeout_s=600)
    if finished.returncode:
        raise AqsError(f"the test clip could not be made: {' '.join(finished.tail[-1:])}")
    return target


def decoding_s(video: Video, ffmpeg_path: str) -> float:
    """How long `ffmpeg -f null` takes for a picture; raises MediaError where it gives up."""
    began = time.perf_counter()
    finished = ffmpeg.run(decoding_argv(video, ffmpeg_path))
    if finished.returncode:
        raise MediaError(f"cannot be decoded: {' '.join(finished.tail[-1:])}")
    return time.perf_counter() - began


def decoding_argv(video: Video, ffmpeg_path: str) -> list[str]:
    """The command that decodes a picture for its time, opened as safely as for its score.

    The picture alone: sound that ffmpeg knows no decoder for had ended it at once, and the file was
    said to decode at thousands of frames a second.
    """
    quiet = [ffmpeg_path, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error"]
    picture = ["-map", f"0:{video.stream_index}"]
    return [*quiet, *SAFELY_ARGV, "-i", input_name(video.path), *picture, "-f", "null", "-"]


def noise_tiles(count: int) -> list[Tile]:
    """Tiles of noise, for timing: what is in them does not matter."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, FRAMES_PER_SEQUENCE, TILE_PX, TILE_PX, 3), np.uint8)
    swatches = rng.integers(0, 256, (count, SWATCH_PX, SWATCH_PX, 3), np.uint8)
    return [Tile(p, s, x=0.5, y=0.5) for p, s in zip(pixels, swatches, strict=True)]


def model_speed(backend: Backend, batch: int) -> ModelSpeed:
    """The network alone, on tiles that are ready."""
    tiles = noise_tiles(batch)
    backend.run(tiles)
    done, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < LEAST_S or not done:
        backend.run(tiles)
        done += batch
    return ModelSpeed(backend.name, backend.device, batch, done / spent)


def measure(settings: Settings, path: Path) -> Measured:
    """Measure decoding, every backend present, and `path` from file to result."""
    checkpoint = chosen(settings.model.checkpoint)
    bench = pipeline.set_up(settings, checkpoint)
    video = probe(path, settings.limits)
    decode_s = decoding_s(video, bench.ffmpeg.path)
    analysis = pipeline.process(path, bench)  # the first time pays for memory and start-up
    busy = bench.engine.busy_s
    analysis = pipeline.process(path, bench)
    spent = analysis.processing_time_s
    model_share = min((bench.engine.busy_s - busy) / spent, 1.0)
    peak = peak_memory_mb()  # before other backends are loaded
    tiles = sum(len(s.tiles) for s in analysis.sequences)
    speeds = []
    for name in _backends(bench.engine.backend):
        on_gpu = bench.engine.backend.device != "cpu" and name == bench.engine.backend.name
        for batch in GPU_BATCHES if on_gpu else BATCHES:
            device = settings.model.device if name != "openvino" else "cpu"
            backend = choose_backend(
                checkpoint, name, device, batch=batch, cache_dir=pipeline.cache_of(settings)
            )
            speeds.append(model_speed(backend, batch))
    return Measured(
        cores=usable_cores(),
        decode_fps=len(video.frame_times_s) / decode_s,
        model=tuple(speeds),
        end_to_end_tiles_per_s=tiles / spent,
        times_real_time=video.duration_s / spent,
        peak_memory_mb=peak,
        model_share=model_share,
        bottleneck=bottleneck(model_share, decode_s / spent, bench.engine.backend.device),
        clip_s=video.duration_s,
        clip_pixels=float(len(video.frame_times_s) * video.width * video.height),
        clip_frames=len(video.frame_times_s),
    )


def _backends(used: Backend) -> tuple[str, ...]:
    return ("openvino", "torch") if used.device == "cpu" else ("torch", "openvino")


def bottleneck(model_share: float, decode_share: float, device: str) -> str:
    """What holds the whole up, in words for a person."""
    if model_share > 0.8:
        cure = "a GPU, more cores, or --profile quick" if device == "cpu" else "a faster GPU"
        return f"the model: it is at work {model_share:.0%} of the time; {cure} would help"
    if decode_share > 0.5:
        return (
            f"decoding: ffmpeg alone takes {decode_share:.0%} of the time; "
            "more cores, or a longer [analysis] interval_s would help"
        )
    return (
        f"neither alone: the model is at work {model_share:.0%} of the time, "
        f"decoding alone would take {decode_share:.0%}"
    )


def peak_memory_mb() -> float | None:
    """The most memory this process has had resident so far; None where nobody counts it."""
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def forecast(settings: Settings, folder: Path, measured: Measured) -> Forecast:
    """How many hours an audit of `folder` takes, from the index of (at most 200 of) its files.

    Work is the decoding of frames by their pixels and the model's by tiles; what the bench clip
    took more or less than that sum sets the scale.
    """
    run = settings.run
    skip = Path(settings.output.dir)
    found = gather([str(folder)], run.extensions, follow_symlinks=run.follow_symlinks, skip=skip)
    step = max(len(found) / PROBED_FILES, 1.0)
    looked = [found[int(n * step)] for n in range(min(len(found), PROBED_FILES))]
    videos, problems = [], []
    for item in looked:
        try:
            if item.problem:
                raise MediaError(item.problem)
            videos.append(probe(item.path, settings.limits))
        except MediaError as error:
            problems.append(f"{item.file}: {error}")
    share = len(found) / max(len(looked), 1)
    seconds = sum(_expected_s(v, settings, measured) for v in videos) * share
    analysis = settings.analysis
    plans = [sampling.plan(v, analysis.interval_s, analysis.max_sequences) for v in videos]
    return Forecast(
        files=len(found),
        unreadable=round(len(problems) * share),
        video_hours=sum(v.duration_s for v in videos) * share / 3600,
        sequences=round(sum(p.count for p in plans) * share),
        hours=seconds / 3600,
        problems=tuple(problems),
    )


def _expected_s(video: Video, settings: Settings, measured: Measured) -> float:
    """Seconds for one video: what the bench clip took, in proportion to the work."""
    analysis = settings.analysis
    plan = sampling.plan(video, analysis.interval_s, analysis.max_sequences)
    frames = len(video.frame_times_s)
    if sampling.seek_pays(video, plan):
        frames = min(frames, sampling.frames_by_seeking(video, plan))
    pixels = frames * video.width * video.height
    clip_s = measured.clip_s / measured.times_real_time  # what it took
    clip_tiles = measured.end_to_end_tiles_per_s * clip_s
    decode_s = measured.clip_frames / measured.decode_fps
    model_s = clip_tiles / max(s.tiles_per_s for s in measured.model)
    scale = clip_s / (decode_s + model_s)
    decode_part = pixels / measured.clip_pixels * decode_s
    model_part = plan.count * analysis.tiles / clip_tiles * model_s
    return scale * (decode_part + model_part)


def layer_times(checkpoint: Checkpoint, settings: Settings) -> list[Layer]:
    """How long each layer takes for one tile of noise on one core, through OpenVINO."""
    from aqs_batch.analysis import openvino_cpu

    (tile,) = noise_tiles(1)
    return openvino_cpu.layer_times(checkpoint, pipeline.cache_of(settings), tile)
