"""One video from file to result: probe, sample, decode, score: the design's drawing, as code."""

from __future__ import annotations

import heapq
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

from aqs_batch import __version__
from aqs_batch.analysis import tiles
from aqs_batch.analysis.checkpoint import Checkpoint
from aqs_batch.analysis.engine import Engine, choose_backend, usable_cores
from aqs_batch.analysis.score import score_sequence
from aqs_batch.clock import iso
from aqs_batch.errors import MediaError, RefusedMedia, SettingsError, reason_and_place
from aqs_batch.events import Progress
from aqs_batch.ffmpeg import Ffmpeg
from aqs_batch.ffmpeg import find as find_ffmpeg
from aqs_batch.ingest import decode, sampling
from aqs_batch.ingest.frames import Sequence
from aqs_batch.ingest.probe import probe
from aqs_batch.ingest.stamps import Stamps
from aqs_batch.ingest.wholeness import DAMAGED, FIELDS_IN_PART, NOT_ALL
from aqs_batch.lookahead import Lookahead, stamp
from aqs_batch.records import (
    FRAMES_PER_SEQUENCE,
    TILE_PX,
    Pixels,
    Provenance,
    SequenceScore,
    TileScores,
    Video,
)
from aqs_batch.reports.summary import WORST_MOMENTS
from aqs_batch.reports.thumbnail import jpeg
from aqs_batch.settings import LimitSettings, Settings
from aqs_batch.store import Analysis
from aqs_batch.wording import count

PICTURE_PX = 320
LEAST_DECODE_S = 60.0
SQUARE_ENOUGH = 0.01  # of the pixel aspect: scaling to even sides leaves as much


@dataclass(frozen=True)
class Workbench:
    """What every job of one run shares: settings, tools and the loaded model."""

    settings: Settings
    settings_key: str
    ffmpeg: Ffmpeg
    checkpoint: Checkpoint
    engine: Engine


def set_up(
    settings: Settings, checkpoint: Checkpoint, on_convert: Callable[[], None] = lambda: None
) -> Workbench:
    """Load the model and find the tools; raises AqsError where one is missing.

    `on_convert` is called where the model is converted first, once on every machine.
    """
    model = settings.model
    backend = choose_backend(
        checkpoint,
        model.backend,
        model.device,
        batch=model.batch,
        cache_dir=cache_of(settings),
        on_convert=on_convert,
    )
    return Workbench(
        settings=settings,
        settings_key=settings.key(checkpoint.digest),
        ffmpeg=find_ffmpeg(settings.ffmpeg.path),
        checkpoint=checkpoint,
        engine=Engine(backend, checkpoint.card, model.batch),
    )


def cache_of(settings: Settings) -> Path:
    """Where what can be made again is kept between runs: as set, or in the user's cache folder.

    Raises SettingsError where there is no such place, as for a user without a home, or where it may
    not be entered, as that of the user whose HOME `sudo` left in place.
    """
    try:
        if settings.model.cache_dir:
            place = Path(settings.model.cache_dir)
        else:
            home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
            place = Path(home) / "aqs-batch"
        (place / "any").exists()  # raises where the folder may not be entered
    except (OSError, RuntimeError) as error:
        raise SettingsError(
            f"no folder to keep the converted network in: {reason_and_place(error)}",
            hint="Set [model] cache_dir, or HOME, to a folder of your own.",
        ) from error
    return place


@dataclass(frozen=True)
class Probed:
    """What was seen of one file, what it looked like then, and the time that took."""

    video: Video
    stamp: tuple[int, int]
    spent_s: float


def look_ahead(bench: Workbench) -> Lookahead[Probed, Analysis]:
    """Scores files with `bench`, the next ones already while one is being finished."""
    return Lookahead(
        lambda path: look_into(path, bench.settings.limits),
        lambda probed, progress: analyse(probed, bench, progress),
        lambda: bench.engine.busy_s,
        most=usable_cores(),
    )


