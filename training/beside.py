"""Train a head that speaks beside the jury, from facts that are its own.

`python -m training.beside colour` (or trails, or softness) makes the facts and labels that it
learns from (resumable, a process a core; a fraction of the cost of whole samples, and nothing else
depends on them), fits a small perceptron to them, and weighs it against the jury on validation,
whose sources it has not seen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.nn import functional as F

from aqs_batch.analysis.beside import SURE, WEIGHT, ColourHead, SoftnessHead, TrailHead
from aqs_batch.analysis.checkpoint import inspect, save
from aqs_batch.analysis.engine import usable_cores
from aqs_batch.analysis.model import ARCHITECTURE, GHOSTING, SATURATION, AqsNet, mean_of
from aqs_batch.errors import CheckpointError
from training import colour, softness, trails
from training.board import Board
from training.card import UNSHIPPED
from training.command import plainly
from training.features import Features, gather
from training.folds import PLAIN, WILD, learned_sets, strangers
from training.manifest import FOLDS
from training.recipe import COLOURS, GHOSTS, Recipe
from training.remembered import is_remembered, remembered
from training.samples import PRESENT
from training.shares import one_thread, together
from training.start import further_start
from training.supply import library_of, sources_of

BATCH, RATE, DECAY, SAY_EVERY = 256, 3e-3, 0.1, 100
FIRST_GUESS = (1.0, 0.5, 0.0)

Arrays = Mapping[str, NDArray[Any]]
Place = tuple[str, int]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Witness:
    """A head whose word on one artifact is added to the jury's.

    `given` takes its inputs from cached features of some samples.
    """

    artifact: int
    given: Callable[[Features, NDArray[np.int64]], list[Tensor]]


@dataclass(frozen=True)
class Subject:
    """What one head learns.

    `make` fills one numbered file from a library of scenes, `lesson` makes inputs and labels (1, 0,
    -1 unknown) of it. Without a witness nothing is weighed: the head speaks where it is sure.
    """

    head: Callable[[], nn.Module]
    recipe: Recipe
    asks: tuple[Any, ...]  # what else its files depend on
    files: Mapping[str, Sequence[int]]  # their numbers, by where the scenes come from
    make: Callable[[Any, str, int], Arrays]
    lesson: Callable[[Arrays], tuple[list[Tensor], Tensor]]
    steps: int
    noise: float  # added to facts in training, in their own deviations
    witness: Witness | None = None
    sources: Mapping[str, str] = field(default_factory=dict)  # see `sources_of`; as `files`

    def key(self, data: str) -> str:
        """What files depend on: made otherwise, they were learned from beside new ones, those of a
        source that is in the test by now among them.
        """
        return repr((self.recipe, self.asks)) + self.sources.get(data, "")

    @property
    def places(self) -> list[Place]:
        """Every file: where its scenes come from, and its number there."""
        return [(data, number) for data, numbers in self.files.items() for number in numbers]


SUBJECTS = {
    "colour": Subject(
        ColourHead, COLOURS, colour.ASKS, colour.FILES, colour.make, colour.lesson, 8000, 0.05,
        Witness(SATURATION, colour.given),
    ),
    "trails": Subject(
        TrailHead, GHOSTS, trails.ASKS, trails.FILES, trails.make, trails.lesson, 6000, 0.1,
        Witness(GHOSTING, trails.given),
    ),
    "softness": Subject(
        SoftnessHead, COLOURS, softness.ASKS, softness.FILES, softness.make, softness.lesson,
        8000, 0.05,
    ),
}  # fmt: skip


def lessons(subject: Subject, folder: Path, library: Callable[[str], Any]) -> list[Tensor]:
    """The inputs of all that is learned from, and last the labels, 0-1; made where missing."""
    scenes, columns = cache(library), []
    for place in subject.places:
        given, label = subject.lesson(_kept(subject, folder, scenes, place))
        known = (label >= 0).reshape(len(label), -1).all(1)
        columns.append([*(g[known] for g in given), (label[known] == PRESENT).float()])
    return [torch.cat(column) for column in zip(*columns, strict=True)]


def make_together(
    subject: Subject, folder: Path, library: Callable[[str], Any], processes: int
) -> None:
    """Make what is missing in several processes; `library` goes to each of them."""
    missing = [
        place
        for place in subject.places
        if not is_remembered(_file(folder, place), subject.key(place[0]))
    ]
    # Where scenes are lacking is said before hours of making, not after.
    for data in dict.fromkeys(data for data, _ in missing):
        library(data)
    together(partial(_make, subject, folder, library), missing, processes)


def _make(
    subject: Subject, folder: Path, library: Callable[[str], Any], places: Sequence[Place]
) -> None:
    scenes = cache(library)
    for place in places:
        _kept(subject, folder, scenes, place)


def _kept(subject: Subject, folder: Path, scenes: Callable[[str], Any], place: Place) -> Arrays:
    file, (data, number) = _file(folder, place), place

    def made() -> Arrays:
        began = time.monotonic()
        arrays = subject.make(scenes(data), data, number)
        print(f"{file}  {time.monotonic() - began:.0f} s", flush=True)
        return arrays

    return remembered(file, subject.key(data), made)


def _file(folder: Path, place: Place) -> Path:
    data, number = place
    return folder / f"train-{data}" / f"{number:05d}.npz"


def fitted(
    head: nn.Module,
    given: Sequence[Tensor],
    label: Tensor,
    seed: int,
    steps: int,
    noise: float,
    say: Callable[[float, int], None] = lambda _, __: None,
) -> nn.Module:
    """Train a head until its output is the logit of `label` [N] or [N,M], from `given`.

    `say` hears the cost and the step now and then.
    """
    torch.manual_seed(seed)
    for module in head.modules():
        if (reset := getattr(module, "reset_parameters", None)) is not None:
            reset()
    spreads = [column.std(0) for column in given]
    optimizer = torch.optim.AdamW(head.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
    for step in range(1, steps + 1):
        chosen = torch.randint(len(label), (BATCH,))
        blurred = [
            column[chosen] + noise * spread * torch.randn(BATCH, *column.shape[1:])
            for column, spread in zip(given, spreads, strict=True)
        ]
        value = F.binary_cross_entropy_with_logits(head(*blurred), label[chosen])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        if step % SAY_EVERY == 0:
            say(value.item(), step)
    return head.eval()


@torch.no_grad()
def on_validation(
    model: AqsNet, head: nn.Module, witness: Witness, cache: Path
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Logits of the jury and of the head, and the truth, of validation's tiles.

    Each fold is asked of the jurors that have not learned from it; the head has seen none of
    either.
    """
    heard, seen, truth = [], [], []
    for fold in FOLDS:
        pool = gather(model, cache, [fold + PLAIN, fold + WILD, *learned_sets(fold)])
        presence = pool.truth.presence[:, witness.artifact]
        rows = np.flatnonzero(presence >= 0)
        jury = mean_of(strangers(model, fold), *pool.features.rows(rows))
        heard.append(jury.presence[:, witness.artifact].numpy())
        seen.append(head(*witness.given(pool.features, rows)).numpy())
        truth.append(presence[rows] == PRESENT)
    return np.concatenate(heard), np.concatenate(seen), np.concatenate(truth)


