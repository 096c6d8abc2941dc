"""The training loss: presence, intensity where present, quality, and the order of qualities."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from aqs_batch.analysis.model import Logits
from aqs_batch.records import Artifact
from training.effect import SCALES

INTENSITY_WEIGHT, QUALITY_WEIGHT, RANK_WEIGHT = 1.0, 2.0, 0.2
RANK_MARGIN, RANK_SHARPNESS = 0.05, 10.0
HELD_PRESENCE, HELD_QUALITY = 2.0, 1.0
# Errors of intensity count as parts of the artifact's span: else banding, whose intensities are
# 0.045 to 0.22, would hardly be worth learning.
SPANS = tuple(SCALES[a].span for a in Artifact)
FAINTEST = 1e-3


def loss(
    logits: Logits,
    presence: Tensor,
    intensity: Tensor,
    quality: Tensor,
    weight: Tensor | None = None,
) -> Tensor:
    """Scalar loss; presence is [B,10] in {0, 1, -1 unknown}, the others are 0-1.

    A quality of -1 is unknown, too; every batch must hold some that are known. `weight` [B] says
    how much each sample counts, one as much as another by default.
    """
    weight = torch.ones_like(quality) if weight is None else weight
    rows = weight[:, None]
    known, present = (presence >= 0) * rows, (presence == 1) * rows
    wrong = F.binary_cross_entropy_with_logits(
        logits.presence, presence.clamp(min=0).float(), reduction="none"
    )
    spans = torch.tensor(SPANS, device=intensity.device)
    off = F.smooth_l1_loss(
        F.logsigmoid(logits.intensity) / spans,
        intensity.clamp(min=FAINTEST).log() / spans,
        reduction="none",
        beta=0.1,
    )
    judged = quality >= 0
    guess, quality, weight = logits.quality.sigmoid()[judged], quality[judged], weight[judged]
    apart = F.smooth_l1_loss(guess, quality, reduction="none", beta=0.1)
    return (
        (wrong * known).sum() / known.sum().clamp(min=1)
        + INTENSITY_WEIGHT * (off * present).sum() / present.sum().clamp(min=1)
        + QUALITY_WEIGHT * (apart * weight).sum() / weight.sum().clamp(min=1)
        + RANK_WEIGHT * _rank(guess, quality, weight)
    )


def held(logits: Logits, before: Logits, presence: Tensor, weight: Tensor | None = None) -> Tensor:
    """How far scores are from what an earlier jury said of the same samples.

    Where a label contradicts it the label alone counts; what nobody labelled is held, too. (After
    Li and Hoiem, Learning without Forgetting, 2016.)
    """
    said = before.presence.sigmoid()
    weight = torch.ones_like(before.quality) if weight is None else weight
    rows = ((presence < 0) | ((said - presence).abs() <= 0.5)) * weight[:, None]
    apart = F.binary_cross_entropy_with_logits(logits.presence, said, reduction="none")
    moved = F.smooth_l1_loss(
        logits.quality.sigmoid(), before.quality.sigmoid(), reduction="none", beta=0.1
    )
    presence_off = (apart * rows).sum() / rows.sum().clamp(min=1)
    quality_off = (moved * weight).sum() / weight.sum().clamp(min=1)
    return HELD_PRESENCE * presence_off + HELD_QUALITY * quality_off


def _rank(guess: Tensor, quality: Tensor, weight: Tensor) -> Tensor:
    """Pairs whose true qualities differ should be in that order."""
    gap = quality[:, None] - quality[None, :]
    pairs = (gap > RANK_MARGIN) * weight[:, None] * weight[None, :]
    order = F.softplus(-RANK_SHARPNESS * (guess[:, None] - guess[None, :]))
    return (order * pairs).sum() / pairs.sum().clamp(min=1)
