"""Facts about edges and smooth places: how wide edges are, what ripples beside them, what steps.

Blur widens edges; ringing alternates beside them and nowhere else; banding turns slopes to stairs;
noise is what is left where a picture is quietest.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from aqs_batch.analysis.facts.levels import BETWEEN, STEPS

STEEP = 24 + BETWEEN  # levels: a strong edge
FLAT = 1.5 + BETWEEN
REACHES = ((8, 14 + BETWEEN), (16, 24 + BETWEEN))  # cell in pixels, levels: a slope, not an edge
STAIRS = STEPS[:5]
CELL_PX = 16
ZONE_PX = 4
QUANTILES = (0.02, 0.1, 0.3, 0.6)
EDGE_FACTS = 9 + 17 + len(REACHES) * (3 + len(STAIRS)) + 2 * len(QUANTILES) + 4


def edge_facts(luma: Tensor, blue: Tensor, red: Tensor) -> Tensor:
    """Facts of single frames: Y, Cb, Cr in levels, each [N,H,W] -> [N,EDGE_FACTS]."""
    luma, blue, red = luma[:, None], blue[:, None], red[:, None]
    step = _step(luma)
    return torch.cat(
        [
            _edge_width(luma),
            _ringing(luma, step),
            _stairs(luma, step),
            quiet(_immerkaer(luma)),
            quiet(torch.maximum(_immerkaer(blue), _immerkaer(red))),
            _comb(luma),
        ],
        dim=1,
    )


def _edge_width(luma: Tensor) -> Tensor:
    """Range of a cell over its steepest step, where the cell has an edge: [N,1,H,W] -> [N,9].

    For steps across, down and along the two diagonals; their mean, the sharpest and the softest
    direction, and how the cells' widths are spread.
    """
    steps = (
        (luma[..., 1:] - luma[..., :-1])[..., 1:, :],
        (luma[..., 1:, :] - luma[..., :-1, :])[..., 1:],
        (luma[..., 1:, 1:] - luma[..., :-1, :-1]) * 0.7071,
        (luma[..., 1:, :-1] - luma[..., :-1, 1:]) * 0.7071,
    )
    tops = torch.cat([F.max_pool2d(s.abs(), CELL_PX) for s in steps], dim=1)  # [N,4,h,w]
    high = F.max_pool2d(luma[..., 1:, 1:], CELL_PX)
    low = -F.max_pool2d(-luma[..., 1:, 1:], CELL_PX)
    reach = (high - low).clamp(min=1)
    edge = (reach > 30 + BETWEEN).float()
    count = edge.sum((1, 2, 3)) + 0.5
    width = torch.log(reach / tops.clamp(min=0.5))  # [N,4,h,w]
    each = (width * edge).sum((2, 3)) / count[:, None]  # [N,4]
    sharp = width.amin(1, keepdim=True)
    mean = (sharp * edge).sum((1, 2, 3)) / count
    square = (sharp.square() * edge).sum((1, 2, 3)) / count
    # (cells without an edge count as softest, so that the minimum is over edges alone)
    sharpest = (sharp + 9 * (1 - edge)).amin((1, 2, 3)).clamp(max=6)
    by_cell = ((width.amax(1) - width.amin(1)) * edge[:, 0]).sum((1, 2)) / count
    extra = torch.stack([each.amin(1), each.amax(1), mean, square, sharpest, by_cell], dim=1)
    ends = torch.stack([(each[:, 0] - each[:, 1]).abs(), (each[:, 2] - each[:, 3]).abs()], dim=1)
    return torch.cat([extra, ends, torch.log(edge.mean((1, 2, 3)) + 1e-3)[:, None]], dim=1)


def _ringing(luma: Tensor, step: Tensor) -> Tensor:
    """Alternation beside strong edges against elsewhere, at three scales: [N,1,H,W] -> [N,17].

    Zones are cells of four pixels: with an edge, up to two cells away from one, further away.
    """
    edge = (F.max_pool2d(step, ZONE_PX) > STEEP).float()
    beside = F.max_pool2d(edge, 5, 1, 2) - edge
    away = 1 - beside - edge
    facts = []
    for scale in (1, 2, 4):
        small = F.avg_pool2d(luma, scale) if scale > 1 else luma
        turns = 0.5 * (_turns(small, 3) + _turns(small, 2))
        loud, flips = torch.sqrt(turns + 1e-4), (turns > 2 + BETWEEN).float()
        if scale < ZONE_PX:
            loud, flips = (F.avg_pool2d(m, ZONE_PX // scale) for m in (loud, flips))
        by_edge, elsewhere = _mean_in(loud, beside), _mean_in(loud, away)
        facts += [torch.log(by_edge + 1e-2), torch.log(elsewhere + 1e-2)]
        facts += [torch.log((by_edge + 0.05) / (elsewhere + 0.05))]
        facts += [_mean_in(flips, beside), _mean_in(flips, away)]
    facts += [torch.log(zone.mean((1, 2, 3)) + 1e-3) for zone in (edge, beside)]
    return torch.stack(facts, dim=1)


def _step(luma: Tensor) -> Tensor:
    """The larger of the steps to the right and down: [N,1,H,W] -> the same."""
    across = F.pad((luma[..., 1:] - luma[..., :-1]).abs(), (0, 1))
    down = F.pad((luma[..., 1:, :] - luma[..., :-1, :]).abs(), (0, 0, 0, 1))
    return torch.maximum(across, down)


def _turns(luma: Tensor, axis: int) -> Tensor:
    """How hard the picture turns back: -(step to a pixel x step from it), where positive."""
    length = luma.shape[axis] - 1
    step = luma.narrow(axis, 1, length) - luma.narrow(axis, 0, length)
    back = F.relu(-step.narrow(axis, 0, length - 1) * step.narrow(axis, 1, length - 1))
    return F.pad(back, (1, 1) if axis == 3 else (0, 0, 1, 1))


def _stairs(luma: Tensor, step: Tensor) -> Tensor:
    """How the steps of smooth slopes are spread: all equal, or flat runs and jumps."""
    facts = []
    tops = torch.cat([luma, -luma], dim=1)
    means = torch.cat([step, *((step > floor).float() for floor in STAIRS)], dim=1)
    size = 1
    for cell, most in REACHES:  # each cell's from those of the cells within it
        tops, means = F.max_pool2d(tops, cell // size), F.avg_pool2d(means, cell // size)
        size = cell
        reach = tops[:, :1] + tops[:, 1:]
        slope = ((reach > FLAT) & (reach <= most)).float()
        facts += [
            torch.log(zone.mean((1, 2, 3)) + 1e-3) for zone in (slope, (reach <= FLAT).float())
        ]
        facts += [_mean_in(share, slope) for share in torch.split(means[:, 1:], 1, dim=1)]
        facts.append(_mean_in(means[:, :1] / (reach + 1e-3), slope))
    return torch.stack(facts, dim=1)


def _immerkaer(planes: Tensor) -> Tensor:
    """|second difference both ways| (Immerkaer, 1996), blind to edges that are straight."""
    line = planes[..., 2:] - 2 * planes[..., 1:-1] + planes[..., :-2]
    return (line[..., 2:, :] - 2 * line[..., 1:-1, :] + line[..., :-2, :]).abs() / 6


def quiet(residue: Tensor) -> Tensor:
    """log of low quantiles over cells of the cells' means: [N,1,H,W] -> [N,len(QUANTILES)]."""
    cells = F.avg_pool2d(residue, CELL_PX).flatten(1)
    ordered = torch.sort(cells, dim=1).values
    places = [int(q * (ordered.shape[1] - 1)) for q in QUANTILES]
    return torch.log(torch.stack([ordered[:, p] for p in places], dim=1) + 0.05)


