"""Facts about the spectrum: how fast detail falls off, in which directions, and what repeats.

Blur is a fall, motion blur a fall along one direction, a low-pass filter a cliff, and a second copy
of the picture a peak in the cepstrum (Bogert, Healy and Tukey, 1963) at the copy's displacement.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

RADII = (0.02, 0.045, 0.09, 0.15, 0.22, 0.30, 0.38, 0.46, 0.56, 0.66, 0.76, 0.88, 1.0)  # of Nyquist
SECTORS = 8
RINGS_PX = (2.5, 4.5, 7.0, 11.0, 17.0, 26.0, 40.0)
BANDS = len(RADII) - 1
SPECTRUM_FACTS = 3 * BANDS + SECTORS
CEPSTRUM_FACTS = 4 * (len(RINGS_PX) - 1)


def log_power(luma: Tensor) -> Tensor:
    """log power of the windowed, mean-free picture: [N,H,W] -> [N,H,W/2+1]."""
    high, wide = map(int, luma.shape[-2:])
    window = _window(high, wide).to(luma.device)
    flat = (luma - luma.mean((1, 2), keepdim=True)) * window
    spectrum = torch.fft.rfft2(flat * (1 / math.sqrt(high * wide)))
    return torch.log(spectrum.real.square() + spectrum.imag.square() + 0.05)


def spectrum_facts(power: Tensor) -> Tensor:
    """Fall-off by radius, its spread over directions, and the directions' own levels.

    [N,H,W/2+1] log power -> [N,SPECTRUM_FACTS].
    """
    high, half = map(int, power.shape[-2:])
    weights = _sectors(high, 2 * (half - 1)).to(power.device)  # [BANDS*SECTORS, H*(W/2+1)]
    cells = (power.flatten(1) @ weights.T).reshape(-1, BANDS, SECTORS)
    level = cells.mean(2)
    least, most = cells.amin(2), cells.amax(2)
    fine = cells[:, BANDS // 2 :].mean(1)
    turned = torch.sort(fine - fine.mean(1, keepdim=True), dim=1).values
    return torch.cat([level, level - least, most - level, turned], dim=1)


def cepstrum_facts(power: Tensor) -> Tensor:
    """Peaks and dips of the cepstrum by distance, off the axes and on them.

    [N,H,W/2+1] log power (best averaged over frames) -> [N,CEPSTRUM_FACTS], in deviations.
    """
    high, half = map(int, power.shape[-2:])
    wide = 2 * (half - 1)
    smooth = power - _local_mean(power)
    cepstrum = torch.fft.irfft2(smooth.to(torch.complex64), s=(high, wide)).flatten(1)
    away, rings = _rings(high, wide)
    spread = cepstrum[:, away.to(power.device)].square().mean(1, keepdim=True).sqrt() + 1e-6
    facts = []
    for ring in rings:
        seen = cepstrum[:, ring.to(power.device)] / spread
        facts += [seen.amax(1), seen.amin(1)]
    return torch.asinh(torch.stack(facts, dim=1))


def _local_mean(power: Tensor) -> Tensor:
    """Mean over 15x15 bins: what the picture's own fall-off contributes."""
    return F.avg_pool2d(power[:, None], 15, 1, 7, count_include_pad=False)[:, 0]


def prepare(side_px: int) -> None:
    """Make the tables for square tiles now: made while a model is traced, they would be traced."""
    _window(side_px, side_px)
    _sectors(side_px, side_px)
    _rings(side_px, side_px)


@cache
def _window(high: int, wide: int) -> Tensor:
    """Hann's window in both directions."""
    rows, columns = (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(n) + 0.5) / n) for n in (high, wide))
    return torch.from_numpy(np.outer(rows, columns).astype("f4"))


@cache
def _sectors(high: int, wide: int) -> Tensor:
    """Averaging weights of each (radius, direction) cell over the half spectrum."""
    v, u = np.meshgrid(np.fft.fftfreq(high) * 2, np.fft.rfftfreq(wide) * 2, indexing="ij")
    radius = np.maximum(np.abs(v), np.abs(u)).astype("f4")
    angle = np.arctan2(v, u)  # -pi/2..pi/2
    sector = np.rint((angle / np.pi + 0.5) * SECTORS).astype(int) % SECTORS
    rows = []
    for inner, outer in pairwise(RADII):
        for number in range(SECTORS):
            cell = (radius >= inner) & (radius < outer + 1e-6) & (sector == number)
            rows.append(cell.ravel() / max(cell.sum(), 1))
    return torch.from_numpy(np.stack(rows).astype("f4"))


@cache
def _rings(high: int, wide: int) -> tuple[Tensor, list[Tensor]]:
    """Indices into the flat cepstrum: the far field, and for each ring off and on the axes."""
    y, x = np.meshgrid(np.fft.fftfreq(high) * high, np.fft.fftfreq(wide) * wide, indexing="ij")
    distance = np.hypot(y, x)
    on_axis = np.minimum(np.abs(y), np.abs(x)) < 1.5
    upper = (y > 0) | ((y == 0) & (x > 0))  # the other half is its mirror image
    rings = []
    for inner, outer in pairwise(RINGS_PX):
        ring = (distance >= inner) & (distance < outer) & upper
        rings += [_places(ring & part) for part in (~on_axis, on_axis)]
    return _places((distance >= 12) & (distance < 60) & upper & ~on_axis), rings


def _places(mask: NDArray[np.bool_]) -> Tensor:
    return torch.from_numpy(np.flatnonzero(mask))
