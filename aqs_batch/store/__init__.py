"""The database: jobs are claimed, results saved and queried here and nowhere else."""

from aqs_batch.store.analyses import Analyses, Analysis
from aqs_batch.store.jobs import Job, Jobs, JobStatus
from aqs_batch.store.rungs import Rungs, StoredRung
from aqs_batch.store.runs import RunFile, RunRow, Runs


class Store(Jobs, Runs, Analyses, Rungs):
    """An open database, migrated to this version's tables."""


__all__ = ["Analysis", "Job", "JobStatus", "RunFile", "RunRow", "Store", "StoredRung"]
