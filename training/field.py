"""The detector as a stranger would try it: clips damaged by ffmpeg, read from the tool's own JSON.

`python -m training.field` takes clean clips that training never saw, damages each with ffmpeg's own
filters and codecs, runs `aqs-batch run --export json` on all of them and writes training/FIELD.md.
Labels are what was done to a whole clip, whether or not it shows in it (a ghost needs motion).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence as Rows
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aqs_batch import ffmpeg
from aqs_batch.records import Artifact
from training.cases import CASES, EXTREMES, NEARLY_LOSSLESS, SECONDS, Case
from training.command import plainly
from training.document import table
from training.encodes import made
from training.judge import auc
from training.manifest import Source, of_split, read_manifest
from training.patterns import SOURCES, graph_with
from training.remembered import digest
from training.sources import NATIVE_CLEAN

PICTURE_SIZE = (1280, 720)
# Of the test pictures those with something to lose: most of the others are flat.
DAMAGED_PICTURES = (
    "testsrc", "testsrc2", "mandelbrot", "life", "cellauto", "sierpinski", "gradients",
    "smptehdbars",
)  # fmt: skip

Row = tuple[str, Case, dict[str, Any]]  # a clip's source, what was done to it, what the tool says


def make_clips(
    chosen: list[Source], cases: Rows[Case], folder: Path
) -> dict[str, tuple[str, Case]]:
    """Make every clip that is not there yet, which is told; what each shows, by its file name.

    Named by what was done, and to what: by their numbers, a case put before others had got their
    clips, and by its name, a source that was put in another's place.
    """
    binary, shown = ffmpeg.find().path, {}
    for source in chosen:
        began, origin = time.monotonic(), source.digest()
        for case in cases:
            done = digest(origin, *case.argv("ffmpeg", Path("source"), Path("clip")))
            target = folder / f"{source.name}__{done}.mkv"
            made(target, partial(case.argv, binary, source.path))
            shown[target.name] = source.name, case
        took_s = time.monotonic() - began
        print(f"{source.name}: {len(cases)} clips in {folder}, {took_s:.0f} s", flush=True)
    return shown


def tool(folder: Path, out: Path, checkpoint: Path | None = None) -> list[dict[str, Any]]:
    """What `aqs-batch run --export json` says of a folder's videos; passes on how far it is."""
    argv = [sys.executable, "-m", "aqs_batch", "run", "--input-dir", str(folder)]
    argv += ["--checkpoint", str(checkpoint)] if checkpoint else []
    with ffmpeg.child([*argv, "--output-dir", str(out), "--export", "json"]) as running:
        for line in running.lines():
            print(line, flush=True)
        finished = running.wait()
    if finished.returncode:
        said = "\n".join(finished.tail)
        raise SystemExit(
            f"error: aqs-batch run of {folder} ended with {finished.returncode}\n{said}"
        )
    rows: list[dict[str, Any]] = json.loads((out / "results.json").read_text())["videos"]
    return rows


def make_pictures(folder: Path) -> dict[str, bool]:
    """Clean encodes of ffmpeg's own test pictures; whether training has seen each, by name."""
    binary = ffmpeg.find().path
    seen = {}
    for split, sources in SOURCES.items():
        for source in sources:
            name = source.partition("=")[0]
            seen[name] = split == "train"
            graph = graph_with(source, PICTURE_SIZE, np.random.default_rng(1))
            made(folder / f"{name}.mkv", partial(_picture_argv, binary, graph))
    return seen


def _picture_argv(ffmpeg_path: str, graph: str, target: Path) -> list[str]:
    argv = [ffmpeg_path, "-hide_banner", "-nostdin", "-y", "-f", "lavfi", "-i", graph]
    return [*argv, "-t", str(SECONDS), *NEARLY_LOSSLESS, "-pix_fmt", "yuv420p", f"file:{target}"]


def extremes(said: Told) -> str:
    """The section on damage beyond all measure: whether it is found, and what AQS makes of it."""
    lines = []
    for case in EXTREMES:
        chance, found = said.found(case)
        low, middle, high = np.quantile(said.aqs[said.of(case)], (0, 0.5, 1))
        aqs = f"{middle:.2f} ({low:.2f} to {high:.2f})"
        lines.append([case.name, case.to_find, f"{chance:.2f}", f"{found:.0%}", aqs])
    head = (
        "\n## Damage beyond all measure\n\nOf the same sources; AQS: median, lowest, highest.\n\n"
    )
    heads = ("done", "to find", "probability", "detected", "AQS")
    return head + "\n".join(table(heads, lines)) + "\n"


def pictures(rows: list[dict[str, Any]], seen: dict[str, bool]) -> str:
    """The section on test pictures, lowest AQS first."""
    lines = [
        [(name := Path(row["file"]).stem), seen[name], row["aqs_score"], ", ".join(row["detected"])]
        for row in sorted(rows, key=lambda row: row["aqs_score"])
    ]
    head = "\n## Clean test pictures\n\nffmpeg's own sources, encoded nearly losslessly.\n\n"
    return head + "\n".join(table(("picture", "in training", "AQS", "detected"), lines)) + "\n"


