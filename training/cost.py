"""What each artifact costs by itself: the measured side of effect.SCALES.

`python -m training.cost` looks at samples that have one artifact alone and a quality target, and
prints what an artifact that is just visible and one at full strength take away.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aqs_batch.records import Artifact
from training.command import plainly
from training.dataset import Shards, Truth
from training.document import table
from training.effect import SCALES, Scale

BINS = 5
FEWEST = 5  # samples in a bin, for its median to count
NOTHING = 0.005  # a median share below which its logarithm would run off


def part_of(intensity: NDArray[np.floating], scale: Scale) -> NDArray[np.float64]:
    """How far from just visible (0) to full strength (1) an intensity is: the inverse of Scale."""
    return np.log(np.asarray(intensity, np.float64) / scale.mild) / scale.span


def alone(truth: Truth, column: int) -> NDArray[np.bool_]:
    """Samples that have this artifact, no other that is known of, and a quality target."""
    present = truth.presence == 1
    one_step = np.char.find(truth.note, ", ") < 0
    return present[:, column] & (present.sum(1) == 1) & one_step & (truth.quality >= 0)


def fit(part: NDArray[np.floating], lost: NDArray[np.floating]) -> tuple[float, float]:
    """Shares lost at part 0 and 1: a line through the logarithms of the bins' medians."""
    place = np.clip((part * BINS).astype(int), 0, BINS - 1)
    rows = [
        (part[place == n].mean(), np.log(max(np.median(lost[place == n]), NOTHING)), here)
        for n in range(BINS)
        if (here := int((place == n).sum())) >= FEWEST
    ]
    if len(rows) < 2:
        return float("nan"), float("nan")
    at, value, weight = (np.array(column) for column in zip(*rows, strict=True))
    slope, start = np.polyfit(at, value, 1, w=np.sqrt(weight))
    return float(np.exp(start)), float(np.exp(start + slope))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("training/cache"))
    args = parser.parse_args()
    folders = sorted((args.cache / "shards").iterdir())
    truths = [Shards(f).truth for f in folders if f.name.startswith("train")]
    rows = []
    for column, artifact in enumerate(Artifact):
        scale, parts, losses = SCALES[artifact], [], []
        for truth in truths:
            chosen = alone(truth, column)
            parts.append(part_of(truth.intensity[chosen, column], scale))
            losses.append(1 - truth.quality[chosen])
        mild, heavy = fit(np.concatenate(parts), np.concatenate(losses))
        said = f"{scale.mild}, {scale.heavy}"
        rows.append((artifact.value, sum(map(len, parts)), mild, heavy, said))
    print("\n".join(table(("artifact", "samples", "mild", "heavy", "in effect.SCALES"), rows)))


if __name__ == "__main__":
    plainly(main)
