"""What an audit found, as a mail and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from aqs_batch.store import Finding, FindingKind
from aqs_batch.wording import count, links_left_out, moment, shown, size

_NAMED = (
    FindingKind.CORRUPT,
    FindingKind.DEGRADED,
    FindingKind.MISSING,
    FindingKind.FAILED,
    FindingKind.RENAMED,
    FindingKind.CHANGED,
    FindingKind.NEW,
)  # and not what was only scored anew
_MOST_NAMED = 10


def worst_first(found: Iterable[Finding]) -> list[Finding]:
    """Findings in the order in which a person wants to hear of them."""
    return sorted(found, key=lambda one: (*_NAMED, FindingKind.RESCORED).index(one.kind))


@dataclass
class Findings:
    """One night over one folder; sizes in bytes, times in seconds."""

    folder: str
    run: int
    at: str
    files: int = 0
    bytes: int = 0
    unchanged: int = 0
    kinds: dict[FindingKind, list[Finding]] = field(default_factory=dict)
    unreachable: list[str] = field(
        default_factory=list
    )  # files and folders: gone with a mount, or not to be read
    links: list[str] = field(default_factory=list)  # symbolic ones, left out
    pending: list[str] = field(default_factory=list)  # not reached tonight
    pending_bytes: int = 0
    verified: int = 0
    verified_bytes: int = 0
    scored: int = 0
    scored_bytes: int = 0
    scoring_s: float = 0.0
    spent_s: float = 0.0

    def add(self, *found: Finding) -> None:
        """Add findings, each to those of its kind."""
        for one in found:
            self.kinds.setdefault(one.kind, []).append(one)

    def nights_left(self, night_s: float) -> float | None:
        """Nights of `night_s` that the rest needs at tonight's rate; None: none was measured."""
        if not self.pending:
            return 0.0
        if not self.scored or self.scoring_s <= 0:
            return None
        # The dearer of two estimates: many small files cost per file, few large ones per byte.
        per_file = self.scoring_s / self.scored * len(self.pending)
        per_byte = self.scoring_s / max(self.scored_bytes, 1) * self.pending_bytes
        return max(per_file, per_byte) / night_s

    def counts(self) -> dict[FindingKind, int]:
        """How many files of each kind."""
        return {kind: len(self.kinds.get(kind, ())) for kind in FindingKind}

    def as_text(self, night_s: float) -> str:
        """A summary short enough for a mail."""
        parts = ", ".join(f"{n} {kind}" for kind, n in self.counts().items() if n)
        lines = [
            f"Audit of {shown(self.folder)}, {moment(self.at)}: "
            f"{count(self.files, 'file')}, {size(self.bytes)}",
            f"  {parts or 'nothing new'}; {self.unchanged:,} unchanged",
        ]
        for kind in _NAMED:
            found = self.kinds.get(kind, [])
            lines += [f"  {one.words}" for one in found[:_MOST_NAMED]]
            if len(found) > _MOST_NAMED:
                lines.append(f"  {kind}: and {len(found) - _MOST_NAMED:,} more")
        if self.unreachable:
            what = count(len(self.unreachable), "file or folder", "files or folders")
            lines.append(
                f"  WARNING cannot be reached: {what}, e.g. {shown(self.unreachable[0])}: "
                "gone with a mount, or not to be read; not counted as missing"
            )
        if self.links:
            lines.append(f"  {links_left_out(self.links)}")
        if self.verified:
            read = f"{count(self.verified, 'file')} ({size(self.verified_bytes)})"
            lines.append(f"  {read} read to the last byte and compared")
        if self.pending:
            nights = self.nights_left(night_s)
            rest = "no rate was measured" if nights is None else f"{nights:.1f} more nights"
            lines.append(f"  left for the next night: {count(len(self.pending), 'file')}; {rest}")
        return "\n".join(lines)

    def as_json(self, night_s: float) -> dict[str, Any]:
        """The same for a program; at most 1,000 files of each kind are named."""
        return {
            "folder": shown(self.folder),
            "run": self.run,
            "at": self.at,
            "files": self.files,
            "bytes": self.bytes,
            "counts": {**self.counts(), "unchanged": self.unchanged},
            "found": {
                kind: [
                    {"file": shown(f.file), "why": shown(f.why), "night": f.night or self.at}
                    for f in found[:1000]
                ]
                for kind, found in self.kinds.items()
            },
            "unreachable": len(self.unreachable),
            "links": len(self.links),
            "verified": self.verified,
            "verified_bytes": self.verified_bytes,
            "scored": self.scored,
            "pending": len(self.pending),
            "nights_left": self.nights_left(night_s),
        }

    def gates(self, fail_on: Iterable[str]) -> list[FindingKind]:
        """The kinds of findings that were to fail the audit, and were found."""
        return [kind for kind in map(FindingKind, fail_on) if self.kinds.get(kind)]
