"""Facts about levels: how large the steps between neighbouring pixels and frames are.

A convolution sees a band, a repeated frame or a lone bright pixel only after many samples have
taught it; the share of pixels whose step exceeds a few levels shows them at once. All facts are
logarithms of shares or ratios, so that a thousandth and a tenth are both told apart.
"""

from __future__ import annotations

import torch
from torch import Tensor

STEPS = (0.6, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2)  # levels of 255
CHROMA = (4.0, 8.0, 16.0, 32.0, 48.0, 64.0, 96.0)
BLOCK_PX = 8
PURITY = (0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97)  # of the strongest channel, how much is colour
FRAME_FACTS = 4 * len(STEPS) + len(CHROMA) + len(PURITY) + 2 + 4 + 4
CHANGE_FACTS = 3 * len(STEPS)


def frame_facts(planes: Tensor) -> Tensor:
    """Facts of single frames: [N,3,H,W] -> [N,FRAME_FACTS]."""
    luma, chroma = planes[:, 0], planes[:, 1:]
    across = (luma[:, :, 1:] - luma[:, :, :-1]).abs()
    down = (luma[:, 1:] - luma[:, :-1]).abs()
    bend = (luma[:, :, 1:-1] - 0.5 * (luma[:, :, 2:] + luma[:, :, :-2])).abs()
    tint = (chroma[..., 1:] - chroma[..., :-1]).abs().amax(1)
    strength = (chroma.square().sum(1) + 1e-6).sqrt()
    ends = torch.stack([(luma < 2), (luma < 20), (luma > 232), (luma > 253)], dim=1)
    return torch.cat(
        [
            _shares(across, STEPS),
            _shares(down, STEPS),
            _shares(bend, STEPS),
            _shares(tint, STEPS),
            _shares(strength, CHROMA),
            _colour(planes),
            torch.log(ends.float().mean((2, 3)) + 1e-4),
            _grid(across, 2),
            _grid(down, 1),
        ],
        dim=1,
    )


def change_facts(planes: Tensor) -> Tensor:
    """Facts of how frames follow each other: [B,T,3,H,W] -> [B,T-1,CHANGE_FACTS].

    The change, the change of the change (its first row repeated), and the change of chroma.
    """
    luma = planes[:, :, 0]
    first = (luma[:, 1:] - luma[:, :-1]).abs()
    second = (luma[:, 1:-1] - 0.5 * (luma[:, 2:] + luma[:, :-2])).abs()
    tint = (planes[:, 1:, 1:] - planes[:, :-1, 1:]).abs().amax(2)
    bent = _shares(second.flatten(0, 1), STEPS).reshape(*second.shape[:2], -1)
    return torch.cat(
        [
            _shares(first.flatten(0, 1), STEPS).reshape(*first.shape[:2], -1),
            torch.cat([bent[:, :1], bent], dim=1),
            _shares(tint.flatten(0, 1), STEPS).reshape(*tint.shape[:2], -1),
        ],
        dim=2,
    )


def _colour(planes: Tensor) -> Tensor:
    """How pure colours are, and how often they hit the end of a channel: [N,3,H,W] -> [N,9]."""
    luma, blue, red = planes.unbind(1)
    blue, red = luma + blue / 0.564, luma + red / 0.713
    green = (luma - 0.299 * red - 0.114 * blue) / 0.587
    rgb = torch.stack([red, green, blue], dim=1)
    top, low = rgb.amax(1), rgb.amin(1)
    ends = torch.stack([(low < 1.5) & (top > 40), (top > 253.5) & (low < 200)], dim=1)
    clipped = torch.log(ends.float().mean((2, 3)) + 1e-4)
    return torch.cat([_shares((top - low) / (top + 8), PURITY), clipped], dim=1)


def _shares(values: Tensor, floors: tuple[float, ...]) -> Tensor:
    """log share of values above each floor: [N,h,w] -> [N,len(floors)]."""
    shares = [(values > floor).float().mean((1, 2)) for floor in floors]
    return torch.log(torch.stack(shares, dim=1) + 1e-4)


def _grid(step: Tensor, axis: int) -> Tensor:
    """How much the largest steps of an 8-pixel grid stand out, whatever its phase: [N,2].

    Steps are averaged by their place modulo 8: the largest and the second largest of the eight
    averages, against their mean.
    """
    line = step.clamp(max=24).mean(3 - axis)  # a strong edge is content, not a grid
    whole = line.shape[1] // BLOCK_PX * BLOCK_PX
    phases = line[:, :whole].reshape(line.shape[0], -1, BLOCK_PX).mean(1)  # [N,8]
    top = phases.topk(2, dim=1).values
    return torch.log((top + 0.05) / (phases.mean(1, keepdim=True) + 0.05))
