"""The few errors a person meets: each says what happened, to which file, and what to do."""

from __future__ import annotations

import os


class AqsError(Exception):
    """A failure with a reason a person can act on; `hint` says what to do about it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SettingsError(AqsError):
    """aqs.toml, an AQS_* variable or a flag is wrong (exit code 2)."""


class MediaError(AqsError):
    """The file at hand cannot be scored: damaged, refused, vanished or not a video."""


class RefusedMedia(MediaError):
    """The file is outside the limits, unsafe, or of a kind that is not taken on: left alone."""


class FfmpegError(AqsError):
    """ffmpeg, or a command of a person's, is missing, does not run or does not end."""


class CheckpointError(AqsError):
    """The weights are missing, damaged or of another architecture; nothing is scored untrained."""


class StoreError(AqsError):
    """The database cannot be read, written or understood."""


class RefusedRow(StoreError):
    """What was to be saved breaks a rule of the tables: it would be refused every time."""


class EncodeError(AqsError):
    """An encode failed, or what it wrote is not what was asked for; nothing is kept of it."""


class Misaligned(EncodeError):
    """The frames of an encode are not the frames of its source one by one, so there is no VMAF."""


class TargetError(EncodeError):
    """No CRF reaches what was asked for; the message names the best that was found."""


class LostJob(StoreError):
    """The job at hand is no longer this process's: its lease ran out, or it was cancelled."""


class FolderGone(AqsError):
    """A watched or audited folder is not there, or its mount is not: never an empty archive."""


def reason_of(error: Exception) -> str:
    """What the system refused, without Python's number and quotes; of other errors the message."""
    return getattr(error, "strerror", None) or str(error)


def reason_and_place(error: Exception) -> str:
    """The same with the files that the system names, for a message that does not name them."""
    names = (getattr(error, name, None) for name in ("filename", "filename2"))
    files = [os.fsdecode(name) for name in names if isinstance(name, str | bytes | os.PathLike)]
    return ": ".join([reason_of(error), *([" -> ".join(files)] if files else [])])
