"""Train the filter: `python -m training.preprocess.train_filter --steps 1000`; stop it at will.

The gradient runs through the codec proxy and the metric; with `--real-share` above 0 some samples
are decoded by the real x265 (forward), the proxy then only lends its gradient (backward).
Run it again to resume; it stops early when validation has not improved for `patience` looks.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aqs_batch.encode.preprocess import PreprocessNet
from training.begun import refuse_other, unreadable
from training.command import plainly
from training.preprocess import codec_proxy
from training.preprocess.ladders import CRFS, load_all
from training.preprocess.objective import MIXES, OUTPUTS, Batch, Judge, Sampler, exact_metrics
from training.preprocess.quality import Metric
from training.preprocess.real_decode import RealDecode
from training.remembered import digest
from training.whole import whole


@dataclass(frozen=True)
class Plan:
    """Everything that shapes a run; goes into the model card."""

    steps: int = 1000
    batch: int = 3
    rate: float = 3e-3
    habit_rate: float = 2e-2
    weight_decay: float = 1e-4
    warmup: int = 20
    ema: float = 0.99
    clip_value: float = 0.5
    clip_norm: float = 1.0
    metric: str = "mix"
    real_share: float = 0.0
    judge_every: int = 100
    judge_samples: int = 12
    patience: int = 5
    seed: int = 7


@dataclass(frozen=True)
class Progress:
    """How far a run has come; saved beside its state."""

    step: int = 0
    best: float = math.inf
    stale: int = 0
    begun: Mapping[str, Any] = field(default_factory=dict)  # plan and start; older runs do not say


MAY_CHANGE = ("steps", "judge_every", "patience")  # in a run that goes on


def apply(net: PreprocessNet, batch: Batch) -> Tensor:
    """The filtered luma [B,OUTPUTS,H,W], 0-255; rounding passes its gradient straight through."""
    size, _, height, width = batch.frames.shape
    windows = torch.stack([batch.frames[:, t : t + 3] for t in range(OUTPUTS)], 1)
    # Mixed precision on a GPU only, and for the network only: VMAF needs its digits.
    with torch.autocast(windows.device.type, torch.bfloat16, enabled=windows.is_cuda):
        residual = net(
            windows.reshape(-1, 3, height, width) / 255, batch.crf.repeat_interleave(OUTPUTS)
        )
    exact = (batch.source + 255 * residual.float().reshape(size, OUTPUTS, height, width)).clamp(
        0, 255
    )
    return exact + (exact.round() - exact).detach()


class Run:
    """One training run in one folder."""

    def __init__(
        self, folder: Path, plan: Plan, judge: Judge, init: Path | None,
        device: torch.device | str = "cpu",
    ) -> None:  # fmt: skip
        self.folder, self.plan, self.judge = folder, plan, judge
        self.device = torch.device(device)
        torch.manual_seed(plan.seed)
        self.net = PreprocessNet().to(device)
        if init is not None:
            self.net.load_state_dict({k: v.float() for k, v in load_file(init).items()})
        self.average = {k: v.detach().clone() for k, v in self.net.state_dict().items()}
        habits = [p for n, p in self.net.named_parameters() if n.startswith("habit")]
        others = [p for n, p in self.net.named_parameters() if not n.startswith("habit")]
        self.optimizer = torch.optim.AdamW(
            [{"params": others, "base": plan.rate}, {"params": habits, "base": plan.habit_rate}],
            weight_decay=plan.weight_decay,
        )
        start = f"{init.name} {digest(init)}" if init else "nothing"
        self.progress = Progress(begun={**asdict(plan), "start": start})
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "progress.json").exists():
            self._resume()

    def step(self, batch: Batch, rng: np.random.Generator) -> Tensor:
        """One update; the metrics of the mix other than the guards are drawn by their weight."""
        plan, mix = self.plan, dict(MIXES[self.plan.metric])
        names = [n for n in mix if n not in ("ms_ssim", "psnr")]
        total = sum(mix[n] for n in names)
        drawn = str(rng.choice(names, p=[mix[n] / total for n in names]))
        weights = {drawn: total, "ms_ssim": mix["ms_ssim"], "psnr": mix["psnr"]}
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * self._schedule()
        batch = batch.to(self.device)
        judged = self.judge.judge(apply(self.net, batch), batch, list(weights))
        loss = sum(w * judged.bd_rate(batch, n).mean() for n, w in weights.items())
        assert isinstance(loss, Tensor)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_value_(self.net.parameters(), plan.clip_value)
        nn.utils.clip_grad_norm_(self.net.parameters(), plan.clip_norm)
        self.optimizer.step()
        self._average()
        self.progress = replace(self.progress, step=self.progress.step + 1)
        return judged.rate.detach()

    def _schedule(self) -> float:
        step, plan = self.progress.step, self.plan
        if step < plan.warmup:
            return (step + 1) / plan.warmup
        return max(0.5 * (1 + math.cos(math.pi * min(1.0, step / plan.steps))), 0.02)

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.plan.ema, 1 - 1 / (self.progress.step + 2))
        for name, value in self.net.state_dict().items():
            self.average[name].lerp_(value, 1 - keep)

    def averaged(self) -> PreprocessNet:
        net = PreprocessNet()
        net.load_state_dict(self.average)
        return net.eval().to(self.device)

    @torch.no_grad()
    def validate(self, sampler: Sampler) -> dict[str, float]:
        """Estimated BD-rates in percent over fixed samples: every CRF, the clips in turn."""
        rng, net, rows = np.random.default_rng(11), self.averaged(), []
        for number in range(self.plan.judge_samples):
            batch = sampler.at(rng, [number % len(sampler)], [float(CRFS[number % len(CRFS)])])
            batch = batch.to(self.device)
            names = list(self.judge.metrics)
            judged = self.judge.judge(apply(net, batch), batch, names, plain_scores=True)
            rows.append([100 * float(judged.bd_rate(batch, n)) for n in names])
        return dict(zip(self.judge.metrics, np.mean(rows, 0).tolist(), strict=True))

    def keep(self, found: dict[str, float]) -> bool:
        """Save latest and perhaps best; False when it is time to stop."""
        score = sum(w * found[n] for n, w in MIXES[self.plan.metric].items())
        better = score < self.progress.best
        self.progress = replace(
            self.progress,
            best=min(score, self.progress.best),
            stale=0 if better else self.progress.stale + 1,
        )
        if better:
            self._save_best(found)
        with whole(self.folder / "latest.safetensors") as latest:
            save_file(self.average, latest)
        self._save_state()
        return self.progress.stale < self.plan.patience

    def _save_best(self, found: dict[str, float]) -> None:
        """The best weights, and the facts that go into their card: of these and no later ones."""
        done = {"start": self.progress.begun["start"], "step": self.progress.step}
        facts = {"plan": asdict(self.plan), **done, "validation": found}
        with (
            whole(self.folder / "facts.json") as told,
            whole(self.folder / "best.safetensors") as best,
        ):
            save_file(self.average, best)
            told.write_text(json.dumps(facts, indent=1))

    def _save_state(self) -> None:
        state = {f"net.{k}": v.clone() for k, v in self.net.state_dict().items()}
        state |= {f"average.{k}": v for k, v in self.average.items()}
        for number, parts in self.optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{number}.{k}": v.clone() for k, v in parts.items()}
        with (
            whole(self.folder / "progress.json") as progress,
            whole(self.folder / "state.safetensors") as unfinished,
        ):
            save_file(state, unfinished)
            progress.write_text(json.dumps(asdict(self.progress)))

    def _resume(self) -> None:
        """Go on where the run in this folder was; raises CheckpointError where it is another."""
        asked = self.progress.begun
        try:
            stored = json.loads((self.folder / "progress.json").read_text())
            self.progress = Progress(**{"begun": asked, **stored})
            tensors = load_file(self.folder / "state.safetensors", device=str(self.device))
            self.net.load_state_dict(_part(tensors, "net."))
            self.average = _part(tensors, "average.")
            self.averaged()
        except (OSError, RuntimeError, TypeError, ValueError, SafetensorError) as error:
            raise unreadable(self.folder, error) from error
        refuse_other(self.folder, self.progress.begun, asked, MAY_CHANGE)
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in _part(tensors, "optimizer.").items():
            number, name = key.split(".")
            moments.setdefault(int(number), {})[name] = value
        state = self.optimizer.state_dict()
        state["state"] = moments
        self.optimizer.load_state_dict(state)


def _part(tensors: Mapping[str, Tensor], of: str) -> dict[str, Tensor]:
    return {k.removeprefix(of): v for k, v in tensors.items() if k.startswith(of)}


def metrics(name: str, cache: Path, device: torch.device) -> dict[str, Metric]:
    """The metrics a run needs; validation always shows exact VMAF and NEG."""
    found = exact_metrics(device)
    if name == "proxy":
        from training.preprocess import vmaf_proxy

        found["proxy"] = vmaf_proxy.load(cache, device)
    return found


def train(run: Run, training: Sampler, validation: Sampler, real: RealDecode | None) -> None:
    """Train until the steps are spent or validation stands still; a run that has ended is kept."""
    if run.progress.stale >= run.plan.patience or run.progress.step >= run.plan.steps:
        early = run.progress.step < run.plan.steps
        why = "stopped early" if early else f"has had its {run.plan.steps} steps"
        print(f"{run.folder} {why}: kept (delete it to train anew)", flush=True)
        return
    rng = np.random.default_rng((run.plan.seed, run.progress.step))
    began = time.monotonic()
    first = run.progress.step
    while run.progress.step < run.plan.steps:
        batch = training.draw(rng, run.plan.batch)
        if real is not None:
            real.active = bool(rng.random() < run.plan.real_share)
        rate = run.step(batch, rng)
        step = run.progress.step
        if step % 20 == 0:
            pace = (time.monotonic() - began) / (step - first)
            left = (run.plan.steps - step) * pace / 60
            habit = run.net.habit.weight.detach()[:, 0].tolist()
            print(
                f"step {step}  bits {100 * float(rate.mean()):+.1f} %  "
                f"habit {' '.join(f'{g:+.2f}' for g in habit)}  {left:.0f} min left",
                flush=True,
            )
        if step % run.plan.judge_every == 0 or step == run.plan.steps:
            found = run.validate(validation)
            print("validation " + "  ".join(f"{k} {v:+.2f}" for k, v in found.items()), flush=True)
            if not run.keep(found):
                print("early stop", flush=True)
                return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("training/cache/preprocess"))
    parser.add_argument("--run", type=Path, default=Path("training/runs/preprocess"))
    parser.add_argument("--init", type=Path, help="start from these weights")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for name, value in asdict(Plan()).items():
        choices = sorted(MIXES) if name == "metric" else None
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=type(value), default=value, choices=choices
        )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    plan = Plan(**{name: getattr(args, name) for name in asdict(Plan())})
    device = torch.device(args.device)
    proxy, real = codec_proxy.load(args.cache).to(device), None
    if plan.real_share:
        real = RealDecode(proxy)
    judge = Judge(real or proxy, metrics(plan.metric, args.cache, device))
    run = Run(args.run, plan, judge, args.init, device)
    train(
        run,
        Sampler(list(load_all(args.cache, "train"))),
        Sampler(list(load_all(args.cache, "val"))),
        real,
    )


if __name__ == "__main__":
    plainly(main)
