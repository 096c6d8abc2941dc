"""From watched folder to ledger: what is new, whether it is complete, and who it is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aqs_batch.clock import Clock
from aqs_batch.errors import FolderGone, MediaError, SettingsError
from aqs_batch.events import Event, EventKind, Listener
from aqs_batch.ingest.files import Rules, is_lost
from aqs_batch.ingest.fingerprint import fingerprint
from aqs_batch.ingest.settle import SettleTracker, is_being_written
from aqs_batch.ingest.watch import Events, Hints, is_mounted, is_unread, scan
from aqs_batch.records import Stamp
from aqs_batch.settings import Settings, WatchFolder
from aqs_batch.store import JobStatus, Place, Store
from aqs_batch.wording import count

SHARE_OF_TIME = 200  # of the time, at most one part in so many goes into rescans
AT_ONCE = 64  # files recognised before the next job gets its turn


@dataclass
class _Folder:
    """One watched folder and what is known of its files."""

    profile: WatchFolder
    dir: str
    known: dict[str, Stamp | None] = field(default_factory=dict)  # None: to be recognised anew
    mounted: set[str] = field(default_factory=set)
    told: dict[str, tuple[str, str]] = field(default_factory=dict)  # by name: stamp, problem
    identity: tuple[int, int] | None = None  # device and inode at the last look
    trouble: str = ""


class Intake:
    """Looks at the watched folders and queues what is new and complete."""

    def __init__(
        self, store: Store, settings: Settings, settings_key: str, listen: Listener, clock: Clock
    ) -> None:
        self._store, self._key, self._listen, self._clock = store, settings_key, listen, clock
        self._settings = settings.watch
        self._folders = [_Folder(f, os.path.abspath(f.dir)) for f in settings.watch.folders]
        self._rules = Rules(
            settings.run.extensions, settings.run.follow_symlinks, tuple(own_folders(settings))
        )
        self._hints = Hints(self._rules, clock.ring)
        self._tracker = SettleTracker(settings.watch.settle_s)
        self._events = Events(self._hints, settings.watch.events)
        # Settled, to be recognised: by folder and name, each once, with what it looked like.
        self._ready: dict[tuple[str, str], tuple[_Folder, Stamp]] = {}
        self._rescan_at = -float("inf")
        self.scan_s = 0.0
        self.files = 0

    def __enter__(self) -> Intake:
        self._events.__enter__()
        for folder in self._folders:
            for name, stamp, mounted in self._store.stamps(folder.dir, self._key):
                folder.known[name] = Stamp.parse(stamp) if stamp else None
                if mounted:
                    folder.mounted.add(name)
        return self

    def __exit__(self, *_: object) -> None:
        self._events.__exit__(None)

    @property
    def folders(self) -> list[str]:
        return [folder.dir for folder in self._folders]

    @property
    def unreachable(self) -> int:
        """Folders that were not there, or not whole, at the last look."""
        return sum(bool(folder.trouble) for folder in self._folders)

    @property
    def waiting(self) -> int:
        """Files that are not complete yet, or not recognised."""
        return len(self._tracker) + len(self._ready)

    @property
    def has_looked(self) -> bool:
        return self._rescan_at > -float("inf")

    def profile(self, folder_dir: str) -> WatchFolder:
        return next(f.profile for f in self._folders if f.dir == folder_dir)

    def idle_s(self) -> float:
        """Seconds until there is something to do here, unless a hint comes first."""
        if self._ready and self._room() > 0:
            return 0.0
        due = min(self._rescan_at, self._tracker.next_due_s() or float("inf"))
        return max(0.0, due - self._clock.steady())

    def look(self) -> Iterator[Place]:
        """Look where it is due, and queue what is complete; gives the places that need no work."""
        hinted, overflow = self._hints.take()
        if overflow or self._clock.steady() >= self._rescan_at:
            self._rescan()
        for path in [*hinted, *self._tracker.due(self._clock.steady())]:
            self._look_at(path)
        return self._recognise()

    def _rescan(self) -> None:
        began = self._clock.steady()
        self.files = 0
        for folder in self._folders:
            try:
                self._rescan_one(folder)
            except FolderGone as error:
                self._trouble(folder, str(error), error.hint)
            except OSError as error:  # it went while it was looked at
                text = f"{folder.dir}: {error.strerror}"
                self._trouble(folder, text, "Is its disk or share mounted?")
        self.scan_s = self._clock.steady() - began
        pause = max(self._settings.rescan_s, SHARE_OF_TIME * self.scan_s)
        self._rescan_at = self._clock.steady() + pause

    def _rescan_one(self, folder: _Folder) -> None:
        seen: set[str] = set()
        unread: set[str] = set()
        now = self._clock.steady()
        for name, stamp in scan(folder.dir, self._rules):
            if stamp is None:
                unread.add(name)
                continue
            seen.add(name)
            self._see(folder, name, stamp, now)
        self.files += len(seen)
        lost = [n for n in folder.known if n not in seen and not is_unread(n, unread)]
        gone = [n for n in lost if is_lost(folder.dir, n, mounted=n in folder.mounted)]
        if len(gone) < len(lost):
            files = count(len(lost) - len(gone), "file")
            text = f"{folder.dir}: gone together with their mount: {files}"
            self._trouble(folder, text, "Is its disk or share mounted?")
        elif unread:
            self._trouble(folder, f"{folder.dir}: cannot read {min(unread)}", "Look at its rights.")
        elif folder.trouble:
            folder.trouble, folder.identity = "", None  # what came back is to be listened to
            self._listen(Event(EventKind.RETURNED, folder.dir))
        self._store.mark_missing(folder.dir, gone, self._clock.now())
        for name in gone:
            self.forget(folder.dir, name)
        info = os.stat(folder.dir)
        if folder.identity != (info.st_dev, info.st_ino):
            folder.identity = (info.st_dev, info.st_ino)
            silent = self._events.listen(folder.dir)
            self._listen(
                Event(EventKind.WATCHING, folder.dir, {"files": len(seen), "silent": silent})
            )

    def _trouble(self, folder: _Folder, text: str, hint: str) -> None:
        if folder.trouble != text:
            # Without an identity the folder is listened to anew, and told as found: once, not at
            # every look while a part of it cannot be read.
            folder.trouble, folder.identity = text, None
            self._listen(Event(EventKind.VANISHED, folder.dir, {"reason": text, "hint": hint}))

    def _see(self, folder: _Folder, name: str, stamp: Stamp, now: float) -> None:
        path, key = os.path.join(folder.dir, name), (folder.dir, name)
        waits = self._ready.get(key)
        if folder.known.get(name) == stamp or (waits is not None and waits[1] == stamp):
            # Recognised meanwhile, it will not be due again: else it is waited for for ever.
            self._tracker.forget(path)
            return
        self._ready.pop(key, None)  # it went on changing
        if not self._tracker.look(path, stamp, now):
            return
        if is_being_written(path):
            self._tracker.restart(path, stamp, now)
        else:
            self._ready[key] = folder, stamp

    def _look_at(self, path: str) -> None:
        folder = next((f for f in self._folders if self._rules.takes_path(f.dir, path)), None)
        try:  # on a share that has just gone, both of these raise
            linked, stamp = Path(path).is_symlink(), Stamp.of(os.stat(path))
        except OSError:
            self._tracker.forget(path)  # the next rescan says whether it is missed
            return
        if folder is None or (linked and not self._rules.follow_symlinks):
            self._tracker.forget(path)
            return
        name = os.path.relpath(path, folder.dir).replace(os.sep, "/")
        self._see(folder, name, stamp, self._clock.steady())

    def _room(self) -> int:
        # Jobs of other settings may wait for ever, and must not keep these out.
        return self._settings.queue_limit - self._store.job_counts(self._key)["queued"]

    def _recognise(self) -> Iterator[Place]:
        """Queue some of the complete files; a hard limit keeps the queue from growing for ever.

        A file is dealt with once whoever takes it from here comes for the next: with the database
        locked meanwhile, files that were below the gate had never been told of.
        """
        if not self._ready:
            return
        for _ in range(min(AT_ONCE, len(self._ready), self._room())):
            key = next(iter(self._ready))
            (folder, _), name = self._ready[key], key[1]
            place = self._place(folder, name)
            if place is not None:
                job = self._store.take(place)
                if (job is None or job.has_failed) and _is_news(folder, place):
                    yield place
                    folder.told.pop(name, None)
                    if place.problem:
                        folder.told[name] = place.stamp, place.problem
                elif job is not None and job.status in (JobStatus.QUEUED, JobStatus.RUNNING):
                    self._listen(Event(EventKind.QUEUED, str(place.path)))
            del self._ready[key]  # only now: had the store refused, it would be tried again

    def _place(self, folder: _Folder, name: str) -> Place | None:
        """Who a file is; None when it went, or went on changing."""
        path = os.path.join(folder.dir, name)
        problem, print_, lasting = "", "", True
        try:
            info = os.stat(path)
            try:
                print_ = fingerprint(Path(path))
            except MediaError as error:
                problem, lasting = str(error), not isinstance(error.__cause__, OSError)
            stamp, after = Stamp.of(info), Stamp.of(os.stat(path))
        except OSError:
            return None
        if after != stamp:
            self._tracker.restart(path, after, self._clock.steady())
            return None
        mounted = is_mounted(folder.dir, info.st_dev)
        # What the disk refused to read today it may read tomorrow.
        folder.known[name] = stamp if lasting else None
        if mounted:
            folder.mounted.add(name)
        return Place(
            folder.dir, name, stamp.text, print_, self._key, problem=problem, mounted=mounted
        )

    def again(self, place: Place) -> None:
        """A file turned out to be another than we knew: it is waited for like a new one."""
        for folder in self._folders:
            if folder.dir == place.folder:
                folder.known[place.file] = None
        self._look_at(os.path.join(place.folder, place.file))

    def forget(self, folder_dir: str, name: str) -> None:
        """A file is not there any more."""
        for folder in self._folders:
            if folder.dir == folder_dir:
                folder.known.pop(name, None)
                folder.mounted.discard(name)


def _is_news(folder: _Folder, place: Place) -> bool:
    """Whether nobody was told that this file cannot be read, which is tried every minute."""
    return not place.problem or folder.told.get(place.file) != (place.stamp, place.problem)


def own_folders(settings: Settings) -> Iterable[Path]:
    """The folders we write to: nothing in them is ever taken in."""
    yield Path(settings.output.dir).absolute()
    for folder in settings.watch.folders:
        for target in (folder.move_done, folder.move_failed):
            if target:
                yield Path(target).absolute()


def check_folders(settings: Settings) -> None:
    """Raise SettingsError where watched folders are none, no folders, twice, or inside each other
    or ours.
    """
    folders = [Path(os.path.realpath(f.dir)) for f in settings.watch.folders]
    if not folders:
        raise SettingsError(
            "no folder to watch", hint="Name one with --watch_dir, or in [watch] folders."
        )
    for number, folder in enumerate(folders):
        # Not `is_file`, which raises where a folder may not be entered: that is waited for.
        if os.path.isfile(folder):  # noqa: PTH113
            raise SettingsError(f"{folder} is a file; what is watched is a folder")
        others = [f for f in folders[:number] if f == folder or f in folder.parents]
        others += [f for f in folders[:number] if folder in f.parents]
        if others:
            raise SettingsError(f"watched folders overlap: {folder} and {others[0]}")
        for own in own_folders(settings):
            real = Path(os.path.realpath(own))
            if real == folder or real in folder.parents:
                raise SettingsError(
                    f"the watched folder {folder} is, or lies in, our own folder {real}",
                    hint="Choose an output, move_done or move_failed folder outside or below it.",
                )
