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

RADII = (0.02, 0.045, 0.09, 0.15, 0.22, 0.30, 0.38, 0.46, 0.56, 0.66, 0.76, 0.88, 1.0)  # of Nyquist
SECTORS = 8
RINGS_PX = (2.5, 4.5, 7.0, 11.0, 17.0, 26.0, 40.0)
FAR_PX = 60
LEAST_SPREAD = 1e-5  # far above rounding, far below any picture's
BANDS = len(RADII) - 1
SPECTRUM_FACTS = 3 * BANDS + SECTORS
CEPSTRUM_FACTS = 4 * (len(RINGS_PX) - 1)


def log_power(luma: Tensor) -> Tensor:
    """log power of the windowed, mean-free picture: [N,H,W] -> [N,H,W/2+1].

    The Fourier transform is written as products with cosines and sines: at this size they are
    quicker than the library's transform, and the same everywhere.
    """
    high, wide = map(int, luma.shape[-2:])
    window = _window(high, wide).to(luma.device)
    flat = (luma - luma.mean((1, 2), keepdim=True)) * window
    across, down = (t.to(luma.device) for t in _waves(high, wide))
    # The table stands left, since OpenVINO is four times slower where it stands right.
    cosine, sine = (across @ flat.transpose(1, 2)).chunk(2, dim=1)  # along rows: [N,W/2+1,H]
    both = torch.cat([cosine, sine], dim=2).transpose(1, 2)
    real, imaginary = (down @ both).chunk(2, dim=1)
    return torch.log(real.square() + imaginary.square() + 0.05)


def spectrum_facts(power: Tensor) -> Tensor:
    """Fall-off by radius, its spread over directions, and the directions' own levels.

    [N,H,W/2+1] log power -> [N,SPECTRUM_FACTS].
    """
    high, half = map(int, power.shape[-2:])
    cell, sizes = (t.to(power.device) for t in _sectors(high, 2 * (half - 1)))
    sums = torch.zeros(len(power), len(sizes) + 1, device=power.device)
    sums = sums.scatter_add(1, cell.expand(len(power), -1), power.flatten(1))
    cells = (sums[:, :-1] / sizes).reshape(-1, BANDS, SECTORS)
    level = cells.mean(2)
    least, most = cells.amin(2), cells.amax(2)
    fine = cells[:, BANDS // 2 :].mean(1)
    turned = torch.sort(fine - fine.mean(1, keepdim=True), dim=1).values
    return torch.cat([level, level - least, most - level, turned], dim=1)


def cepstrum_facts(power: Tensor) -> Tensor:
    """Peaks and dips of the cepstrum by distance, off the axes and on them.

    [N,H,W/2+1] log power (best averaged over frames) -> [N,CEPSTRUM_FACTS], in deviations. Only
    the places nearer than FAR_PX are made, in the half that is not the other's mirror image.
    """
    high, half = map(int, power.shape[-2:])
    wide = 2 * (half - 1)
    # Less its mean over 15x15 bins: what the picture's own fall-off contributes.
    box_down, box_across, down, across = (t.to(power.device) for t in _quefrencies(high, wide))
    smooth = power - box_down @ power @ box_across
    cosine, sine = (down @ smooth).chunk(2, dim=1)  # each [N,FAR_PX,W/2+1]
    cepstrum = (torch.cat([cosine, sine], dim=2) @ across).flatten(1)  # [N,FAR_PX*(2*FAR_PX-1)]
    away, rings = _rings()
    spread = cepstrum[:, away.to(power.device)].square().mean(1, keepdim=True).sqrt() + LEAST_SPREAD
    facts = []
    for ring in rings:
        seen = cepstrum[:, ring.to(power.device)] / spread
        facts += [seen.amax(1), seen.amin(1)]
    return torch.asinh(torch.stack(facts, dim=1))


def prepare(side_px: int) -> None:
    """Make the tables for square tiles now: made while a model is traced, they would be traced."""
    for table in (_window, _waves, _sectors, _quefrencies):
        table(side_px, side_px)
    _rings()


@cache
def _window(high: int, wide: int) -> Tensor:
    """Hann's window in both directions."""
    rows, columns = (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(n) + 0.5) / n) for n in (high, wide))
    return torch.from_numpy(np.outer(rows, columns).astype("f4"))


