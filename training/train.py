"""Train AqsNet: `python -m training.train --hours 1.5`; stop it at will, run it again to resume.

One script for two CPU cores and for a GPU. Samples come from the shards that training.dataset
writes, which may still be growing. The schedule runs over the time budget: small crops first, full
tiles last, cosine learning rate with optional warm restarts.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from aqs_batch.analysis.checkpoint import ModelCard, save
from aqs_batch.analysis.model import ARCHITECTURE, AqsNet
from aqs_batch.analysis.transform import transform
from aqs_batch.records import TILE_PX
from training.dataset import Shards
from training.judge import Judged, judge, predict
from training.losses import loss
from training.start import imagenet_start, warm_start


@dataclass(frozen=True)
class Plan:
    """Everything that shapes a training run; goes into the model card."""

    hours: float = 1.5
    batch: int = 16
    small_px: int = 112
    full_from: float = 0.85  # the share of the time after which crops are full tiles
    rate: float = 1.5e-3
    backbone_share: float = 0.2
    weight_decay: float = 1e-4
    warmup: float = 0.03
    cycles: int = 1
    ema: float = 0.998
    judge_every: int = 400
    judge_samples: int = 256
    patience: int = 10
    seed: int = 7


@dataclass(frozen=True)
class Progress:
    """How far a run has come; saved beside `latest`."""

    step: int = 0
    spent_s: float = 0.0
    best_f1: float = 0.0
    best_loss: float = math.inf
    stale: int = 0


class Run:
    """One training run in one folder."""

    def __init__(
        self, folder: Path, plan: Plan, device: torch.device, warm: Path | None = None
    ) -> None:
        self.folder, self.plan, self.device = folder, plan, device
        torch.manual_seed(plan.seed)
        self.model = AqsNet()
        self.start = imagenet_start(self.model) if warm is None else warm_start(self.model, warm)
        self.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        backbone = list(self.model.backbone.parameters())
        known = {id(p) for p in backbone}
        heads = [p for p in self.model.parameters() if id(p) not in known]
        self.optimizer = torch.optim.AdamW(
            [{"params": heads}, {"params": backbone}], weight_decay=plan.weight_decay
        )
        self.progress = Progress()
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "progress.json").exists():
            self._resume()

    def share_done(self, now_s: float) -> float:
        return min((self.progress.spent_s + now_s) / (self.plan.hours * 3600), 1.0)

    def set_rate(self, share: float) -> None:
        plan = self.plan
        if share < plan.warmup:
            factor = share / plan.warmup
        else:
            turn = (share - plan.warmup) / (1 - plan.warmup) * plan.cycles % 1.0
            factor = 0.5 * (1 + math.cos(math.pi * turn)) if share < 1 else 0.0
        rate = plan.rate * max(factor, 0.01)
        for group, scale in zip(
            self.optimizer.param_groups, (1.0, plan.backbone_share), strict=True
        ):
            group["lr"] = rate * scale

    def step(self, batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> float:
        tiles, presence, intensity, quality = (t.to(self.device) for t in batch)
        self.model.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            logits = self.model(transform(tiles, self.device))
        value = loss(type(logits)(*(t.float() for t in logits)), presence, intensity, quality)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        self.optimizer.step()
        self._average()
        self.progress = replace(self.progress, step=self.progress.step + 1)
        return value.item()

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.plan.ema, 1 - 1 / (self.progress.step + 2))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - keep)
            else:
                self.average[name].copy_(value)

    def averaged_model(self) -> AqsNet:
        model = AqsNet()
        model.load_state_dict(self.average)
        model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model.eval()

    def save(self, judged: Judged, spent_s: float) -> bool:
        """Save latest and, where they are, the best; True while the run is worth going on."""
        card = self.card(judged)
        better_f1, better_loss = (
            judged.macro_f1 > self.progress.best_f1,
            judged.loss < self.progress.best_loss,
        )
        for name, wanted in (("latest", True), ("best_f1", better_f1), ("best_loss", better_loss)):
            if wanted:
                save(self.folder / f"{name}.safetensors", self.average, card)
        self.progress = replace(
            self.progress,
            spent_s=spent_s,
            best_f1=max(judged.macro_f1, self.progress.best_f1),
            best_loss=min(judged.loss, self.progress.best_loss),
            stale=0 if better_f1 or better_loss else self.progress.stale + 1,
        )
        self._save_state()
        return self.progress.stale < self.plan.patience

    def card(self, judged: Judged) -> ModelCard:
        return ModelCard(
            name="aqs-b0",
            version="0.1.0",
            architecture=ARCHITECTURE,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            training={**asdict(self.plan), "start": self.start, "steps": self.progress.step},
            metrics={"validation": judged.as_dict()},
        )

    def _save_state(self) -> None:
        """Everything that resuming needs, as tensors: nothing here is pickled."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()}
        for number, parts in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{key}": value for key, value in parts.items()}
        save_file(
            {k: v.contiguous() for k, v in tensors.items()}, self.folder / "state.safetensors"
        )
        (self.folder / "progress.json").write_text(json.dumps(asdict(self.progress)))

    def _resume(self) -> None:
        self.progress = Progress(**json.loads((self.folder / "progress.json").read_text()))
        tensors = load_file(self.folder / "state.safetensors", device=str(self.device))
        part = lambda p: {k.removeprefix(p): v for k, v in tensors.items() if k.startswith(p)}  # noqa: E731
        self.model.load_state_dict(part("model."))
        self.average = part("average.")
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in part("optimizer.").items():
            number, name = key.split(".")
            moments.setdefault(int(number), {})[name] = value
        state = self.optimizer.state_dict()
        state["state"] = moments
        self.optimizer.load_state_dict(state)


