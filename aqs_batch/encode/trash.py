"""Putting an encode in its original's place without ever deleting the original."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from aqs_batch.encode import links
from aqs_batch.errors import EncodeError, reason_and_place, reason_of
from aqs_batch.identity import ABANDONED_AFTER_S
from aqs_batch.records import Stamp

FOLDER = ".aqs-trash"
MANIFEST = "manifest.json"
_COPY = ".copy.part"  # in a trash folder: an encode on its way to its original's place


@dataclass(frozen=True)
class Entry:
    """One original in the trash; its manifest has names as hexadecimal: they need not be UTF-8."""

    original: Path
    replacement: Path
    fingerprint: str
    replaced_at: str
    folder: Path

    @property
    def kept(self) -> Path:
        return self.folder / self.original.name

    @property
    def aside(self) -> Path:
        """Where what has its place goes when it comes back."""
        # A film called replacement.mkv had been overwritten here by its own encode.
        name = "replacement" if self.original.stem.lower() != "replacement" else "encode"
        return self.folder / f"{name}{self.replacement.suffix}"

    @property
    def is_open(self) -> bool:
        """Whether its original can be brought back: it is in the trash, and not also in its place,
        as a kill may have left it.
        """
        return self.kept.exists() and not links.is_one(self.kept, self.original)


def check(original: Path) -> None:
    """Raises EncodeError for what can never be replaced, so that no encode is made for it."""
    if original.is_symlink():  # its name would be moved, not the video
        raise EncodeError(f"{original} is a link", hint="Name the file that it leads to.")


def place_for(original: Path, suffix: str) -> Path:
    """Where an encode with such an ending goes; raises EncodeError where it cannot go there."""
    if suffix.lower() == original.suffix.lower():  # C0001.MP4 keeps its name
        return original
    place = original.with_suffix(suffix)
    try:
        place.lstat()
    except FileNotFoundError:
        return place
    except OSError as error:  # the name is too long, say
        raise EncodeError(
            f"{place} cannot be written: {reason_of(error)}", hint="Give the original another name."
        ) from error
    raise _taken(place)


def replace(original: Path, encode: Path, fingerprint: str, now_iso: str) -> Entry:
    """Move the original to the trash folder beside it, then the encode to its place.

    The encode may change the extension. Every step is a link or a rename within one file system,
    and the manifest is written first: killed at any instant, the place holds original or encode,
    `restore` finds the original, and the encode is where it was kept until it has its place. Where
    a step fails, both are where they were; so they are where, while an encode comes from another
    disk, the original is saved anew or its encode's name is given to another file.
    """
    check(original)
    replacement = place_for(original, encode.suffix)
    _remove_abandoned(original.parent, datetime.fromisoformat(now_iso).timestamp())
    folder = _new_folder(original, now_iso)
    entry = Entry(original, replacement, fingerprint, now_iso, folder)
    copy = folder / _COPY
    try:
        before = Stamp.of(original.stat())
        _write_manifest(entry)
        links.bring(encode, copy)
        _dress(copy, original)
        _check_same(original, before)
        _swap(entry, copy)
    except BaseException as error:  # Ctrl-C too: a copy from another disk takes minutes
        _undo(entry, encode, copy)
        if not isinstance(error, OSError):
            raise
        where = entry.kept if entry.kept.exists() else "where it was"
        raise EncodeError(
            f"{original} could not be replaced: {reason_and_place(error)}",
            hint=f"The original is {where}.",
        ) from error
    with suppress(OSError):
        encode.unlink()
    return entry


def entries(folder: Path) -> list[Entry]:
    """The originals in trash folders at or below `folder` that can be brought back, newest first.

    Of each place the newest alone, and none where that one is back: an older original would push
    the newer one into the trash.
    """
    found = _newest_first(folder.rglob(f"{FOLDER}/*/{MANIFEST}"))
    last = {entry.replacement: entry for entry in reversed(found)}
    return [e for e in found if e is last[e.replacement] and e.is_open]


def entries_for(place: Path) -> list[Entry]:
    """What can be brought back of a folder, or of one file by its old or its present name."""
    if place.is_dir():
        return entries(place)
    path = Path(os.path.abspath(place))
    # Beside it and nowhere else: a name of no file had every folder below its own looked through.
    beside = _newest_first(path.parent.glob(f"{FOLDER}/*/{MANIFEST}"))
    mine = [e for e in beside if path in (e.original, e.replacement) and e.is_open]
    return mine[:1]  # the newest: an older one was its encode's original


def _newest_first(manifests: Iterable[Path]) -> list[Entry]:
    found = [entry for entry in map(_read, manifests) if entry is not None]
    return sorted(found, key=lambda e: (e.replaced_at, e.folder.name), reverse=True)


def restore(entry: Entry) -> Path:
    """Bring one original back; the encode that had its place goes into the trash instead.

    Killed at any instant, the place holds encode or original. Raises EncodeError when something
    else stands in the way, or where it cannot be moved: the encode is then where it was.
    """
    if not entry.kept.exists():
        raise EncodeError(f"{entry.kept} is gone", hint="It was moved out of the trash by hand.")
    if os.path.lexists(entry.original) and entry.original != entry.replacement:
        raise _taken(entry.original)
    aside = entry.aside
    try:
        if entry.original == entry.replacement and os.path.lexists(entry.original):
            links.set_aside(entry.original, aside)
        entry.kept.replace(entry.original)
        if os.path.lexists(entry.replacement) and entry.replacement != entry.original:
            entry.replacement.rename(aside)
    except OSError as error:
        _undo_restore(entry, aside)
        raise EncodeError(
            f"{entry.original} cannot be restored: {reason_of(error)}", hint=f"It is {entry.kept}."
        ) from error
    return entry.original


def _undo_restore(entry: Entry, aside: Path) -> None:
    """Put the encode back where it was, and the original into the trash again."""
    if not entry.kept.exists():
        entry.original.rename(entry.kept)
    if links.is_one(aside, entry.replacement):
        aside.unlink()
    elif os.path.lexists(aside) and not os.path.lexists(entry.replacement):
        aside.rename(entry.replacement)


def is_back(original: Path, replacement: Path) -> bool:
    """Whether an original that is there again leaves no room for what had replaced it."""
    ours, theirs = (Path(os.path.abspath(path)) for path in (original, replacement))
    same = ours.with_suffix("") == theirs.with_suffix("")
    return same and (ours == theirs or not os.path.lexists(theirs))


def _new_folder(original: Path, now_iso: str) -> Path:
    stamp = now_iso.replace(":", "").replace("+0000", "Z")
    for number in range(1000):
        folder = original.parent / FOLDER / f"{stamp}-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise EncodeError(
                f"no trash folder can be made beside {original}: {reason_of(error)}"
            ) from error
        return folder
    raise EncodeError(f"no trash folder can be made beside {original}")


def _taken(place: Path) -> EncodeError:
    return EncodeError(f"{place} exists already", hint="Move it away and run again.")


def _check_same(original: Path, before: Stamp) -> None:
    """Raises EncodeError for an original that is another by now: the encode is of the old one."""
    now = Stamp.of(original.stat())
    if (now.written, now.inode) != (before.written, before.inode):
        raise EncodeError(
            f"{original} stays: it changed while its encode was brought to it", hint="Run again."
        )


def _swap(entry: Entry, copy: Path) -> None:
    """Give the original its name in the trash and the encode its place, which is never empty.

    A kill between two renames had left no film in the archive, which nobody was told.
    """
    links.set_aside(entry.original, entry.kept)
    if entry.replacement == entry.original:
        copy.replace(entry.replacement)
        return
    links.settle(copy, entry.replacement)
    if links.is_one(entry.kept, entry.original):
        try:
            entry.original.unlink()
        except OSError:  # another's, in a folder where only owners may remove
            entry.replacement.rename(copy)
            raise


def _undo(entry: Entry, encode: Path, copy: Path) -> None:
    """Put original and encode back where they were.

    An original whose place somebody else has taken meanwhile stays in the trash: it had been
    deleted there.
    """
    if entry.kept.exists() and not os.path.lexists(entry.original):
        entry.kept.rename(entry.original)
    if not encode.exists() and copy.exists():  # hours of work, and known to lie there
        copy.rename(encode)
    copy.unlink(missing_ok=True)
    _forget(entry)


def _forget(entry: Entry) -> None:
    """Remove the trash folder of an original that has its place."""
    if links.is_one(entry.kept, entry.original):
        entry.kept.unlink()
    if not entry.kept.exists():
        _clear(entry.folder)


def _clear(folder: Path) -> None:
    """Remove a trash folder that holds no original."""
    for name in (_COPY, f".{MANIFEST}.part", MANIFEST):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):  # what else is there is not ours
        folder.rmdir()


def _remove_abandoned(folder: Path, now_s: float) -> None:
    """Remove copies whose maker was killed more than a day ago, but for those beside originals."""
    for copy in (folder / FOLDER).glob(f"*/{_COPY}"):
        with suppress(OSError):  # another process was here first
            if now_s - copy.stat().st_ctime > ABANDONED_AFTER_S:  # its other times are old ones
                entry = _read(copy.parent / MANIFEST)
                _clear(copy.parent) if entry is None else _forget(entry)


def _dress(copy: Path, original: Path) -> None:
    """Give an encode its original's rights, times and, where that is allowed, owner.

    On a shared archive others had lost their rights to what took its place.
    """
    info = original.stat()
    # The group by itself: its members may give it, the owner only root, and some systems neither.
    for owner, group in ((-1, info.st_gid), (info.st_uid, -1)):
        with suppress(OSError, AttributeError):
            os.chown(copy, owner, group)
    shutil.copystat(original, copy)


def _write_manifest(entry: Entry) -> None:
    parts = asdict(entry)
    del parts["folder"]
    parts |= {k: os.fsencode(parts[k].name).hex() for k in ("original", "replacement")}
    parts["name"] = os.fsencode(entry.original.name).decode(errors="replace")
    partial = entry.folder / f".{MANIFEST}.part"  # killed half-way, half of one is in nobody's way
    with partial.open("w", encoding="utf-8") as handle:
        json.dump(parts, handle, indent=1)
        handle.flush()
        os.fsync(handle.fileno())
    partial.rename(entry.folder / MANIFEST)


def _read(path: Path) -> Entry | None:
    """An entry by where its manifest lies: an archive may have been moved, or have two names.

    Older manifests hold whole paths, of which the names are taken. None for what is no manifest:
    it must not be in the way of the others.
    """
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))
        original, replacement = (
            path.parents[2] / Path(os.fsdecode(bytes.fromhex(parts[key]))).name
            for key in ("original", "replacement")
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Entry(
        original,
        replacement,
        parts["fingerprint"],
        parts["replaced_at"],
        path.parent,
    )
