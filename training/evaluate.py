"""The frozen test: `python -m training.evaluate` writes training/RESULTS.md and results.json.

Test samples come from sources that neither training nor validation saw; the second set uses only
generators that were never trained on. Samples are functions of their index, so the set is the same
wherever it is made. Everything dear is kept under the cache: a run that was stopped goes on, and
only what depends on the weights is done again for another checkpoint.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from aqs_batch import ffmpeg
from aqs_batch.analysis.checkpoint import inspect, shipped_path
from aqs_batch.analysis.engine import choose_backend, usable_cores
from training import rivals
from training.clean import clean_sources
from training.command import plainly, results_folder
from training.dataset import Order, complete
from training.detector import Detector, Read
from training.document import as_markdown
from training.encodes import encodes, fidelity
from training.figures import against_rivals, by_group, confusion, figures, quality_figures
from training.groups import Group, group_of, read_groups
from training.manifest import Source, read_manifest
from training.negatives import hard_negatives
from training.recipe import HELD_OUT, STANDARD
from training.single import worsened
from training.sources import NATIVE_CLEAN, Library
from training.targets import targets

TEST_SAMPLES, HELD_OUT_SAMPLES = 768, 320
BATCH = 8
RESULTS = Path("training")
HEADINGS = ("resolution", "codec", "content")

Say = Callable[[str], None]


def evaluate(media: Path, cache: Path, detector: Detector, say: Say) -> dict[str, Any]:
    """Every figure of one checkpoint, as it goes into results.json."""
    results: dict[str, Any] = {"checkpoint": detector.checkpoint.label}
    groups = read_groups(media)
    _frozen_sets(results, media, cache, detector, groups, say)
    clean = [s for s in read_manifest(media) if _clean_test_clip(s)]
    say(f"encodes of {len(clean)} clean clips")
    rows = list(encodes(clean, cache, lambda tiles: detector.read(tiles).aqs))
    headed = {h: {s.name: getattr(groups[s.name], h) for s in clean} for h in HEADINGS}
    results["encodes"] = {**fidelity(rows, headed), "each": [vars(row) for row in rows]}
    say("clean clips")
    threshold = detector.checkpoint.card.threshold
    results["clean"] = clean_sources(clean, detector.scores, threshold)
    library = Library(media, cache, "test")
    say("hard negatives")
    results["negatives"] = hard_negatives(library, detector.read, threshold)
    say("single artifacts")
    results["single"] = worsened(library, lambda tiles: detector.read(tiles).aqs)
    results["tiles_per_s"] = detector.tiles_per_s
    results["targets"] = [target.as_dict() for target in targets(results)]
    return results


def _frozen_sets(
    results: dict[str, Any],
    media: Path,
    cache: Path,
    detector: Detector,
    groups: dict[str, Group],
    say: Say,
) -> None:
    """Figures on the two sets of frozen tiles: "test", "held_out", and what is taken from them."""
    threshold = detector.checkpoint.card.threshold
    chosen = rivals.instruments(ffmpeg.find())
    results["rivals"] = {"missing": rivals.missing()}
    for key, recipe, count in (
        ("test", STANDARD, TEST_SAMPLES),
        ("held_out", HELD_OUT, HELD_OUT_SAMPLES),
    ):
        say(f"{key}: {count} tiles")
        shards = complete(Order(media, cache, "test", recipe, count), usable_cores())
        truth = shards.truth
        seen: Read = detector.read(shards.tile(n) for n in range(len(shards)))
        results[key] = figures(seen, truth, threshold)
        say(f"{key}: rivals")
        readings = rivals.scores(shards.files, cache, chosen)
        results["rivals"][key] = against_rivals(seen, truth, readings)
        results["rivals"]["count"] = len(readings)
        if key == "test":
            results["quality"] = quality_figures(seen, truth, threshold)
            results["confusion"] = confusion(seen, truth, threshold)
            filed = [group_of(note, groups) for note in truth.note.tolist()]
            results["groups"] = {
                heading: by_group(seen, truth, [getattr(g, heading) for g in filed], threshold)
                for heading in HEADINGS
            }


def _clean_test_clip(source: Source) -> bool:
    return source.kind == "clip" and source.split == "test" and source.clean >= NATIVE_CLEAN


def write(results: dict[str, Any], folder: Path) -> None:
    """results.json and RESULTS.md; what is not a number is null in JSON."""
    document = json.dumps(_plain(results), indent=1, allow_nan=False)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(document + "\n")
    (folder / "RESULTS.md").write_text(as_markdown(results))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and value != value else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--cache", type=Path, default=Path("training/cache"))
    parser.add_argument("--checkpoint", type=Path, default=shipped_path())
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=f"default: {RESULTS}")
    parser.add_argument("--backend", choices=["auto", "torch", "openvino"], default="auto")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    folder = results_folder(parser, args, RESULTS, ("media", "checkpoint", "backend", "device"))
    cv2.setNumThreads(1)
    began = time.monotonic()

    def say(step: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {step}", flush=True)

    checkpoint = inspect(args.checkpoint)
    backend = choose_backend(
        checkpoint, args.backend, args.device, batch=BATCH, cache_dir=args.cache / "networks"
    )
    detector = Detector(checkpoint, backend, args.cache, BATCH)
    results = evaluate(args.media, args.cache, detector, say)
    results["backend"] = f"{backend.name} on {backend.device}"
    write(results, folder)
    print((folder / "RESULTS.md").read_text())


if __name__ == "__main__":
    plainly(main)
