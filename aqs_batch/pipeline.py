"""One video from file to result: probe, sample, decode, score: the design's drawing, as code."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from aqs_batch import __version__
from aqs_batch.analysis import tiles
from aqs_batch.analysis.checkpoint import Checkpoint, chosen
from aqs_batch.analysis.engine import Engine, choose_backend
from aqs_batch.analysis.score import Aggregation, Scoring, score_sequence
from aqs_batch.errors import MediaError, RefusedMedia
from aqs_batch.events import Progress
from aqs_batch.ffmpeg import Ffmpeg
from aqs_batch.ffmpeg import find as find_ffmpeg
from aqs_batch.ingest import decode, sampling
from aqs_batch.ingest.probe import Limits, probe
from aqs_batch.records import Provenance, Sequence, SequenceScore, Video
from aqs_batch.reports.thumbnail import jpeg
from aqs_batch.settings import Settings
from aqs_batch.store import Analysis

WORST_MOMENTS = 6
LEAST_DECODE_S = 60.0


@dataclass(frozen=True)
class Workbench:
    """What every job of one run shares: settings, tools and the loaded model."""

    settings: Settings
    settings_key: str
    ffmpeg: Ffmpeg
    checkpoint: Checkpoint
    engine: Engine
    scoring: Scoring


def checkpoint_of(settings: Settings) -> Checkpoint:
    """The checkpoint the settings name, or the shipped one; raises CheckpointError."""
    return chosen(settings.model.checkpoint)


def set_up(settings: Settings, checkpoint: Checkpoint) -> Workbench:
    """Load the model and find the tools; raises AqsError where one is missing."""
    analysis = settings.analysis
    backend = choose_backend(checkpoint, settings.model.backend, settings.model.device)
    return Workbench(
        settings=settings,
        settings_key=settings.key(checkpoint.digest),
        ffmpeg=find_ffmpeg(settings.ffmpeg.path),
        checkpoint=checkpoint,
        engine=Engine(backend, checkpoint.card, settings.model.batch),
        scoring=Scoring(
            analysis.alpha, Aggregation(analysis.aggregation), analysis.penalties.vector()
        ),
    )


def process(
    path: Path, fingerprint: str, bench: Workbench, progress: Progress = lambda done, of: None
) -> Analysis:
    """Score one file. Raises MediaError when it cannot be scored or changes while it is read."""
    began = time.perf_counter()
    before = _stamp(path)
    limits = bench.settings.limits
    video = probe(path, Limits(limits.max_pixels, limits.max_streams, limits.max_packets))
    if video.duration_s > limits.max_hours * 3600:
        raise RefusedMedia(
            f"{video.duration_s / 3600:.1f} hours, more than the limit of {limits.max_hours:g}",
            hint="Raise [limits] max_hours if you trust the file.",
        )
    sequences, warnings = score(video, bench, progress)
    if _stamp(path) != before:
        raise MediaError(
            "the file changed while it was being read", hint="Run again once it is complete."
        )
    return Analysis(
        fingerprint=fingerprint,
        settings_key=bench.settings_key,
        video=video,
        sequences=tuple(sequences),
        provenance=_provenance(bench),
        processing_time_s=time.perf_counter() - began,
        warnings=(*video.warnings, *warnings),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
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
    stamps = decode.Stamps()
    memory_bytes = limits.child_memory_mib << 20
    decoding = decode.Decoding(bench.ffmpeg.path, height, width, wall_s, memory_bytes)
    worst = WorstMoments()
    scored: list[SequenceScore] = []
    for number, sequence, score_of in _scored(
        decode.sequences(video, plan, decoding, stamps), bench
    ):
        scored.append(score_of)
        worst.offer(number, score_of.aqs, sequence)
        progress(len(scored), plan.count)
    pictures = worst.thumbnails()
    scored = [replace(s, thumbnail=pictures.get(n)) for n, s in enumerate(scored)]
    return scored, _warnings(video, (height, width), plan, len(scored), stamps.damage)


def _scored(
    sequences: Iterator[Sequence], bench: Workbench
) -> Iterator[tuple[int, Sequence, SequenceScore]]:
    """Score sequences in batches that are filled across them, in order."""
    waiting: list[tuple[int, Sequence, list[tiles.Tile]]] = []
    held = 0
    for number, sequence in enumerate(sequences):
        height, width = sequence.frames.shape[1:3]
        corners = sampling.tile_corners(number, bench.settings.analysis.tiles, height, width)
        waiting.append((number, sequence, tiles.cut(sequence.frames, corners)))
        held += len(corners)
        if held >= bench.engine.batch:
            yield from _flush(waiting, bench)
            waiting, held = [], 0
    if waiting:
        yield from _flush(waiting, bench)


def _flush(
    waiting: list[tuple[int, Sequence, list[tiles.Tile]]], bench: Workbench
) -> Iterator[tuple[int, Sequence, SequenceScore]]:
    scores = iter(bench.engine.score([tile for _, _, cut in waiting for tile in cut]))
    for number, sequence, cut in waiting:
        mine = [next(scores) for _ in cut]
        yield (
            number,
            sequence,
            score_sequence(sequence.t_s, mine, bench.scoring, sequence.scene),
        )


class WorstMoments:
    """Keeps a small picture of the few sequences with the lowest AQS seen so far."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, bytes]] = []  # (-aqs, number, JPEG): best on top

    def offer(self, number: int, aqs: float, sequence: Sequence) -> None:
        if len(self._heap) == WORST_MOMENTS and -aqs <= self._heap[0][0]:
            return
        entry = (-aqs, number, jpeg(sequence.frames[len(sequence.frames) // 2]))
        if len(self._heap) == WORST_MOMENTS:
            heapq.heapreplace(self._heap, entry)
        else:
            heapq.heappush(self._heap, entry)

    def thumbnails(self) -> dict[int, bytes]:
        """JPEGs by sequence number."""
        return {number: picture for _, number, picture in self._heap}


def _stamp(path: Path) -> tuple[int, int]:
    try:
        info = os.stat(path)
    except OSError as error:
        raise MediaError("the file is gone", hint="It vanished while it was being read.") from error
    return info.st_size, info.st_mtime_ns


def _warnings(
    video: Video, size: tuple[int, int], plan: sampling.SamplePlan, scored: int, damage: list[str]
) -> list[str]:
    warnings = []
    height, width = size
    if (height, width) != (video.height, video.width):
        warnings.append(f"scaled from {video.width}x{video.height} to {width}x{height} first")
    if len(video.frame_times_s) < 7:
        warnings.append(f"only {len(video.frame_times_s)} frames: played forth and back")
    if min(height, width) < 224:
        warnings.append("smaller than a 224 px tile: continued by reflection")
    if video.hdr:
        warnings.append(f"HDR ({video.hdr}) tone-mapped to SDR before scoring")
    if video.interlaced:
        warnings.append("interlaced: deinterlaced before scoring")
    if video.sar.num != video.sar.den and video.sar.num and video.sar.den:
        warnings.append(f"anamorphic ({video.sar.num}:{video.sar.den}): scored as stored")
    if scored < plan.count:
        warnings.append(f"{scored} of {plan.count} planned sequences could be read")
    return warnings + [f"decoder: {line[-160:]}" for line in damage]


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
