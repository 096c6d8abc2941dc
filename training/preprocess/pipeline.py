"""The corpus, step by step: `python -m training.preprocess.pipeline STEP --root DIR`.

Steps: split, compress, vmaf, extract, groups, or `all` of them. Each keeps what is there, so any
step may be stopped and run again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from aqs_batch.errors import FfmpegError, MediaError
from aqs_batch.ffmpeg import find, run
from training.command import plainly
from training.manifest import read_manifest
from training.preprocess.clips import YuvClip, read_clip
from training.preprocess.corpus import (
    CRFS,
    Corpus,
    Entry,
    Group,
    balanced,
    pictures,
    split_of,
    write_rows,
)
from training.preprocess.encoders import LIBRARIES, Encoding, encode_argv, raw_input
from training.preprocess.measure import measure
from training.sources import seed
from training.whole import whole

VIDEO_ENDINGS = {".mp4", ".mkv", ".mov", ".avi", ".webm", ".y4m", ".ts", ".m2ts"}
Told = Callable[[str], None]


def split(corpus: Corpus, source: Path) -> list[Entry]:
    """Every clip below `source` with its split: the manifest's where there is one, else by name."""
    if (source / "MANIFEST.csv").exists():
        found = [s for s in read_manifest(source) if s.kind == "clip"]
        entries = [Entry(s.split, s.name, str(s.path)) for s in found]
    else:
        paths = sorted(p for p in source.rglob("*") if p.suffix.lower() in VIDEO_ENDINGS)
        entries = [Entry(split_of(p.stem), p.stem, str(p)) for p in paths]
    names = [e.sequence_name for e in entries]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise MediaError(f"names must differ, or sources would mix: {', '.join(twice[:5])}")
    write_rows(corpus.split_list, Entry, entries)
    return entries


def work(
    corpus: Corpus, crfs: Sequence[int], target: Callable[[str, int], Path], tell: Told
) -> Iterator[tuple[Entry, list[int]]]:
    """Each entry with the CRFs whose target is not there yet, told with the time left."""
    entries = corpus.entries()
    missing = [
        (e, lacking)
        for e in entries
        if (lacking := [c for c in crfs if not target(e.sequence_name, c).exists()])
    ]
    began = time.monotonic()
    for number, (entry, lacking) in enumerate(missing):
        spent = time.monotonic() - began
        left = f", {spent / number * (len(missing) - number) / 60:.0f} min left" if number else ""
        tell(f"{number + 1}/{len(missing)} {entry.sequence_name}{left}")
        yield entry, lacking


def compress(corpus: Corpus, crfs: Sequence[int], frames: int, tell: Told) -> None:
    """Encode every clip at every CRF."""
    for entry, lacking in work(corpus, crfs, corpus.encode, tell):
        clip = entry.clip(frames)
        raw = corpus.root / f".{entry.sequence_name}.yuv"
        try:
            clip.write(raw)
            for crf in lacking:
                target = corpus.encode(entry.sequence_name, crf)
                source = raw_input(raw, *clip.size, clip.frame_rate)
                encoding = Encoding(crf, corpus.codec, corpus.preset)
                with whole(target) as unfinished:
                    finished = run(encode_argv(find().path, source, unfinished, encoding))
                    if finished.returncode:
                        raise FfmpegError(f"{target.name}: {' | '.join(finished.tail[-3:])}")
        finally:
            raw.unlink(missing_ok=True)


def decoded(corpus: Corpus, entry: Entry, crf: int, reference: YuvClip) -> YuvClip:
    """An encode as frames; frame n is the reference's frame n, or this raises."""
    clip = read_clip(corpus.encode(entry.sequence_name, crf), *reference.size, len(reference.y) + 1)
    if len(clip.y) != len(reference.y):
        raise FfmpegError(
            f"{entry.sequence_name} CRF {crf}: {len(clip.y)} frames, not {len(reference.y)}"
        )
    return clip


def vmaf(corpus: Corpus, crfs: Sequence[int], frames: int, tell: Told) -> None:
    """Score every encode against its source: distorted first, paired by index."""
    for entry, lacking in work(corpus, crfs, corpus.log, tell):
        reference = entry.clip(frames)
        for crf in lacking:
            found = measure(decoded(corpus, entry, crf, reference), reference, ("vmaf", "neg"))
            with whole(corpus.log(entry.sequence_name, crf)) as unfinished:
                unfinished.write_text(json.dumps({k: list(v) for k, v in found.frames.items()}))


def refuse_others(corpus: Corpus, asked: Mapping[str, int | str]) -> None:
    """Raise MediaError where a corpus was made otherwise than it is asked for, else note how: what
    was there had been kept, and encodes of two presets lay side by side as one.
    """
    path = corpus.root / "made.json"
    made = json.loads(path.read_text()) if path.exists() else {}
    for name, value in asked.items():
        if (had := made.get(name, value)) != value:
            raise MediaError(
                f"{corpus.root} was made with {name} {had}, not {value}",
                hint="Go on with that, or name another folder with --root.",
            )
    with whole(path) as unfinished:
        unfinished.write_text(json.dumps({**made, **asked}))