def process(path: Path, bench: Workbench, progress: Progress = lambda done, of: None) -> Analysis:
    """Score one file, whose fingerprint the caller knows and fills in.

    Raises MediaError when it cannot be scored or changes while it is read.
    """
    return analyse(look_into(path, bench.settings.limits), bench, progress)


def look_into(path: Path, limits: LimitSettings) -> Probed:
    """Probe one file; raises MediaError where it cannot be scored."""
    began = time.perf_counter()
    before = stamp(path)
    video = probe(path, limits)
    if video.duration_s > limits.max_hours * 3600:
        raise RefusedMedia(
            f"{video.duration_s / 3600:.1f} hours, more than the limit of {limits.max_hours:g}",
            hint="Raise [limits] max_hours if you trust the file.",
        )
    return Probed(video, before, time.perf_counter() - began)


def analyse(probed: Probed, bench: Workbench, progress: Progress) -> Analysis:
    """Score a file that was looked into; raises MediaError when that fails or it has changed."""
    began = time.perf_counter()
    video = probed.video
    sequences, warnings = score(video, bench, progress)
    if stamp(video.path) != probed.stamp:
        raise MediaError(
            "the file changed while it was being read", hint="Run again once it is complete."
        )
    return Analysis(
        fingerprint="",
        settings_key=bench.settings_key,
        video=video,
        sequences=tuple(sequences),
        provenance=_provenance(bench),
        processing_time_s=probed.spent_s + time.perf_counter() - began,
        warnings=(*video.warnings, *warnings),
        created_at=iso(time.time()),
        thresholds=bench.checkpoint.card.threshold,
    )


def score(
    video: Video, bench: Workbench, progress: Progress
) -> tuple[list[SequenceScore], list[str]]:
    """Decode the planned sequences and score their tiles; returns them with warnings."""
    settings = bench.settings.analysis
    plan = sampling.plan(video, settings.interval_s, settings.max_sequences)
    height, width = sampling.analysed_size(video, settings.max_height)
    limits = bench.settings.limits
    wall_s = max(LEAST_DECODE_S, video.duration_s * limits.decode_s_per_s)
    stamps = Stamps()
    memory_bytes = limits.child_memory_mib << 20
    tool = bench.ffmpeg
    decoding = decode.Decoding(tool.path, height, width, wall_s, memory_bytes, tool.crops)
    worst = WorstMoments()
    scored: list[SequenceScore] = []
    progress(0, plan.count)
    for picture, score_of in _scored(decode.sequences(video, plan, decoding, stamps), bench):
        worst.offer(len(scored), score_of.aqs, picture)
        scored.append(score_of)
        progress(len(scored), plan.count)
    pictures = worst.thumbnails()
    scored = [replace(s, thumbnail=pictures.get(n)) for n, s in enumerate(scored)]
    return scored, _warnings(video, (height, width), plan, len(scored), stamps)


@dataclass(frozen=True)
class _InFlight:
    """A sequence whose tiles are with the model; of its frames only a small picture is kept."""

    t_s: float
    scene: int
    picture: Pixels
    tiles: Future[list[TileScores]]


