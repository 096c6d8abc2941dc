"""Made-up outcomes, the same in every run: waves instead of chance."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aqs_batch.records import (
    Artifact,
    ArtifactDetail,
    Fraction,
    Outcome,
    Provenance,
    QualityLevel,
    Rung,
    RunRecord,
    Score,
    SequenceScore,
    Status,
    TileScores,
    Video,
    Vmaf,
)
from aqs_batch.reports.thumbnail import jpeg

MakeOutcome = Callable[..., Outcome]


def original(text: str) -> str:
    """The file name that a report wrote as `text`, read back by what its escapes mean."""
    if not re.search(r"\\[xu\\]", text):
        return text

    def meant(match: re.Match[str]) -> str:
        backslash, byte, code = match.groups()
        if backslash:
            return "\\"
        return chr(0xDC00 + int(byte, 16)) if byte else chr(int(code, 16))

    return re.sub(r"\\(?:(\\)|x([0-9a-f]{2})|u([0-9a-f]{4}))", meant, text)


def _wave(*parts: float) -> float:
    """A number in 0-1 that looks random and never changes."""
    seed = sum(
        part * weight for part, weight in zip(parts, (12.9898, 78.233, 37.719), strict=False)
    )
    return (math.sin(seed) * 43758.5453) % 1.0


def _tile(seed: int, k: int, tile: int, badness: float) -> TileScores:
    x, y = (0.5 + 0.7549 * (4 * k + tile)) % 1.0, (0.5 + 0.5698 * (4 * k + tile)) % 1.0
    corner = 0.35 * max(0.0, x - 0.5) + 0.35 * max(0.0, y - 0.5)
    ours = seed % 10
    probability = [0.04 + 0.1 * _wave(seed, k, i) for i in range(10)]
    intensity = [0.1 + 0.2 * _wave(seed, i, k) for i in range(10)]
    probability[ours] = min(0.99, 0.2 + badness + corner)
    intensity[ours] = min(0.95, 0.15 + badness + corner)
    probability[(ours + 4) % 10] = min(0.9, 0.9 * badness)
    intensity[(ours + 4) % 10] = min(0.9, 0.2 + 0.6 * badness)
    quality = min(1.0, max(0.0, 0.97 - 0.8 * badness - 0.5 * corner))
    return TileScores(0.06 + 0.88 * x, 0.1 + 0.8 * y, quality, tuple(probability), tuple(intensity))


def _sequence(seed: int, k: int, of: int, thumbnail: bytes | None) -> SequenceScore:
    share = k / max(1, of - 1)
    badness = 0.6 * _wave(seed, 3) * (0.4 + 0.6 * math.sin(3 + seed + 9 * share) ** 2)
    badness += 0.06 * _wave(seed, k, 1) + (0.35 if 0.6 < share < 0.66 and seed % 3 == 0 else 0.0)
    tiles = tuple(_tile(seed, k, index, badness) for index in range(4))
    mean = [sum(column) / 4 for column in zip(*(tile.probability for tile in tiles), strict=True)]
    power = [sum(column) / 4 for column in zip(*(tile.intensity for tile in tiles), strict=True)]
    rows = [map(operator.mul, tile.probability, tile.intensity) for tile in tiles]
    severity = tuple(sum(column) / 4 for column in zip(*rows, strict=True))
    quality = sum(tile.quality for tile in tiles) / 4
    component = 1 - math.prod(1 - min(1.0, p * i) for p, i in zip(mean, power, strict=True))
    aqs = 0.6 * quality + 0.4 * (1 - component)
    t_s, scene = float(k), int(share * 4.99)
    return SequenceScore(
        t_s, aqs, quality, component, tuple(mean), tuple(power), severity, tiles, scene, thumbnail
    )


def picture(seed: int) -> bytes:
    """A JPEG of a smooth gradient."""
    y, x = np.mgrid[0:270, 0:480]
    planes = [(x * 0.4 + seed * 20) % 256, (y * 0.8) % 256, (x * 0.2 + y * 0.3) % 256]
    return jpeg(np.stack(planes, axis=-1).astype(np.uint8))


def make_score(seed: int, sequences: int, pictures: int) -> Score:
    made = [_sequence(seed, k, sequences, None) for k in range(sequences)]
    worst = sorted(range(sequences), key=lambda k: made[k].aqs)[:pictures]
    made = [
        _sequence(seed, k, sequences, picture(k)) if k in worst else one
        for k, one in enumerate(made)
    ]
    details = {}
    for index, artifact in enumerate(Artifact):
        values = [sequence.severity[index] for sequence in made]
        details[artifact] = ArtifactDetail(
            probability=sum(sequence.probability[index] for sequence in made) / len(made),
            intensity=sum(sequence.intensity[index] for sequence in made) / len(made),
            severity=sum(values) / len(values),
            time_share=sum(value > 0.2 for value in values) / len(values),
            worst_t_s=made[max(range(len(values)), key=values.__getitem__)].t_s,
            threshold=0.2,
        )
    aqs = sum(sequence.aqs for sequence in made) / len(made)
    ranked = sorted(sequence.aqs for sequence in made)
    return Score(
        aqs=aqs,
        aqs_p5=ranked[int(0.05 * (len(ranked) - 1))],
        level=QualityLevel.of(aqs),
        quality_component=sum(sequence.quality for sequence in made) / len(made),
        artifact_component=sum(sequence.artifact_component for sequence in made) / len(made),
        artifacts=details,
        detected=tuple(artifact for artifact, detail in details.items() if detail.severity > 0.2),
        sequences=tuple(made),
        frame_count=7 * len(made),
    )


def make_video(seed: int, duration_s: float) -> Video:
    width, height = ((1920, 1080), (1280, 720), (720, 576), (3840, 2160))[seed % 4]
    rates = tuple(4000 + 3000 * _wave(seed, second) for second in range(int(duration_s)))
    return Video(
        path=Path("/archive/video.mp4"),
        size_bytes=int(600_000 * duration_s * (1 + _wave(seed))),
        container="mov,mp4,m4a,3gp,3g2,mj2",
        codec=("h264", "hevc", "mpeg2video", "vp9")[seed % 4],
        pixel_format="yuv420p",
        bit_depth=8,
        coded_width=width,
        coded_height=height + 8 if height == 1080 else height,
        width=width,
        height=height,
        sar=Fraction(1, 1),
        frame_rate=Fraction(30000, 1001),
        variable_frame_rate=seed % 7 == 3,
        field_order="progressive",
        rotation_deg=0,
        color_primaries="bt709",
        color_transfer="bt709",
        color_matrix="bt709",
        color_range="tv",
        hdr="",
        duration_s=duration_s,
        bit_rate_kbps=5321.0,
        stream_index=0,
        kbps_over_time=rates,
        streams=("0 video h264", "1 audio aac", "2 subtitle mov_text"),
        warnings=(),
    )


def make_rungs() -> tuple[Rung, ...]:
    """Four rungs without and four with preprocess."""
    rungs = []
    for preprocess in (None, "pre-v1"):
        for step, crf in enumerate((20.0, 25.0, 30.0, 35.0)):
            gain = 0.8 if preprocess else 0.0
            vmaf = 97.5 - 1.2 * step**2 - 2 * step + gain
            rungs.append(
                Rung(
                    crf=crf,
                    preset="medium",
                    preprocess=preprocess,
                    size_bytes=int(9e6 / 1.8**step),
                    kbps=6800 / 1.8**step,
                    vmaf=Vmaf(vmaf, vmaf - 0.4, vmaf - 14, vmaf - 6),
                    vmaf_neg=Vmaf(vmaf - 2, vmaf - 2.4, vmaf - 16, vmaf - 8),
                    xpsnr=math.inf if step == 0 else 44.0 - step * 2,
                    alignment="exact",
                )
            )
    return tuple(rungs)


PROVENANCE = Provenance("aqs-b0-2026a", "5f0c9e2b", "cpu", "openvino", 4, "7.1", "0.1.0")


def make_outcome(
    file: str = "clips/beach day.mp4",
    *,
    seed: int = 3,
    sequences: int = 12,
    pictures: int = 0,
    **changes: Any,
) -> Outcome:
    """A scored video; `changes` are fields of Outcome."""
    fields: dict[str, Any] = {
        "status": Status.SCORED,
        "fingerprint": f"{seed:08x}cafe",
        "video": make_video(seed, float(sequences)),
        "score": make_score(seed, sequences, pictures),
        "provenance": PROVENANCE,
        "processing_time_s": 4.5,
    }
    return Outcome(file=file, **(fields | changes))


def make_failure(file: str = "broken/tape 7.avi", **changes: Any) -> Outcome:
    """A file that could not be scored."""
    fields: dict[str, Any] = {
        "reason": "The file ends in the middle of its index (moov atom not found).",
        "hint": "Copy it again from its source, or repair the container, then run retry.",
    }
    return Outcome(file=file, status=Status.FAILED, **(fields | changes))


def make_run(**changes: Any) -> RunRecord:
    fields: dict[str, Any] = {
        "run_id": 17,
        "started_at": "2026-03-01T22:00:00+00:00",
        "finished_at": "2026-03-02T00:03:20+00:00",
        "input_dir": "/archive/holiday films",
        "command": "aqs-batch run --input_dir /archive/holiday films",
        "counts": {"scored": 1, "unchanged": 0, "failed": 0},
        "settings": {
            "analysis": {"alpha": 0.6, "interval_s": 1.0, "tiles": 4},
            "input": Path("/archive"),
            "output": {"export": ["json", "csv", "html"]},
        },
    }
    return RunRecord(**(fields | changes))


def make_archive(files: int) -> list[Outcome]:
    """Many files of all kinds: scored, unchanged, better, worse and failed."""
    codes = [make_outcome(seed=seed, sequences=8) for seed in range(min(files, 60))]
    outcomes = []
    for index in range(files):
        base, name = codes[index % len(codes)], f"year {1990 + index % 30}/clip {index:05d}.mp4"
        changes: dict[str, Any] = {"file": name}
        if index % 37 == 5:
            outcomes.append(make_failure(name))
            continue
        if index % 4:
            changes["status"] = Status.UNCHANGED
        elif index % 12 == 0 and base.score:
            changes["previous_aqs"] = base.score.aqs + (0.12 if index % 24 else -0.08)
        outcomes.append(Outcome(**(vars(base) | changes)))
    return outcomes


@pytest.fixture
def outcome() -> Outcome:
    return make_outcome()


@pytest.fixture
def failure() -> Outcome:
    return make_failure()


@pytest.fixture
def run() -> RunRecord:
    return make_run()


@pytest.fixture
def build() -> MakeOutcome:
    return make_outcome


@pytest.fixture
def build_failure() -> MakeOutcome:
    return make_failure


@pytest.fixture
def build_archive() -> Callable[[int], list[Outcome]]:
    return make_archive


@pytest.fixture
def rungs() -> tuple[Rung, ...]:
    return make_rungs()
