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
TRAIL_FACTS = 2 * (len(SHARES) + 1) ** 2 + 1


def trail_facts(luma: Tensor) -> Tensor:
    """What is left of edges one and two frames later and earlier: [B,T,H,W] -> [B,TRAIL_FACTS]."""
    small = F.avg_pool2d(luma, 2)
    edges = small[..., 1:] - small[..., :-1], small[..., 1:, :] - small[..., :-1, :]
    later, earlier = [], []
    for edge in edges:
        now, next_, second = edge[:, :-2], edge[:, 1:-1], edge[:, 2:]
        later.append(_left(now, next_, second))
        earlier.append(_left(second, next_, now))
    total = torch.log((later[0] + later[1])[:, 0, :1] + FEW)
    after, before = (_shares(across + down) for across, down in (later, earlier))
    return torch.cat([after + before, after - before, total], dim=1)


def _left(edge: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """How many edges have more than each share left at two times: three [B,T,h,w] -> [B,S+1,S+1].

    Row and column 0 count all of them.
    """
    size, side = edge.abs(), edge.sign()
    strong = (size > STRONG).float()
    at = [_reached(size, side * shown, strong) for shown in (first, second)]
    return (at[0] @ at[1].transpose(2, 3)).sum(1)


def _reached(size: Tensor, shown: Tensor, strong: Tensor) -> Tensor:
    """Which edges show more than each share of their size: three [B,T,h,w] -> [B,T,S+1,h*w]."""
    masks = [strong, *((shown > share * size).float() * strong for share in SHARES)]
    return torch.stack(masks, dim=2).flatten(3)


def _shares(counts: Tensor) -> Tensor:
    """Square roots of the shares of edges in each cell, from counts of what lies above its
    corner: [B,S+1,S+1] -> [B,(S+1)**2].
    """
    rows = counts - F.pad(counts[:, 1:], (0, 0, 0, 1))
    cells = rows - F.pad(rows[..., 1:], (0, 1))
    return (cells.clamp(min=0) / (counts[:, :1, :1] + FEW)).sqrt().flatten(1)
