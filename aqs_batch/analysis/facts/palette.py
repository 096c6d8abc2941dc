"""Facts about a whole frame's palette: how strong its colours are, how bright, and both together.

What was paled is weak in its strongest colours and as bright as ever; what was made garish is
strong where it is dark, and runs into the ends of single channels.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from aqs_batch.analysis.facts.levels import BETWEEN, channels

PLACES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 0.99, 0.999)  # in an order of all points
# Where bands of brightness begin and end, between the values that luma takes.
BANDS = tuple(level + BETWEEN for level in (-1.0, 50.0, 100.0, 160.0, 215.0, 256.0))
FEW = 20  # points; a band with fewer tells little of its colours
SHARE = 0.002  # eight points; fewer are nearly none
PALETTE_FACTS = 3 * len(PLACES) + 3 * (len(BANDS) - 1) + 8


def palette_facts(luma: Tensor, blue: Tensor, red: Tensor) -> Tensor:
    """Of the points of single frames: Y, Cb, Cr in levels, each [N,h,w] -> [N,PALETTE_FACTS]."""
    strength = (blue.square() + red.square()).sqrt()
    every = torch.stack(channels(luma, blue, red))
    top, low = every.amax(0), every.amin(0)
    ordered = [_ordered(p) for p in (strength, (top - low) / (top + 8), luma)]
    ends = [end for channel in every for end in (channel < 1.5, channel > 253.5)]
    ends += [(low < 1.5) & (top > 30.5), (top > 253.5) & (low < 199.5)]
    clipped = torch.stack([torch.log(end.float().mean((1, 2)) + SHARE) for end in ends], dim=1)
    orders = [torch.log(ordered[0] + 1), ordered[1], ordered[2] / 100]
    return torch.cat([*orders, _by_brightness(luma, strength), clipped], dim=1)


def _ordered(values: Tensor) -> Tensor:
    """The values at PLACES of the order of all: [N,h,w] -> [N,len(PLACES)]."""
    flat = values[:, :, ::2].flatten(1)  # half of the points: sorting is what takes time here
    last = int(flat.shape[1]) - 1  # (a tensor while a model is traced)
    chosen = [round(place * last) for place in PLACES]
    return flat.sort(dim=1).values[:, chosen]


def _by_brightness(luma: Tensor, strength: Tensor) -> Tensor:
    """Of each band of brightness its share, and how strong colours are in it, on average and as a
    root of mean squares: [N,h,w] each -> [N,3*bands].
    """
    found = []
    for begin, end in pairwise(BANDS):
        inside = ((luma > begin) & (luma < end)).float()
        points = inside.sum((1, 2))
        mean, square = (
            (p * inside).sum((1, 2)) / (points + FEW) for p in (strength, strength.square())
        )
        share = points / (luma.shape[1] * luma.shape[2])
        found += [share, torch.log(mean + 0.5), torch.log((square + 1e-6).sqrt() + 0.5)]
    return torch.stack(found, dim=1)
