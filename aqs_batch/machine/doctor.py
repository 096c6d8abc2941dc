"""What this machine has and lacks for the job, in words."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from aqs_batch import ffmpeg, pipeline
from aqs_batch.analysis.checkpoint import chosen
from aqs_batch.errors import AqsError, reason_and_place
from aqs_batch.settings import Settings
from aqs_batch.store import Store, missing_file
from aqs_batch.wording import count

LEAST_FREE_BYTES = 1 << 30


@dataclass(frozen=True)
class Diagnosis:
    """One thing looked at: whether it will do, and what was found or what to do about it."""

    name: str
    ok: bool
    text: str


def examine(settings: Settings) -> list[Diagnosis]:
    """Look at everything a run needs; nothing is created or changed."""
    checks: list[tuple[str, Callable[[Settings], str]]] = [
        ("ffmpeg", _ffmpeg),
        *((part, lambda s, part=part: _built_with(s, part)) for part in ffmpeg.NEEDED),
        ("checkpoint", _checkpoint),
        ("device", _device),
        ("database", _database),
        ("disk", _disk),
    ]
    findings = []
    for name, check in checks:
        try:
            findings.append(Diagnosis(name, True, check(settings)))
        except AqsError as error:
            findings.append(Diagnosis(name, False, f"{error} {error.hint}".strip()))
        except OSError as error:  # a folder that may not be entered had ended all other checks
            findings.append(Diagnosis(name, False, reason_and_place(error)))
    return findings


def as_text(findings: list[Diagnosis]) -> str:
    """One line a finding."""
    return "\n".join(f"{'ok ' if f.ok else 'NO '} {f.name:<11} {f.text}" for f in findings)


def as_json(findings: list[Diagnosis]) -> str:
    """One object: name -> {ok, text}."""
    return json.dumps(
        {f.name: {k: v for k, v in asdict(f).items() if k != "name"} for f in findings}
    )


def _ffmpeg(settings: Settings) -> str:
    found = ffmpeg.find(settings.ffmpeg.path)
    return f"{found.version} at {found.path}: {found.origin}"


def _built_with(settings: Settings, library: str) -> str:
    found = ffmpeg.find(settings.ffmpeg.path)
    if library in found.missing:
        raise AqsError(f"this ffmpeg has no {library}", hint="Remove [ffmpeg] path to use our own.")
    return "present"


def _checkpoint(settings: Settings) -> str:
    found = chosen(settings.model.checkpoint)
    return f"{found.label}, {found.card.architecture}, at {found.path}"


def _device(settings: Settings) -> str:
    backend = pipeline.set_up(settings, chosen(settings.model.checkpoint)).engine.backend
    return f"{backend.device}, backend {backend.name}"


def _database(settings: Settings) -> str:
    if missing := missing_file(settings.output.url):
        _writable(missing)
        return f"{settings.output.url} (will be made by the first run)"
    store = Store(settings.output.url)
    try:
        counts = store.counts()
    finally:
        store.close()
    held = f"{count(counts['analyses'], 'analysis', 'analyses')}, {count(counts['runs'], 'run')}"
    return f"{store.url}: {held}"  # of a server without the password


def _disk(settings: Settings) -> str:
    place = _writable(Path(settings.output.dir))
    free = shutil.disk_usage(place).free
    text = f"{free / (1 << 30):.1f} GiB free at {place}"
    if free < LEAST_FREE_BYTES:
        raise AqsError(f"only {text}", hint="Free some space, or choose another --output_dir.")
    return text


def _writable(wanted: Path) -> Path:
    """The folder that is there of a path; raises AqsError where nothing can be made in it."""
    place = wanted.absolute()
    while not os.access(place, os.F_OK):
        place = place.parent
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        raise AqsError(
            f"{place} is no folder that can be written to.",
            hint="Change its rights, or name another place with --output_dir or --db.",
        )
    return place
