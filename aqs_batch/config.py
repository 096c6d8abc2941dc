"""aqs.toml, AQS_* environment and flags become one frozen Settings; an unknown key is an error."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aqs_batch.errors import SettingsError
from aqs_batch.settings import Settings

FILE_NAME = "aqs.toml"
ENVIRONMENT_PREFIX = "AQS_"


# What --profile sets: fewer or more looks at the same file. An explicit flag beats its profile.
PROFILES: Mapping[str, Mapping[str, float]] = {
    "quick": {"analysis.interval_s": 5.0, "analysis.tiles": 2, "analysis.max_sequences": 120},
    "standard": {},
    "thorough": {"analysis.interval_s": 0.5, "analysis.tiles": 8, "analysis.max_sequences": 2400},
}


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
        words = first["msg"].lower().removeprefix("value error, ")
        if first["type"] == "string_pattern_mismatch":  # a pattern is no words for a person
            words = f"{first['input']!r} is not understood"
        raise SettingsError(
            f"{origin}: {key}: {words}",
            hint="aqs.toml explains every setting; `aqs-batch config` lists what is in force.",
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
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
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
    defaults = dict(flatten(Settings().model_dump(mode="json")))
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
        is_list = isinstance(defaults[key], list)
        found[key] = listed(value) if is_list else value
    return found


def listed(text: str) -> list[str]:
    """The parts of a comma-separated value, blanks left out."""
    return [part.strip() for part in text.split(",") if part.strip()]


def environment() -> Mapping[str, str]:
    """The process's own environment."""
    return os.environ
