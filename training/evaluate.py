"""The frozen test: `python -m training.evaluate` writes training/RESULTS.md and results.json.

Test samples come from sources that neither training nor validation saw; the second set uses only
generators that were never trained on. Samples are functions of their index, so the set is the same
wherever it is made.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aqs_batch.analysis.checkpoint import Checkpoint, inspect, load_model, shipped_path
from aqs_batch.analysis.score import Scoring, aqs, artifact_component
from aqs_batch.records import Artifact, QualityLevel
from training.calibrate import sigmoid
from training.dataset import SHARD, Shards, shard_folder, write_shard
from training.judge import (
    Predicted,
    auc,
    average_precision,
    expected_calibration_error,
    f1_at,
    predict,
    spearman,
)
from training.samples import HELD_OUT, STANDARD, Recipe
from training.single import worsened
from training.sources import Library

TEST_SAMPLES, HELD_OUT_SAMPLES = 768, 320
NAMES = [a.value for a in Artifact]


@dataclass(frozen=True)
class Read:
    """Calibrated outputs of a set of samples: probability and intensity [N,10], quality, AQS."""

    probability: NDArray[np.float64]
    intensity: NDArray[np.float64]
    quality: NDArray[np.float64]
    aqs: NDArray[np.float64]


def read(predicted: Predicted, checkpoint: Checkpoint) -> Read:
    """What the tool would say of each tile, from raw outputs and the card's calibration."""
    card, scoring = checkpoint.card, Scoring()
    probability = sigmoid(predicted.presence / np.array(card.temperature) + np.array(card.offset))
    intensity, quality = sigmoid(predicted.intensity), sigmoid(predicted.quality)
    values = [
        aqs(float(q), artifact_component(p.tolist(), i.tolist(), scoring), scoring)
        for q, p, i in zip(quality, probability, intensity, strict=True)
    ]
    return Read(probability, intensity, quality, np.array(values))


def figures(seen: Read, shards: Shards, checkpoint: Checkpoint) -> dict[str, Any]:
    """Per artifact and macro figures of one set."""
    truth, table = shards.truth, {}
    clean = (truth.presence <= 0).all(1) & (np.char.find(truth.note, ": clean") >= 0)
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
            "f1": f1_at(score, label, checkpoint.card.threshold[column]),
            "intensity_srcc": spearman(
                seen.intensity[there, column], truth.intensity[there, column]
            ),
            "ece": expected_calibration_error(score, label),
        }
    keys = [k for k in next(iter(table.values())) if k != "positives"]
    # The held-out set has no clean samples of its own, so one column of it stays empty.
    macro = {k: float(np.mean([row[k] for row in table.values()])) for k in keys}
    return {"samples": len(shards), "artifacts": table, "macro": macro}


def quality_figures(seen: Read, shards: Shards) -> dict[str, float]:
    """How AQS and the quality head follow the full-reference truth."""
    truth = shards.truth
    encoded = np.char.find(truth.note, ": encoded") >= 0
    clean = np.char.find(truth.note, ": clean") >= 0
    severity = (seen.probability * seen.intensity)[clean]
    good = QualityLevel.GOOD.floor
    return {
        "quality_srcc_all": spearman(seen.quality, truth.quality),
        "aqs_vmaf_srcc_encodes": spearman(seen.aqs[encoded], truth.vmaf[encoded]),
        "encodes": int(encoded.sum()),
        "clean_tiles": int(clean.sum()),
        "clean_good_or_better": float((seen.aqs[clean] >= good).mean()),
        "clean_with_detection": float((severity > 0.2).any(1).mean()),
    }


