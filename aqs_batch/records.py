"""The frozen records that pass between stages; words as in the design's glossary."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FRAMES_PER_SEQUENCE = 7
RE_ENCODE = "re-encode: "  # how a reason begins that is of a re-encode, not of the score
MIXED = "mixed"  # the field order of what is interlaced in part, though its header says nothing
FULL = "full"  # what the plan of an encode of all frames is called
TILE_PX, SWATCH_PX = 224, 64
Pixels = NDArray[np.uint8]


class Artifact(Enum):
    """The ten artifacts, in the order of every vector of ten in this project."""

    BLOCKING = "blocking"
    RINGING = "ringing"
    GHOSTING = "ghosting"
    JUDDER = "judder"
    GAUSSIAN_NOISE = "gaussian_noise"
    IMPULSE_NOISE = "impulse_noise"
    MOTION_BLUR = "motion_blur"
    DEFOCUS_BLUR = "defocus_blur"
    COLOR_BANDING = "color_banding"
    COLOR_SATURATION = "color_saturation"


class QualityLevel(Enum):
    """AQS in words; the value is what a person reads."""

    EXCELLENT = "Excellent"
    GOOD = "Good"
    FAIR = "Fair"
    POOR = "Poor"
    VERY_POOR = "Very Poor"

    @property
    def floor(self) -> float:
        """The lowest AQS of this level, 0-1."""
        return _LEVEL_FLOORS[self.value]

    @classmethod
    def of(cls, aqs: float) -> QualityLevel:
        """The level of an AQS (0-1); a value on a boundary belongs to the better level."""
        return next((level for level in cls if aqs >= level.floor), cls.VERY_POOR)


_LEVEL_FLOORS = {"Excellent": 0.85, "Good": 0.70, "Fair": 0.50, "Poor": 0.30, "Very Poor": 0.0}


class Status(Enum):
    """What became of one file in one run."""

    SCORED = "scored"
    UNCHANGED = "unchanged"  # the same content was scored before with the same settings
    FAILED = "failed"


class Stamp(NamedTuple):
    """What a file system says of a file at one look; equal stamps mean: not written to between."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, info: os.stat_result) -> Stamp:
        return cls(info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)

    @classmethod
    def parse(cls, text: str) -> Stamp:
        """The stamp that `text` wrote; raises ValueError."""
        return cls(*(int(part) for part in text.split(":")))

    @property
    def text(self) -> str:
        return ":".join(str(part) for part in self)

    @property
    def written(self) -> tuple[int, int]:
        """What a program changes when it writes to a file, and rot does not."""
        return self.size_bytes, self.mtime_ns


@dataclass(frozen=True)
class Fraction:
    """An exact ratio (frame rate, SAR), because 30000/1001 is not 29.97."""

    num: int
    den: int

    @property
    def value(self) -> float:
        return self.num / self.den if self.den else 0.0


@dataclass(frozen=True)
class Video:
    """One input file with what probing found: container, packets, and its first frame."""

    path: Path
    size_bytes: int
    container: str
    codec: str
    pixel_format: str
    bit_depth: int
    coded_width: int
    coded_height: int
    width: int  # as displayed: after rotation, before SAR
    height: int
    sar: Fraction
    frame_rate: Fraction
    variable_frame_rate: bool
    field_order: str  # "progressive", "tt", "bb", "tb", "bt", MIXED or "unknown"
    rotation_deg: int
    color_primaries: str
    color_transfer: str
    color_matrix: str
    color_range: str
    hdr: str  # "", "PQ", "HLG"
    duration_s: float
    bit_rate_kbps: float
    stream_index: int
    chroma_location: str = ""  # in ffmpeg's word; said of what is encoded alone: encode.siting
    is_mirrored: bool = False  # once it is turned by rotation_deg: upside down
    held_s: float = 0.0  # the part of duration_s for which the last frame stands still
    frame_times_s: tuple[float, ...] = field(repr=False, default=())  # PTS of every packet, sorted
    keyframe_times_s: tuple[float, ...] = field(repr=False, default=())
    kbps_over_time: tuple[float, ...] = field(repr=False, default=())  # one value a second
    streams: tuple[str, ...] = ()  # "0 video h264", "1 audio aac", ...
    warnings: tuple[str, ...] = ()

    @property
    def interlaced(self) -> bool:
        return self.field_order in {"tt", "bb", "tb", "bt", MIXED}


# A report makes millions of them, and a frozen dataclass took several times as long to make.
class TileScores(NamedTuple):
    """What the model says of one tile: vectors of ten in Artifact order, all in 0-1."""

    x: float  # centre of the tile in the frame, 0-1
    y: float
    quality: float
    probability: tuple[float, ...]
    intensity: tuple[float, ...]


