"""Facts about trails: what is left of an edge in the frames after it has moved on, and before.

Where an edge was and has gone, a frame shows a part of it only if it is a mixture with earlier
frames: a ghost. The part that is left one and two frames later is counted over all strong edges,
and the same backwards in time: what moves by itself looks alike both ways, a trail does not.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from aqs_batch.analysis.facts.levels import BETWEEN

STRONG = 5 + BETWEEN  # levels from one 2x2 mean to the next: an edge
# Shares of an edge; no simple fractions, which grey edges would meet exactly.
SHARES = (-0.5503, -0.2507, -0.1009, 0.1009, 0.2003, 0.3011, 0.4201, 0.5801, 0.7507, 0.9203, 1.1003)
FEW = 100.0  # edges: so many tell little
PLACES = len(SHARES) + 1  # below the first share, between two, above the last
CELLS = PLACES**2
TRAIL_FACTS = 2 * CELLS + 1


def trail_facts(luma: Tensor) -> Tensor:
    """What is left of edges one and two frames later and earlier: [B,T,H,W] -> [B,TRAIL_FACTS]."""
    small = F.avg_pool2d(luma, 2)
    edges = small[..., 1:] - small[..., :-1], small[..., 1:, :] - small[..., :-1, :]
    later, earlier = [], []
    for edge in edges:
        now, next_, second = edge[:, :-2], edge[:, 1:-1], edge[:, 2:]
        later.append(_left(now, next_, second))
        earlier.append(_left(second, next_, now))
    after, before = (across + down for across, down in (later, earlier))
    total = torch.log(after.sum(1, keepdim=True) + FEW)
    after, before = _shares(after), _shares(before)
    return torch.cat([after + before, after - before, total], dim=1)


def _left(edge: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """How many strong edges have how much left at two times: three [B,T,h,w] -> [B,CELLS]."""
    size = edge.abs()
    row, column = (_cell(size, torch.where(edge < 0, -shown, shown)) for shown in (first, second))
    cell = torch.where(size > STRONG, row * PLACES + column, float(CELLS)).flatten(1)
    counts = torch.zeros(cell.shape[0], CELLS + 1, device=cell.device)
    return counts.scatter_add(1, cell.long(), torch.ones_like(cell))[:, :CELLS]


def _cell(size: Tensor, shown: Tensor) -> Tensor:
    """How many of the shares of its size an edge still shows, 0 to all of them: [B,T,h,w]."""
    count = torch.zeros_like(size)
    for share in SHARES:
        count = count + (shown > share * size).float()
    return count


def _shares(counts: Tensor) -> Tensor:
    """Square roots of the shares of edges in each cell: [B,CELLS] -> [B,CELLS]."""
    return (counts / (counts.sum(1, keepdim=True) + FEW)).sqrt()