def draw_batch(
    shards: Shards, rng: np.random.Generator, size: int, crop_px: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A random batch with random crops and mirrorings: uint8[B,7,crop,crop,3] and its labels."""
    truth = shards.truth
    chosen = rng.integers(0, len(shards), size)
    tiles = []
    for index in chosen:
        y, x = rng.integers(0, TILE_PX - crop_px + 1, 2)
        tile = shards.tile(int(index))[:, y : y + crop_px, x : x + crop_px]
        tiles.append(tile[:, :, ::-1] if rng.random() < 0.5 else tile)
    return (
        torch.from_numpy(np.ascontiguousarray(np.stack(tiles))),
        torch.from_numpy(truth.presence[chosen]),
        torch.from_numpy(truth.intensity[chosen]),
        torch.from_numpy(truth.quality[chosen]),
    )


def train(run: Run, training: Shards, validation: Shards, log: Callable[[str], None]) -> None:
    """Train until the time is spent or validation has not improved for `patience` looks."""
    plan = run.plan
    board = SummaryWriter(str(run.folder / "tensorboard"))
    rng = np.random.default_rng((plan.seed, run.progress.step))
    began, before_s, running = time.monotonic(), run.progress.spent_s, 0.0
    while (share := run.share_done(time.monotonic() - began)) < 1.0:
        run.set_rate(share)
        crop = plan.small_px if share < plan.full_from else TILE_PX
        size = plan.batch if crop < TILE_PX else plan.batch // 2
        value = run.step(draw_batch(training, rng, size, crop))
        running = value if not running else 0.98 * running + 0.02 * value
        step = run.progress.step
        if step % 10 == 0:
            board.add_scalar("train/loss", running, step)
            log(
                f"step {step}  {share:5.1%}  loss {running:.3f}  {crop} px  {len(training)} samples"
            )
        if step % plan.judge_every == 0:
            training.refresh()
            if not _judge(run, validation, board, log, before_s + time.monotonic() - began):
                log("early stop")
                return
            began, before_s = time.monotonic(), run.progress.spent_s
    _judge(run, validation, board, log, before_s + time.monotonic() - began)


def _judge(
    run: Run, validation: Shards, board: SummaryWriter, log: Callable[[str], None], spent_s: float
) -> bool:
    validation.refresh()
    count = min(run.plan.judge_samples, len(validation))
    judged = judge(predict(run.averaged_model(), validation, count, run.device), validation.truth)
    for key, value in judged.as_dict().items():
        if isinstance(value, float):
            board.add_scalar(f"val/{key}", value, run.progress.step)
    log(f"judged at step {run.progress.step}: {judged.line()}")
    return run.save(judged, spent_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("training/cache"))
    parser.add_argument("--run", type=Path, default=Path("training/runs/main"))
    parser.add_argument("--init", type=Path, help="start from a checkpoint's fitting tensors")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for name, value in asdict(Plan()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    plan = Plan(**{name: getattr(args, name) for name in asdict(Plan())})
    run = Run(args.run, plan, torch.device(args.device), args.init)
    shards = args.cache / "shards"
    train(run, Shards(shards / "train"), Shards(shards / "val"), lambda s: print(s, flush=True))


if __name__ == "__main__":
    main()
