"""Train the heads on cached features of the backbone as it is: minutes instead of hours.

`python -m training.heads` computes features once for every sample there is (resumable by shard),
trains everything behind the backbone on them with large batches, and writes a checkpoint from
which training.train can go on end to end (`--init`).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from aqs_batch.analysis.checkpoint import ModelCard, save
from aqs_batch.analysis.model import ARCHITECTURE, AqsNet, Logits
from aqs_batch.analysis.transform import transform
from training.dataset import SHARD, Shards, sampling_weights
from training.judge import Judged, Predicted, judge
from training.losses import loss
from training.start import imagenet_start, warm_start

STEPS, BATCH, RATE, JUDGE_EVERY = 2200, 96, 1.5e-3, 200


@dataclass(frozen=True)
class Features:
    """Cached features of samples: seen [N,7,F] and moved [N,6,G], float16."""

    seen: Tensor
    moved: Tensor


@torch.no_grad()
def cached(model: AqsNet, shards: Shards, folder: Path, count: int) -> Features:
    """Features of the first `count` samples, computed where they are not on disk yet."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for number in range(count // SHARD):
        file = folder / f"{number:05d}.safetensors"
        if not file.exists():
            began = time.monotonic()
            tiles = np.stack([shards.tile(number * SHARD + n) for n in range(SHARD)])
            save_file(_features(model, tiles), file)
            print(f"{file.name}  {SHARD / (time.monotonic() - began):.1f}/s", flush=True)
        parts.append(load_file(file))
    return Features(*(torch.cat([p[key] for p in parts]) for key in ("seen", "moved")))


def _features(model: AqsNet, tiles: np.ndarray, batch: int = 8) -> dict[str, Tensor]:
    out = []
    for first in range(0, len(tiles), batch):
        with torch.autocast("cpu", torch.bfloat16):
            out.append(model.features(transform(tiles[first : first + batch])))
    seen, moved = (torch.cat(column).half() for column in zip(*out, strict=True))
    return {"seen": seen, "moved": moved}


def fit(
    model: AqsNet, training: Shards, features: Features, check: Shards, held: Features
) -> Judged:
    """Train what lies behind the backbone; leaves the best state seen in the model."""
    heads = [p for n, p in model.named_parameters() if not n.startswith("backbone.")]
    optimizer = torch.optim.AdamW(heads, RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, STEPS)
    truth = training.truth
    count = len(features.seen)
    weights = sampling_weights(truth)[:count]
    rng = np.random.default_rng(3)
    best: tuple[float, Judged | None, dict[str, Tensor]] = (-1.0, None, {})
    for step in range(1, STEPS + 1):
        chosen = rng.choice(count, BATCH, p=weights / weights.sum())
        model.train()
        logits = model.judge(features.seen[chosen].float(), features.moved[chosen].float())
        labels = (truth.presence, truth.intensity, truth.quality)
        value = loss(logits, *(torch.from_numpy(a[chosen]) for a in labels))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        if step % JUDGE_EVERY == 0:
            judged = _judged(model, check, held)
            print(f"step {step}  train {value.item():.3f}  {judged.line()}", flush=True)
            if judged.macro_ap > best[0]:
                state = {k: v.detach().clone() for k, v in model.state_dict().items()}
                best = (judged.macro_ap, judged, state)
    assert best[1] is not None
    model.load_state_dict(best[2])
    return best[1]


@torch.no_grad()
def _judged(model: AqsNet, shards: Shards, features: Features) -> Judged:
    model.eval()
    logits: Logits = model.judge(features.seen.float(), features.moved.float())
    return judge(Predicted(*(t.numpy() for t in logits)), shards)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("training/cache"))
    parser.add_argument("--init", type=Path, help="checkpoint whose backbone to use")
    parser.add_argument("--samples", type=int, default=12000)
    parser.add_argument("--out", type=Path, default=Path("training/runs/heads/best_f1.safetensors"))
    args = parser.parse_args()
    model = AqsNet()
    start = imagenet_start(model) if args.init is None else warm_start(model, args.init)
    model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    check, training = (Shards(args.cache / "shards" / s) for s in ("val", "train"))
    place = args.cache / "features" / (args.init.stem if args.init else "imagenet")
    held = cached(model, check, place / "val", len(check))
    features = cached(model, training, place / "train", min(args.samples, len(training)))
    judged = fit(model, training, features, check, held)
    card = ModelCard(
        name="aqs-b0",
        version="0.1.0",
        architecture=ARCHITECTURE,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        training={"start": start, "stage": "heads on cached features"},
        metrics={"validation": judged.as_dict()},
    )
    save(args.out, model.state_dict(), card)
    print(f"{args.out}\n{judged.line()}")


if __name__ == "__main__":
    main()
