"""Facts about colour: how strong it is, where it points, and whether it moves with the light.

An edge that was amplified in chroma alone shows in the ratio of chroma to luma gradients.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

HUES = 8
CHROMA_FACTS = 2 * HUES + 12


def chroma_facts(luma: Tensor, blue: Tensor, red: Tensor) -> Tensor:
    """Facts of single frames: Y, Cb, Cr in levels, each [N,H,W] -> [N,CHROMA_FACTS]."""
    luma, blue, red = (p[:, ::2, ::2] for p in (luma, blue, red))
    strength = (blue.square() + red.square() + 1e-3).sqrt()
    total = strength.mean((1, 2)) + 1e-3
    angles = [2 * math.pi * h / HUES for h in range(HUES // 2)]
    along = [blue * math.cos(a) + red * math.sin(a) for a in angles]
    ahead = torch.stack([a.clamp(min=0).mean((1, 2)) for a in along], dim=1)
    both = torch.stack([a.mean((1, 2)) for a in along], dim=1)
    hues = torch.cat([ahead, ahead - both], dim=1) / total[:, None]  # the other half: opposite
    ends = [a.amax((1, 2)) for a in along] + [-a.amin((1, 2)) for a in along]
    tops = torch.log(torch.stack(ends, dim=1).clamp(min=0) + 2)
    centred = [p - p.mean((1, 2), keepdim=True) for p in (luma, blue, red)]
    spread = [c.square().mean((1, 2)) + 0.3 for c in centred]
    tilt = (centred[1] * centred[2]).mean((1, 2)) / (spread[1] * spread[2]).sqrt()
    with_luma = [
        (centred[0] * centred[k]).mean((1, 2)) / (spread[0] * spread[k]).sqrt() for k in (1, 2)
    ]
    slopes = [_slope(p) for p in (luma, blue, red)]
    ratios = [torch.log(slopes[k] / slopes[0]) for k in (1, 2)]
    widths = [torch.log(spread[k] / spread[0]) for k in (1, 2)]
    balance = [torch.log(spread[1] / spread[2]), torch.log(slopes[1] / slopes[2])]
    pure = strength / (luma.clamp(min=0) + 16)
    purity = [torch.log(pure.mean((1, 2)) + 1e-2), torch.log(pure.amax((1, 2)) + 1e-2)]
    rest = [tilt, *with_luma, *ratios, *widths, *balance, *purity, torch.log(total)]
    return torch.cat([hues, tops, torch.stack(rest, dim=1)], dim=1)


def _slope(plane: Tensor) -> Tensor:
    """Mean absolute step over two pixels: [N,h,w] -> [N]."""
    across = (plane[:, :, 2:] - plane[:, :, :-2]).abs().mean((1, 2))
    down = (plane[:, 2:] - plane[:, :-2]).abs().mean((1, 2))
    return across + down + 0.1
