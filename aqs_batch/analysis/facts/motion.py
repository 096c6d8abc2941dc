"""Facts about time: what a frame shares with earlier ones, and whether it is a mixture of them.

In a moving place the fine detail of one frame is elsewhere in the next; where it is found at its
old place too, the frame holds a ghost.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from aqs_batch.analysis.facts.edges import QUANTILES, quiet

LAGS = (1, 2, 3)
MOTION_FACTS = 3 * len(LAGS) + 6 + len(QUANTILES)


def motion_facts(luma: Tensor) -> Tensor:
    """Facts of steps between frames: [B,T,H,W] luma -> [B,T-1,MOTION_FACTS]."""
    batch, frames = luma.shape[:2]
    flat = luma.flatten(0, 1)[:, None]
    soft = F.avg_pool2d(flat, 3, 1, 1, count_include_pad=False)
    fine = (flat - soft).reshape(luma.shape)
    columns = [_shared(luma, fine, lag) for lag in LAGS]
    columns += [_mixture(luma, fine)]
    still = (luma[:, 1:] - luma[:, :-1]).abs().flatten(0, 1)[:, None]
    columns += [quiet(still).reshape(batch, frames - 1, -1)]
    return torch.cat(columns, dim=2)


def _shared(luma: Tensor, fine: Tensor, lag: int) -> Tensor:
    """How alike fine detail is at the same place `lag` frames apart where something moves.

    Correlation over moving places, the share of those places, and the correlation's excess over
    that of the next longer lag; the first rows are repeated. [B,T,H,W] -> [B,T-1,3].
    """
    change = luma[:, lag:] - luma[:, :-lag]
    moving = F.max_pool2d((change.abs() > 5.0).float(), 5, 1, 2)
    now, then = fine[:, lag:], fine[:, :-lag]
    both = (moving * now * then).mean((2, 3))
    power = 0.5 * (moving * (now.square() + then.square())).mean((2, 3))
    alike = both / (power + 0.05)
    share = torch.log(moving.mean((2, 3)) + 1e-2)
    loud = torch.log(power + 0.05)
    rows = torch.stack([alike, share, loud], dim=2)
    return torch.cat([rows[:, :1].expand(-1, lag - 1, -1), rows], dim=1)


def _mixture(luma: Tensor, fine: Tensor) -> Tensor:
    """Whether a frame is a blend of its neighbours: [B,T,H,W] -> [B,T-1,6].

    The best weight and what it leaves over, as shares of the neighbours' difference; the change of
    fine detail's power; the first row repeated.
    """
    before, middle, after = luma[:, :-2], luma[:, 1:-1], luma[:, 2:]
    span = before - after
    room = span.square().mean((2, 3))
    weight = ((middle - after) * span).mean((2, 3)) / (room + 0.5)
    left = (middle - after).square().mean((2, 3)) - weight.square() * room
    leftover = torch.log((left.clamp(min=0) + 0.3) / (room + 0.3))
    rows = torch.stack([weight.clamp(-1, 2), (weight - 0.5).abs().clamp(max=1.5), leftover], dim=2)
    rows = torch.cat([rows[:, :1], rows], dim=1)
    power = torch.log(fine.square().mean((2, 3)) + 0.05)  # [B,T]
    step = power[:, 1:] - power[:, :-1]
    level = (luma[:, 1:] - luma[:, :-1]).mean((2, 3))
    extra = torch.stack([step, step.abs(), torch.asinh(level)], dim=2)
    return torch.cat([rows, extra], dim=2)
