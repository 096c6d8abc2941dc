"""The nightly audit of an archive: what is new, changed, lost or rotten, and what it all scores."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from shlex import quote

from aqs_batch.auditing.bitrot import Reading
from aqs_batch.auditing.findings import Findings
from aqs_batch.auditing.judgement import judge
from aqs_batch.auditing.turnover import Turnover
from aqs_batch.batch import Batch
from aqs_batch.clock import Clock, iso
from aqs_batch.errors import AqsError, FolderGone, MediaError, reason_of
from aqs_batch.events import Event, EventKind, Listener
from aqs_batch.identity import is_at_work, own_name
from aqs_batch.ingest.files import Found, Rules, is_lost
from aqs_batch.ingest.fingerprint import fingerprint
from aqs_batch.ingest.watch import is_mounted, is_unread, scan
from aqs_batch.records import Stamp, Status
from aqs_batch.settings import Settings
from aqs_batch.stop import AFTER_HOURS_S, Stop, Stopped
from aqs_batch.store import Audited, Finding, FindingKind, Place, RunFile, RunKind, Store
from aqs_batch.watching.intake import own_folders
from aqs_batch.wording import moment
from aqs_batch.worker import take_over


class Audit:
    """One night over one folder."""

    def __init__(
        self, store: Store, settings: Settings, listen: Listener, clock: Clock, stop: Stop
    ) -> None:
        self._store, self._settings, self._listen = store, settings, listen
        self._clock, self._stop = clock, stop
        self._until = float("inf")
        self._here = ""
        self._batch = Batch(store, settings, self._hear, clock, stop)
        self._entries = self._batch.entries
        self._rules = Rules(
            settings.run.extensions, settings.run.follow_symlinks, tuple(own_folders(settings))
        )
        self._known: dict[str, Place] = {}
        self._audited: dict[str, Audited] = {}  # of those what audits have told, to compare with
        self._unread: set[str] = set()  # files and folders that could not be looked at
        self._links: list[str] = []  # that were left out
        self._run_id = 0

    def run(self, folder: str, *, command: str, until: float = float("inf")) -> Findings:
        """Compare the folder with what was known of it, verify a part, score what is new.

        `until`: when the night is over, seconds since the epoch. Raises FolderGone when the folder
        is not there, or is empty and was not, and AqsError while another night goes over it.
        """
        self._until = until
        here = self._here = os.path.abspath(folder)
        listed = self._list(here)
        began = self._clock.steady()
        self._run_id = self._entries.run_id = self._begin(here, command)
        # Not before: a night that ended while this one looked through the folder has told more.
        self._known = {p.file: p for p in self._store.places(here) if not p.moved_to}
        self._audited = {p.file: p.audited for p in self._known.values() if p.audited}
        self._store.expect(self._run_id, len(listed))
        self._store.inherit(self._run_id, is_at_work)
        take_over(self._store, self._settings.limits, self._clock)
        self._listen(Event(EventKind.FOUND, facts={"files": len(listed)}))
        found = Findings(here, self._run_id, iso(self._clock.now()), files=len(listed))
        found.bytes = sum(stamp.size_bytes for stamp in listed.values())
        found.unreachable = sorted(self._unread - self._known.keys())
        found.links = self._links
        lost = self._lost(listed, found)
        todo, unlooked = self._compare(listed, lost, found)
        if not unlooked:  # else what is missing may only not have been found again yet
            self._tell(found, *lost.values())
        with suppress(Stopped):
            self._read_and_score(listed, todo, found)
        self._entries.flush()
        found.add(*self._store.inherited(self._run_id))
        done = {entry.file for entry in self._store.run_files(self._run_id)}
        found.pending = [name for name in (*todo, *unlooked) if name not in done]
        self._store.expect(self._run_id, len(done) + len(found.pending))  # without what went
        found.pending_bytes = sum(listed[name].size_bytes for name in found.pending)
        found.spent_s = self._clock.steady() - began
        if not self._stop.requested:
            # Last of all: a night that was cut off had told nobody, and the next one kept silent.
            if not unlooked:
                self._store.mark_missing(here, lost, self._clock.now(), told=True)
            self._store.finish_run(self._run_id, iso(self._clock.now()))
        return found

    def _begin(self, here: str, command: str) -> int:
        """Record the night, one at a time over a folder: of two, both had told all that is new."""
        with self._store.at_once():
            if since := self._store.night_at_work(here, is_at_work):
                raise AqsError(
                    f"another audit of {here} goes on since {moment(since)}",
                    hint="Wait for it, or stop it; --until ends a night in time for the next one.",
                )
            now, settings = iso(self._clock.now()), self._settings.model_dump(mode="json")
            return self._store.start_run(now, here, command, settings, RunKind.AUDIT, own_name())

    def _read_and_score(
        self, listed: dict[str, Stamp], todo: dict[str, Place], found: Findings
    ) -> None:
        nights = self._settings.audit.verify_nights
        rotten = {one.file for one in found.kinds.get(FindingKind.CORRUPT, ())}
        known = (place for name, place in self._known.items() if name not in rotten)
        now = self._clock.now()
        reading = Reading(known, listed, nights, self._store, now)

        def tell_rotten(place: Place, why: str) -> None:
            if not self._went(place, todo, found):
                self._rot(place, todo, found, why)

        # Half of the night at most, or scoring would never get its turn; the rest after it.
        half = now + (self._until - now) / 2
        reading.go_on(found, half, self._clock, self._stop, tell_rotten)
        self._score(listed, todo, found)
        reading.go_on(found, self._until, self._clock, self._stop, tell_rotten)

    def _hear(self, event: Event) -> None:
        if self._clock.now() >= self._until + AFTER_HOURS_S:
            raise Stopped
        self._listen(event)

    def _is_over(self) -> bool:
        return self._stop.requested or self._clock.now() >= self._until

    def _check(self) -> None:
        """Raise Stopped between files when the night is over."""
        if self._is_over():
            raise Stopped

    def _list(self, here: str) -> dict[str, Stamp]:
        listed: dict[str, Stamp] = {}
        for name, stamp in scan(here, self._rules, self._links.append):
            if stamp is None:
                self._unread.add(name)
            else:
                listed[name] = stamp
        before = () if listed else self._store.places(here)
        if there := sum(place.is_expected for place in before if not place.moved_to):
            raise FolderGone(
                f"{here} holds no video, but held {there}: nothing is taken as missing",
                hint="Is it mounted? If it is really empty: "
                f"aqs-batch prune --folder {quote(here)}, with the same --output_dir or --db.",
            )
        return listed

    def _lost(self, listed: dict[str, Stamp], found: Findings) -> dict[str, Finding]:
        """Files that were there and are not; those whose mount or folder is gone are not lost."""
        lost: dict[str, Finding] = {}
        for name, place in self._known.items():
            if name in listed or not place.is_expected:
                continue
            unread = is_unread(name, self._unread)
            if unread or not is_lost(self._here, name, mounted=place.mounted):
                found.unreachable.append(name)
            elif name in self._audited:
                lost[name] = Finding(FindingKind.MISSING, name)
        return lost

    def _compare(
        self, listed: dict[str, Stamp], lost: dict[str, Finding], found: Findings
    ) -> tuple[dict[str, Place], list[str]]:
        """Who every file is: those that need a score, and the names left for another night.

        An equal stamp is trusted.
        """
        todo: dict[str, Place] = {}
        came: dict[str, Place] = {}
        names = deque(listed)
        while names and not self._is_over():
            name = names.popleft()
            place = self._recognise(name, listed[name])
            before = self._audited.get(name)
            if before is None or place.fingerprint not in ("", before.last_print):
                came[name] = place
            elif self._is_as_it_was(before, place, found):
                found.unchanged += 1
                continue
            todo[name] = place
        turnover = Turnover(came, self._audited, lost, names)
        late = turnover.late()
        for name, place in came.items():
            if turnover.is_rotten(name):
                self._corrupt(place, found, "its content changed while its size and time did not")
                del todo[name]
            elif name in late:
                names.append(name)
                del todo[name]
            elif not self._went(place, todo, found):  # or a service's word on where to was lost
                self._came(place, turnover, lost, found)
        self._entries.flush()
        return todo, list(names)

    def _came(
        self, place: Place, turnover: Turnover, lost: dict[str, Finding], found: Findings
    ) -> None:
        """Tell of content that came to a name. What has only changed is settled once it is scored:
        until then it is to be compared with what it was. What came from elsewhere is not compared.
        """
        name, was, news = place.file, turnover.was(place.file), turnover.news(place.file)
        if [one.kind for one in news] == [FindingKind.CHANGED]:
            self._tell(found, *news)
            return
        if was:
            old = self._known[was]
            if old.fingerprint == place.fingerprint:  # no service has seen another there since
                place = replace(place, content_hash=old.content_hash, hashed_at=old.hashed_at)
        self._settle(place, found, *news)
        if lost.pop(was, None):
            with self._entries.along():  # or a night killed in between had made it a new file
                self._store.forget(self._here, was)
        self._audited.pop(name, None)

    def _is_as_it_was(self, before: Audited, now: Place, found: Findings) -> bool:
        """Whether a file of the same content, touched at most, has its score; it is recorded."""
        key, print_ = self._batch.key, now.fingerprint
        if before.settings_key != key or self._store.aqs(print_, key) is None:
            return False
        known = self._known[now.file]
        is_back = before.missing or known.missing_since
        if is_back or not now.stamp == before.stamp == known.stamp:
            self._settle(now, found)
        self._entries.add(RunFile(now.file, print_, key, Status.UNCHANGED))
        return True

    def _recognise(self, name: str, stamp: Stamp) -> Place:
        before = self._known.get(name)
        if before is not None and before.stamp == stamp.text and not before.problem:
            return replace(before, missing_since=0.0, settings_key=self._batch.key)
        path = Path(self._here, name)
        print_, problem, mounted = "", "", False
        try:
            print_ = fingerprint(path)
            mounted = is_mounted(self._here, os.stat(path).st_dev)
        except (MediaError, OSError) as error:  # it may go at any moment
            problem = reason_of(error)
        place = Place(
            self._here, name, stamp.text, print_, self._batch.key, problem=problem, mounted=mounted
        )
        if name not in self._audited:
            # Now: a night too short to recognise all new files is gone on with in the next.
            self._entries.note(place)
        return place

    def _corrupt(self, place: Place, found: Findings, why: str) -> None:
        """Report rot every night until the file is restored, or touched to say that it is meant."""
        self._tell(found, Finding(FindingKind.CORRUPT, place.file, why))
        hint = "Restore it from a backup; `touch` it if the change was meant."
        entry = RunFile(
            place.file, place.fingerprint, self._batch.key, Status.FAILED, f"corrupt: {why}", hint
        )
        self._entries.add(entry)
        self._listen(Event(EventKind.FAILED, place.file, {"reason": entry.reason, "hint": hint}))

    def _went(self, place: Place, todo: dict[str, Place], found: Findings) -> bool:
        """Whether a file went while we were at work: by itself, which tomorrow's look tells, or
        together with its mount. Neither is rot.
        """
        if os.path.lexists(place.path):
            return False
        todo.pop(place.file, None)
        by_itself = is_lost(self._here, place.file, mounted=place.mounted)
        if not (by_itself and Path(self._here).is_dir()):
            found.unreachable.append(place.file)
        return True

    def _rot(self, place: Place, todo: dict[str, Place], found: Findings, why: str) -> None:
        """A file that had seemed unchanged, or was to be scored, is not what it was."""
        if todo.pop(place.file, None) is None:
            found.unchanged -= 1
        self._corrupt(place, found, why)

    def _score(self, listed: dict[str, Stamp], todo: dict[str, Place], found: Findings) -> None:
        files = list(todo.items())  # what goes meanwhile is taken out of `todo`
        for number, (name, place) in enumerate(files, start=1):
            self._check()
            if self._went(place, todo, found):
                continue
            where = {"number": number, "of": len(files)}
            self._listen(Event(EventKind.STARTED, name, where))
            began = self._clock.steady()
            item = Found(Path(self._here, name), name, place.problem)
            entry = self._batch.one(item, print_=place.fingerprint, again=False)
            if entry is None:  # it stays pending
                continue
            if entry.status is Status.FAILED and self._went(place, todo, found):
                continue
            by = self._settings.audit.degraded_by
            news = list(judge(self._store, self._audited.get(name), place, entry, by))
            self._entries.add(entry)
            self._settle(place, found, *news)  # in one with the entry: neither is lost alone
            if entry.status is not Status.UNCHANGED:
                self._entries.flush()
            self._batch.tell(entry, where)
            if entry.status is Status.SCORED:
                found.scored += 1
                found.scored_bytes += listed[name].size_bytes
                found.scoring_s += self._clock.steady() - began

    def _tell(self, found: Findings, *news: Finding) -> None:
        """Add to what is found, and keep it: a night that was killed had told nobody."""
        found.add(*news)
        self._store.find(self._run_id, *news)

    def _settle(self, place: Place, found: Findings, *news: Finding) -> None:
        """The same for what the next night will not find again, as the place is known by then."""
        found.add(*news)
        self._entries.settle(place, *news)
