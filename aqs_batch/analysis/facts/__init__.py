"""Parameter-free facts about the pixels: what a convolution would need many samples to learn.

Split by what they look at: levels and their steps, edges and smooth places, the spectrum, colour,
motion, trails, and of whole frames their palette and how soft they are. Frame facts are taken of
two of the frames, change facts of every step between all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aqs_batch.analysis.facts import (
    colour,
    edges,
    levels,
    motion,
    palette,
    softness,
    spectrum,
    trails,
)
from aqs_batch.analysis.transform import IMAGENET_MEAN, IMAGENET_STD

LOOKED_AT = (1, 5)  # of seven frames; what is seen in them stands for their neighbours too
STANDS_FOR = (0, 0, 0, 0, 1, 1, 1)
FRAME_FACTS = levels.FRAME_FACTS + edges.EDGE_FACTS + spectrum.SPECTRUM_FACTS + colour.CHROMA_FACTS
COLOUR_FACTS = levels.COLOURS + colour.CHROMA_FACTS + palette.PALETTE_FACTS
SOFTNESS_FACTS = softness.SOFTNESS_FACTS
SWATCH_FACTS = COLOUR_FACTS + SOFTNESS_FACTS
TRAIL_FACTS = trails.TRAIL_FACTS
CHANGE_FACTS = levels.CHANGE_FACTS + motion.MOTION_FACTS + spectrum.CEPSTRUM_FACTS


def planes(tiles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Y, Cb, Cr in levels (chroma around 0) from normalised RGB: [B,T,3,H,W] -> each [B,T,H,W]."""
    std = torch.tensor(IMAGENET_STD, device=tiles.device).reshape(3, 1, 1)
    mean = torch.tensor(IMAGENET_MEAN, device=tiles.device).reshape(3, 1, 1)
    # Whole levels again, whatever normalising them has rounded.
    red, green, blue = torch.round((tiles.float() * std + mean) * 255).unbind(2)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return luma, 0.564 * (blue - luma), 0.713 * (red - luma)


def prepare(side_px: int) -> None:
    """Make what the facts of square tiles need once, before a model is traced."""
    spectrum.prepare(side_px)
    softness.prepare()


def of(tiles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Facts of the frames looked at, of the steps between all, and of trails, from normalised RGB.

    [B,T,3,H,W] -> [B,len(LOOKED_AT),FRAME_FACTS], [B,T-1,CHANGE_FACTS] and [B,TRAIL_FACTS].
    """
    luma, blue, red = planes(tiles)
    chosen = [_looked_at(p) for p in (luma, blue, red)]
    power = spectrum.log_power(chosen[0])
    parts = [
        levels.frame_facts(*chosen),
        edges.edge_facts(*chosen),
        spectrum.spectrum_facts(power),
        colour.chroma_facts(*chosen),
    ]
    still = torch.cat(parts, dim=1).reshape(len(tiles), len(LOOKED_AT), -1)
    return still, _changes(luma, blue, red, power), trails.trail_facts(luma)


def of_changes(tiles: Tensor) -> tuple[Tensor, Tensor]:
    """The second and third of these alone."""
    luma, blue, red = planes(tiles)
    power = spectrum.log_power(_looked_at(luma))
    return _changes(luma, blue, red, power), trails.trail_facts(luma)


def _looked_at(plane: Tensor) -> Tensor:
    """The frames looked at: [B,T,H,W] -> [B*len(LOOKED_AT),H,W]."""
    return plane[:, list(LOOKED_AT)].flatten(0, 1)


def _changes(luma: Tensor, blue: Tensor, red: Tensor, power: Tensor) -> Tensor:
    batch, frames = luma.shape[:2]
    mean_power = power.reshape(batch, len(LOOKED_AT), *power.shape[1:]).mean(1)
    repeated = spectrum.cepstrum_facts(mean_power)[:, None].expand(-1, frames - 1, -1)
    steps = luma[:, 1:] - luma[:, :-1]
    moved = [
        levels.change_facts(luma, steps, blue, red),
        motion.motion_facts(luma, steps),
        repeated,
    ]
    return torch.cat(moved, dim=2)


def of_swatches(swatches: Tensor) -> Tensor:
    """What colours whole frames have, then how soft they are: normalised RGB [B,1,3,h,w] ->
    [B,SWATCH_FACTS].
    """
    ycc = [p[:, 0] for p in planes(swatches)]
    colours = levels.colours(*ycc), colour.chroma_facts(*ycc), palette.palette_facts(*ycc)
    return torch.cat([*colours, softness.softness_facts(ycc[0])], dim=1)
