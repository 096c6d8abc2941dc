"""Facts about how soft a whole frame is, from points spread over it.

Neighbouring points of a sharp picture have little to do with each other: going on in the same
direction, brightness bends about as much as it steps. What was blurred over many pixels is smooth
from point to point, and a tile of it cannot be told from a sky's (docs/decisions/025).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

# From a point to the next along rows, columns, diagonals and between: down, across.
WAYS = ((0, 1), (1, 0), (1, 1), (1, -1), (1, 2), (1, -2), (2, 1), (2, -1))
REACH = 2
LEAST = 0.3  # levels; below it is rounding
SOFTNESS_FACTS = 4 * len(WAYS) + 1


def prepare() -> None:
    """Make the kernels before a model is traced."""
    _kernels()


def softness_facts(luma: Tensor) -> Tensor:
    """Of the luma of points, in levels: [N,h,w] -> [N,SOFTNESS_FACTS].

    How much steps bend, how large they are beside the contrast of all, and how uneven both are.
    """
    kernels = _kernels().to(luma.device, luma.dtype)
    steps, bends = F.conv2d(luma[:, None], kernels).abs().flatten(2).chunk(2, dim=1)
    step, bend = (m.mean(2) + LEAST for m in (steps, bends))  # each [N,len(WAYS)]
    uneven = [(m.square().mean(2).sqrt() + LEAST) for m in (steps, bends)]
    contrast = luma.flatten(1).std(1, keepdim=True) + 1.0
    ratios = [bend / step, step / contrast, uneven[0] / step, uneven[1] / bend, contrast]
    return torch.log(torch.cat(ratios, dim=1))


@cache
def _kernels() -> Tensor:
    """Steps from the middle to the next point, then bends at the middle: [2*len(WAYS),1,5,5].

    Made in numpy: filled in torch while a model is traced, OpenVINO had the bends wrong.
    """
    side = 2 * REACH + 1
    kernels = np.zeros((2 * len(WAYS), 1, side, side), np.float32)
    for number, (down, across) in enumerate(WAYS):
        ahead, behind = (REACH + down, REACH + across), (REACH - down, REACH - across)
        step, bend = kernels[number, 0], kernels[len(WAYS) + number, 0]
        step[ahead], step[REACH, REACH] = 1.0, -1.0
        bend[ahead], bend[behind], bend[REACH, REACH] = -0.5, -0.5, 1.0
    return torch.from_numpy(kernels)
