"""A trained filter becomes the shipped checkpoint: `python -m training.preprocess.ship`."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

from safetensors.torch import load_file

from aqs_batch.analysis.checkpoint import ModelCard, inspect, save
from aqs_batch.encode.preprocess import ARCHITECTURE
from training.command import plainly
from training.version import refuse_taken


def card(facts: dict[str, object], results: dict[str, object], version: str) -> ModelCard:
    """What the filter is, how it was trained, and what the evaluation measured."""
    return ModelCard(
        name="aqs-preprocess",
        version=version,
        architecture=ARCHITECTURE,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        frames=3,
        tile_px=0,
        artifacts=(),
        temperature=(),
        offset=(),
        threshold=(),
        training=facts,
        metrics=results,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("training/runs/preprocess"))
    parser.add_argument(
        "--out", type=Path, default=Path("aqs_batch/weights/preprocess.safetensors")
    )
    parser.add_argument("--results", type=Path, help="results.json of the evaluation")
    parser.add_argument("--version", required=True, help="as results will name it")
    args = parser.parse_args()
    refuse_taken(args.version, args.out)
    facts = json.loads((args.run / "facts.json").read_text())
    results = {}
    if args.results:
        stored = json.loads(args.results.read_text())
        results = {"facts": stored["facts"], "bd_rate": stored["bd_rate"]}
    save(args.out, load_file(args.run / "best.safetensors"), card(facts, results, args.version))
    print(f"{args.out}: {inspect(args.out).label}")


if __name__ == "__main__":
    plainly(main)
