"""The database: jobs are claimed, results saved and queried here and nowhere else."""

from aqs_batch.store.analyses import Analyses, Analysis
from aqs_batch.store.database import missing_file
from aqs_batch.store.jobs import Job, JobStatus, backoff
from aqs_batch.store.nights import Finding, FindingKind, Nights
from aqs_batch.store.places import Audited, Place
from aqs_batch.store.prune import Pruning
from aqs_batch.store.rungs import Rungs, StoredRung
from aqs_batch.store.runs import RunFile, RunKind, RunRow, Runs


class Store(Nights, Runs, Analyses, Rungs, Pruning):
    """An open database, migrated to this version's tables."""


__all__ = [
    "Analysis",
    "Audited",
    "Finding",
    "FindingKind",
    "Job",
    "JobStatus",
    "Place",
    "RunFile",
    "RunKind",
    "RunRow",
    "Store",
    "StoredRung",
    "backoff",
    "missing_file",
]
