"""Figures of the detector on the frozen tiles: per artifact, beside its rivals, by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqs_batch.records import Artifact, QualityLevel
from training.dataset import Truth
from training.detector import Read
from training.judge import (
    auc,
    average_precision,
    expected_calibration_error,
    f1_at,
    spearman,
)

NAMES = [a.value for a in Artifact]
SMALLEST_GROUP = 20

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


def clean_tiles(truth: Truth) -> Mask:
    """Tiles to which nothing was done, or a light encode at most."""
    return (truth.presence <= 0).all(1) & (np.char.find(truth.note, ": clean") >= 0)


def encoded_tiles(truth: Truth) -> Mask:
    """Tiles of a real encode and nothing else."""
    return np.char.find(truth.note, ": encoded") >= 0


def figures(seen: Read, truth: Truth, threshold: Sequence[float]) -> dict[str, Any]:
    """Per artifact and macro figures; above its `threshold` the tool names an artifact."""
    table: dict[str, dict[str, Any]] = {}
    clean = clean_tiles(truth)
    for column, name in enumerate(NAMES):
        known = truth.presence[:, column] >= 0
        there = truth.presence[:, column] == 1
        score, label = seen.probability[known, column], there[known]
        against = there | (clean & known)
        table[name] = {
            "positives": int(there.sum()),
            "ap": average_precision(score, label),
            "auc_clean": auc(seen.probability[against, column], there[against]),
            "auc_rest": auc(score, label),
            "f1": f1_at(score, label, threshold[column]),
            "intensity_srcc": spearman(
                seen.intensity[there, column], truth.intensity[there, column]
            ),
            "ece": expected_calibration_error(score, label),
        }
    keys = [k for k in next(iter(table.values())) if k != "positives"]
    # The held-out set has no clean samples of its own, so one column of it stays empty.
    macro = {k: float(np.mean([row[k] for row in table.values()])) for k in keys}
    return {"samples": len(truth.quality), "artifacts": table, "macro": macro}


def against_rivals(
    seen: Read, truth: Truth, rivals: Mapping[str, Floats]
) -> dict[str, dict[str, Any]]:
    """Each artifact's AP and AUC beside the best rival's.

    The best is taken over rivals, over both directions of each, and for AP and AUC separately, on
    these very tiles: a choice no user could make beforehand, in the rivals' favour. Beaten or
    equalled is an artifact whose AP and AUC are both at least the best rival's.
    """
    table = {}
    for column, name in enumerate(NAMES):
        known = truth.presence[:, column] >= 0
        label = truth.presence[known, column] == 1
        own = seen.probability[known, column]
        readings = [
            (rival, reading)
            for rival, values in rivals.items()
            for reading in _readings(values[known])
        ]
        row: dict[str, Any] = {}
        for key, figure in (("ap", average_precision), ("auc_rest", auc)):
            row[key] = figure(own, label)
            best = max(((figure(r, label), rival) for rival, r in readings), default=(0.0, "none"))
            row[f"rival_{key}"], row[f"rival_{key}_by"] = best
        row["beaten"] = bool(
            row["ap"] >= row["rival_ap"] and row["auc_rest"] >= row["rival_auc_rest"]
        )
        table[name] = row
    return table


def _readings(values: Floats) -> list[Floats]:
    """A rival read upwards and downwards; tiles it cannot measure go to the top or the bottom."""
    unknown = np.isnan(values)
    if unknown.all():
        return []
    ends = [values[~unknown].min() - 1, values[~unknown].max() + 1] if unknown.any() else [0.0]
    filled = [np.where(unknown, end, values) for end in ends]
    return [sign * reading for reading in filled for sign in (1.0, -1.0)]


def confusion(seen: Read, truth: Truth, threshold: Sequence[float]) -> dict[str, dict[str, Any]]:
    """Where one artifact alone is present: in what share of tiles each one is detected.

    Tiles on which an artifact's own label is unknown do not count in its column (nan where none are
    left).
    """
    said = seen.probability > np.array(threshold)
    single = (truth.presence == 1).sum(1) == 1
    table = {}
    for row, name in enumerate(NAMES):
        tiles = single & (truth.presence[:, row] == 1)
        known = tiles[:, None] & (truth.presence >= 0)
        share = np.where(
            known.any(0), (said & known).sum(0) / np.maximum(known.sum(0), 1), float("nan")
        )
        table[name] = {
            "tiles": int(tiles.sum()),
            "detected": dict(zip(NAMES, share.tolist(), strict=True)),
        }
    return table


def quality_figures(seen: Read, truth: Truth, threshold: Sequence[float]) -> dict[str, float]:
    """How AQS and the quality head follow the full-reference truth on single tiles."""
    encoded, clean = encoded_tiles(truth), np.char.find(truth.note, ": clean") >= 0
    judged = truth.quality >= 0
    return {
        "quality_srcc_all": spearman(seen.quality[judged], truth.quality[judged]),
        "aqs_vmaf_srcc_encodes": spearman(seen.aqs[encoded], truth.vmaf[encoded]),
        "encodes": int(encoded.sum()),
        "clean_tiles": int(clean.sum()),
        "clean_good_or_better": float((seen.aqs[clean] >= QualityLevel.GOOD.floor).mean()),
        "clean_with_detection": _with_detection(seen.probability[clean], threshold),
    }


def _with_detection(probability: Floats, threshold: Sequence[float]) -> float:
    """The share of tiles in which anything is named; nan without tiles."""
    named = (probability > np.array(threshold)).any(1)
    return float(named.mean()) if len(probability) else float("nan")


def by_group(
    seen: Read, truth: Truth, group: Sequence[str], threshold: Sequence[float]
) -> dict[str, dict[str, Any]]:
    """The same detector on parts of the set; `group` names each tile's part.

    Parts are small, so all ten artifacts of a part are pooled: AUC of "this artifact is in this
    tile", over known labels. Parts of fewer than 20 tiles are left out.
    """
    groups, table = np.array(group), {}
    for name in sorted(set(group)):
        part = groups == name
        if part.sum() < SMALLEST_GROUP:
            continue
        known = part[:, None] & (truth.presence >= 0)
        label = truth.presence[known] == 1
        clean = part & clean_tiles(truth)
        judged = part & (truth.quality >= 0)
        table[name] = {
            "tiles": int(part.sum()),
            "auc_pooled": auc(seen.probability[known], label),
            "ap_pooled": average_precision(seen.probability[known], label),
            "quality_srcc": spearman(seen.quality[judged], truth.quality[judged]),
            "clean_tiles": int(clean.sum()),
            "clean_with_detection": _with_detection(seen.probability[clean], threshold),
        }
    return table
