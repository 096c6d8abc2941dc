"""The learned VMAF proxy: a siamese 3-D network over reference, distorted and their difference.

`python -m training.preprocess.vmaf_proxy labels` draws crops of three frames from the real ladders
and labels each crop with the exact VMAF of that very crop; `... train` fits the network;
`... judge` reports it on the validation sources. All are resumable by running them again.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from training.command import plainly
from training.preprocess.ladders import CRFS, RealLadder, load_all
from training.preprocess.quality import ExactVmaf
from training.sources import seed
from training.whole import whole

WINDOW = 3
CROP_PX = 160
FAINT = 2e-3  # variance of a feature below which nothing is told
FLATTEST = 2.0  # standard deviation of a crop, in levels

Weights = dict[str, Tensor]


class VmafProxy(nn.Module):
    """Reference and distorted luma [B,3,H,W] in 0-255 to VMAF [B], 0-100, of the middle frame.

    The three branches share their weights. Their features are compared in their energies, and place
    by place as VIF and SSIM compare pixels, so that any size will do.
    """

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.stem = nn.Conv3d(1, width, (WINDOW, 5, 5), (1, 2, 2), (0, 2, 2))
        self.levels = nn.ModuleList(
            nn.Conv2d(a, b, 3, 2, 1)
            for a, b in ((width, 2 * width), (2 * width, 2 * width), (2 * width, 2 * width))
        )
        facts = 6 * (width + 3 * 2 * width)
        self.regress = nn.Sequential(
            nn.LayerNorm(facts), nn.Linear(facts, 64), nn.GELU(), nn.Linear(64, 1)
        )

    def forward(self, reference: Tensor, distorted: Tensor) -> Tensor:
        count = len(reference)
        difference = (reference - distorted).abs()
        # The difference starts from black, the pictures from grey.
        joined = torch.cat([reference - 128, distorted - 128, 4 * difference])[:, None] / 64
        x = F.gelu(self.stem(joined)[:, :, 0])
        facts = [*_facts(x, count)]
        for level in self.levels:
            x = F.gelu(level(x))
            facts += _facts(x, count)
        return 100 * torch.sigmoid(self.regress(torch.cat(facts, 1))[:, 0] + 1)


def _facts(x: Tensor, count: int) -> list[Tensor]:
    reference, distorted, difference = x[:count], x[count : 2 * count], x[2 * count :]
    energy = [t.square().mean((2, 3)) for t in (reference, distorted, difference)]
    gap = (reference - distorted).square().mean((2, 3))
    logs = [torch.log(e + 1e-4) for e in (*energy, gap)]
    kept = _information_kept(reference, distorted)
    return [logs[0], logs[1] - logs[0], logs[2], logs[3] - logs[0], *kept]


def _information_kept(reference: Tensor, distorted: Tensor) -> list[Tensor]:
    """VIF (Sheikh and Bovik, 2006) and SSIM's structure of each channel: [N,C,h,w] -> 2 x [N,C].

    VMAF is made of ratios of local detail; energies of whole maps cannot tell where it was lost.
    """
    mean, other = _near(reference), _near(distorted)
    own = (_near(reference.square()) - mean.square()).clamp(min=0)
    theirs = (_near(distorted.square()) - other.square()).clamp(min=0)
    shared = _near(reference * distorted) - mean * other
    gain = (shared / (own + FAINT)).clamp(0, 1)
    noise = (theirs - gain * shared).clamp(min=0)
    told = torch.log1p(gain.square() * own / (noise + FAINT)).mean((2, 3))
    could = torch.log1p(own / FAINT).mean((2, 3))
    alike = ((2 * shared + FAINT) / (own + theirs + FAINT)).mean((2, 3))
    return [(told + 0.01) / (could + 0.01), alike]


def _near(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


@dataclass(frozen=True)
class Labelled:
    """Crops and their exact scores: uint8[N,2,3,P,P] (reference, distorted) and float32[N]."""

    pixels: NDArray[np.uint8]
    score: NDArray[np.float32]


def label(ladders: list[RealLadder], count: int, name: str) -> Labelled:
    """`count` crops over all ladders and CRFs, each with the VMAF of its middle frame."""
    rng = np.random.default_rng(seed("vmaf proxy", name))
    vmaf, pixels = ExactVmaf(neg=False), []
    scores: list[float] = []
    while len(scores) < count:
        ladder = ladders[len(scores) % len(ladders)]
        frames, height, width = ladder.y.shape
        start = int(rng.integers(0, frames - WINDOW + 1))
        top, left = (int(rng.integers(0, n - CROP_PX + 1)) for n in (height, width))
        cut = (slice(start, start + WINDOW), slice(top, top + CROP_PX), slice(left, left + CROP_PX))
        crop = np.stack([ladder.y[cut], ladder.decoded[int(rng.integers(len(CRFS)))][cut]])
        if crop[0].std() < FLATTEST and rng.random() < 0.9:
            continue
        reference, distorted = torch.from_numpy(crop.astype(np.float32))
        with torch.no_grad():
            motion = vmaf.motion(reference)[1:2]
            score = vmaf(reference[None, 1:2], distorted[None, 1:2], motion[None])
        pixels.append(crop)
        scores.append(float(score.clamp(0, 100)))
        if len(scores) % 200 == 0:
            print(f"{name}: {len(scores)} of {count}", flush=True)
    return Labelled(np.stack(pixels), np.array(scores, np.float32))


def labelled(cache: Path, split: str, count: int) -> Labelled:
    """The labelled crops of a split, made once."""
    path = cache / f"vmaf_labels_{split}_{count}.npz"
    if not path.exists():
        found = label(list(load_all(cache, split)), count, split)
        with whole(path) as unfinished:
            np.savez(unfinished, pixels=found.pixels, score=found.score)
    with np.load(path, allow_pickle=False) as stored:
        return Labelled(stored["pixels"], stored["score"])


@dataclass(frozen=True)
class Judged:
    """Against exact VMAF on sources never seen."""

    mae: float
    rmse: float
    plcc: float
    srcc: float
    count: int


@torch.no_grad()
def judge(net: VmafProxy, data: Labelled) -> Judged:
    from scipy.stats import pearsonr, spearmanr

    net.eval()
    said = np.concatenate(
        [
            net(*torch.from_numpy(data.pixels[n : n + 32].astype(np.float32)).unbind(1)).numpy()
            for n in range(0, len(data.score), 32)
        ]
    )
    error = said - data.score
    return Judged(
        float(np.abs(error).mean()), float(np.sqrt((error**2).mean())),
        float(pearsonr(said, data.score).statistic), float(spearmanr(said, data.score).statistic),
        len(said),
    )  # fmt: skip


def train(
    cache: Path, training: Labelled, validation: Labelled, epochs: int, rate: float
) -> Judged:
    """Fit, keeping the best on validation; an interrupted run goes on from its last epoch."""
    torch.manual_seed(5)
    net, best, first = VmafProxy(), math.inf, 0
    average = {k: v.clone() for k, v in net.state_dict().items()}
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-4)
    state = cache / "vmaf_proxy_state.safetensors"
    if state.exists():
        first, best = _resume(state, net, average, optimizer)
    size = 16
    steps = epochs * (len(training.score) // size)
    for epoch in range(first, epochs):
        order = np.random.default_rng((5, epoch))  # the same whether or not it was stopped before
        shuffled = order.permutation(len(training.score))
        for at in range(len(shuffled) // size):
            done = (epoch * (len(shuffled) // size) + at) / steps
            for group in optimizer.param_groups:
                group["lr"] = rate * max(0.5 * (1 + math.cos(math.pi * done)), 0.02)
            _update(net, optimizer, training, shuffled[at * size : (at + 1) * size], order)
            for key, value in net.state_dict().items():
                average[key].lerp_(value, 0.02)
        shown = VmafProxy()
        shown.load_state_dict(average)
        judged = judge(shown, validation)
        print(f"epoch {epoch + 1} of {epochs}: {judged}", flush=True)
        if judged.mae < best:
            best = judged.mae
            with whole(cache / "vmaf_proxy.safetensors") as unfinished:
                save_file(average, unfinished)
        _save(state, net, average, optimizer, (epoch + 1, best))
    return judge(load(cache).net, validation)


def _save(
    path: Path, net: VmafProxy, average: Weights, optimizer: torch.optim.Optimizer,
    done: tuple[int, float],
) -> None:  # fmt: skip
    """All that going on needs, in one file: the epochs done and the best error, too."""
    state = {f"net.{k}": v.clone() for k, v in net.state_dict().items()}
    state |= {f"average.{k}": v for k, v in average.items()}
    for number, parts in optimizer.state_dict()["state"].items():
        state |= {f"optimizer.{number}.{k}": v.clone() for k, v in parts.items()}
    state["done"] = torch.tensor(done, dtype=torch.float64)
    with whole(path) as unfinished:
        save_file(state, unfinished)


def _resume(
    path: Path, net: VmafProxy, average: Weights, optimizer: torch.optim.Optimizer
) -> tuple[int, float]:
    """Take over what `_save` stored, in place; returns the epochs done and the best error."""
    stored = load_file(path)
    moments: dict[int, Weights] = {}
    epoch, best = stored.pop("done").tolist()
    for name, tensor in stored.items():
        of, _, key = name.partition(".")
        if of == "average":
            average[key] = tensor
        elif of == "optimizer":
            number, _, part = key.partition(".")
            moments.setdefault(int(number), {})[part] = tensor
    net.load_state_dict({k[4:]: v for k, v in stored.items() if k.startswith("net.")})
    state = optimizer.state_dict()
    optimizer.load_state_dict({**state, "state": moments})
    return int(epoch), best


def _update(
    net: VmafProxy, optimizer: torch.optim.Optimizer, data: Labelled, rows: NDArray[np.int64],
    rng: np.random.Generator,
) -> None:  # fmt: skip
    net.train()
    pixels = torch.from_numpy(data.pixels[np.sort(rows)].astype(np.float32))
    for dim in (-1, -2, 2):  # mirrored, upside down, backwards
        if rng.random() < 0.5:
            pixels = pixels.flip(dim)
    said = net(*pixels.unbind(1))
    loss = F.smooth_l1_loss(said, torch.from_numpy(data.score[np.sort(rows)]), beta=4.0)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    optimizer.step()


@dataclass(frozen=True)
class ProxyMetric:
    """The proxy as a metric of `training.preprocess.quality`: the motion feature is not needed."""

    net: VmafProxy

    def __call__(self, source: Tensor, decoded: Tensor, motion: Tensor) -> Tensor:
        scores = []
        last = source.shape[1] - 1
        for t in range(source.shape[1]):
            window = [max(t - 1, 0), t, min(t + 1, last)]
            scores.append(self.net(source[:, window], decoded[:, window]))
        return torch.stack(scores, 1)


def load(cache: Path, device: torch.device | str = "cpu") -> ProxyMetric:
    """The trained proxy, frozen."""
    net = VmafProxy().eval().requires_grad_(False).to(device)
    net.load_state_dict(load_file(cache / "vmaf_proxy.safetensors"))
    return ProxyMetric(net)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("labels", "train", "judge"))
    parser.add_argument("--cache", type=Path, default=Path("training/cache/preprocess"))
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--val-samples", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    validation = labelled(args.cache, "val", args.val_samples)
    if args.what == "judge":
        print(judge(load(args.cache).net, validation))
        return
    training = labelled(args.cache, "train", args.samples)
    if args.what == "train":
        judged = train(args.cache, training, validation, args.epochs, args.rate)
        with whole(args.cache / "vmaf_proxy.json") as unfinished:
            unfinished.write_text(json.dumps(asdict(judged), indent=1))
        print(judged)


if __name__ == "__main__":
    plainly(main)
