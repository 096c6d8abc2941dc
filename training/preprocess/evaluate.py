"""BD-rate with the real x265 and the real libvmaf: `python -m training.preprocess.evaluate`.

Every held-out clip is encoded plain and through each filter at five CRFs; the reference is always
the untouched source. Each ladder is kept in the cache, so it may be stopped and run again; at the
end RESULTS.md and results.json are written: beside this file, or to --out where not all is asked as
it ships. One encode at a time, one thread.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

from aqs_batch.encode.preprocess import FrameFilter
from aqs_batch.errors import MediaError
from training.command import plainly, results_folder
from training.manifest import Source
from training.preprocess.bdrate import Point, ladder
from training.preprocess.clips import YuvClip, native, sources
from training.preprocess.filters import FFMPEG, NOTHING, OURS, by_name
from training.preprocess.ladders import CRFS
from training.preprocess.report import write
from training.preprocess.verdict import SCORES
from training.whole import whole

FRAMES = 48
RESULTS = Path(__file__).parent
SHAPING = ("media", "weights", "split", "clips", "filters", "frames", "strength")
# Six of the test split: sport, water, street, road camera, hands, ship; 480p to 720p.
TEST_CLIPS = (
    "davis_breakdance", "davis_dolphins", "seq_davis_car_shadow",
    "camera_mjpeg_road", "sam2_coffee_pour", "stock_tugboat_sea",
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One ladder: a clip through a filter."""

    clip: str
    filter: str
    key: str  # what else decides its figures: the clip's bytes, frames, CRFs, weights, strength

    def path(self, cache: Path) -> Path:
        return cache / "evaluated" / self.clip / f"{self.filter.replace(' ', '_')}-{self.key}.json"


def digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:10]


def read(path: Path) -> list[Point]:
    return [Point(**row) for row in json.loads(path.read_text())]


def run_job(
    job: Job, clip: YuvClip, ours: FrameFilter | None, strength: float, cache: Path
) -> None:
    """Build one ladder and keep it."""
    apply = by_name(job.filter, ours, strength)
    if job.filter == OURS:
        filtered = {crf: apply(clip, crf) for crf in CRFS}
    else:
        once = apply(clip, CRFS[0])
        filtered = dict.fromkeys(CRFS, once)
    points = ladder(clip, filtered, SCORES)
    with whole(job.path(cache)) as unfinished:
        unfinished.write_text(json.dumps([asdict(p) for p in points], indent=1))


def jobs(
    clips: Sequence[Source], filters: Sequence[str], weights: bytes, frames: int, strength: float
) -> Iterator[Job]:
    """Every ladder that is asked for; a clip in another's place has ladders of its own."""
    for clip in clips:
        content = clip.digest()
        for name in filters:
            extra = (hashlib.sha256(weights).hexdigest(), strength) if name == OURS else ()
            asked = digest(content, frames, CRFS, FFMPEG.get(name, ""), *extra)
            yield Job(clip.name, name, asked)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--cache", type=Path, default=Path("training/cache/preprocess"))
    parser.add_argument(
        "--weights", type=Path, default=Path("aqs_batch/weights/preprocess.safetensors")
    )
    parser.add_argument("--split", choices=("test", "val"), default="test")
    parser.add_argument("--clips", help="comma-separated names; default: the six of the test split")
    parser.add_argument("--filters", help="comma-separated; default: all")
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: beside this file")
    args = parser.parse_args()
    folder = results_folder(parser, args, RESULTS, SHAPING)
    torch.set_num_threads(args.threads)
    names = args.clips.split(",") if args.clips else list(TEST_CLIPS)
    filters = args.filters.split(",") if args.filters else [NOTHING, *FFMPEG, OURS]
    _refuse_unknown("filter", filters, [NOTHING, *FFMPEG, OURS])
    tensors = load_file(args.weights) if OURS in filters else {}
    ours = FrameFilter(tensors) if tensors else None
    weights = b"".join(t.numpy().tobytes() for _, t in sorted(tensors.items()))
    known = {s.name: s for s in sources(args.media, args.split, 1)}
    _refuse_unknown(f"clip of the {args.split} split", names, known)
    found: dict[str, dict[str, list[Point]]] = {}
    clip: YuvClip | None = None
    chosen = [known[name] for name in names]
    for job in jobs(chosen, filters, weights, args.frames, args.strength):
        target = job.path(args.cache)
        if not target.exists():
            if clip is None or clip.name != job.clip:
                clip = native(known[job.clip].path, args.frames)
            print(f"{job.clip}: {job.filter}", flush=True)
            run_job(job, clip, ours, args.strength, args.cache)
        found.setdefault(job.clip, {})[job.filter] = read(target)
    print(write(found, folder, facts(args)))


def _refuse_unknown(what: str, names: Sequence[str], known: Collection[str]) -> None:
    if unknown := [name for name in names if name not in known]:
        raise MediaError(
            f"no such {what}: {', '.join(unknown)}", hint=f"There are {', '.join(known)}."
        )


def facts(args: argparse.Namespace) -> Mapping[str, object]:
    """What the figures rest on."""
    return {"frames": args.frames, "crfs": CRFS, "strength": args.strength, "split": args.split}


if __name__ == "__main__":
    plainly(main)
