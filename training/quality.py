"""The quality target: full-reference, never a function of the labels.

quality = min(1, VMAF(distorted) / VMAF(source against itself)) x chroma term x temporal term.
VMAF v0.6.1 is computed by vmaf-torch without its clip at 100, which busy scenes reach long before
their damage is invisible; dividing by the source's own score takes out what motion adds to it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from vmaf_torch import VMAF

from training.effect import chroma, luma, rms

Frames = NDArray[np.uint8]

JUDGED_FRAMES = [1, 2, 4, 6]  # four of seven: VMAF is the dearest step of a sample
CHROMA_FLOOR, CHROMA_FALL = 3.0, 30.0  # levels RMS; below the floor rounding alone would count
MOTION_FLOOR, MOTION_FALL = 2.0, 30.0


class QualityTarget:
    """Scores a degraded sequence against its clean source."""

    def __init__(self) -> None:
        self._vmaf = VMAF().eval()

    def quality(self, vmaf: float, clean: Frames, degraded: Frames) -> float:
        """The target itself, 0-1, from the VMAF of the same pair."""
        return vmaf / 100 * chroma_term(clean, degraded) * temporal_term(clean, degraded)

    @torch.no_grad()
    def vmaf(self, clean: Frames, degraded: Frames) -> float:
        """VMAF of uint8[7,H,W,3] against its source, relative to the source's own score, 0-100."""
        reference, distorted = (
            torch.from_numpy(np.rint(luma(f) * (219 / 255) + 16)[:, None])
            for f in (clean, degraded)
        )
        motion = self._vmaf.compute_motion2(reference)[JUDGED_FRAMES]
        judged = reference[JUDGED_FRAMES], distorted[JUDGED_FRAMES]
        adm, vif = self._vmaf.compute_adm_score(*judged), self._vmaf.compute_vif_features(*judged)
        score = self._vmaf.predict(adm, motion, vif)
        own = self._vmaf.predict(torch.ones_like(adm), motion, torch.ones_like(vif))
        return float((score / own.clamp(min=1)).clamp(0, 1).mean() * 100)


def chroma_term(clean: Frames, degraded: Frames) -> float:
    """1 while colour is kept, falling with the RMS change of chroma."""
    change = rms(_halved(chroma(degraded) - chroma(clean)))
    return float(np.exp(-max(0.0, change - CHROMA_FLOOR) / CHROMA_FALL))


def temporal_term(clean: Frames, degraded: Frames) -> float:
    """1 while motion is kept, falling with the error of the coarse frame-to-frame change."""
    change = rms(np.diff(_coarse(degraded), axis=0) - np.diff(_coarse(clean), axis=0))
    return float(np.exp(-max(0.0, change - MOTION_FLOOR) / MOTION_FALL))


def _halved(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """2x2 means, so that 4:2:0 alone does not count as damage: [T,H,W,2] -> [T,H/2,W/2,2]."""
    high, wide = planes.shape[1] // 2, planes.shape[2] // 2
    cut = planes[:, : 2 * high, : 2 * wide]
    return cut.reshape(len(cut), high, 2, wide, 2, 2).mean((2, 4))


def _coarse(frames: Frames) -> NDArray[np.float32]:
    """Luma averaged over 8x8 pixels, so that noise does not count as motion."""
    y = luma(frames)
    high, wide = y.shape[1] // 8 * 8, y.shape[2] // 8 * 8
    return y[:, :high, :wide].reshape(len(y), high // 8, 8, wide // 8, 8).mean((2, 4))
