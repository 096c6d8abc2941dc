"""What a run found: one line per file, and the facts of all of them."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from aqs_batch.records import (
    RE_ENCODE,
    Artifact,
    Outcome,
    QualityLevel,
    Rung,
    Score,
    Status,
)
from aqs_batch.reports.names import page_name
from aqs_batch.wording import aqs_words, cut, percent

# Below this two scores read the same at two decimals, so neither better nor worse is claimed.
CHANGE_MIN = 0.01
WORST_MOMENTS = 6  # of a video: so many are shown, and so many pictures kept
_CHANGES_LISTED = 6
_BINS = 20  # of the histogram


@dataclass(frozen=True)
class Row:
    """One file as the index tells it; scores are None where there is none."""

    file: str
    page: str  # the name of its page in videos/
    status: Status
    reason: str
    hint: str
    aqs: float | None
    aqs_p5: float | None
    level: QualityLevel | None
    severities: tuple[float, ...]  # Artifact order, () where there is no score
    detected: tuple[Artifact, ...]
    width: int
    height: int
    codec: str
    duration_s: float
    size_bytes: int
    previous_aqs: float | None  # of the same name in an earlier run; a failed file has one too
    comparable: str  # checkpoint and settings key: only equal ones may be compared
    encode: str  # CRF, VMAF and size share of the rung to take, or why none; "": not re-encoded
    encode_ratio: float | None  # its size over the source's

    @property
    def aqs_words(self) -> str:
        """The AQS as it is shown beside its level, or a dash."""
        return "–" if self.aqs is None or self.level is None else aqs_words(self.aqs, self.level)

    @property
    def p5_words(self) -> str:
        """The 5th percentile by the rule of the AQS: of one sequence it had been above it."""
        return "–" if self.aqs_p5 is None else aqs_words(self.aqs_p5)

    @property
    def previous_words(self) -> str:
        """The AQS of the last run as that run showed it, or a dash."""
        return "–" if self.previous_aqs is None else aqs_words(self.previous_aqs)

    @property
    def delta(self) -> float | None:
        """AQS minus that of the last run, or None where there is not both."""
        if self.aqs is None or self.previous_aqs is None:
            return None
        return self.aqs - self.previous_aqs

    @property
    def change_words(self) -> str:
        """How the AQS changed since the last run, or "" where it was not scored then."""
        return "" if self.delta is None else change_words(self.delta)

    @property
    def is_unchanged(self) -> bool:
        """Whether it is what it was: an earlier content put back is known, and yet a change."""
        return self.status is Status.UNCHANGED and abs(self.delta or 0.0) < CHANGE_MIN

    @property
    def encode_problem(self) -> str:
        """Why the re-encode of a scored file failed; "": it did not."""
        is_scored = self.status is not Status.FAILED
        return self.reason.removeprefix(RE_ENCODE) if is_scored else ""


@dataclass(frozen=True)
class Summary:
    """The aggregated facts of one report."""

    files: int
    unchanged: int
    failed: int
    levels: Mapping[QualityLevel, int]  # every level, best first
    artifacts: tuple[tuple[Artifact, int], ...]  # files each was detected in, most common first
    histogram: tuple[int, ...]  # files in each of _BINS equal parts of AQS 0-1
    median_aqs: float | None  # None where the scores must not be pooled
    comparables: int  # distinct checkpoints and settings keys
    new: int
    improved: int
    worse: int
    same: int
    worsened: tuple[Row, ...]  # largest loss first
    bettered: tuple[Row, ...]  # largest gain first
    duration_s: float
    size_bytes: int


def change_words(delta: float) -> str:
    """A change of AQS as it is counted: what counts as the same had been "-0.00" or "+0.01"."""
    return f"{delta:+.2f}" if abs(delta) >= CHANGE_MIN else "0.00"


def warnings_of(outcome: Outcome) -> tuple[str, ...]:
    """All warnings of one file, each once."""
    probed = outcome.video.warnings if outcome.video else ()
    return tuple(dict.fromkeys((*outcome.warnings, *probed)))


def severity(score: Score, artifact: Artifact) -> float:
    """One artifact's severity over a whole video."""
    detail = score.artifacts.get(artifact)
    return detail.severity if detail else 0.0