def _comb(luma: Tensor) -> Tensor:
    """Whether levels are missing from the histogram, as after a loss of bit depth: [N,4]."""
    counts = _pairs_of_levels(luma[:, 0, ::3, ::3].flatten(1))
    around = F.avg_pool1d(counts[:, None], 9, 1, 4, count_include_pad=False)[:, 0]
    used = (around > 0.002).float()
    total = used.sum(1) + 1e-3
    rough = ((counts[:, 1:] - counts[:, :-1]).abs()).sum(1)
    empty = ((counts < 0.15 * around).float() * used).sum(1) / total
    peaks = ((counts > 2.5 * around).float() * used).sum(1) / total
    return torch.stack([torch.log(rough + 1e-2), empty, peaks, torch.log(total)], dim=1)


def _pairs_of_levels(values: Tensor) -> Tensor:
    """Share of values in [2k-0.75, 2k+1.25) for k = 0..127: [N,M] -> [N,128].

    Whole levels lie well inside: two in each bin.
    """
    bins = torch.floor(0.5 * values + (0.375 + BETWEEN)).clamp(0, 127).long()
    counts = torch.zeros(values.shape[0], 128, device=values.device)
    return counts.scatter_add(1, bins, torch.ones_like(values)) / values.shape[1]


def _mean_in(values: Tensor, zone: Tensor) -> Tensor:
    """Mean of values over a zone, 0 where there is none: [N,1,h,w] twice -> [N]."""
    return (values * zone).sum((1, 2, 3)) / (zone.sum((1, 2, 3)) + 1.0)
