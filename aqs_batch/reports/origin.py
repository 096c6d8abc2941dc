"""What a video's page was made of, on its last line: a page whose origin is the same is kept.

Making pages is most of a report's time, and of an archive of 10,000 files nearly all are as they
were the night before.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import aqs_batch
from aqs_batch.records import Outcome, SequenceScore

_MARK = "<!-- made of {} -->\n"
_MAKERS = {".py", ".j2", ".css", ".js"}


def origin(outcome: Outcome, settings: Mapping[str, Any]) -> str:
    """A digest of all that `video_page` and its template go by, and of the two themselves."""
    digest = hashlib.sha256(_makers())
    for part in _parts(outcome, settings):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def marked(html: str, of: str) -> str:
    """A page with its origin noted; after its end, so that a page cut short has none."""
    return f"{html.rstrip()}\n{_MARK.format(of)}"


def is_of(page: Path, of: str) -> bool:
    """Whether a page is there, to its end, and has this origin."""
    mark = _MARK.format(of).encode()
    try:
        with page.open("rb") as stream:
            stream.seek(-len(mark), os.SEEK_END)
            return stream.read() == mark
    except OSError:  # missing, or shorter than that
        return False


def _parts(outcome: Outcome, settings: Mapping[str, Any]) -> Iterator[bytes]:
    score, video = outcome.score, outcome.video
    told = replace(outcome, score=replace(score, sequences=()) if score else None)
    yield repr((told, sorted(settings.get("analysis", {}).items()))).encode(
        "utf-8", "surrogatepass"
    )
    yield array("d", video.kbps_over_time if video else ()).tobytes()
    sequences = score.sequences if score else ()
    yield array("d", chain.from_iterable(map(_numbers, sequences))).tobytes()
    yield from (s.thumbnail or b"" for s in sequences)
    for rung in outcome.encodes:  # what their text leaves out
        yield array("d", rung.strip).tobytes()
        yield from (frame.picture for frame in rung.worst)


def _numbers(sequence: SequenceScore) -> Iterator[float]:
    own = sequence.t_s, sequence.aqs, sequence.quality, sequence.scene
    return chain(
        own, *((t.x, t.y, t.quality, *t.probability, *t.intensity) for t in sequence.tiles)
    )


@cache
def _makers() -> bytes:
    """A digest of the program: another version makes other pages."""
    files = sorted(f for f in Path(aqs_batch.__file__).parent.rglob("*") if f.suffix in _MAKERS)
    return hashlib.sha256(b"".join(hashlib.sha256(f.read_bytes()).digest() for f in files)).digest()
