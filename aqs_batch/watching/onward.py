"""What becomes of a watched folder's file once it is scored: gate, re-encode, move."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from aqs_batch.errors import AqsError, reason_and_place
from aqs_batch.events import Event, EventKind, Listener
from aqs_batch.records import Stamp
from aqs_batch.settings import Settings, WatchFolder
from aqs_batch.store import JobStatus, Place, Store
from aqs_batch.watching.intake import Intake
from aqs_batch.watching.moves import move


class Onward:
    """Passes files on as the profile of their folder says; `encode_key` is that of encode jobs."""

    def __init__(
        self, store: Store, settings: Settings, key: str, encode_key: str, intake: Intake,
        listen: Listener,
    ) -> None:  # fmt: skip
        self._store, self._settings, self._key = store, settings, key
        self._encode_key, self._intake, self._listen = encode_key, intake, listen
        self._passed: set[tuple[str, str, str]] = set()
        # What could not be moved: to which folder, and why not.
        self._stuck: dict[tuple[str, str, str], tuple[Place, Path, str]] = {}

    def is_below_gate(self, place: Place) -> bool:
        """Whether a file scores below the gate of its folder, which is told."""
        aqs = self._store.aqs(place.fingerprint, self._key)
        gate = self._intake.profile(place.folder).fail_under
        if aqs is None or aqs >= gate:
            return False
        facts = {"aqs_score": round(aqs, 6), "fail_under": gate}
        self._listen(Event(EventKind.GATE, str(place.path), facts))
        return True

    def left(self) -> list[Place]:
        """What has been scored and not been passed on: by a service that ended, or by a run."""
        scoring, encoding = (self._store.waiting(k) for k in (self._key, self._encode_key))
        return [
            place
            for folder in self._intake.folders
            if self._leads_on(folder)  # or all its files would be listed again and again
            for place in self._store.places(folder, staying=True)
            if _known_as(place) not in self._passed
            and place.fingerprint not in scoring
            and self._goes_on(place, encoding)
            and self._has_ended(place)
        ]

    def _leads_on(self, folder: str) -> bool:
        profile = self._intake.profile(folder)
        is_left = bool(profile.move_done or profile.move_failed)
        return is_left or is_encoding(profile, self._settings)

    def _goes_on(self, place: Place, encoding: Collection[str]) -> bool:
        """Whether nobody re-encodes it first."""
        if not is_encoding(self._intake.profile(place.folder), self._settings):
            return True
        if place.fingerprint in encoding:
            return False
        job = self._store.job(place.fingerprint, self._encode_key)
        return job is None or job.status is JobStatus.DONE or job.has_failed  # not: cancelled

    def _has_ended(self, place: Place) -> bool:
        if self._store.aqs(place.fingerprint, self._key) is not None:
            return True
        job = self._store.job(place.fingerprint, self._key)
        return job is not None and job.has_failed

    def pass_on(self, place: Place) -> None:
        """Queue a good file's re-encode where that is asked for; when that has ended, move it."""
        profile = self._intake.profile(place.folder)
        aqs = self._store.aqs(place.fingerprint, self._key)
        is_good = aqs is not None and aqs >= profile.fail_under
        encodes = is_encoding(profile, self._settings)
        if is_good and encodes and not self._store.is_encode(place.fingerprint):
            job = self._store.enqueue(
                place.fingerprint, self._encode_key, place.path, force=False, again=False
            )
            if job.status is not JobStatus.DONE and not job.has_failed:
                return  # it waits, or somebody cancelled it
            is_good = job.status is JobStatus.DONE
        self._passed.add(_known_as(place))
        target = profile.move_done if is_good else profile.move_failed
        if target:
            self._move(place, Path(target).absolute())

    def again(self) -> None:
        """Try to move what could not be moved: it had waited for a restart of the service."""
        for place, folder, _ in list(self._stuck.values()):
            self._move(place, folder)

    def _move(self, place: Place, folder: Path) -> None:
        _, _, told = self._stuck.pop(_known_as(place), (place, folder, ""))
        try:
            if Stamp.of(os.stat(place.path)).text != place.stamp:
                return  # it is being replaced already; what replaces it will have its turn
            # Noted before the old name goes: while the database was locked, where a file had gone
            # to was lost, and `retry` did not find it.
            to = move(place.path, folder, place.file, lambda to: self._store.moved(place, to))
        except FileNotFoundError:
            return  # another process of ours was here first
        except (AqsError, OSError) as error:
            why = reason_and_place(error)
            self._stuck[_known_as(place)] = (place, folder, why)
            if why != told:  # not four times a minute
                facts = {"reason": f"not moved: {why}", "hint": getattr(error, "hint", "")}
                self._listen(Event(EventKind.TROUBLE, str(place.path), facts))
            return
        self._intake.forget(place.folder, place.file)
        self._listen(Event(EventKind.MOVED, str(place.path), {"to": str(to)}))


def _known_as(place: Place) -> tuple[str, str, str]:
    return place.folder, place.file, place.stamp


def is_encoding(profile: WatchFolder, settings: Settings) -> bool:
    """Whether a folder's files are re-encoded: as [encode] says, unless its profile says else."""
    return settings.encode.enabled if profile.encode == "inherit" else profile.encode == "on"
