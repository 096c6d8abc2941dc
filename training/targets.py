"""What the detector must show, and whether it does: the table at the top of RESULTS.md."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from aqs_batch.records import Artifact


@dataclass(frozen=True)
class Target:
    """One figure: `wanted` and `reached` in the figure's own unit; nan is never reached."""

    figure: str
    wanted: float
    reached: float
    note: str = ""
    at_most: bool = False

    @property
    def met(self) -> bool:
        return self.reached < self.wanted if self.at_most else self.reached >= self.wanted

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


def targets(results: dict[str, Any]) -> list[Target]:
    """Every target of the detector, from the results of one evaluation."""
    test, held_out = results["test"], results["held_out"]
    encodes, rivals = results["encodes"], results["rivals"]["test"]
    worst_kind, worst = max(
        results["negatives"]["kinds"].items(), key=lambda item: item[1]["with_detection"]
    )
    return [
        Target("macro AP", 0.92, test["macro"]["ap"]),
        _each("each AP", 0.80, test, "ap"),
        Target("macro AUC against everything else", 0.97, test["macro"]["auc_rest"]),
        _each("each AUC against everything else", 0.92, test, "auc_rest"),
        Target("macro F1 at the shipped thresholds", 0.85, test["macro"]["f1"]),
        Target(
            "held-out generators: macro AUC against everything else",
            0.92,
            held_out["macro"]["auc_rest"],
        ),
        _each("each intensity SRCC", 0.80, test, "intensity_srcc"),
        Target("AQS against true VMAF on real encodes: pooled SRCC", 0.85, encodes["pooled"]),
        Target(
            "AQS against true VMAF on real encodes: mean SRCC within a source",
            0.97,
            encodes["within_source"],
            f"within one encoder's ladder {encodes['within_ladder']:.3f}",
        ),
        Target(
            "clean, good sources scored Good or better",
            0.95,
            results["clean"]["good_or_better"],
            f"{results['clean']['clips']} clips",
        ),
        Target(
            "artifact-free hard negatives with any artifact detected",
            0.10,
            results["negatives"]["with_detection"],
            f"worst kind: {worst_kind}, {worst['with_detection']:.0%}",
            at_most=True,
        ),
        Target(
            "best conventional detector beaten or equalled, artifacts",
            len(Artifact),
            sum(row["beaten"] for row in rivals.values()),
            "not: " + ", ".join(name for name, row in rivals.items() if not row["beaten"])
            if not all(row["beaten"] for row in rivals.values())
            else "",
        ),
    ]


def _each(figure: str, wanted: float, part: dict[str, Any], key: str) -> Target:
    """The lowest of the ten; one that could not be measured is lowest of all."""
    name, row = min(
        part["artifacts"].items(),
        key=lambda item: -1.0 if item[1][key] != item[1][key] else item[1][key],
    )
    return Target(figure, wanted, row[key], f"lowest: {name}")
