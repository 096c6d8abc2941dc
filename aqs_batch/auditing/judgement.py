"""What a file's score says beside the one it had the night before."""

from __future__ import annotations

from collections.abc import Iterator

from aqs_batch.records import Status
from aqs_batch.store import Audited, Finding, FindingKind, JobStatus, Place, RunFile, Store


def judge(
    store: Store, before: Audited | None, place: Place, entry: RunFile, degraded_by: float
) -> Iterator[Finding]:
    """What there is to tell of a file that became `entry` and was `before`."""
    had = store.aqs(before.fingerprint, before.settings_key) if before else None
    if entry.status is Status.FAILED:
        yield Finding(FindingKind.FAILED, place.file, entry.reason)
        if had is not None and _has_itself_to_blame(store, place, entry.settings_key):
            yield Finding(FindingKind.CORRUPT, place.file, "it could be read before")
        return
    if before is None:
        return
    if had is None:  # a broken copy has no score: what came before it is compared
        had = store.aqs(before.previous_fingerprint, before.settings_key)
    if had is None:
        return
    if before.settings_key != entry.settings_key:
        yield Finding(FindingKind.RESCORED, place.file)
        return
    now = store.aqs(place.fingerprint, entry.settings_key)
    if now is not None and now < had - degraded_by:
        yield Finding(FindingKind.DEGRADED, place.file, f"AQS {had:.2f} -> {now:.2f}")


def _has_itself_to_blame(store: Store, place: Place, settings_key: str) -> bool:
    """Whether a file failed for what it holds: not for want of memory, nor cancelled."""
    job = store.job(place.fingerprint, settings_key)
    lasting = job is not None and job.status is JobStatus.FAILED and job.has_failed
    return bool(place.problem) or lasting
