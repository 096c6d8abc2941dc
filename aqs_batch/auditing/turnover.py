"""Which content came to which name since the night before, and where it lay until then."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from aqs_batch.records import Stamp
from aqs_batch.store import Audited, Finding, FindingKind, Place


class Turnover:
    """All contents that came in one night, told together: by itself, a file that took the name of
    another had been a changed one, a degraded one, a missing one and a new one.

    `known` is what audits told before, `lost` the names that are there no more, `unlooked` those
    that there was no time to look at.
    """

    def __init__(
        self,
        came: Mapping[str, Place],
        known: Mapping[str, Audited],
        lost: Iterable[str],
        unlooked: Collection[str],
    ) -> None:
        self._came, self._known, self._unlooked = came, known, unlooked
        self._from: dict[str, str] = {}
        self._went: set[str] = set()
        names = [*lost, *(name for name in came if name in known)]
        # Of several copies the likeliest: the same name elsewhere, then another name beside it.
        for likeness in (posixpath.basename, posixpath.dirname, lambda name: ""):
            self._pair(names, likeness)

    def _pair(self, names: Sequence[str], likeness: Callable[[str], str]) -> None:
        """Find for what came a name of the same content and `likeness` that is not taken yet."""
        left: dict[tuple[str, str], list[str]] = {}
        for name in reversed(names):
            if name not in self._went:
                left.setdefault((self._known[name].last_print, likeness(name)), []).append(name)
        for name, place in self._came.items():
            alike = left.get((place.fingerprint, likeness(name)))
            if place.fingerprint and alike and name not in self._from:
                self._from[name] = alike.pop()
        self._went.update(self._from.values())

    def was(self, name: str) -> str:
        """The name that the content had; "" for content that is new to the archive."""
        return self._from.get(name, "")

    def is_rotten(self, name: str) -> bool:
        """Whether a name's content changed while nothing wrote to it, and was not moved either."""
        before, now = self._known.get(name), self._came[name]
        is_moved = name in self._went or name in self._from
        if before is None or not before.fingerprint or is_moved:
            return False
        return Stamp.parse(before.stamp).written == Stamp.parse(now.stamp).written

    def late(self) -> set[str]:
        """The names of which only a night can tell that has looked at all the others: what lay
        there before, or what lies there now, may be found elsewhere.
        """
        if not self._unlooked:
            return set()
        unsure = {name for name in self._came if name in self._known}
        open_ = unsure.union(name for name in self._unlooked if name in self._known)
        prints = {self._known[name].last_print for name in open_} - {""}
        return unsure | {n for n, place in self._came.items() if place.fingerprint in prints}

    def news(self, name: str) -> list[Finding]:
        """What there is to tell of a name whose content came from elsewhere or is new.

        Changed is what held a content that is found under none of the names that came.
        """
        was = self.was(name)
        renamed = [Finding(FindingKind.RENAMED, name, f"was {was}")] if was else []
        if name not in self._known or name in self._went:
            return renamed or [Finding(FindingKind.NEW, name)]
        if was and not self._known[name].last_print:  # an empty file, say: nothing was lost
            return renamed
        why = "what was here before is nowhere else" if was else ""
        return [*renamed, Finding(FindingKind.CHANGED, name, why)]
