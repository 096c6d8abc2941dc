"""What the filter is trained to lower: an estimate of its BD-rate, with the bits counted.

For one clip at one CRF, to first order,

    BD-rate ~ w(CRF) * ln(bits filtered / bits plain) - k * (score filtered - score plain)

k turns score into bytes: the slope of the clip's own real ladder, ln(bytes) over score; w(CRF) is
the share of the score's range that this CRF stands for, since BD-rate integrates over the score.
A filter that only sharpens pays for its score in the first term.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from training.preprocess.codec_proxy import CodecProxy
from training.preprocess.ladders import CRFS, RealLadder
from training.preprocess.quality import ExactVmaf, Metric, ms_ssim_db, psnr_db
from training.preprocess.real_decode import RealDecode

OUTPUTS = 3  # frames filtered a sample, the first of them intra in the codec proxy
INTRA_SHARE = 0.1  # what a key frame may weigh: clips have one in 48 to 250 frames
CROP = (192, 256)
# How the objective weighs each score; MS-SSIM and PSNR are the guard against mere contrast.
MIXES: Mapping[str, Mapping[str, float]] = {
    "vmaf": {"vmaf": 0.85, "ms_ssim": 0.1, "psnr": 0.05},
    "neg": {"neg": 0.85, "ms_ssim": 0.1, "psnr": 0.05},
    "mix": {"vmaf": 0.08, "neg": 0.6, "ms_ssim": 0.24, "psnr": 0.08},
    "proxy": {"proxy": 0.85, "ms_ssim": 0.1, "psnr": 0.05},
}
# Slopes of the guards in ln(bytes) per decibel: six decibels of PSNR are about two bits a pixel.
GUARD_SLOPE = {"ms_ssim": 0.19, "psnr": 0.21}


@dataclass(frozen=True)
class Slopes:
    """What a clip's real ladder says: k per score, and w per CRF (mean 1)."""

    per_score: Mapping[str, float]
    weight: tuple[float, ...]


def slopes(ladder: RealLadder) -> Slopes:
    """From real bytes and real libvmaf scores; scores that hardly move are bounded."""
    bytes_range = float(np.log(ladder.size_bytes[0] / ladder.size_bytes[-1]))
    means = {"vmaf": ladder.vmaf.mean(1), "neg": ladder.neg.mean(1)}
    per_score = {k: bytes_range / max(float(v[0] - v[-1]), 15.0) for k, v in means.items()}
    span = -np.gradient((means["vmaf"] + means["neg"]) / 2, np.array(CRFS, float))
    weight = np.clip(span, 0.05, None)
    return Slopes(per_score, tuple((weight / weight.mean()).tolist()))


@dataclass(frozen=True)
class Batch:
    """window uint8-valued float [B,OUTPUTS+2,H,W], motion fields, VMAF motion, CRF, slopes."""

    frames: Tensor
    flow: Tensor
    motion: Tensor
    crf: Tensor
    weight: Tensor
    per_score: Mapping[str, Tensor]

    @property
    def source(self) -> Tensor:
        return self.frames[:, 1:-1]

    def to(self, device: torch.device) -> Batch:
        tensors = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        per_score = {k: v.to(device) for k, v in self.per_score.items()}
        return replace(self, **tensors, per_score=per_score)


