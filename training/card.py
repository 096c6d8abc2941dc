"""The model card of a checkpoint that a run has made for itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aqs_batch.analysis.checkpoint import ModelCard
from aqs_batch.analysis.model import ARCHITECTURE
from training.judge import Judged

UNSHIPPED = "unshipped"  # instead of a version: training.ship gives one, and the date


def of_run(training: Mapping[str, Any], judged: Judged) -> ModelCard:
    """Not calibrated, and without a date, so that the same weights make the same file."""
    return ModelCard(
        name="aqs-b0",
        version=UNSHIPPED,
        architecture=ARCHITECTURE,
        created="",
        training=training,
        metrics={"validation": judged.as_dict()},
    )
