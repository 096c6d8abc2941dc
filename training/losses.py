"""The training loss: presence, intensity where present, quality, and the order of qualities."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from aqs_batch.analysis.model import Logits

INTENSITY_WEIGHT, QUALITY_WEIGHT, RANK_WEIGHT = 1.0, 2.0, 0.2
RANK_MARGIN, RANK_SHARPNESS = 0.05, 10.0


def loss(logits: Logits, presence: Tensor, intensity: Tensor, quality: Tensor) -> Tensor:
    """Scalar loss; presence is [B,10] in {0, 1, -1 unknown}, the others are 0-1.

    A quality of -1 is unknown, too; every batch must hold some that are known.
    """
    known = (presence >= 0).float()
    wrong = F.binary_cross_entropy_with_logits(
        logits.presence, presence.clamp(min=0).float(), reduction="none"
    )
    present = (presence == 1).float()
    off = F.smooth_l1_loss(logits.intensity.sigmoid(), intensity, reduction="none", beta=0.1)
    guess, judged = logits.quality.sigmoid(), quality >= 0
    return (
        (wrong * known).sum() / known.sum().clamp(min=1)
        + INTENSITY_WEIGHT * (off * present).sum() / present.sum().clamp(min=1)
        + QUALITY_WEIGHT * F.smooth_l1_loss(guess[judged], quality[judged], beta=0.1)
        + RANK_WEIGHT * _rank(guess[judged], quality[judged])
    )


def _rank(guess: Tensor, quality: Tensor) -> Tensor:
    """Pairs whose true qualities differ should be in that order."""
    gap = quality[:, None] - quality[None, :]
    pairs = (gap > RANK_MARGIN).float()
    order = F.softplus(-RANK_SHARPNESS * (guess[:, None] - guess[None, :]))
    return (order * pairs).sum() / pairs.sum().clamp(min=1)
