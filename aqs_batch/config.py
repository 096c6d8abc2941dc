"""aqs.toml, AQS_* environment and flags become one frozen Settings; an unknown key is an error."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aqs_batch.errors import SettingsError
from aqs_batch.records import Artifact

FILE_NAME = "aqs.toml"
ENVIRONMENT_PREFIX = "AQS_"

_VIDEO_EXTENSIONS = (
    "3gp avi flv gif ivf m2ts m4v mkv mov mp4 mpeg mpg mts mxf nut obu ogv ts vob webm wmv y4m "
    "264 265 h264 h265 hevc"
)


# What --profile sets: fewer or more looks at the same file. An explicit flag beats its profile.
PROFILES: Mapping[str, Mapping[str, float]] = {
    "quick": {"analysis.interval_s": 5.0, "analysis.tiles": 2, "analysis.max_sequences": 120},
    "standard": {},
    "thorough": {"analysis.interval_s": 0.5, "analysis.tiles": 8, "analysis.max_sequences": 2400},
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Output(_Section):
    """Where results go."""

    dir: str = "reports"
    db: str = ""
    export: tuple[Literal["json", "csv", "html"], ...] = ("json", "csv", "html")

    @property
    def url(self) -> str:
        return self.db or f"sqlite:///{Path(self.dir).absolute() / 'aqs.db'}"


class FfmpegSettings(_Section):
    """Which ffmpeg."""

    path: str = ""


class Model(_Section):
    """Which weights, and where they run."""

    checkpoint: str = ""
    backend: Literal["auto", "openvino", "torch"] = "auto"
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$")
    batch: int = Field(8, ge=1, le=512)
    cache_dir: str = ""


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


class Analysis(_Section):
    """What is looked at, and how it adds up."""

    interval_s: float = Field(1.0, gt=0)
    max_sequences: int = Field(600, ge=1)
    tiles: int = Field(4, ge=1, le=256)
    max_height: int = Field(1080, ge=224)
    alpha: float = Field(0.6, ge=0, le=1)
    aggregation: Literal["noisy_or", "max", "rms", "mean"] = "noisy_or"
    threshold: float = Field(0.2, ge=0, le=1)
    penalties: Penalties = Penalties()


class Run(_Section):
    """How a run over files behaves."""

    fail_under: float = Field(0.0, ge=0, le=1)
    extensions: tuple[str, ...] = tuple(_VIDEO_EXTENSIONS.split())
    follow_symlinks: bool = False


class LimitSettings(_Section):
    """What hostile or broken media may cost at most."""

    max_pixels: int = Field(67_108_864, ge=1)
    max_streams: int = Field(128, ge=1)
    decode_s_per_s: float = Field(60.0, gt=0)
    max_attempts: int = Field(3, ge=1)


class Settings(_Section):
    """All settings of one invocation."""

    output: Output = Output()
    ffmpeg: FfmpegSettings = FfmpegSettings()
    model: Model = Model()
    analysis: Analysis = Analysis()
    run: Run = Run()
    limits: LimitSettings = LimitSettings()

    def key(self, checkpoint_digest: str) -> str:
        """The settings key: everything that changes a score, so that unlike scores never meet.

        The detection threshold is left out: it changes no score and is applied when reading.
        """
        parts = self.analysis.model_dump(mode="json", exclude={"threshold"})
        text = json.dumps({"analysis": parts, "checkpoint": checkpoint_digest}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Loaded:
    """Settings with, for each dotted key, where its value came from."""

    settings: Settings
    origins: Mapping[str, str]


def load(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Loaded:
    """Flags beat environment beats file beats defaults.

    `file` None means ./aqs.toml if it is there; `flags` maps dotted keys to values, None: not
    given. Raises SettingsError for an unknown key or a bad value.
    """
    values: dict[str, Any] = {}
    origins = {key: "default" for key, _ in flatten(Settings().model_dump(mode="json"))}
    if file is None and Path(FILE_NAME).is_file():
        file = Path(FILE_NAME)
    if file is not None:
        _take(values, origins, dict(flatten(_read(file))), str(file))
    _take(values, origins, _from_environment(environment, origins), "environment")
    _take(values, origins, {k: v for k, v in flags.items() if v is not None}, "flag")
    try:
        return Loaded(Settings.model_validate(_nest(values)), origins)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        origin = origins.get(key, "settings")
        raise SettingsError(
            f"{origin}: {key}: {first['msg'].lower()}",
            hint="`aqs-batch config` lists every setting with its value and origin.",
        ) from error


def _take(
    values: dict[str, Any], origins: dict[str, str], found: Mapping[str, Any], origin: str
) -> None:
    for key, value in found.items():
        if key not in origins:
            raise SettingsError(
                f"{origin}: unknown setting {key}",
                hint="`aqs-batch config` lists every setting; is it in the right [section]?",
            )
        values[key], origins[key] = value, origin


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: {error}", hint="The file is not valid TOML.") from error


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested tables as (dotted key, value) pairs."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return tree


def _from_environment(environment: Mapping[str, str], known: Mapping[str, str]) -> dict[str, Any]:
    """AQS_ANALYSIS_TILES=2 sets analysis.tiles; lists are comma-separated."""
    names = {ENVIRONMENT_PREFIX + key.upper().replace(".", "_"): key for key in known}
    found: dict[str, Any] = {}
    for name, value in environment.items():
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        if name not in names:
            raise SettingsError(
                f"environment: unknown setting {name}",
                hint="Names are AQS_<SECTION>_<KEY>, e.g. AQS_ANALYSIS_TILES.",
            )
        key = names[name]
        is_list = key in {"output.export", "run.extensions"}
        found[key] = [v for v in value.split(",") if v] if is_list else value
    return found


def environment() -> Mapping[str, str]:
    """The process's own environment."""
    return os.environ
