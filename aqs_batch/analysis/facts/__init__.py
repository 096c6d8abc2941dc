"""Parameter-free facts about the pixels: what a convolution would need many samples to learn.

Split by what they look at: levels and their steps, edges and smooth places, the spectrum, colour,
and motion. Frame facts are taken of a few of the frames, change facts of every step between them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aqs_batch.analysis.facts import colour, edges, levels, motion, spectrum
from aqs_batch.analysis.transform import IMAGENET_MEAN, IMAGENET_STD

LOOKED_AT = (1, 3, 5)  # of seven frames; their facts stand for their neighbours too
STANDS_FOR = (0, 0, 0, 1, 2, 2, 2)
FRAME_FACTS = levels.FRAME_FACTS + edges.EDGE_FACTS + spectrum.SPECTRUM_FACTS + colour.CHROMA_FACTS
CHANGE_FACTS = levels.CHANGE_FACTS + motion.MOTION_FACTS + spectrum.CEPSTRUM_FACTS


def planes(tiles: Tensor) -> Tensor:
    """Y, Cb, Cr in levels (chroma around 0) from normalised RGB: [B,T,3,H,W] -> the same shape."""
    std = torch.tensor(IMAGENET_STD, device=tiles.device).reshape(3, 1, 1)
    mean = torch.tensor(IMAGENET_MEAN, device=tiles.device).reshape(3, 1, 1)
    red, green, blue = ((tiles.float() * std + mean) * 255).unbind(2)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.stack([luma, 0.564 * (blue - luma), 0.713 * (red - luma)], dim=2)


def prepare(side_px: int) -> None:
    """Make what the facts of square tiles need once, before a model is traced."""
    spectrum.prepare(side_px)


def frame_facts(planes: Tensor) -> Tensor:
    """Facts of single frames: [B,T,3,H,W] (Y, Cb, Cr in levels) -> [B,T,FRAME_FACTS]."""
    chosen = planes[:, list(LOOKED_AT)].flatten(0, 1)
    facts = torch.cat(
        [
            levels.frame_facts(chosen),
            edges.edge_facts(chosen),
            spectrum.spectrum_facts(spectrum.log_power(chosen[:, 0])),
            colour.chroma_facts(chosen),
        ],
        dim=1,
    )
    return facts.reshape(planes.shape[0], len(LOOKED_AT), -1)[:, list(STANDS_FOR)]


def change_facts(planes: Tensor) -> Tensor:
    """Facts of steps between frames: [B,T,3,H,W] -> [B,T-1,CHANGE_FACTS]."""
    batch, frames = planes.shape[:2]
    luma = planes[:, :, 0]
    power = spectrum.log_power(luma[:, list(LOOKED_AT)].flatten(0, 1))
    mean_power = power.reshape(batch, len(LOOKED_AT), *power.shape[1:]).mean(1)
    repeated = spectrum.cepstrum_facts(mean_power)[:, None].expand(-1, frames - 1, -1)
    return torch.cat([levels.change_facts(planes), motion.motion_facts(luma), repeated], dim=2)
