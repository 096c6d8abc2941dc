"""aqs.toml, AQS_* environment and flags become one frozen Settings; an unknown key is an error."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from aqs_batch.errors import SettingsError
from aqs_batch.settings import Settings, WatchFolder

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

FILE_NAME = "aqs.toml"
ENVIRONMENT_PREFIX = "AQS_"


# What --profile sets, as flags do: fewer or more looks at the same file.
PROFILES: Mapping[str, Mapping[str, float]] = {
    "quick": {"analysis.interval_s": 5.0, "analysis.tiles": 2, "analysis.max_sequences": 120},
    "standard": {},
    "thorough": {"analysis.interval_s": 0.5, "analysis.tiles": 8, "analysis.max_sequences": 2400},
}


# Flags that are not called by the end of their key.
_FLAGS: Mapping[str, str] = {
    "output.dir": "output-dir",
    "encode.enabled": "encode",
    "watch.folders": "watch-dir",
    "log.format": "json",
}


# What a wrong value should have been, where pydantic's words are for programmers.
_WORDS: Mapping[str, str] = {
    "tuple_type": "must be a list",
    "model_type": "must be a table",
    "missing": "is missing",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "too_long": "must have at most {max_length} items",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "string_type": "must be text",
    "value_error": "{error}",
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
    if file is None and os.path.lexists(FILE_NAME):  # a link that leads nowhere is no default
        file = Path(FILE_NAME)
    if file is not None:
        _take(values, origins, dict(flatten(_read(file))), str(file))
    _take(values, origins, _from_environment(environment, origins), "environment")
    for key, value in flags.items():
        if value is not None:
            _take(values, origins, {key: value}, flag_of(key))
    try:
        return Loaded(Settings.model_validate(_nest(values)), origins)
    except ValidationError as error:
        raise _wrong(error.errors()[0], origins) from error


def _wrong(found: ErrorDetails, origins: Mapping[str, str]) -> SettingsError:
    """What is wrong with a value, in words for whoever wrote it, and where it was written."""
    place = found["loc"]
    depth = next(  # where a part of a list is wrong, only the list has an origin
        (n for n in range(len(place), 0, -1) if _dotted(place[:n]) in origins), len(place)
    )
    key, inside = _dotted(place[:depth]), place[depth:]
    origin = origins.get(key) or _set_in(key, origins)
    where = origin if origin.startswith("--") or not origin else f"{origin}: {key}"
    where += "".join(
        f", number {part + 1}" if isinstance(part, int) else f", {part}" for part in inside
    )
    words = _WORDS.get(found["type"], "").format(**found.get("ctx", {}))
    words = words or found["msg"].lower().replace("input should be", "must be")
    hint = "`aqs-batch config` lists every setting and what is in force."
    if found["type"] == "extra_forbidden":
        at, _, name = where.rpartition(", ")
        return _unknown(at, name, WatchFolder.model_fields, hint)
    return SettingsError(f"{where}: {words}" if where else words, hint=hint)


def _set_in(section: str, origins: Mapping[str, str]) -> str:
    """Where a section was written whose settings do not go together; "": by flags alone."""
    found = (origin for key, origin in origins.items() if key.startswith(f"{section}."))
    written = (o for o in found if o != "default" and not o.startswith("--"))
    return ", ".join(dict.fromkeys(written))


def flag_of(key: str) -> str:
    """The flag that sets a key, as it is typed."""
    return "--" + _FLAGS.get(key, key.rpartition(".")[2].replace("_", "-"))


def _unknown(origin: str, name: str, known: Iterable[str], hint: str) -> SettingsError:
    """A setting that does not exist, with the one that may be meant."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.8)
    meant = f"Is {close[0]} meant? " if close else ""
    return SettingsError(f"{origin}: unknown setting {name}", hint=meant + hint)


def _misplaced(origin: str, key: str, known: Iterable[str]) -> SettingsError:
    """A key that is no setting: a section that got a value, a setting that got others, or none."""
    above = key.rpartition(".")[0]
    if any(name.startswith(f"{key}.") for name in known):
        hint = f"Write [{key}] on a line of its own, and its settings below."
        return SettingsError(f"{origin}: {key} is a section, not a setting", hint=hint)
    if above in known:
        how = f"[[{above}]]" if above == "watch.folders" else f"{above} = ..."
        return SettingsError(f"{origin}: {above} is no section", hint=f"Write {how} instead.")
    hint = "`aqs-batch config` lists every setting; is it in the right [section]?"
    return _unknown(origin, key, known, hint)


def _dotted(parts: Iterable[str | int]) -> str:
    return ".".join(str(part) for part in parts)


def _take(
    values: dict[str, Any], origins: dict[str, str], found: Mapping[str, Any], origin: str
) -> None:
    for key, value in found.items():
        if key not in origins:
            raise _misplaced(origin, key, origins)
        values[key], origins[key] = value, origin


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        hint = "Save the file as UTF-8, which TOML asks for."
        raise SettingsError(f"{file}: line {line} is not UTF-8", hint=hint) from error
    except tomllib.TOMLDecodeError as error:
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
            hint = "Names are AQS_<SECTION>_<KEY>, e.g. AQS_ANALYSIS_TILES."
            raise _unknown("environment", name, names, hint)
        key = names[name]
        is_list = isinstance(defaults[key], list)
        found[key] = listed(value) if is_list else value
    return found


def listed(text: str) -> list[str]:
    """The parts of a comma-separated value, blanks left out."""
    return [part.strip() for part in text.split(",") if part.strip()]