def _scored(
    sequences: Iterator[Sequence], bench: Workbench
) -> Iterator[tuple[Pixels, SequenceScore]]:
    """Score sequences in order: while the model works on some, the next are decoded and cut."""
    per_sequence = bench.settings.analysis.tiles
    most = 1 + -(-2 * bench.engine.batch // per_sequence)  # two batches: one runs, one waits
    waiting: deque[_InFlight] = deque()
    for number, sequence in enumerate(sequences):
        frames = sequence.frames
        corners = sampling.tile_corners(number, per_sequence, frames.height, frames.width)
        cut = tiles.cut(frames, corners)
        picture = frames.small(FRAMES_PER_SEQUENCE // 2, PICTURE_PX)
        waiting.append(_InFlight(sequence.t_s, sequence.scene, picture, bench.engine.submit(cut)))
        while len(waiting) >= most or (waiting and waiting[0].tiles.done()):
            yield _landed(waiting.popleft(), bench)
    while waiting:
        yield _landed(waiting.popleft(), bench)


def _landed(sequence: _InFlight, bench: Workbench) -> tuple[Pixels, SequenceScore]:
    scores, scoring = sequence.tiles.result(), bench.settings.analysis
    return sequence.picture, score_sequence(sequence.t_s, scores, scoring, sequence.scene)


class WorstMoments:
    """Keeps a small picture of the few sequences with the lowest AQS seen so far."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, bytes]] = []  # (-aqs, number, JPEG): best on top

    def offer(self, number: int, aqs: float, picture: Pixels) -> None:
        if len(self._heap) == WORST_MOMENTS and -aqs <= self._heap[0][0]:
            return
        entry = (-aqs, number, jpeg(picture))
        if len(self._heap) == WORST_MOMENTS:
            heapq.heapreplace(self._heap, entry)
        else:
            heapq.heappush(self._heap, entry)

    def thumbnails(self) -> dict[int, bytes]:
        """JPEGs by sequence number."""
        return {number: picture for _, number, picture in self._heap}


def _warnings(
    video: Video, size: tuple[int, int], plan: sampling.SamplePlan, scored: int, stamps: Stamps
) -> list[str]:
    warnings = []
    height, width = size
    if (height, width) != (video.height, video.width):
        warnings.append(f"scaled from {video.width}x{video.height} to {width}x{height} first")
    if stamps.turned:
        frames = count(stamps.turned, "frame")
        close = f"cuts come too close: only {frames} in a row, played forth and back"
        warnings.append(close if stamps.cuts else f"only {frames}: played forth and back")
    if min(height, width) < TILE_PX:
        warnings.append(f"smaller than a {TILE_PX} px tile: continued by reflection")
    if video.hdr:
        warnings.append(f"HDR ({video.hdr}) tone-mapped to SDR before scoring")
        if not (video.color_primaries and video.color_matrix):
            warnings.append("its colours are not said to be BT.2020's, but were taken as such")
    elif stamps.has_dolby_vision and not video.color_transfer:
        warnings.append("Dolby Vision without an HDR10, HLG or SDR base: scored in wrong colours")
    if video.color_matrix == "bt2020c":
        warnings.append("BT.2020 of constant luminance by its tag: read as that of the usual kind")
    if video.interlaced:
        warnings.append("interlaced: deinterlaced before scoring")
    elif stamps.has_fields:
        warnings.append(FIELDS_IN_PART)
    if stamps.has_crop:
        warnings.append("the container crops the picture: all that is coded was scored")
    if video.sar.num and video.sar.den and abs(video.sar.value - 1) > SQUARE_ENOUGH:
        warnings.append(f"anamorphic ({video.sar.num}:{video.sar.den}): scored as stored")
    if (late := stamps.streams - len(video.streams)) > 0:
        more = count(late, "more stream")
        warnings.append(f"{NOT_ALL}later the file has {more}, which no encode takes along")
    wanted = max(sampling.reachable(video, plan), 1)
    if scored + stamps.cuts < wanted:  # a cut starts a sequence over, and may take its place
        warnings.append(f"{scored} of {wanted} planned sequences could be read")
    return warnings + [f"{DAMAGED}{line[-160:]}" for line in stamps.damage]


def _provenance(bench: Workbench) -> Provenance:
    return Provenance(
        checkpoint=bench.checkpoint.label,
        settings_key=bench.settings_key,
        device=bench.engine.backend.device,
        backend=bench.engine.backend.name,
        tiles=bench.settings.analysis.tiles,
        ffmpeg=bench.ffmpeg.version,
        version=__version__,
    )
