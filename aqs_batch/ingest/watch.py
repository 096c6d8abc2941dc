"""What changed in the watched folders: events as hints, a look at everything as the truth."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterator, Set
from pathlib import Path
from typing import Literal

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

from aqs_batch.errors import FolderGone, reason_of
from aqs_batch.ingest.files import Name, Rules, walk
from aqs_batch.records import Stamp

MOST_HINTS = 10_000
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # vanished, or a link that leads nowhere

# Events of these do not cross the network (or the boundary of a virtual machine).
_REMOTE = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "afs", "davfs"),
        *("ceph", "glusterfs", "lustre", "beegfs", "9p", "virtiofs", "vboxsf", "vmhgfs", "drvfs"),
        *("fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.mergerfs", "fuse.glusterfs"),
        *("fuse.davfs", "fuse.vmhgfs-fuse", "fuse.osxfs", "fuse.gcsfuse"),
    )
)


class Hints(FileSystemEventHandler):
    """Paths that something happened to, from the observer's thread; bounded.

    When more happens than is worth listing, or to whole folders, only a rescan can tell. A write
    does not ring: thousands a second come of one large copy, and each had woken the service, which
    kept a core busy until the copy was done. It is looked at when something else wakes it.
    """

    def __init__(self, rules: Rules, ring: Callable[[], None], most: int = MOST_HINTS) -> None:
        self._rules, self._ring, self._most = rules, ring, most
        self._lock = threading.Lock()
        self._paths: set[str] = set()
        self._rescan = False
        self._has_rung = False

    def on_any_event(self, event: FileSystemEvent) -> None:
        if isinstance(event, DirCreatedEvent | DirMovedEvent):
            self._add(None)
        elif isinstance(event, FileMovedEvent):
            self._add(os.fsdecode(event.dest_path))
        elif isinstance(event, FileCreatedEvent | FileModifiedEvent | FileClosedEvent):
            self._add(os.fsdecode(event.src_path), rings=not isinstance(event, FileModifiedEvent))

    def _add(self, path: str | None, *, rings: bool = True) -> None:
        if path is not None and not self._rules.takes(Path(path).name):
            return
        with self._lock:
            rings = rings and not self._has_rung
            self._has_rung = self._has_rung or rings
            if path is None or len(self._paths) >= self._most:
                self._rescan = True
            else:
                self._paths.add(path)
        if rings:
            self._ring()

    def take(self) -> tuple[set[str], bool]:
        """(paths to look at, whether to look at everything); each is told once."""
        with self._lock:
            paths, rescan = self._paths, self._rescan
            self._paths, self._rescan, self._has_rung = set(), False, False
        return paths, rescan


class Events:
    """The system's events of some folders, sent to `hints`; without them there is the rescan."""

    def __init__(self, hints: Hints, mode: Literal["auto", "on", "off"]) -> None:
        self._hints, self._mode = hints, mode
        self._observer = Observer() if mode != "off" else None
        self._watches: dict[str, ObservedWatch] = {}

    def __enter__(self) -> Events:
        if self._observer is not None:
            self._observer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._observer is not None:
            # A thread that reads while it is stopped calls that an error, on the user's screen.
            logging.getLogger("watchdog").setLevel(logging.CRITICAL)
            self._observer.stop()
            self._observer.join(timeout=5.0)

    def listen(self, folder: str) -> str:
        """Have events of `folder`, anew if it was replaced; returns why there are none, or ""."""
        if self._observer is None:
            return "events are off"
        kind = file_system(folder)
        if self._mode == "auto" and kind in _REMOTE:
            return f"{kind} sends none"
        try:
            if folder in self._watches:
                self._observer.unschedule(self._watches.pop(folder))
            self._watches[folder] = self._observer.schedule(self._hints, folder, recursive=True)
        except (OSError, KeyError) as error:  # not there, or max_user_watches is used up
            return reason_of(error)
        return ""


def file_system(folder: str) -> str:
    """The kind of file system a folder lies on, "" where the system does not say."""
    try:
        lines = Path("/proc/self/mounts").read_bytes().splitlines()
    except OSError:
        return ""
    real = os.fsencode(os.path.realpath(folder)) + b"/"
    best, kind = b"", ""
    for line in lines:
        fields = line.split(b" ")
        point = fields[1].replace(b"\\040", b" ").rstrip(b"/") + b"/"
        if real.startswith(point) and len(point) >= len(best):
            best, kind = point, fields[2].decode(errors="replace")
    return kind


def scan(
    folder: str, rules: Rules, left: Name = lambda _: None
) -> Iterator[tuple[str, Stamp | None]]:
    """(name, stamp) of every file taken; None for a file or folder that could not be looked at.

    `left` hears of the links that are left out. Raises FolderGone when `folder` itself is not there
    or cannot be read.
    """
    try:
        with os.scandir(folder):
            pass
    except OSError as error:
        raise FolderGone(
            f"{folder}: {error.strerror}", hint="Is its disk or share mounted?"
        ) from error
    unread: list[str] = []
    for name, entry in walk(folder, rules, lambda name, _: unread.append(name), left):
        try:
            if not entry.is_dir():
                yield name, Stamp.of(entry.stat())
        except OSError as error:
            if error.errno not in _NOT_THERE:  # else the next scan knows more
                unread.append(name)
    for name in unread:
        yield name, None


def is_unread(name: str, unread: Set[str]) -> bool:
    """Whether a file is, or lies in, one of the places that a scan could not look at."""
    parts = name.split("/")
    return "." in unread or any("/".join(parts[:n]) in unread for n in range(1, len(parts) + 1))


def is_mounted(folder: str, device: int) -> bool:
    """Whether `device` is another than that of the surroundings of `folder`."""
    try:
        return device != os.stat(Path(folder).absolute().parent).st_dev
    except OSError:
        return False