def ensure(cache: Path, media: Path, recipe: Recipe, count: int) -> Shards:
    """The frozen samples, made where they are missing."""
    folder = shard_folder(cache, "test", recipe)
    missing = [n for n in range(-(-count // SHARD)) if not (folder / f"{n:05d}.truth.npz").exists()]
    if missing:
        library = Library(media, cache, "test")
        for number in missing:
            write_shard(folder, number, library, "test", recipe)
    return Shards(folder)


def as_markdown(results: dict[str, Any]) -> str:
    """RESULTS.md."""
    lines = [
        "# What the shipped detector does on the frozen test split",
        "",
        f"Checkpoint: {results['checkpoint']}. Made by `make evaluate`; all figures are of tiles",
        "(7 frames, 224 px) from sources that training never saw. Unknown labels count nowhere.",
        "The media carry no human ratings: quality is measured against VMAF, not against people.",
    ]
    for key, title in (
        ("test", "Generators seen in training, unseen sources"),
        ("held_out", "Generators never trained on, unseen sources"),
    ):
        lines += ["", f"## {title}", "", *_table(results[key])]
    lines += ["", "## Quality and false alarms", ""]
    lines += [f"- {name}: {_say(value)}" for name, value in results["quality"].items()]
    lines += ["", "## One artifact at intensity 0.8 on clean test tiles", ""]
    lines += ["| artifact | tiles | AQS lower | median change |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {name} | {row['tiles']} | {row['share_lower']:.0%} | {row['median_change']:+.3f} |"
        for name, row in results["single"].items()
    ]
    lines += ["", f"Speed: {results['tiles_per_s']:.1f} tiles/s in this run, torch on the CPU.", ""]
    return "\n".join(lines)


def _table(part: dict[str, Any]) -> list[str]:
    heads = ["AP", "AUC clean", "AUC rest", "F1", "intensity SRCC", "ECE"]
    rows = [f"| artifact | positives | {' | '.join(heads)} |", "| --- " * (len(heads) + 2) + "|"]
    for name, row in part["artifacts"].items():
        values = [v for k, v in row.items() if k != "positives"]
        rows.append(f"| {name} | {row['positives']} | {' | '.join(_say(v) for v in values)} |")
    values = list(part["macro"].values())
    rows.append(f"| **macro** | {part['samples']} | {' | '.join(_say(v) for v in values)} |")
    return rows


def _say(value: float | None) -> str:
    if value is None or value != value:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--cache", type=Path, default=Path("training/cache"))
    parser.add_argument("--checkpoint", type=Path, default=shipped_path())
    parser.add_argument("--out", type=Path, default=Path("training"))
    args = parser.parse_args()
    checkpoint = inspect(args.checkpoint)
    model = load_model(checkpoint).to(memory_format=torch.channels_last)
    cpu = torch.device("cpu")
    results: dict[str, Any] = {"checkpoint": checkpoint.label}
    for key, recipe, count in (
        ("test", STANDARD, TEST_SAMPLES),
        ("held_out", HELD_OUT, HELD_OUT_SAMPLES),
    ):
        shards = ensure(args.cache, args.media, recipe, count)
        began = time.perf_counter()
        seen = read(predict(model, shards, len(shards), cpu), checkpoint)
        results.setdefault("tiles_per_s", len(shards) / (time.perf_counter() - began))
        results[key] = figures(seen, shards, checkpoint)
        if key == "test":
            results["quality"] = quality_figures(seen, shards)
    library = Library(args.media, args.cache, "test")
    results["single"] = worsened(library, lambda t: read(predict_tiles(model, t), checkpoint).aqs)
    document = json.dumps(results, indent=1).replace("NaN", "null")
    (args.out / "results.json").write_text(document + "\n")
    (args.out / "RESULTS.md").write_text(as_markdown(results))
    print(as_markdown(results))


@torch.no_grad()
def predict_tiles(model: Any, tiles: NDArray[np.uint8], batch: int = 8) -> Predicted:
    """Raw outputs of tiles uint8[N,7,224,224,3]."""
    from aqs_batch.analysis.transform import transform

    parts = [model(transform(tiles[n : n + batch])) for n in range(0, len(tiles), batch)]
    return Predicted(*(torch.cat(column).numpy() for column in zip(*parts, strict=True)))


if __name__ == "__main__":
    main()