@dataclass(frozen=True)
class SequenceScore:
    """One sequence: the mean of its tiles, and the tiles themselves for the heat map."""

    t_s: float
    aqs: float
    quality: float
    artifact_component: float
    probability: tuple[float, ...]
    intensity: tuple[float, ...]
    severity: tuple[float, ...]  # mean over tiles of probability x intensity
    tiles: tuple[TileScores, ...]
    scene: int = 0
    thumbnail: bytes | None = field(repr=False, default=None)  # JPEG, worst moments only


@dataclass(frozen=True)
class ArtifactDetail:
    """One artifact over a whole video, 0-1; `worst_t_s` is where severity peaks."""

    probability: float
    intensity: float
    severity: float
    time_share: float  # share of sequences whose probability exceeds the threshold
    worst_t_s: float
    threshold: float  # probability above which it counts as detected


@dataclass(frozen=True)
class Score:
    """One video: the mean of its sequences, beside the 5th percentile of their AQS."""

    aqs: float
    aqs_p5: float
    level: QualityLevel
    quality_component: float
    artifact_component: float
    artifacts: Mapping[Artifact, ArtifactDetail]
    detected: tuple[Artifact, ...]
    sequences: tuple[SequenceScore, ...]
    frame_count: int  # frames the model looked at


@dataclass(frozen=True)
class Provenance:
    """Everything needed to say whether two scores may be compared."""

    checkpoint: str
    settings_key: str
    device: str
    backend: str
    tiles: int
    ffmpeg: str
    version: str


@dataclass(frozen=True)
class Vmaf:
    """Pooled per-frame scores of one rung against the untouched source."""

    mean: float
    harmonic_mean: float
    min: float
    p5: float


@dataclass(frozen=True)
class WorstFrame:
    """One of the frames of a rung with the lowest VMAF: source and encode side by side."""

    t_s: float  # in the source
    vmaf: float
    picture: bytes = field(repr=False, default=b"")  # JPEG


@dataclass(frozen=True)
class Check:
    """One thing of a source beside its encode: what it was and what it is."""

    what: str
    before: str
    after: str
    kept: bool


@dataclass(frozen=True)
class Rung:
    """One encode at one CRF with what was measured of it against the untouched source.

    `size_bytes` and `kbps` are of the video stream; of a sampled rung as its samples project them.
    """

    crf: float
    preset: str
    preprocess: str | None
    size_bytes: int
    kbps: float
    vmaf: Vmaf | None  # None where no model is valid (HDR)
    vmaf_neg: Vmaf | None
    xpsnr: float  # dB
    alignment: str  # "exact" or "offset n"
    codec: str = "x265"
    params: str = ""  # further encoder parameters
    plan: str = FULL  # or which samples: "20 x 3.0 s of 600.0 s"
    frames: int = 0  # frames measured
    model: str = ""  # VMAF model, libvmaf's version and how frames were pooled
    vmaf_v1: Vmaf | None = None
    aqs: float | None = None  # the no-reference score of the encode; None: not asked
    aqs_key: str = ""  # the settings key of that score: of two keys none can be compared
    encode_fps: float = 0.0
    ratio: float = 0.0  # size over that of the source's video stream
    strip: tuple[float, ...] = field(repr=False, default=())  # VMAF over time, the low of each bin
    worst: tuple[WorstFrame, ...] = field(repr=False, default=())
    on_hull: bool = False  # no mixture of other rungs beats it; said of a whole set when reading
    recommended: str = ""  # why this rung is the one to take; "" for the others
    chosen_by: str = ""  # the key of the request that took it
    asked_by: tuple[str, ...] = ()  # the keys of all requests that it is a result of
    output: str = ""  # the kept file, if any
    checks: tuple[Check, ...] = ()  # what of the source the kept file still holds
    vmaf_log: str = ""  # the per-frame log, relative to the output folder
    warnings: tuple[str, ...] = ()

    @property
    def is_full(self) -> bool:
        """Whether it is of all frames, not of samples."""
        return self.plan == FULL


@dataclass(frozen=True)
class Outcome:
    """What one run has to say of one file; `reason` and `hint` are for a person."""

    file: str  # relative to the input folder where there is one, "/" between parts
    status: Status
    fingerprint: str = ""
    video: Video | None = None
    score: Score | None = None
    provenance: Provenance | None = None
    processing_time_s: float = 0.0
    warnings: tuple[str, ...] = ()
    reason: str = ""
    hint: str = ""
    encodes: tuple[Rung, ...] = ()
    bd_rate: Mapping[str, float] = field(default_factory=dict)
    bd_anchor: str = ""  # the name of the ladder that it is against
    previous_aqs: float | None = None  # same checkpoint and settings key, an earlier content


@dataclass(frozen=True)
class RunRecord:
    """One invocation of the tool, as the report tells it."""

    run_id: int
    started_at: str  # ISO 8601, UTC
    finished_at: str
    input_dir: str
    command: str
    counts: Mapping[str, int]
    settings: Mapping[str, Any]
    earlier: tuple[str, ...] = ()  # what audit nights had found that were cut off, in words
    kind: str = "run"  # or "watch", or "audit"
