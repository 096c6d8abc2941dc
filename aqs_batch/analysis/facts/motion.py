"""Facts about time: what a frame shares with earlier ones, and whether it is a mixture of them.

In a moving place the fine detail of one frame is elsewhere in the next; where it is found at its
old place too, the frame holds a ghost.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from aqs_batch.analysis.facts.edges import QUANTILES, quiet
from aqs_batch.analysis.facts.levels import BETWEEN

LAGS = (1, 2, 3)
MOVES = 5 + BETWEEN  # levels: something moves here
MOTION_FACTS = 3 * len(LAGS) + 6 + len(QUANTILES)


def motion_facts(luma: Tensor, steps: Tensor) -> Tensor:
    """Facts of luma [B,T,H,W] and its steps [B,T-1,H,W] -> [B,T-1,MOTION_FACTS]."""
    batch, frames = luma.shape[:2]
    # Pools take the frames as channels, which is what their fast paths run along.
    fine = luma - F.avg_pool2d(luma, 3, 1, 1, count_include_pad=False)
    changes = torch.cat([steps, *(luma[:, lag:] - luma[:, :-lag] for lag in LAGS[1:])], dim=1)
    moves = (changes.abs() > MOVES).float()
    moving = F.max_pool2d(F.max_pool2d(moves, (1, 5), 1, (0, 2)), (5, 1), 1, (2, 0))
    by_lag = torch.split(moving, [frames - lag for lag in LAGS], dim=1)
    power = fine.square()
    columns = [_shared(fine, power, *pair) for pair in zip(LAGS, by_lag, strict=True)]
    columns += [_mixture(luma, steps, power)]
    columns += [quiet(steps.abs().flatten(0, 1)[:, None]).reshape(batch, frames - 1, -1)]
    return torch.cat(columns, dim=2)


def _shared(fine: Tensor, squared: Tensor, lag: int, moving: Tensor) -> Tensor:
    """How alike fine detail is at the same place `lag` frames apart where something moves.

    Correlation over moving places, the share of those places, and the correlation's excess over
    that of the next longer lag; the first rows are repeated. Fine detail and its square [B,T,H,W],
    moving places [B,T-lag,H,W] -> [B,T-1,3].
    """
    both = (moving * fine[:, lag:] * fine[:, :-lag]).mean((2, 3))
    power = 0.5 * (moving * (squared[:, lag:] + squared[:, :-lag])).mean((2, 3))
    alike = both / (power + 0.05)
    share = torch.log(moving.mean((2, 3)) + 1e-2)
    loud = torch.log(power + 0.05)
    rows = torch.stack([alike, share, loud], dim=2)
    return torch.cat([rows[:, :1].expand(-1, lag - 1, -1), rows], dim=1)


def _mixture(luma: Tensor, steps: Tensor, squared: Tensor) -> Tensor:
    """Whether a frame is a blend of its neighbours: [B,T,H,W] -> [B,T-1,6].

    The best weight and what it leaves over, as shares of the neighbours' difference; the change of
    fine detail's power; the first row repeated.
    """
    span = luma[:, :-2] - luma[:, 2:]
    room = span.square().mean((2, 3))
    weight = -(steps[:, 1:] * span).mean((2, 3)) / (room + 0.5)
    left = steps[:, 1:].square().mean((2, 3)) - weight.square() * room
    leftover = torch.log((left.clamp(min=0) + 0.3) / (room + 0.3))
    rows = torch.stack([weight.clamp(-1, 2), (weight - 0.5).abs().clamp(max=1.5), leftover], dim=2)
    rows = torch.cat([rows[:, :1], rows], dim=1)
    power = torch.log(squared.mean((2, 3)) + 0.05)  # [B,T]
    step = power[:, 1:] - power[:, :-1]
    level = steps.mean((2, 3))
    extra = torch.stack([step, step.abs(), torch.asinh(level)], dim=2)
    return torch.cat([rows, extra], dim=2)
