"""The detector as a stranger would try it: clips damaged by ffmpeg, read from the tool's own JSON.

`python -m training.field` takes clean clips that training never saw, damages each with ffmpeg's own
filters and codecs, runs `aqs-batch run --export json` on all of them and writes training/FIELD.md.
Labels are what was done to a whole clip, whether or not it shows in it (a ghost needs motion).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aqs_batch import ffmpeg
from aqs_batch.records import Artifact
from training.command import plainly
from training.document import table
from training.encodes import made
from training.judge import auc
from training.patterns import SOURCES, graph_with
from training.sources import NATIVE_CLEAN, Source, read_manifest

SECONDS = 2.6
NEARLY_LOSSLESS = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "10")
PICTURE_SIZE = (1280, 720)
SEEN = {"test": "training never saw", "val": "each half of the jury has seen half of"}
EVEN = "scale=trunc(iw/2)*2:trunc(ih/2)*2"
IMPULSES = "geq=lum='if(lt(random(1),{rate}),{value},lum(X,Y))':cb='cb(X,Y)':cr='cr(X,Y)'"
EITHER_END = "16+219*gt(random(2),0.5)"


@dataclass(frozen=True)
class Case:
    """One way to damage a clip: an ffmpeg filter, an encoder, or both; no artifact: still good."""

    artifact: Artifact | None
    name: str
    filters: str = ""
    encoder: tuple[str, ...] = NEARLY_LOSSLESS

    def argv(self, ffmpeg_path: str, source: Path, target: Path) -> list[str]:
        """The command that makes the clip; sides are made even, since codecs want it."""
        chain = ",".join(part for part in (EVEN, self.filters) if part)
        pixels = () if "-pix_fmt" in self.encoder else ("-pix_fmt", "yuv420p")
        return [
            ffmpeg_path, "-hide_banner", "-nostdin", "-y", "-i", f"file:{source}",
            "-t", str(SECONDS), "-an", "-filter_complex", chain, *self.encoder, *pixels,
            f"file:{target}",
        ]  # fmt: skip


def _coded(codec: str, *options: str) -> tuple[str, ...]:
    return ("-c:v", codec, *options)


A = Artifact
CASES = (
    Case(None, "as it is"),
    Case(None, "x264 crf 20", encoder=_coded("libx264", "-crf", "20")),
    Case(None, "x265 crf 20", encoder=_coded("libx265", "-preset", "fast", "-crf", "20")),
    Case(A.BLOCKING, "mpeg2 q 22", encoder=_coded("mpeg2video", "-q:v", "22")),
    Case(A.BLOCKING, "mpeg4 q 22", encoder=_coded("mpeg4", "-q:v", "22")),
    Case(A.BLOCKING, "mjpeg q 22", encoder=_coded("mjpeg", "-q:v", "22", "-pix_fmt", "yuvj420p")),
    Case(
        A.BLOCKING,
        "x264 crf 38, no deblocking",
        encoder=_coded("libx264", "-crf", "38", "-x264-params", "no-deblock=1"),
    ),
    Case(A.RINGING, "jpeg2000 q 30", encoder=_coded("jpeg2000", "-q:v", "30")),
    Case(A.RINGING, "unsharp 9x9 3.0", "unsharp=9:9:3:9:9:0"),
    Case(A.GHOSTING, "tmix 3", "tmix=frames=3"),
    Case(A.GHOSTING, "tblend average", "tblend=all_mode=average"),
    Case(A.GHOSTING, "lagfun 0.9", "lagfun=decay=0.9"),
    Case(
        A.GHOSTING,
        "blend with 3 frames later",
        "split[a][b];[b]trim=start_frame=3,setpts=PTS-STARTPTS[c];[a][c]blend=all_mode=average",
    ),
    Case(A.JUDDER, "fps 12, fps 30", "fps=12,fps=30"),
    Case(A.JUDDER, "shuffleframes 0 1 1 3 4 4", "shuffleframes=0 1 1 3 4 4"),
    Case(A.GAUSSIAN_NOISE, "noise c0s 25 t", "noise=c0s=25:c0f=t"),
    Case(A.GAUSSIAN_NOISE, "noise alls 16 t", "noise=alls=16:allf=t"),
    Case(A.GAUSSIAN_NOISE, "noise alls 22 t+u", "noise=alls=22:allf=t+u"),
    Case(A.IMPULSE_NOISE, "geq 2 % to both ends", IMPULSES.format(rate=0.02, value=EITHER_END)),
    Case(A.IMPULSE_NOISE, "geq 0.6 % white", IMPULSES.format(rate=0.006, value=235)),
    Case(A.MOTION_BLUR, "dblur 0 degrees 12", "dblur=angle=0:radius=12"),
    Case(A.MOTION_BLUR, "dblur 60 degrees 8", "dblur=angle=60:radius=8"),
    Case(A.DEFOCUS_BLUR, "gblur 2.5", "gblur=sigma=2.5"),
    Case(A.DEFOCUS_BLUR, "boxblur 4", "boxblur=4:1"),
    Case(A.DEFOCUS_BLUR, "avgblur 4", "avgblur=4"),
    Case(
        A.COLOR_BANDING,
        "lutyuv 4 bits",
        "lutyuv=y='bitand(val,240)+8':u='bitand(val,248)+4':v='bitand(val,248)+4'",
    ),
    Case(
        A.COLOR_BANDING,
        "lutrgb 13 levels",
        "lutrgb=r='trunc(val/20)*20':g='trunc(val/20)*20':b='trunc(val/20)*20'",
    ),
    Case(A.COLOR_SATURATION, "eq saturation 2.4", "eq=saturation=2.4"),
    Case(A.COLOR_SATURATION, "eq saturation 0.25", "eq=saturation=0.25"),
    Case(A.COLOR_SATURATION, "vibrance 2", "vibrance=intensity=2"),
)


def make_clips(chosen: list[Source], folder: Path) -> None:
    """Make every clip that is not there yet, named SOURCE__NUMBER.mkv after its case."""
    binary = ffmpeg.find().path
    for source in chosen:
        for number, case in enumerate(CASES):
            target = folder / f"{source.path.stem}__{number:02d}.mkv"
            made(target, lambda p, c=case, s=source: c.argv(binary, s.path, p))


def read(folder: Path, out: Path) -> Iterator[tuple[str, Case, dict[str, Any]]]:
    """(source, case, the clip's JSON) of all clips, as `aqs-batch run` tells it."""
    for row in tool(folder, out):
        source, _, number = Path(row["file"]).stem.rpartition("__")
        yield source, CASES[int(number)], row


def tool(folder: Path, out: Path) -> list[dict[str, Any]]:
    """What `aqs-batch run --export json` says of a folder's videos."""
    argv = [sys.executable, "-m", "aqs_batch", "run", "--input-dir", str(folder)]
    finished = ffmpeg.run([*argv, "--output-dir", str(out), "--export", "json"])
    if finished.returncode:
        raise SystemExit(f"aqs-batch run: {finished.tail[-1:]}")
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
            argv = [binary, "-hide_banner", "-nostdin", "-y", "-f", "lavfi", "-i", graph]
            argv += ["-t", str(SECONDS), *NEARLY_LOSSLESS, "-pix_fmt", "yuv420p"]
            made(folder / f"{name}.mkv", lambda p, a=argv: [*a, f"file:{p}"])
    return seen


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

    def clean_aqs(self) -> np.ndarray:
        """For each clip the AQS of its source as it is."""
        plain = {
            source: aqs
            for source, case, aqs in zip(self.sources, self.cases, self.aqs, strict=True)
            if case is CASES[0]
        }
        return np.array([plain[source] for source in self.sources])


def told(rows: Iterator[tuple[str, Case, dict[str, Any]]]) -> Told:
    """Rows of the tool's JSON as arrays."""
    found = list(rows)
    detail = [[row["artifact_detail"][a.value] for a in Artifact] for _, _, row in found]
    return Told(
        tuple(source for source, _, _ in found),
        tuple(case for _, case, _ in found),
        np.array([[d["probability"] for d in line] for line in detail]),
        np.array([[a.value in row["detected"] for a in Artifact] for _, _, row in found]),
        np.array([row["aqs_score"] for _, _, row in found]),
    )


def page(said: Told, checkpoint: str, split: str = "test") -> str:
    """FIELD.md: by artifact, by case, and what is said of clips that are still good."""
    truth = np.array([[c.artifact is a for a in Artifact] for c in said.cases])
    good = ~truth.any(1)
    lines = [
        "# What the tool says of clips that ffmpeg damaged", "",
        f"{checkpoint}. {len(said.aqs)} clips of {len(set(said.sources))} sources that "
        f"{SEEN[split]}; probabilities are whole clips', from `results.json`.",
        "Made by `python -m training.field`. A clip counts as damaged whether or not it shows: a "
        "ghost or judder needs motion, banding a slope.", "",
        "| artifact | AUC, good clips | AUC, all others | detected |",
        "| --- | ---: | ---: | ---: |",
    ]  # fmt: skip
    scores = []
    for at, artifact in enumerate(Artifact):
        own, p = truth[:, at], said.probability[:, at]
        pair = auc(p[own | good], own[own | good]), auc(p, own)
        scores.append(pair)
        share = said.detected[own, at].mean()
        lines.append(f"| {artifact.value} | {pair[0]:.3f} | {pair[1]:.3f} | {share:.0%} |")
    means = np.mean(scores, axis=0)
    lines.append(f"| **macro** | {means[0]:.3f} | {means[1]:.3f} | |")
    lines += [
        "", f"Of {good.sum()} good clips {said.detected[good].any(1).mean():.0%} have a detection.",
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
        at = list(Artifact).index(case.artifact)
        chance, found = said.probability[mine, at].mean(), said.detected[mine, at].mean()
        lines.append(
            f"| {case.name} | {case.artifact.value} | {chance:.2f} | {found:.0%} | {lower:.2f} |"
        )
    return "\n".join(lines) + "\n"


def damaged(media: Path, cache: Path, split: str) -> list[tuple[str, Case, dict[str, Any]]]:
    """(source, case, the clip's JSON) of all clips of a split, made and read by the tool."""
    chosen = [
        source
        for source in read_manifest(media)
        if (source.kind, source.split) == ("clip", split) and source.clean >= NATIVE_CLEAN
    ]
    folder = cache / "field" / split
    make_clips(chosen, folder / "clips")
    return list(read(folder / "clips", folder / "out"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--cache", type=Path, default=Path("training/cache"))
    parser.add_argument("--split", choices=["val", "test"], default="test")
    parser.add_argument("--write", type=Path, help="Markdown file to write the page to.")
    args = parser.parse_args()
    rows = damaged(args.media, args.cache, args.split)
    seen = make_pictures(args.cache / "field" / "pictures" / "clips")
    drawn = tool(args.cache / "field" / "pictures" / "clips", args.cache / "field/pictures/out")
    text = page(told(iter(rows)), rows[0][2]["provenance"]["checkpoint"], args.split)
    text += pictures(drawn, seen)
    print(text)
    if args.write:
        args.write.write_text(text)


if __name__ == "__main__":
    plainly(main)