class Sampler:
    """Random crops of real ladders, with everything the objective needs beside them."""

    def __init__(self, ladders: Sequence[RealLadder]) -> None:
        self._ladders = list(ladders)
        self._slopes = [slopes(ladder) for ladder in self._ladders]
        vmaf = ExactVmaf(neg=False)
        with torch.no_grad():
            self._motion = [vmaf.motion(torch.from_numpy(x.y).float()) for x in self._ladders]

    def __len__(self) -> int:
        return len(self._ladders)

    def draw(self, rng: np.random.Generator, size: int) -> Batch:
        """`size` samples; CRFs are drawn between the ladder's rungs as well as on them."""
        return self.at(rng, [int(n) for n in rng.integers(0, len(self), size)],
                       rng.uniform(CRFS[0] - 1, CRFS[-1] + 1, size).tolist())  # fmt: skip

    def at(self, rng: np.random.Generator, indices: Sequence[int], crfs: Sequence[float]) -> Batch:
        parts = [self._one(rng, n) for n in indices]
        chosen = [self._slopes[n] for n in indices]
        frames, flow, motion = (torch.stack([p[k] for p in parts]) for k in range(3))
        weight = [float(np.interp(c, CRFS, s.weight)) for c, s in zip(crfs, chosen, strict=True)]
        per_score = {k: torch.tensor([s.per_score[k] for s in chosen]) for k in chosen[0].per_score}
        crf = torch.tensor(crfs, dtype=torch.float32)
        return Batch(frames, flow, motion, crf, torch.tensor(weight), per_score)

    def _one(self, rng: np.random.Generator, index: int) -> tuple[Tensor, Tensor, Tensor]:
        ladder = self._ladders[index]
        count, height, width = ladder.y.shape
        rows, columns = CROP
        start = int(rng.integers(0, count - OUTPUTS - 1))
        top, left = (
            int(rng.integers(0, (a - b) // 8 + 1)) * 8
            for a, b in ((height, rows), (width, columns))
        )
        cut = (
            slice(start, start + OUTPUTS + 2),
            slice(top, top + rows),
            slice(left, left + columns),
        )
        frames = torch.from_numpy(ladder.y[cut].astype(np.float32))
        inner = slice(start + 1, start + 1 + OUTPUTS)
        flow = ladder.flow[
            inner, :, top // 8 : (top + rows) // 8, left // 8 : (left + columns) // 8
        ]
        field = torch.from_numpy(flow.astype(np.float32))
        if rng.random() < 0.5:  # mirrored, its motion too
            frames, field = (
                frames.flip(-1),
                field.flip(-1) * torch.tensor([-1.0, 1.0])[None, :, None, None],
            )
        return frames, field, self._motion[index][inner]


@dataclass(frozen=True)
class Judgement:
    """Parts of the objective per sample, [B]: ln of the bit ratio, and each score's gain."""

    rate: Tensor
    gains: Mapping[str, Tensor]

    def bd_rate(self, batch: Batch, name: str) -> Tensor:
        """The estimated BD-rate in ln units by one score."""
        slope = batch.per_score.get(name, batch.per_score["vmaf"])
        if name in GUARD_SLOPE:
            return self.rate - GUARD_SLOPE[name] * self.gains[name]
        return batch.weight * self.rate - slope * self.gains[name]


class Judge:
    """Codec proxy and metrics together; scores the inter frames of a sample."""

    def __init__(self, proxy: CodecProxy | RealDecode, metrics: Mapping[str, Metric]) -> None:
        self.proxy = proxy
        self.metrics = {**metrics, "ms_ssim": _guard(ms_ssim_db), "psnr": _guard(psnr_db)}

    def decode(self, luma: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.proxy(luma, batch.flow, batch.crf, INTRA_SHARE)

    def judge(
        self, filtered: Tensor, batch: Batch, names: Sequence[str], plain_scores: bool = False
    ) -> Judgement:
        """`plain_scores` also scores the plain encode, which gradients do not need."""
        decoded, bits = self.decode(filtered, batch)
        with torch.no_grad():
            plain, plain_bits = self.decode(batch.source, batch)
        gains = {}
        for name in names:
            gained = self._score(name, decoded, batch)
            if plain_scores:
                with torch.no_grad():
                    gained = gained - self._score(name, plain, batch)
            gains[name] = gained
        return Judgement(self.proxy.bits_ratio(bits, plain_bits, batch.crf), gains)

    def _score(self, name: str, decoded: Tensor, batch: Batch) -> Tensor:
        inter = slice(1, OUTPUTS)
        score = self.metrics[name](
            batch.source[:, inter], decoded[:, inter], batch.motion[:, inter]
        )
        return score.mean(1)


def _guard(metric: Callable[[Tensor, Tensor], Tensor]) -> Metric:
    return lambda source, decoded, motion: metric(source, decoded)


def exact_metrics(device: torch.device | str = "cpu") -> dict[str, Metric]:
    """Exact VMAF and NEG, on the device of the training."""
    return {"vmaf": ExactVmaf(neg=False, device=device), "neg": ExactVmaf(neg=True, device=device)}
