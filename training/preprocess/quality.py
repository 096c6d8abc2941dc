"""Differentiable quality of decoded luma against its source: exact VMAF and NEG, SSIM over scales.

`--metric vmaf|neg|mix` uses vmaf-torch, which agrees with libvmaf to a hundredth when frames are
paired by index; `--metric proxy` the learned VMAF proxy.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F
from vmaf_torch import VMAF


class Metric(Protocol):
    """Source and decoded luma [B,T,H,W] in 0-255 and the source's motion [B,T] to scores [B,T]."""

    def __call__(self, source: Tensor, decoded: Tensor, motion: Tensor) -> Tensor: ...


class ExactVmaf:
    """VMAF v0.6.1 or its NEG twin, 0-100, clipped above as libvmaf clips it."""

    def __init__(self, neg: bool, device: torch.device | str = "cpu") -> None:
        self._model = VMAF(NEG=neg).eval().to(device)
        for parameter in self._model.parameters():
            parameter.requires_grad_(False)

    def __call__(self, source: Tensor, decoded: Tensor, motion: Tensor) -> Tensor:
        shape = source.shape
        reference, distorted = (x.reshape(-1, 1, *shape[-2:]) for x in (source, decoded))
        adm = self._model.compute_adm_score(reference, distorted)
        vif = self._model.compute_vif_features(reference, distorted)
        return (
            self._model.predict(adm, motion.reshape(-1, 1), vif).reshape(shape[:2]).clamp(max=100)
        )

    def motion(self, source: Tensor) -> Tensor:
        """The motion feature of consecutive source frames: [T,H,W] to [T]."""
        return self._model.compute_motion2(source[:, None])[:, 0]


def ms_ssim_db(source: Tensor, decoded: Tensor, scales: int = 4) -> Tensor:
    """Multi-scale SSIM (8x8 box windows) in decibels, [B,T]; a guard, not a reported figure."""
    a, b = (x.reshape(-1, 1, *x.shape[-2:]) for x in (source, decoded))
    weights = torch.tensor([0.0517, 0.3295, 0.3462, 0.2726][:scales], device=a.device)
    logs = []
    for scale in range(scales):
        if scale:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        means = [F.avg_pool2d(x, 8, 4) for x in (a, b, a * a, b * b, a * b)]
        mean_a, mean_b, aa, bb, ab = means
        contrast = (2 * (ab - mean_a * mean_b) + 58.5) / (aa - mean_a**2 + bb - mean_b**2 + 58.5)
        logs.append(contrast.clamp(min=0.01).mean((1, 2, 3)).log())
    score = torch.exp((torch.stack(logs, 1) * weights).sum(1)).clamp(max=0.9999)
    return (-10 * torch.log10(1 - score)).reshape(source.shape[:2])


def psnr_db(source: Tensor, decoded: Tensor) -> Tensor:
    """PSNR of each frame, [B,T]."""
    return 10 * torch.log10(255**2 / ((source - decoded) ** 2).mean((-1, -2)).clamp(min=0.05))