def row_of(outcome: Outcome) -> Row:
    """The index line of one outcome; holds no sequences, so that 10,000 fit in memory."""
    score, video, provenance = outcome.score, outcome.video, outcome.provenance
    taken = next((rung for rung in outcome.encodes if rung.recommended), None)
    return Row(
        file=outcome.file,
        page=page_name(outcome.file),
        status=outcome.status,
        reason=outcome.reason,
        hint=outcome.hint,
        aqs=score.aqs if score else None,
        aqs_p5=score.aqs_p5 if score else None,
        level=score.level if score else None,
        severities=tuple(severity(score, artifact) for artifact in Artifact) if score else (),
        detected=score.detected if score else (),
        width=video.width if video else 0,
        height=video.height if video else 0,
        codec=video.codec if video else "",
        duration_s=video.duration_s if video else 0.0,
        size_bytes=video.size_bytes if video else 0,
        previous_aqs=outcome.previous_aqs,
        comparable=f"{provenance.checkpoint} {provenance.settings_key}" if provenance else "",
        encode=_encode_words(outcome, taken),
        encode_ratio=taken.ratio or None if taken else None,
    )


def _encode_words(outcome: Outcome, taken: Rung | None) -> str:
    if outcome.reason.startswith(RE_ENCODE):
        return "failed"
    if taken is None:
        return "none recommended" if outcome.encodes else ""
    parts = (
        f"CRF {taken.crf:g}",
        "with preprocess" if taken.preprocess else "",
        f"VMAF {cut(taken.vmaf.mean)}" if taken.vmaf else "no VMAF",
        percent(taken.ratio) if taken.ratio else "",
    )
    # The column is narrow, and a line may end between parts alone.
    return ", ".join(part.replace(" ", "\u00a0") for part in parts if part)


def summarise(rows: Iterable[Row]) -> Summary:
    """Count the verdicts, artifacts and changes of all files of a report."""
    lines = list(rows)
    scored = [row for row in lines if row.aqs is not None]
    values = sorted(row.aqs for row in scored if row.aqs is not None)
    levels = Counter(row.level for row in scored)
    common = Counter(artifact for row in scored for artifact in row.detected)
    comparables = len({row.comparable for row in scored})
    changed = [row for row in scored if not row.is_unchanged]
    worse = [row for row in changed if row.delta is not None and row.delta <= -CHANGE_MIN]
    improved = [row for row in changed if row.delta is not None and row.delta >= CHANGE_MIN]
    new = sum(row.delta is None for row in changed)
    return Summary(
        files=len(lines),
        unchanged=sum(row.is_unchanged for row in lines),
        failed=sum(row.status is Status.FAILED for row in lines),
        levels={level: levels[level] for level in QualityLevel},
        artifacts=tuple(common.most_common()),
        histogram=_histogram(values),
        median_aqs=median(values) if values and comparables == 1 else None,
        comparables=comparables,
        new=new,
        improved=len(improved),
        worse=len(worse),
        same=len(changed) - new - len(improved) - len(worse),
        worsened=tuple(heapq.nsmallest(_CHANGES_LISTED, worse, key=_delta)),
        bettered=tuple(heapq.nlargest(_CHANGES_LISTED, improved, key=_delta)),
        duration_s=sum(row.duration_s for row in lines),
        size_bytes=sum(row.size_bytes for row in lines),
    )


def _histogram(values: Iterable[float]) -> tuple[int, ...]:
    counts = [0] * _BINS
    for value in values:
        counts[min(_BINS - 1, max(0, int(value * _BINS)))] += 1
    return tuple(counts)


def _delta(row: Row) -> float:
    return row.delta or 0.0
