"""Train the jury on cached features of the backbone as it is: minutes instead of hours.

`python -m training.heads` computes features once for every sample there is (resumable by shard),
trains one juror after the other on them with large batches, and writes a checkpoint. The heads
beside the jury (training.beside) stay untrained, or as the checkpoint gone on with has them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aqs_batch.analysis.checkpoint import inspect, save
from aqs_batch.analysis.model import AqsNet, Juror, Logits, mean_of
from training.board import Board
from training.card import of_run
from training.command import plainly
from training.dataset import sampling_weights
from training.features import SETS, Pool, digests, gather
from training.folds import (
    PLAIN,
    fold_of,
    learned_sets,
    may_learn,
    other_than,
    strangers,
    unseen,
)
from training.judge import Judged, Predicted, judge
from training.losses import held, loss
from training.manifest import FOLDS
from training.start import backbone_start, further_start
from training.whole import whole

STEPS, MIXED_STEPS, FURTHER_STEPS = 2000, 2500, 1000
BATCH, RATE, FURTHER_RATE, JUDGE_EVERY = 128, 1.5e-3, 5e-4, 250
SAID_AT_ONCE = 1024
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

    `before` is what the jury of an earlier checkpoint says of all samples: new ones are fewer than
    those it has seen, and all that is not in them would be forgotten.
    """

    steps: int
    rate: float
    mixed: bool
    before: Logits | None = None


def course(mixed: bool, before: Logits | None) -> Course:
    """From the beginning, or further from where a juror of an earlier checkpoint stands."""
    if before is not None:
        return Course(FURTHER_STEPS, FURTHER_RATE, mixed, before)
    return Course(MIXED_STEPS if mixed else STEPS, RATE, mixed)


@torch.no_grad()
def word_of(jurors: list[nn.Module], pool: Pool) -> Logits:
    """What some jurors say of all samples of a pool."""
    said = [
        mean_of(jurors, *pool.features.rows(slice(first, first + SAID_AT_ONCE)))
        for first in range(0, len(pool), SAID_AT_ONCE)
    ]
    return Logits(*(torch.cat(column) for column in zip(*said, strict=True)))


@dataclass(frozen=True)
class Lesson:
    """What some samples teach: their labels, and what was said of them before."""

    truth: tuple[Tensor, Tensor, Tensor]
    before: Logits | None

    def cost(self, logits: Logits, weight: Tensor | None = None) -> Tensor:
        value = loss(logits, *self.truth, weight)
        if self.before is None:
            return value
        return value + held(logits, self.before, self.truth[0], weight)

    def of(self, other: NDArray[np.int64]) -> Lesson:
        """The lesson with its samples in another order."""
        presence, intensity, quality = (column[other] for column in self.truth)
        return Lesson((presence, intensity, quality), rows_of(self.before, other))


def rows_of(said: Logits | None, chosen: NDArray[np.int64]) -> Logits | None:
    """What was said of some samples."""
    return said and Logits(*(column[chosen] for column in said))


def fit(
    juror: Juror,
    training: Pool,
    allowed: NDArray[np.bool_],
    check: Pool,
    seed: int,
    way: Course,
    curves: Path,
) -> Judged:
    """Train one juror on the allowed samples; what stays is a running average of its weights.

    `curves` is where TensorBoard finds how it went, by the juror's name.
    """
    torch.manual_seed(seed)
    optimizer = _optimizer(juror, way.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, way.rate, way.steps)
    weights, rng = sampling_weights(training.truth) * allowed, np.random.default_rng(seed)
    weights /= weights.sum()
    blurred, board = Noise(training), Board(curves)
    average = {k: v.detach().clone() for k, v in juror.state_dict().items()}
    best: tuple[float, Judged | None, dict[str, Tensor]] = (-1.0, None, {})
    for step in range(1, way.steps + 1):
        chosen = rng.choice(len(training), BATCH, p=weights)
        juror.train()
        given = blurred(training.features.rows(chosen))
        lesson = Lesson(training.truth.of(chosen), rows_of(way.before, chosen))
        value = _mixed_cost(juror, given, lesson, rng) if way.mixed else lesson.cost(juror(*given))
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
            came = f"{curves.name}, step {step} of {way.steps}"
            print(f"{came}  train {value.item():.3f}  {judged.line()}", flush=True)
            board.loss(value.item(), step)
            board.judged(judged, step)
            # Who is held to what was said before forgets little: there more steps are better.
            if way.before is not None or judged.macro_ap > best[0]:
                best = (judged.macro_ap, judged, {k: v.clone() for k, v in average.items()})
    assert best[1] is not None
    juror.load_state_dict(best[2])
    return best[1]


