"""Train the heads on cached features of the backbone as it is: minutes instead of hours.

`python -m training.heads` computes features once for every sample there is (resumable by shard),
trains everything behind the backbone on them with large batches, and writes a checkpoint.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from aqs_batch.analysis.checkpoint import ModelCard, inspect, load_model, save
from aqs_batch.analysis.model import ARCHITECTURE, AqsNet, Juror, Logits
from training.dataset import sampling_weights
from training.features import SETS, Pool, digests, gather
from training.judge import Judged, Predicted, judge
from training.losses import loss
from training.start import backbone_start

STEPS, MIXED_STEPS, FURTHER_STEPS = 2000, 2500, 1500
FURTHER_SHARE = 0.8  # of the way that is kept: all of it forgets some of what was known before
BATCH, RATE, FURTHER_RATE, JUDGE_EVERY = 128, 1.5e-3, 7e-4, 250
KEEP = 0.995  # of the running average of weights, which is what gets judged and shipped
NOISE = 0.05  # added to features in training, in their own deviations
DECAY = 0.05
MIX = 0.2  # of the beta distribution that says how much of another sample is mixed in
SPREAD_OVER = 8192  # samples, over which those deviations are taken


class Noise:
    """Blurs what a juror is given, so that it learns no sample by heart."""

    def __init__(self, pool: Pool) -> None:
        over = pool.features.rows(slice(SPREAD_OVER))
        self._spread = [given.std((0, 1)) for given in over]

    def __call__(self, given: tuple[Tensor, Tensor]) -> list[Tensor]:
        return [
            f + NOISE * s * torch.randn_like(f) for f, s in zip(given, self._spread, strict=True)
        ]


@dataclass(frozen=True)
class Course:
    """How one juror is trained: for how long, how fast, on mixed samples or samples as they are.

    `share`: how far towards what was learned the weights go from where they began.
    """

    steps: int
    rate: float
    mixed: bool
    share: float = 1.0


def course(mixed: bool, further: bool) -> Course:
    """From the beginning, or further from where a juror of an earlier checkpoint stands."""
    if further:
        return Course(FURTHER_STEPS, FURTHER_RATE, mixed, FURTHER_SHARE)
    return Course(MIXED_STEPS if mixed else STEPS, RATE, mixed)


def fit(juror: Juror, training: Pool, check: Pool, seed: int, way: Course) -> Judged:
    """Train one juror and leave the best running average of its weights in it."""
    torch.manual_seed(seed)
    decayed = [p for p in juror.parameters() if p.ndim > 1]
    plain = [p for p in juror.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": DECAY}, {"params": plain, "weight_decay": 0.0}],
        way.rate,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, way.rate, way.steps)
    weights, rng = sampling_weights(training.truth), np.random.default_rng(seed)
    blurred = Noise(training)
    average = {k: v.detach().clone() for k, v in juror.state_dict().items()}
    best: tuple[float, Judged | None, dict[str, Tensor]] = (-1.0, None, {})
    for step in range(1, way.steps + 1):
        chosen = rng.choice(len(training), BATCH, p=weights)
        juror.train()
        given, truth = blurred(training.features.rows(chosen)), training.truth.of(chosen)
        value = _mixed_loss(juror, given, truth, rng) if way.mixed else loss(juror(*given), *truth)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        keep = min(KEEP, 1 - 1 / (step + 1))
        for name, now in juror.state_dict().items():
            if now.is_floating_point():
                average[name].lerp_(now, 1 - keep)
        if step % JUDGE_EVERY == 0:
            own = {k: v.detach().clone() for k, v in juror.state_dict().items()}
            juror.load_state_dict(average)
            judged = judged_on(juror, check)
            juror.load_state_dict(own)
            print(f"step {step}  train {value.item():.3f}  {judged.line()}", flush=True)
            if judged.macro_ap > best[0]:
                best = (judged.macro_ap, judged, {k: v.clone() for k, v in average.items()})
    assert best[1] is not None
    juror.load_state_dict(best[2])
    return best[1]


def _mixed_loss(
    juror: Juror, given: list[Tensor], truth: tuple[Tensor, ...], rng: np.random.Generator
) -> Tensor:
    """The loss of samples mixed in pairs (Zhang et al., mixup, 2018): features of few sources are
    learned by heart otherwise.
    """
    batch = len(given[0])
    share = torch.from_numpy(rng.beta(MIX, MIX, batch)).float()
    share, other = torch.maximum(share, 1 - share), torch.from_numpy(rng.permutation(batch))
    rows = share[:, None, None]
    logits = juror(*(rows * one + (1 - rows) * one[other] for one in given))
    first = loss(logits, *truth, share)
    second = loss(logits, *(column[other] for column in truth), 1 - share)
    return share.mean() * first + (1 - share).mean() * second


@torch.no_grad()
def judged_on(judging: Callable[[Tensor, Tensor], Logits], check: Pool) -> Judged:
    """What a juror, or the jury, makes of the samples to check."""
    if isinstance(judging, Juror):
        judging.eval()
    logits = judging(*check.features.rows(slice(None)))
    return judge(Predicted(*(t.numpy() for t in logits)), check.truth)


def trained(juror: Juror, file: Path, training: Pool, check: Pool, seed: int, way: Course) -> None:
    """Train a juror, or take it from `file` where a run that was stopped has left it."""
    if file.exists():
        juror.load_state_dict(load_file(file))
    else:
        began = {name: now.detach().clone() for name, now in juror.state_dict().items()}
        fit(juror, training, check, seed, way)
        go_back(juror, began, way.share)
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".part")
        save_file(juror.state_dict(), partial)
        partial.replace(file)


def go_back(juror: Juror, began: dict[str, Tensor], share: float) -> None:
    """Put a juror's weights between where they began and what they became, in place.

    All but the intensities', which may have been taught another scale.
    """
    for name, now in juror.state_dict().items():
        if now.is_floating_point() and not name.startswith("intensity"):
            now.copy_(torch.lerp(began[name], now, share))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("training/cache"))
    parser.add_argument("--init", type=Path, help="checkpoint whose backbone to use")
    parser.add_argument("--further", type=Path, help="checkpoint whose jurors to go on with")
    parser.add_argument("--out", type=Path, default=Path("training/runs/heads/best_f1.safetensors"))
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    parent = inspect(args.further) if args.further else None
    if parent:
        model, start = load_model(parent), parent.label
    else:
        model = AqsNet()
        start = backbone_start(model, args.init)
    model.backbone.half().float()  # as a checkpoint keeps it, and as it will see when in use
    model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    check, training = gather(model, args.cache, ["val"]), gather(model, args.cache, SETS)
    # Of one backbone and seed: a juror of another would be silently at home on none.
    lineage = f"-{parent.digest}" if parent else ""
    jurors = args.out.parent / f"{digests(model)[1]}-{args.seed}{lineage}"
    for number, juror in enumerate(model.jury):
        assert isinstance(juror, Juror)
        # Half and half: the two kinds err differently, and together less than either.
        mixed = number >= len(model.jury) // 2
        file = jurors / f"juror{number}.safetensors"
        way = course(mixed, further=parent is not None)
        trained(juror, file, training, check, args.seed + number, way)
    model.eval()
    judged = judged_on(model.judge, check)
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