def chosen_frames(count: int, every: int) -> range:
    """Middle frames of the windows that are extracted: never the first or the last frame."""
    return range(1, count - 1, every)


def extract(
    corpus: Corpus, crfs: Sequence[int], frames: int, every: int, crop_px: int, tell: Told
) -> None:
    """Write the luma of every window as PNG, whole frames or one crop a clip."""

    def done(name: str, crf: int) -> Path:
        return corpus.picture(name, crf, 0).with_name("done")

    for entry, lacking in work(corpus, crfs, done, tell):
        reference = entry.clip(frames)
        cut = _crop(entry.sequence_name, reference.size, crop_px)
        numbers = sorted(
            {n + d for n in chosen_frames(len(reference.y), every) for d in (-1, 0, 1)}
        )
        for crf in (None, *lacking):
            clip = reference if crf is None else decoded(corpus, entry, crf, reference)
            for number in numbers:
                target = corpus.picture(entry.sequence_name, crf, number)
                target.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(target), clip.y[number][cut])
            if crf is not None:
                done(entry.sequence_name, crf).touch()


def _crop(name: str, size: tuple[int, int], crop_px: int) -> tuple[slice, slice]:
    if not crop_px:
        return slice(None), slice(None)
    rng = np.random.default_rng(seed("crop", name))
    starts = [int(rng.integers(0, max(n - crop_px, 0) + 1)) for n in size]
    return slice(starts[0], starts[0] + crop_px), slice(starts[1], starts[1] + crop_px)


def groups(corpus: Corpus, crfs: Sequence[int], bins: int, most: int, cropped: bool) -> list[Group]:
    """The group list: one window a line, balanced over the score, labelled with its own score.

    The label of a whole frame is libvmaf's; of a crop, the exact VMAF of that crop (a full-frame
    score says little about 160 pixels of it).
    """
    found: list[Group] = []
    label = _crop_label() if cropped else None
    for entry in corpus.entries():
        for crf in crfs:
            log = corpus.log(entry.sequence_name, crf)
            folder = corpus.picture(entry.sequence_name, crf, 0).parent
            if not (log.exists() and (folder / "done").exists()):
                continue
            scores = json.loads(log.read_text())["vmaf"]
            there = {int(p.stem) for p in folder.glob("*.png")}
            for n in sorted(n for n in there if {n - 1, n + 1} <= there):
                paths = [
                    str(corpus.picture(entry.sequence_name, c, n + d))
                    for c in (crf, None)
                    for d in (-1, 0, 1)
                ]
                score = scores[n] if label is None else label(paths)
                found.append(Group(entry.split, entry.sequence_name, crf, n, score, *paths))
    kept = balanced(found, bins, most)
    write_rows(corpus.groups, Group, kept)
    return kept


def _crop_label() -> Callable[[Sequence[str]], float]:
    import torch

    from training.preprocess.quality import ExactVmaf

    exact = ExactVmaf(neg=False)

    def score(paths: Sequence[str]) -> float:
        distorted, reference = torch.from_numpy(pictures(paths).astype(np.float32)).chunk(2)
        with torch.no_grad():
            motion = exact.motion(reference)[1:2]
            return float(exact(reference[None, 1:2], distorted[None, 1:2], motion[None]).clamp(0))

    return score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    steps = ("split", "compress", "vmaf", "extract", "groups")
    parser.add_argument("step", choices=(*steps, "all"))
    parser.add_argument("--root", type=Path, default=Path("training/cache/corpus"))
    parser.add_argument("--source", type=Path, default=Path("../shared/media"), help="the clips")
    parser.add_argument("--codec", choices=sorted(LIBRARIES), default="x265")
    parser.add_argument("--preset", default="medium")
    parser.add_argument("--crfs", type=_numbers, default=CRFS, help="comma-separated")
    parser.add_argument("--frames", type=int, default=60, help="frames of each clip")
    parser.add_argument("--every", type=int, default=10, help="frames between windows")
    parser.add_argument("--crop", type=int, default=0, help="pixels of a crop; 0: whole frames")
    parser.add_argument("--bins", type=int, default=10)
    parser.add_argument("--per-bin", type=int, default=500)
    args = parser.parse_args()
    corpus = Corpus(args.root, args.codec, args.preset)
    uses = {
        "compress": {f"{args.codec} preset": args.preset, "frames": args.frames},
        "vmaf": {"frames": args.frames},
        "extract": {"frames": args.frames, "every": args.every, "crop": args.crop},
        "groups": {"crop": args.crop},
    }
    for step in steps if args.step == "all" else (args.step,):
        print(f"{step}:", flush=True)
        refuse_others(corpus, uses.get(step, {}))
        if step == "split":
            print(f"{len(split(corpus, args.source))} clips")
        elif step == "groups":
            kept = groups(corpus, args.crfs, args.bins, args.per_bin, bool(args.crop))
            print(f"{len(kept)} windows in {corpus.groups}")
        elif step == "extract":
            extract(corpus, args.crfs, args.frames, args.every, args.crop, _say)
        else:
            {"compress": compress, "vmaf": vmaf}[step](corpus, args.crfs, args.frames, _say)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    plainly(main)