def _optimizer(juror: Juror, rate: float) -> torch.optim.Optimizer:
    decayed = [p for p in juror.parameters() if p.ndim > 1]
    plain = [p for p in juror.parameters() if p.ndim <= 1]
    return torch.optim.AdamW(
        [{"params": decayed, "weight_decay": DECAY}, {"params": plain, "weight_decay": 0.0}], rate
    )


def _mixed_cost(
    juror: Juror, given: list[Tensor], lesson: Lesson, rng: np.random.Generator
) -> Tensor:
    """The cost of samples mixed in pairs (Zhang et al., mixup, 2018): features of few sources are
    learned by heart otherwise.
    """
    batch = len(given[0])
    share = torch.from_numpy(rng.beta(MIX, MIX, batch)).float()
    share, other = torch.maximum(share, 1 - share), rng.permutation(batch)
    rows = share[:, None, None]
    logits = juror(*(rows * one + (1 - rows) * one[other] for one in given))
    first, second = lesson.cost(logits, share), lesson.of(other).cost(logits, 1 - share)
    return share.mean() * first + (1 - share).mean() * second


@torch.no_grad()
def judged_on(juror: Juror, check: Pool) -> Judged:
    """What a juror makes of the samples to check."""
    juror.eval()
    logits = juror(*check.features.rows(slice(None)))
    return judge(Predicted(*(t.numpy() for t in logits)), check.truth)


def trained(juror: Juror, file: Path, fitted: Callable[[], Judged]) -> None:
    """Train a juror, or take it from `file` where a run that was stopped has left it."""
    if file.exists():
        try:
            juror.load_state_dict(load_file(file))
        except SafetensorError as error:
            print(f"{file}: {error}; trained again", flush=True)
        else:
            print(f"{file}: kept")
            return
    fitted()
    with whole(file) as unfinished:
        save_file(juror.state_dict(), unfinished)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("training/cache"))
    start_of = parser.add_mutually_exclusive_group()  # who goes on has a backbone already
    start_of.add_argument("--init", type=Path, help="checkpoint whose backbone to use")
    start_of.add_argument("--further", type=Path, help="checkpoint whose jurors to go on with")
    parser.add_argument("--out", type=Path, default=Path("training/runs/heads/best_f1.safetensors"))
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    parent = inspect(args.further) if args.further else None
    model = AqsNet()
    start = further_start(model, parent) if parent else backbone_start(model, args.init)
    model.backbone.half().float()  # as a checkpoint keeps it, and as it will see when in use
    model.eval().to(memory_format=torch.channels_last)
    checks = {fold: gather(model, args.cache, [fold]) for fold in FOLDS}
    learned = [name for fold in FOLDS for name in learned_sets(fold)]
    training = gather(model, args.cache, [*SETS, *learned])
    # The jurors of a fold are held to what their own kind said: the others have learned from the
    # very samples that these are judged on.
    before = {
        fold: word_of(strangers(model, other_than(fold)), training) if parent else None
        for fold in FOLDS
    }
    # Of one backbone, seed and set of samples: a juror of others would be at home on none.
    lineage = f"-{parent.digest}" if parent else ""
    learned_from = training.truth.digest()
    jurors = args.out.parent / f"{digests(model)[1]}-{args.seed}{lineage}-{learned_from}"
    for number, juror in enumerate(model.jury):
        assert isinstance(juror, Juror)
        # Half and half: the two kinds err differently, and together less than either.
        mixed = number >= len(model.jury) // 2
        file = jurors / f"juror{number}.safetensors"
        way = course(mixed, before[fold_of(number)])
        check = checks[other_than(fold_of(number))]
        allowed, seed = may_learn(training, number), args.seed + number
        curves = args.out.parent / "tensorboard" / file.stem
        trained(juror, file, partial(fit, juror, training, allowed, check, seed, way, curves))
    model.eval()
    judged = judge(*unseen(model, args.cache, PLAIN))
    facts = {"start": start, "stage": "heads on cached features"}
    save(args.out, model.state_dict(), of_run(facts, judged))
    print(f"{args.out}\n{judged.line()}")


if __name__ == "__main__":
    plainly(main)
