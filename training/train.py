"""Tune the backbone: `python -m training.train --hours 1`; stop it at will, run it again to resume.

Stem and first block stay as they are, so that facts, shallowest map and all that changes between
frames come from the cache of training.features, and a sample costs two frames instead of seven.
The jury learns along, first alone; training.heads then trains it to the end on the tuned backbone.
One script for two CPU cores and for a GPU.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aqs_batch.analysis.checkpoint import save
from aqs_batch.analysis.model import Logits, mean_of
from aqs_batch.analysis.transform import transform
from training.begun import refuse_other, unreadable
from training.board import Board
from training.card import of_run
from training.command import plainly
from training.dataset import sampling_weights
from training.features import SETS, Pool, gather
from training.heads import Noise
from training.judge import Judged, Predicted, judge
from training.losses import loss
from training.manifest import FOLDS
from training.start import beginning
from training.whole import whole


@dataclass(frozen=True)
class Plan:
    """Everything that shapes a tuning run; goes into the model card."""

    hours: float = 1.0
    batch: int = 32
    rate: float = 8e-4
    backbone_rate: float = 3e-4
    weight_decay: float = 0.05
    backbone_decay: float = 0.01
    warmup_steps: int = 100
    jury_steps: int = 700  # on cached features, before the backbone moves
    jury_batch: int = 96
    jury_rate: float = 1.5e-3
    ema: float = 0.99
    judge_every: int = 150
    patience: int = 10
    seed: int = 3


@dataclass(frozen=True)
class Progress:
    """How far a run has come; saved beside `latest`."""

    step: int = 0
    spent_s: float = 0.0
    best_f1: float = 0.0
    best_loss: float = math.inf
    stale: int = 0
    begun: Mapping[str, Any] = field(default_factory=dict)  # plan and start; older runs do not say


SAY_EVERY = 25  # steps
MAY_CHANGE = ("hours", "judge_every", "patience")  # in a run that goes on: they shape no step


class Run:
    """One tuning run in one folder."""

    def __init__(
        self, folder: Path, plan: Plan, device: torch.device, warm: Path | None = None
    ) -> None:
        self.folder, self.plan, self.device = folder, plan, device
        self.model, self.start = beginning(plan.seed, warm)
        self.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.jury = list(self.model.jury.parameters())
        self.tuned = [p for block in self._blocks() for p in block.parameters()]
        for parameter in self.model.backbone.parameters():
            parameter.requires_grad_(False)
        for parameter in self.tuned:
            parameter.requires_grad_(True)
        self.optimizer = torch.optim.AdamW(
            [
                {"params": self.jury, "lr": plan.rate, "weight_decay": plan.weight_decay},
                {
                    "params": self.tuned,
                    "lr": plan.backbone_rate,
                    "weight_decay": plan.backbone_decay,
                },
            ]
        )
        self.average = self._weights()
        self.progress = Progress(begun={**asdict(plan), "start": self.start})
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "progress.json").exists():
            self._resume()

    def _blocks(self) -> list[nn.Module]:
        return list(self.model.backbone.get_submodule("blocks").children())[1:]

    def _weights(self) -> dict[str, Tensor]:
        return {k: v.detach().clone() for k, v in self.model.state_dict().items()}

    @property
    def share_done(self) -> float:
        return min(self.progress.spent_s / (self.plan.hours * 3600), 1.0)

    def train_jury(
        self, training: Pool, rng: np.random.Generator, log: Callable[[str], None]
    ) -> None:
        """The jury alone, so that the backbone is not pulled about by what it does not know yet."""
        blurred, weights = Noise(training), sampling_weights(training.truth)
        optimizer = torch.optim.AdamW(
            self.jury, self.plan.jury_rate, weight_decay=self.plan.weight_decay
        )
        self.model.jury.train()
        for step in range(1, self.plan.jury_steps + 1):
            chosen = rng.choice(len(training), self.plan.jury_batch, p=weights)
            value = self._loss(training, chosen, blurred(training.features.rows(chosen)))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            if step % SAY_EVERY == 0:
                log(f"the jury alone, {step}/{self.plan.jury_steps}  loss {value.item():.3f}")
        self.average = self._weights()

    def step(self, training: Pool, chosen: np.ndarray, blurred: Noise) -> float:
        """One step of backbone and jury; the backbone's normalisation keeps ImageNet's figures."""
        self._set_rate()
        self.model.eval()
        self.model.jury.train()
        given = blurred(training.features.rows_with(chosen, self.look(training, chosen).cpu()))
        value = self._loss(training, chosen, given)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(self.tuned, 1.0)
        self.optimizer.step()
        self._average()
        self.progress = replace(self.progress, step=self.progress.step + 1)
        return value.item()

    def look(self, pool: Pool, chosen: np.ndarray) -> Tensor:
        """The close look at some samples with the backbone as it is now: [B,D,P]."""
        frames = np.stack([pool.looked_at(int(index)) for index in chosen])
        half = self.device.type == "cuda"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            with torch.no_grad():
                shallow = self.model.shallow(transform(frames, self.device))
            return self.model.close(shallow).float()

    def _loss(self, training: Pool, chosen: np.ndarray, given: list[Tensor]) -> Tensor:
        """Each juror's own loss, averaged: their errors shall differ, so none leans on another."""
        moved = [g.to(self.device) for g in given]
        labels = [t.to(self.device) for t in training.truth.of(chosen)]
        votes = [loss(Logits(*juror(*moved)), *labels) for juror in self.model.jury]
        return torch.stack(votes).mean()

    def _set_rate(self) -> None:
        warm = min(1.0, (self.progress.step + 1) / self.plan.warmup_steps)
        share = self.share_done
        factor = warm * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * share)))
        rates = self.plan.rate, self.plan.backbone_rate
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.plan.ema, 1 - 1 / (self.progress.step + 2))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - keep)

    @torch.no_grad()
    def judged(self, check: Pool) -> Judged:
        """What the running average makes of all samples to check."""
        own = self._weights()
        self.model.load_state_dict(self.average)
        self.model.eval()
        parts = []
        for first in range(0, len(check), self.plan.batch):
            chosen = np.arange(first, min(first + self.plan.batch, len(check)))
            given = check.features.rows_with(chosen, self.look(check, chosen).cpu())
            parts.append(mean_of(self.model.jury, *(g.to(self.device) for g in given)))
        self.model.load_state_dict(own)
        logits = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
        return judge(Predicted(*logits), check.truth)

    def save(self, judged: Judged) -> bool:
        """Save latest and, where they are, the best; True while the run is worth going on."""
        facts = {**asdict(self.plan), "start": self.start, "steps": self.progress.step}
        card = of_run(facts, judged)
        better_f1, better_loss = (
            judged.macro_f1 > self.progress.best_f1,
            judged.loss < self.progress.best_loss,
        )
        for name, wanted in (("latest", True), ("best_f1", better_f1), ("best_loss", better_loss)):
            if wanted:
                save(self.folder / f"{name}.safetensors", self.average, card)
        self.progress = replace(
            self.progress,
            best_f1=max(judged.macro_f1, self.progress.best_f1),
            best_loss=min(judged.loss, self.progress.best_loss),
            stale=0 if better_f1 or better_loss else self.progress.stale + 1,
        )
        self._save_state()
        return self.progress.stale < self.plan.patience

    def _save_state(self) -> None:
        """Everything that resuming needs, as tensors: nothing here is pickled."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()}
        for number, parts in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{key}": value for key, value in parts.items()}
        with (
            whole(self.folder / "progress.json") as progress,
            whole(self.folder / "state.safetensors") as state,
        ):
            save_file({k: v.contiguous() for k, v in tensors.items()}, state)
            progress.write_text(json.dumps(asdict(self.progress)))

    def _resume(self) -> None:
        """Go on where the run in this folder was; raises CheckpointError where it is another."""
        asked = self.progress.begun
        try:
            self.progress = Progress(**json.loads((self.folder / "progress.json").read_text()))
            tensors = load_file(self.folder / "state.safetensors", device=str(self.device))
        except (OSError, TypeError, ValueError, SafetensorError) as error:
            raise unreadable(self.folder, error) from error
        refuse_other(self.folder, self.progress.begun, asked, MAY_CHANGE)

        def part(of: str) -> dict[str, Tensor]:
            return {k.removeprefix(of): v for k, v in tensors.items() if k.startswith(of)}

        self.model.load_state_dict(part("model."))
        self.average = part("average.")
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in part("optimizer.").items():
            number, name = key.split(".")
            moments.setdefault(int(number), {})[name] = value
        state = self.optimizer.state_dict()
        state["state"] = moments
        self.optimizer.load_state_dict(state)


def tune(run: Run, training: Pool, check: Pool, log: Callable[[str], None]) -> None:
    """Tune until the time is spent or validation has not improved for `patience` looks; a run that
    has ended is left alone, since features and jurors are of its backbone.
    """
    if run.share_done == 1.0 or run.progress.stale >= run.plan.patience:
        why = "stopped early" if run.share_done < 1.0 else f"has had its {run.plan.hours:g} hours"
        log(f"{run.folder} {why}: kept (delete it to tune anew)")
        return
    plan = run.plan
    board = Board(run.folder / "tensorboard", run.progress.step)
    rng = np.random.default_rng((plan.seed, run.progress.step))
    if not run.progress.step:
        run.train_jury(training, rng, log)
        log(f"the jury alone: {run.judged(check).line()}")
    blurred, weights, running = Noise(training), sampling_weights(training.truth), 0.0
    last = time.monotonic()
    while run.share_done < 1.0:
        chosen = rng.choice(len(training), plan.batch, p=weights)
        value = run.step(training, chosen, blurred)
        running = value if not running else 0.98 * running + 0.02 * value
        now = time.monotonic()
        run.progress = replace(run.progress, spent_s=run.progress.spent_s + now - last)
        last, step = now, run.progress.step
        if step % SAY_EVERY == 0:
            board.loss(running, step)
            log(f"step {step}  {run.share_done:5.1%}  loss {running:.3f}")
        if step % plan.judge_every == 0 and not _judge(run, check, board, log):
            log("early stop")
            return
    _judge(run, check, board, log)


def _judge(run: Run, check: Pool, board: Board, log: Callable[[str], None]) -> bool:
    judged = run.judged(check)
    board.judged(judged, run.progress.step)
    log(f"judged at step {run.progress.step}: {judged.line()}")
    return run.save(judged)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("training/cache"))
    parser.add_argument("--run", type=Path, default=Path("training/runs/main"))
    parser.add_argument("--init", type=Path, help="start from the backbone of a checkpoint")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for name, value in asdict(Plan()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    plan = Plan(**{name: getattr(args, name) for name in asdict(Plan())})
    start = beginning(plan.seed, args.init)[0].eval()
    training, check = gather(start, args.cache, SETS), gather(start, args.cache, FOLDS)
    run = Run(args.run, plan, torch.device(args.device), args.init)
    tune(run, training, check, lambda s: print(s, flush=True))


if __name__ == "__main__":
    plainly(main)