@dataclass(frozen=True)
class Told:
    """What was said of all clips: probabilities and detections [N,10], AQS [N], and the truth."""

    sources: tuple[str, ...]
    cases: tuple[Case, ...]
    probability: np.ndarray
    detected: np.ndarray
    aqs: np.ndarray

    def of(self, case: Case) -> np.ndarray:
        return np.array([c is case for c in self.cases])

    def found(self, case: Case) -> tuple[float, float]:
        """The mean probability of a case's artifact in its clips, and the share it is named in."""
        mine, at = self.of(case), [a.value for a in Artifact].index(case.to_find)
        return float(self.probability[mine, at].mean()), float(self.detected[mine, at].mean())

    def clean_aqs(self) -> np.ndarray:
        """For each clip the AQS of its source as it is."""
        plain = {
            source: aqs
            for source, case, aqs in zip(self.sources, self.cases, self.aqs, strict=True)
            if case is CASES[0]
        }
        return np.array([plain[source] for source in self.sources])


def told(found: Rows[Row]) -> Told:
    """Rows of the tool's JSON as arrays."""
    detail = [[row["artifact_detail"][a.value] for a in Artifact] for _, _, row in found]
    return Told(
        tuple(source for source, _, _ in found),
        tuple(case for _, case, _ in found),
        np.array([[d["probability"] for d in line] for line in detail]),
        np.array([[a.value in row["detected"] for a in Artifact] for _, _, row in found]),
        np.array([row["aqs_score"] for _, _, row in found]),
    )


def by_artifact(said: Told) -> list[str]:
    """How well each artifact is told and how often it is named, and what good clips are accused."""
    truth = np.array([[c.artifact is a for a in Artifact] for c in said.cases])
    good = ~truth.any(1)
    lines = [
        "| artifact | AUC, good clips | AUC, all others | detected |",
        "| --- | ---: | ---: | ---: |",
    ]
    scores = []
    for at, artifact in enumerate(Artifact):
        own, p = truth[:, at], said.probability[:, at]
        pair = auc(p[own | good], own[own | good]), auc(p, own)
        scores.append(pair)
        share = said.detected[own, at].mean()
        lines.append(f"| {artifact.value} | {pair[0]:.3f} | {pair[1]:.3f} | {share:.0%} |")
    means = np.mean(scores, axis=0)
    lines.append(f"| **macro** | {means[0]:.3f} | {means[1]:.3f} | |")
    accused = said.detected[good].any(1).mean()
    return [*lines, "", f"Of {good.sum()} good clips {accused:.0%} have a detection."]


def page(said: Told, checkpoint: str) -> str:
    """FIELD.md: by artifact, by case, and what is said of clips that are still good."""
    lines = [
        "# What the tool says of clips that ffmpeg damaged", "",
        f"{checkpoint}. {len(said.aqs)} clips of {len(set(said.sources))} sources that "
        "training never saw; probabilities are whole clips', from `results.json`.",
        "Made by `python -m training.field`. A clip counts as damaged whether or not it shows: a "
        "ghost or judder needs motion, banding a slope.", "",
        *by_artifact(said),
        "", "| done | to find | probability | detected | AQS less than the source's by |",
        "| --- | --- | ---: | ---: | ---: |",
    ]  # fmt: skip
    change = said.clean_aqs() - said.aqs
    for case in CASES:
        mine = said.of(case)
        lower = np.median(change[mine])
        if case.artifact is None:
            lines.append(f"| {case.name} | - | | | {lower:.2f} |")
            continue
        chance, found = said.found(case)
        lines.append(f"| {case.name} | {case.to_find} | {chance:.2f} | {found:.0%} | {lower:.2f} |")
    return "\n".join(lines) + "\n"


def damaged_pictures(said: Told) -> str:
    """The section on test pictures that were damaged as the clips were."""
    names = ", ".join(f"`{name}`" for name in sorted(set(said.sources)))
    head = f"\n## Damaged test pictures\n\n{names}, damaged as the clips above.\n\n"
    return head + "\n".join(by_artifact(said)) + "\n"


def damaged(media: Path, folder: Path, cases: Rows[Case]) -> list[Row]:
    """All test clips with each damage, made below `folder` and read by the tool."""
    chosen = [
        source
        for source in of_split(read_manifest(media), "test")
        if source.kind == "clip" and source.clean >= NATIVE_CLEAN
    ]
    return said_of(folder, make_clips(chosen, cases, folder / "damaged"))


def said_of(
    folder: Path, shown: dict[str, tuple[str, Case]], checkpoint: Path | None = None
) -> list[Row]:
    """What the tool says of the clips below `folder`, beside what each shows."""
    rows = tool(folder / "damaged", folder / "out", checkpoint)
    found = [(Path(row["file"]).name, row) for row in rows]
    return [(*shown[name], row) for name, row in found if name in shown]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--cache", type=Path, default=Path("training/cache"))
    parser.add_argument("--write", type=Path, help="Markdown file to write the page to.")
    args = parser.parse_args()
    folder = args.cache / "field"
    rows = damaged(args.media, folder / "test", CASES)
    beyond = damaged(args.media, folder / "test-extremes", EXTREMES)
    clean = folder / "pictures" / "clips"
    seen = make_pictures(clean)
    drawn = tool(clean, folder / "pictures" / "out")
    chosen = [Source(clean / f"{name}.mkv", "clip", "", 5, "") for name in DAMAGED_PICTURES]
    shown = make_clips(chosen, CASES, folder / "pictures" / "damaged")
    spoilt = told(said_of(folder / "pictures", shown))
    text = page(told(rows), rows[0][2]["provenance"]["checkpoint"])
    text += extremes(told(beyond)) + pictures(drawn, seen) + damaged_pictures(spoilt)
    print(text)
    if args.write:
        args.write.parent.mkdir(parents=True, exist_ok=True)
        args.write.write_text(text)


if __name__ == "__main__":
    plainly(main)