@cache
def _waves(high: int, wide: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the transform: along rows [2*(W/2+1), W], along columns [2H, 2H].

    With C and S the cosine and sine sums along rows, the columns' product gives the real part
    cos*C - sin*S and the imaginary one sin*C + cos*S (its sign does not matter to the power).
    """
    along = 2 * np.pi / wide * np.outer(np.arange(wide // 2 + 1), np.arange(wide))
    turn = 2 * np.pi / high * np.outer(np.arange(high), np.arange(high))
    across = np.vstack([np.cos(along), np.sin(along)]) / math.sqrt(high * wide)
    down = np.block([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return torch.from_numpy(across.astype("f4")), torch.from_numpy(down.astype("f4"))


@cache
def _sectors(high: int, wide: int) -> tuple[Tensor, Tensor]:
    """The (radius, direction) cell of each bin of the half spectrum, and the cells' sizes.

    Bins outside all rings are in a cell of their own, the last.
    """
    v, u = np.meshgrid(np.fft.fftfreq(high) * 2, np.fft.rfftfreq(wide) * 2, indexing="ij")
    radius = np.maximum(np.abs(v), np.abs(u)).astype("f4")
    sector = np.rint((np.arctan2(v, u) / np.pi + 0.5) * SECTORS).astype(int) % SECTORS
    ring = np.searchsorted(np.array(RADII, "f4"), radius, side="right") - 1
    ring[radius >= RADII[-1]] = BANDS - 1
    cell = np.where(ring < 0, BANDS * SECTORS, ring * SECTORS + sector)
    sizes = np.maximum(np.bincount(cell.ravel(), minlength=BANDS * SECTORS + 1)[:-1], 1)
    return torch.from_numpy(cell.reshape(1, -1)), torch.from_numpy(sizes.astype("f4"))


@cache
def _quefrencies(high: int, wide: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Means over 15 bins both ways, [H,H] and [W/2+1,W/2+1], and the way back from a real spectrum.

    The way back: cosines and sines along columns [2*FAR_PX,H], along rows [2*(W/2+1),2*FAR_PX-1].
    """
    half = wide // 2 + 1
    near, span = np.arange(FAR_PX), np.arange(1 - FAR_PX, FAR_PX)
    turn = 2 * np.pi / high * np.outer(near, np.arange(high))
    along = 2 * np.pi / wide * np.outer(np.arange(half), span)
    weight = np.full((half, 1), 2.0)
    weight[[0, -1]] = 1.0  # the others stand for their mirror images too
    down = np.vstack([np.cos(turn), np.sin(turn)]) / (high * wide)
    across = np.vstack([weight * np.cos(along), -weight * np.sin(along)])
    tables = (_box(high), _box(half).T.copy(), down, across)
    one, two, three, four = (torch.from_numpy(t.astype("f4")) for t in tables)
    return one, two, three, four


def _box(bins: int, width: int = 15) -> NDArray[np.float64]:
    """Averaging over `width` bins, fewer at the ends, as a matrix [bins,bins]."""
    place = np.arange(bins)
    near = np.asarray(np.abs(place[:, None] - place) <= width // 2, np.float64)
    share: NDArray[np.float64] = near / near.sum(1, keepdims=True)
    return share


@cache
def _rings() -> tuple[Tensor, list[Tensor]]:
    """Indices into the flat cepstrum: the far field, and for each ring off and on the axes."""
    y, x = np.meshgrid(np.arange(FAR_PX), np.arange(1 - FAR_PX, FAR_PX), indexing="ij")
    distance = np.hypot(y, x)
    on_axis = np.minimum(np.abs(y), np.abs(x)) < 1.5
    upper = (y > 0) | (x > 0)  # the other half is its mirror image
    rings = []
    for inner, outer in pairwise(RINGS_PX):
        ring = (distance >= inner) & (distance < outer) & upper
        rings += [_places(ring & part) for part in (~on_axis, on_axis)]
    return _places((distance >= 12) & (distance < FAR_PX) & upper & ~on_axis), rings


def _places(mask: NDArray[np.bool_]) -> Tensor:
    return torch.from_numpy(np.flatnonzero(mask))
