"""Every setting there is, with its default and its bounds, as one frozen tree."""

from __future__ import annotations

import hashlib
import json
import math
import os.path
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from aqs_batch import encoders
from aqs_batch.records import Artifact

_VIDEO_EXTENSIONS = (
    "3g2 3gp apng asf avi divx dv f4v flv gif gxf ivf m1v m2t m2ts m2v m4v mj2 mkv mov mp4 mpe "
    "mpeg mpg mts mxf nut obu ogm ogv qt rm rmvb ts vob webm wmv wtv y4m 264 265 h264 h265 hevc"
)

MOMENTS = 2  # raised when other moments of a file are chosen: they make other scores
ENCODE_KEY = "encode-"  # how the settings keys of encode jobs begin
Aggregation = Literal["noisy_or", "max", "rms", "mean"]


def _of_form(pattern: str, form: str) -> AfterValidator:
    """A text of some pattern, which is no words for a person: its error says `form`."""

    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(f"{text!r} is not understood; it is {form}")
        return text

    return AfterValidator(check)


_Place = Annotated[str, AfterValidator(os.path.expanduser)]  # or a folder named ~ was made
_Device = Annotated[
    str, _of_form(r"auto|cpu|cuda(:\d+)?|mps", "auto, cpu, cuda, cuda:N (a number) or mps")
]
_Params = Annotated[
    str, _of_form(r"[A-Za-z0-9_.,:=+/() -]*", "key=value:key=value without quotes or other signs")
]
_Strength = Annotated[
    str,
    _of_form(
        r"off|auto|[01](\.\d{1,3})?|2(\.0{1,3})?",
        "off, auto, or a strength from 0 to 2 such as 0.8",
    ),
]
_Ending = Annotated[str, _of_form(r"[^\s*?/]*[^\s*?/.]", "a file name ending such as mp4")]
_TimeOfDay = Annotated[
    str, _of_form(r"(([01]\d|2[0-3]):[0-5]\d)?", "a time from 00:00 to 23:59, or empty")
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_slip(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what pydantic lets pass: `tiles = true` (as 1), and a NUL, which no path holds."""
        if isinstance(value, str) and "\0" in value:
            raise ValueError("must not hold a NUL character")
        is_switch = cls.model_fields[info.field_name or ""].annotation is bool
        if isinstance(value, bool) and not is_switch:
            raise ValueError(f"{str(value).lower()} is for settings that are on or off")
        return value


class Output(_Section):
    """Where results go."""

    dir: _Place = Field("reports", min_length=1)  # "" is a variable never set, not this folder
    db: str = ""
    export: tuple[Literal["json", "csv", "html"], ...] = Field(
        ("json", "csv", "html"), min_length=1
    )

    @property
    def url(self) -> str:
        """The database: as it was named, else a file in the folder, whatever that is called."""
        place = str(Path(self.dir).absolute() / "aqs.db")
        return self.db or f"sqlite:///{place.replace('%', '%25').replace('?', '%3F')}"


class FfmpegSettings(_Section):
    """Which ffmpeg."""

    path: _Place = ""


class Model(_Section):
    """Which weights, and where they run."""

    checkpoint: _Place = ""
    backend: Literal["auto", "openvino", "torch"] = "auto"
    device: _Device = "auto"
    batch: int = Field(8, ge=1, le=512)
    cache_dir: _Place = ""


class Penalties(_Section):
    """How much each artifact weighs."""

    blocking: float = Field(1.2, ge=0)
    ringing: float = Field(1.2, ge=0)
    ghosting: float = Field(1.8, ge=0)
    judder: float = Field(1.7, ge=0)
    gaussian_noise: float = Field(1.3, ge=0)
    impulse_noise: float = Field(2.0, ge=0)
    motion_blur: float = Field(1.3, ge=0)
    defocus_blur: float = Field(1.4, ge=0)
    color_banding: float = Field(1.5, ge=0)
    color_saturation: float = Field(1.6, ge=0)

    def vector(self) -> tuple[float, ...]:
        """The ten weights in Artifact order."""
        return tuple(getattr(self, a.value) for a in Artifact)


class AnalysisSettings(_Section):
    """What is looked at, and how it adds up."""

    interval_s: float = Field(1.0, gt=0)
    max_sequences: int = Field(600, ge=1)
    tiles: int = Field(4, ge=1, le=256)
    max_height: int = Field(1080, ge=224)
    alpha: float = Field(0.6, ge=0, le=1)
    aggregation: Aggregation = "noisy_or"
    threshold: float | Literal["model"] = "model"
    penalties: Penalties = Penalties()

    @field_validator("threshold", mode="before")
    @classmethod
    def _is_a_probability(cls, value: object) -> object:
        if value == "model":
            return value
        try:
            number = float(str(value))
        except ValueError:
            number = math.nan
        if not 0 <= number <= 1:
            raise ValueError('must be a probability, 0-1, or "model"')
        return number

    def thresholds(self, of_model: tuple[float, ...]) -> tuple[float, ...]:
        """The probability above which each artifact is named: one for all, or the model's own."""
        return of_model if self.threshold == "model" else (self.threshold,) * len(of_model)


class Run(_Section):
    """How a run over files behaves."""

    fail_under: float = Field(0.0, ge=0, le=1)
    extensions: tuple[_Ending, ...] = Field(tuple(_VIDEO_EXTENSIONS.split()), min_length=1)
    follow_symlinks: bool = False


class Encode(_Section):
    """Whether and how files are re-encoded and measured."""

    model_config = ConfigDict(coerce_numbers_to_str=True)  # preset = 8, preprocess = 1
    enabled: bool = False
    codec: encoders.Codec = encoders.Codec.X265
    preset: str = ""  # the encoder's own
    crf: tuple[float, ...] = Field((22.0, 26.0, 30.0, 34.0), min_length=1, max_length=32)
    params: _Params = ""
    full: bool = False
    samples: int = Field(12, ge=1, le=1000)
    sample_s: float = Field(5.0, gt=0)
    target_vmaf: float = Field(0.0, ge=0, le=100)
    max_kbps: float = Field(0.0, ge=0)
    max_bytes: int = Field(0, ge=0)
    good_vmaf: float = Field(93.0, ge=0, le=100)
    vmaf_v1: bool = False
    aqs: bool = True
    keep: Literal["none", "best", "all"] = "none"
    replace: bool = False
    parallel: int = Field(0, ge=0)
    preprocess: _Strength = "off"

    @model_validator(mode="before")
    @classmethod
    def _with_a_preset(cls, given: Any) -> Any:
        asked = not isinstance(given, dict) or given.get("preset")
        return given if asked else given | {"preset": encoders.own_preset(given.get("codec", ""))}

    @model_validator(mode="after")
    def _fits_its_codec(self) -> Self:
        """What the encoder cannot do is told here, not by every file."""
        if refused := encoders.refused(self.codec, self.preset, self.crf, self.params):
            raise ValueError(refused)
        return self

    @property
    def strength(self) -> float:
        """Of the preprocess filter, 0-2; 0: it is off."""
        return float({"off": 0.0, "auto": 1.0}.get(self.preprocess, self.preprocess))

    @property
    def keeps(self) -> Literal["none", "best", "all"]:
        """What is kept: what takes an original's place has to be there."""
        return "best" if self.replace and self.keep == "none" else self.keep

    @property
    def searches(self) -> bool:
        """Whether the CRF is looked for instead of given."""
        return bool(self.target_vmaf or self.max_kbps or self.max_bytes)

    def key(self, settings_key: str, ffmpeg_version: str) -> str:
        """The settings key of an encode job: all that changes what it makes or measures."""
        parts = self.model_dump(mode="json", exclude={"enabled", "parallel"})
        # 22 and 22.0 are one CRF, and were written as 22 by the defaults of earlier versions.
        parts["crf"] = [int(crf) if crf == int(crf) else crf for crf in self.crf]
        if self.strength:
            parts["filtered"] = [encoders.FILTERED_FORMAT, *encoders.FILTER_CRFS]
        text = json.dumps([parts, settings_key if self.aqs else "", ffmpeg_version], sort_keys=True)
        return ENCODE_KEY + hashlib.sha256(text.encode()).hexdigest()[:12]


class LimitSettings(_Section):
    """What hostile or broken media may cost at most."""

    max_pixels: int = Field(67_108_864, ge=1)
    max_streams: int = Field(128, ge=1)
    max_packets: int = Field(5_000_000, ge=1)
    max_hours: float = Field(100.0, gt=0)
    child_memory_mib: int = Field(8192, ge=0)
    decode_s_per_s: float = Field(60.0, gt=0)
    max_attempts: int = Field(3, ge=1)
    backoff_s: float = Field(60.0, ge=0)
    lease_s: float = Field(300.0, gt=0)
    stall_s: float = Field(3600.0, gt=0)


class WatchFolder(_Section):
    """One watched folder and its profile."""

    dir: _Place = Field(min_length=1)
    fail_under: float = Field(0.0, ge=0, le=1)
    encode: Literal["inherit", "on", "off"] = "inherit"
    move_done: _Place = ""
    move_failed: _Place = ""


class Watch(_Section):
    """How folders are watched."""

    folders: tuple[WatchFolder, ...] = ()
    settle_s: float = Field(10.0, ge=0)
    rescan_s: float = Field(60.0, gt=0)
    events: Literal["auto", "on", "off"] = "auto"
    until: _TimeOfDay = ""
    report_s: float = Field(300.0, ge=0)
    stop_grace_s: float = Field(4.0, ge=0)
    queue_limit: int = Field(10_000, ge=1)
    check_s: float = Field(300.0, gt=0)
    prometheus_file: _Place = ""

    @field_validator("folders", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        """A folder without a profile is its name alone, as in a flag or a variable."""
        if not isinstance(value, list | tuple):
            return value
        return [{"dir": item} if isinstance(item, str) else item for item in value]


class Audit(_Section):
    """The nightly audit of an archive."""

    until: _TimeOfDay = ""
    night_h: float = Field(8.0, gt=0, le=24)
    verify_nights: int = Field(30, ge=0)
    degraded_by: float = Field(0.05, gt=0, le=1)
    fail_on: tuple[Literal["degraded", "corrupt", "missing", "failed"], ...] = ()
    notify_cmd: str = ""


class Log(_Section):
    """What the watch folder and the audit write to standard output."""

    format: Literal["text", "json"] = "text"


class Settings(_Section):
    """All settings of one invocation."""

    output: Output = Output()
    ffmpeg: FfmpegSettings = FfmpegSettings()
    model: Model = Model()
    analysis: AnalysisSettings = AnalysisSettings()
    run: Run = Run()
    encode: Encode = Encode()
    limits: LimitSettings = LimitSettings()
    watch: Watch = Watch()
    audit: Audit = Audit()
    log: Log = Log()

    def key(self, checkpoint_digest: str) -> str:
        """The settings key: everything that changes a score, so that unlike scores never meet.

        The detection threshold is left out: it changes no score and is applied when reading.
        """
        parts = self.analysis.model_dump(mode="json", exclude={"threshold"})
        whole = {"analysis": parts, "checkpoint": checkpoint_digest, "moments": MOMENTS}
        text = json.dumps(whole, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]