def weighed(heard: Floats, seen: Floats, truth: NDArray[np.bool_]) -> tuple[float, float]:
    """By what factor and offset `seen` is added to `heard` so that the sum tells the truth best.

    Logistic regression on both; what it multiplies `heard` by is left to calibration.
    """

    def cost(weights: Floats) -> float:
        logit = weights[0] * heard + weights[1] * seen + weights[2]
        return float((np.logaddexp(0, logit) - truth * logit).mean())

    jury, head, offset = minimize(cost, FIRST_GUESS, method="Nelder-Mead").x
    if jury <= 0:
        raise CheckpointError(
            "the jury's word is worth nothing beside the head's",
            hint="Train the jury for longer, or on more samples.",
        )
    return float(head / jury), float(offset / jury)


def _library(media: Path, found: Path, cache: Path, data: str) -> Any:
    return library_of(_where(data, found), media, cache, "train")


def _where(data: str, found: Path) -> tuple[str, Path] | None:
    return None if data == "main" else (data, found)


def of_media(subject: Subject, media: Path, found: Path) -> Subject:
    """The subject with what its scenes are drawn from."""
    sources = {d: sources_of(_where(d, found), media, "train") for d in subject.files}
    return replace(subject, sources=sources)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("head", choices=list(SUBJECTS))
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--found", type=Path, default=Path("training/cache/found"))
    parser.add_argument("--cache", type=Path, default=Path("training/cache"))
    parser.add_argument("--checkpoint", type=Path, required=True, help="whose jury to join")
    parser.add_argument("--out", type=Path, default=Path("training/runs/heads/best_f1.safetensors"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=usable_cores(), help="that make lessons")
    args = parser.parse_args()
    one_thread()
    folder = args.cache / args.head
    library = partial(_library, args.media, args.found, args.cache)
    # First, since lessons take hours to make.
    checkpoint, model = inspect(args.checkpoint), AqsNet()
    further_start(model, checkpoint)
    subject = of_media(SUBJECTS[args.head], args.media, args.found)
    make_together(subject, folder, library, args.processes)
    *given, label = lessons(subject, folder, library)
    model.eval().to(memory_format=torch.channels_last)
    head: Any = fitted(
        subject.head(), given, label, args.seed, subject.steps, subject.noise,
        Board(args.out.parent / "tensorboard" / args.head).loss,
    )  # fmt: skip
    told: dict[str, float] = {"learned_from": len(label)}
    if subject.witness is not None:
        factor, offset = weighed(*on_validation(model, head, subject.witness, args.cache))
        with torch.no_grad():
            head.out.weight.mul_(factor)
            head.out.bias.mul_(factor).add_(offset)
        told |= {"factor": round(factor, 3), "offset": round(offset, 3)}
    else:
        told |= {"sure": SURE, "weight": WEIGHT}
    setattr(model, args.head, head)
    before = {"jury": checkpoint.label} | dict(checkpoint.card.training)
    card = replace(
        checkpoint.card,
        version=UNSHIPPED,
        created="",
        architecture=ARCHITECTURE,
        training=before | {args.head: told},
    )
    save(args.out, model.state_dict(), card)
    print(f"{args.out}: {told}")


if __name__ == "__main__":
    plainly(main)
