"""Facts about levels: how large the steps between neighbouring pixels and frames are.

A convolution sees a band, a repeated frame or a lone bright pixel only after many samples have
taught it; the share of pixels whose step exceeds a few levels shows them at once. All facts are
logarithms of shares or ratios, so that a thousandth and a tenth are both told apart.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Luma of whole RGB levels is a multiple of 0.001. All thresholds lie between such values: one that
# met a value exactly would be decided by rounding, and that differs from backend to backend.
BETWEEN = 0.00025
STEPS = tuple(s + BETWEEN for s in (0.6, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2))  # levels of 255
CHROMA = tuple(c + BETWEEN for c in (4.0, 8.0, 16.0, 32.0, 48.0, 64.0, 96.0))
ENDS = tuple(e + BETWEEN for e in (1.5, 19.5, 232.5, 253.5))  # two dark, two bright
BLOCK_PX = 8
BASE = 256
# Of the strongest channel, how much is colour.
PURITY = tuple(p + BETWEEN for p in (0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97))
COLOURS = len(CHROMA) + len(PURITY) + 2
FRAME_FACTS = 4 * len(STEPS) + COLOURS + 4 + 4
CHANGE_FACTS = 3 * len(STEPS)


def frame_facts(luma: Tensor, blue: Tensor, red: Tensor) -> Tensor:
    """Facts of single frames: Y, Cb, Cr in levels, each [N,H,W] -> [N,FRAME_FACTS]."""
    across = (luma[:, :, 1:] - luma[:, :, :-1]).abs()
    down = (luma[:, 1:] - luma[:, :-1]).abs()
    bend = (luma[:, :, 1:-1] - 0.5 * (luma[:, :, 2:] + luma[:, :, :-2])).abs()
    tint = torch.maximum(*((p[..., 1:] - p[..., :-1]).abs() for p in (blue, red)))
    return torch.cat(
        [
            _shares(across, STEPS),
            _shares(down, STEPS),
            _shares(bend, STEPS),
            _shares(tint, STEPS),
            colours(luma, blue, red),
            _rates(*(luma < e for e in ENDS[:2]), *(luma > e for e in ENDS[2:])),
            _grid(across, 2),
            _grid(down, 1),
        ],
        dim=1,
    )


def change_facts(luma: Tensor, steps: Tensor, blue: Tensor, red: Tensor) -> Tensor:
    """Facts of how frames follow each other: planes [B,T,H,W] -> [B,T-1,CHANGE_FACTS].

    The change (`steps` of luma, [B,T-1,H,W]), the change of the change (its first row repeated),
    and the change of chroma.
    """
    first = steps.abs()
    second = (luma[:, 1:-1] - 0.5 * (luma[:, 2:] + luma[:, :-2])).abs()
    tint = torch.maximum(*((p[:, 1:] - p[:, :-1]).abs() for p in (blue, red)))
    bent = _shares(second.flatten(0, 1), STEPS).reshape(*second.shape[:2], -1)
    return torch.cat(
        [
            _shares(first.flatten(0, 1), STEPS).reshape(*first.shape[:2], -1),
            torch.cat([bent[:, :1], bent], dim=1),
            _shares(tint.flatten(0, 1), STEPS).reshape(*tint.shape[:2], -1),
        ],
        dim=2,
    )


def colours(luma: Tensor, blue: Tensor, red: Tensor) -> Tensor:
    """How strong and how pure colours are, and how often they hit the end of a channel.

    Y, Cb, Cr in levels, each [N,H,W] -> [N,COLOURS].
    """
    strength = (blue.square() + red.square() + 1e-6).sqrt()
    red, green, blue = channels(luma, blue, red)
    top = torch.maximum(torch.maximum(red, green), blue)
    low = torch.minimum(torch.minimum(red, green), blue)
    clipped = _rates((low < 1.5) & (top > 40.5), (top > 253.5) & (low < 199.5))
    pure = _shares((top - low) / (top + 8), PURITY)
    return torch.cat([_shares(strength, CHROMA), pure, clipped], dim=1)


def channels(luma: Tensor, blue: Tensor, red: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Y, Cb, Cr in levels -> red, green and blue, all of one shape."""
    blue, red = luma + blue / 0.564, luma + red / 0.713
    return red, (luma - 0.299 * red - 0.114 * blue) / 0.587, blue


def _shares(values: Tensor, floors: tuple[float, ...]) -> Tensor:
    """log share of values above each floor: [N,h,w] -> [N,len(floors)]."""
    return _rates(*(values > floor for floor in floors))


def _rates(*masks: Tensor) -> Tensor:
    """log share of pixels that are set, of each mask [N,h,w] -> [N,len(masks)].

    Up to three masks are counted at once, as digits to the base 256 of one number: a line's sum
    stays below 2**24, where float32 is exact, so the counts are those of one mask at a time.
    """
    assert masks[0].shape[2] < BASE, "a line's count must fit into a digit"
    counts = []
    for first in range(0, len(masks), 3):
        digits = masks[first : first + 3]
        code = digits[0].float()
        for place, mask in enumerate(digits[1:], start=1):
            code = code + torch.where(mask, float(BASE**place), 0.0)
        lines = code.sum(2)
        for _ in digits[1:]:
            higher = torch.floor(lines / BASE)
            counts.append((lines - BASE * higher).sum(1))
            lines = higher
        counts.append(lines.sum(1))
    pixels = masks[0].shape[1] * masks[0].shape[2]
    return torch.log(torch.stack(counts, dim=1) / pixels + 1e-4)


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
