"""A differentiable stand-in for x265: motion compensation, block transform, dead zone, bits.

Closed loop: each frame is predicted from the previous decoded one along the source's motion, the
residual goes through an orthonormal 8x8 DCT, is quantised with x265's step for the CRF and its
adaptive quantisation, and added back. A few numbers are fitted to real encodes: of plain clips for
the quantiser and the bits, of filtered ones for what a filter changes in the bits (`fit`).
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from training.command import plainly
from training.preprocess import responses
from training.preprocess.ladders import CRFS, RealLadder, load_all
from training.preprocess.responses import Response
from training.whole import whole

BLOCK = 8
AQ_BLOCK = 16
FLOOR_BPP = 0.003  # bits a pixel that every frame costs; keeps ratios of flat crops sane


@dataclass(frozen=True)
class ProxyFit:
    """What is fitted to real x265: see the fields' comments."""

    qp_intra: float = -1.0  # added to the CRF for a key frame
    qp_inter: float = 2.0  # and for the others (P and B on average)
    qp_slope: float = 1.0  # QP steps per CRF step
    aq: float = 0.8  # strength of adaptive quantisation
    dead_zone: float = 0.33  # what is added before rounding down
    bits_scale: float = 1.0  # bits = scale * (sum of log2(1 + (c / 0.7 step)^8) / 8)^power
    bits_power: float = 1.0
    response_low: float = 1.0  # ln bits moves by this share of what coefficients say, at CRF 22:
    response_high: float = 1.0  # and at CRF 42, where headers and motion are most of the bits


class _Quantise(torch.autograd.Function):
    """Dead-zone quantiser whose gradient fades out where the quantiser gives zero."""

    @staticmethod
    def forward(ctx, ratio: Tensor, dead_zone: float) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(ratio)
        return ratio.sign() * torch.floor(ratio.abs() + dead_zone)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def]
        (ratio,) = ctx.saved_tensors
        t = ((ratio.abs() - 0.2) / 0.8).clamp(0, 1)
        return gradient * t * t * (3 - 2 * t), None


def dct_matrix(size: int = BLOCK) -> Tensor:
    """The orthonormal DCT-II of `size` points, rows are frequencies."""
    n = torch.arange(size, dtype=torch.float64)
    rows = torch.cos(math.pi / size * (n[None] + 0.5) * n[:, None]) * math.sqrt(2 / size)
    rows[0] /= math.sqrt(2)
    return rows.float()


def warp(frame: Tensor, flow: Tensor) -> Tensor:
    """frame [B,1,H,W] read along flow [B,2,H,W] (x, y in pixels)."""
    height, width = frame.shape[-2:]
    rows, columns = torch.meshgrid(
        torch.arange(height, device=frame.device), torch.arange(width, device=frame.device),
        indexing="ij",
    )  # fmt: skip
    x = (columns + flow[:, 0] + 0.5) * (2 / width) - 1
    y = (rows + flow[:, 1] + 0.5) * (2 / height) - 1
    grid = torch.stack([x, y], -1)
    return F.grid_sample(frame, grid, "bilinear", "border", align_corners=False)


class CodecProxy(torch.nn.Module):
    """Luma [B,T,H,W] in 0-255, flow [B,T,2,H/8,W/8], CRF [B] -> decoded [B,T,H,W], bits [B].

    H and W are multiples of 16. Bits are the estimate for these T frames, the first of them intra
    at `intra_share` of its cost (a crop of a long clip sees few key frames).
    """

    dct: Tensor

    def __init__(self, fit: ProxyFit = ProxyFit()) -> None:
        super().__init__()
        self.fit = fit
        self.register_buffer("dct", dct_matrix())

    def forward(
        self, luma: Tensor, flow: Tensor, crf: Tensor, intra_share: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        height, width = luma.shape[-2:]
        decoded: list[Tensor] = []
        bits = torch.zeros_like(crf)
        for t in range(luma.shape[1]):
            now = luma[:, t : t + 1]
            offset = self.fit.qp_inter if t else self.fit.qp_intra
            step = self._step(now, crf, offset)
            if t:
                dense = F.interpolate(flow[:, t], (height, width), mode="bilinear")
                guess = self._predict(now, warp(decoded[-1], dense))
                cost = 1.0
            else:
                guess, cost = _block_mean(now), intra_share
            residual, spent = self._code(now - guess, step)
            decoded.append((guess + residual).clamp(0, 255))
            bits = bits + cost * spent
        bits = bits + FLOOR_BPP * luma[0].numel()
        return torch.cat(decoded, 1), self.fit.bits_scale * bits**self.fit.bits_power

    def bits_ratio(self, filtered: Tensor, plain: Tensor, crf: Tensor) -> Tensor:
        """What a filter changes: ln of the ratio of real bits, from two estimates [B] of ours."""
        low, high = self.fit.response_low, self.fit.response_high
        share = low + (high - low) * ((crf - CRFS[0]) / (CRFS[-1] - CRFS[0])).clamp(0, 1)
        return share / self.fit.bits_power * (filtered / plain).log()

    def _step(self, now: Tensor, crf: Tensor, offset: float) -> Tensor:
        """Quantiser step of every 8x8 block: x265's aq-mode 2 on 16x16 variances."""
        detached = now.detach()
        mean = F.avg_pool2d(detached, AQ_BLOCK)
        energy = (F.avg_pool2d(detached**2, AQ_BLOCK) - mean**2).clamp(min=0) * AQ_BLOCK**2
        root = (energy + 1) ** 0.1
        average, square = root.mean((1, 2, 3), True), (root**2).mean((1, 2, 3), True)
        middle = average - 0.5 * (square - 14) / average
        adaptive = self.fit.aq * average * (root - middle)
        qp = self.fit.qp_slope * (crf - 32)[:, None, None, None] + 32 + offset + adaptive
        steps = 2 ** ((qp.clamp(0, 51) - 4) / 6)
        return F.interpolate(steps, scale_factor=AQ_BLOCK / BLOCK, mode="nearest")

    @staticmethod
    def _predict(now: Tensor, moved: Tensor) -> Tensor:
        """The moved frame, or the block's mean where that is the better guess."""
        mean = _block_mean(now)
        inter, intra = (F.avg_pool2d((now - g).detach() ** 2, AQ_BLOCK) for g in (moved, mean))
        use = F.interpolate((intra < inter).float(), scale_factor=AQ_BLOCK, mode="nearest")
        return moved + use * (mean - moved)

    def _code(self, residual: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        batch, _, height, width = residual.shape
        blocks = residual.reshape(batch, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
        blocks = blocks.permute(0, 1, 3, 2, 4)
        ratio = self.dct @ blocks @ self.dct.T / step[:, 0, :, :, None, None]
        # Steep, so that what the quantiser drops anyway saves nothing.
        spent = (0.125 * torch.log2(1 + (ratio / 0.7) ** 8)).sum((1, 2, 3, 4))
        quantised = _Quantise.apply(ratio, self.fit.dead_zone) * step[:, 0, :, :, None, None]
        back = self.dct.T @ quantised @ self.dct
        return back.permute(0, 1, 3, 2, 4).reshape(batch, 1, height, width), spent


def _block_mean(now: Tensor) -> Tensor:
    return F.interpolate(F.avg_pool2d(now, AQ_BLOCK), scale_factor=AQ_BLOCK, mode="nearest")


@dataclass(frozen=True)
class Fidelity:
    """How close the proxy is to real x265 on ladders it was not fitted to."""

    psnr_to_decode_db: float  # of the proxy's decode against the real one
    psnr_gap_db: float  # mean |PSNR(proxy, source) - PSNR(real, source)|
    bits_rank: float  # Spearman over all (clip, CRF)
    bits_rank_per_crf: float  # Spearman over clips at one CRF, mean over CRFs
    bits_error: float  # mean |ln(predicted / real)|
    response_correlation: float = math.nan  # predicted and real ln(bits filtered / bits plain)
    response_rmse: float = math.nan


def tensors(ladder: RealLadder, frames: int) -> tuple[Tensor, Tensor]:
    """The first `frames` of a ladder as the proxy takes them, cut to whole 16x16 blocks."""
    height, width = (n // AQ_BLOCK * AQ_BLOCK for n in ladder.y.shape[1:])
    luma = torch.from_numpy(ladder.y[:frames, :height, :width].astype(np.float32))[None]
    return luma, torch.from_numpy(ladder.flow[:frames].astype(np.float32))[None]


@torch.no_grad()
def compare(
    proxy: CodecProxy, ladders: Sequence[RealLadder], frames: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Per (clip, CRF): predicted bits, real bits, MSE proxy-source, real-source, proxy-real."""
    rows = []
    for ladder in ladders:
        luma, flow = tensors(ladder, frames)
        share = frames / len(ladder.y)
        height, width = luma.shape[-2:]
        row = []
        for index, crf in enumerate(CRFS):
            decoded, bits = proxy(luma, flow, torch.tensor([float(crf)]))
            real = torch.from_numpy(
                ladder.decoded[index, :frames, :height, :width].astype(np.float32)
            )[None]
            errors = [
                ((a - b) ** 2).mean() for a, b in ((decoded, luma), (real, luma), (decoded, real))
            ]
            row.append(
                torch.stack(
                    [bits[0], torch.tensor(float(ladder.size_bytes[index] * 8 * share)), *errors]
                )
            )
        rows.append(torch.stack(row))
    return tuple(torch.stack(rows).unbind(-1))  # type: ignore[return-value]


def fidelity(proxy: CodecProxy, ladders: Sequence[RealLadder], frames: int = 6) -> Fidelity:
    """The report of how far the proxy can be believed."""
    from scipy.stats import spearmanr

    predicted, real, to_source, real_to_source, between = compare(proxy, ladders, frames)

    def psnr(mse: Tensor) -> Tensor:
        return 10 * torch.log10(255**2 / mse.clamp(min=1e-3))

    per_crf = [spearmanr(predicted[:, c], real[:, c]).statistic for c in range(len(CRFS))]
    return Fidelity(
        float(psnr(between).mean()),
        float((psnr(to_source) - psnr(real_to_source)).abs().mean()),
        float(spearmanr(predicted.flatten(), real.flatten()).statistic),
        float(np.mean(per_crf)),
        float((predicted / real).log().abs().mean()),
    )


def fit(ladders: Sequence[RealLadder], frames: int = 4) -> ProxyFit:
    """Coordinate search over the quantiser, then least squares for the bits."""
    best, lowest = ProxyFit(), math.inf
    grids = {
        "qp_inter": (2.0, 4.0, 6.0), "qp_intra": (-1.0, 1.0, 3.0), "aq": (0.5, 0.8, 1.1),
        "qp_slope": (0.9, 1.0), "dead_zone": (0.17, 0.33, 0.45),
    }  # fmt: skip
    for field, values in grids.items():
        for value in values:
            candidate = replace(best, **{field: value})
            predicted, real, to_source, real_to_source, _ = compare(
                CodecProxy(candidate), ladders, frames
            )
            gap = (to_source.clamp(min=0.05) / real_to_source.clamp(min=0.05)).log().square().mean()
            ratio = (predicted / real).log()
            loss = float(gap + (ratio - ratio.mean()).square().mean())
            if loss < lowest:
                best, lowest = candidate, loss
        print(f"{field}: {getattr(best, field)}  loss {lowest:.4f}", flush=True)
    predicted, real, *_ = compare(CodecProxy(best), ladders, frames)
    x, y = predicted.flatten().log().numpy(), real.flatten().log().numpy()
    power, offset = np.polyfit(x, y, 1)
    return replace(best, bits_power=float(power), bits_scale=float(np.exp(offset)))


@torch.no_grad()
def answers(proxy: CodecProxy, found: Sequence[Response], frames: int = 5) -> NDArray[np.float64]:
    """One row per (response, CRF): CRF, predicted and real ln(bits filtered / bits plain)."""
    rows = []
    for response in found:
        plain, flow = tensors(response.plain, frames)
        filtered, _ = tensors(response.filtered, frames)
        sizes = response.filtered.size_bytes / response.plain.size_bytes
        for index, crf in enumerate(CRFS):
            told = torch.tensor([float(crf)])
            ours, theirs = (
                proxy(luma, flow, told, intra_share=0.2)[1] for luma in (filtered, plain)
            )
            ratio = proxy.bits_ratio(ours, theirs, told)
            rows.append((crf, float(ratio), float(np.log(sizes[index]))))
    return np.array(rows)


def fit_response(fitted: ProxyFit, found: Sequence[Response]) -> ProxyFit:
    """The share of a predicted change that real bits show, linear in CRF, by least squares."""
    crf, predicted, real = answers(CodecProxy(fitted), found).T
    high = (crf - CRFS[0]) / (CRFS[-1] - CRFS[0])
    parts = np.stack([predicted * (1 - high), predicted * high], 1)
    (low, top), *_ = np.linalg.lstsq(parts, real, rcond=None)
    return replace(fitted, response_low=float(low), response_high=float(top))


def load(cache: Path) -> CodecProxy:
    """The proxy as fitted by this module's command."""
    stored = json.loads((cache / "codec_proxy.json").read_text())
    return CodecProxy(ProxyFit(**stored["fit"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("training/cache/preprocess"))
    parser.add_argument("--clips", type=int, default=12, help="ladders to fit to")
    parser.add_argument("--responses", type=int, default=6, help="clips to filter and encode")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    training = list(load_all(args.cache, "train"))
    for line in responses.build(args.cache, args.responses):
        print(line, flush=True)
    taught, held_out = responses.halves(responses.load_responses(args.cache))
    fitted = fit(training[:: max(1, len(training) // args.clips)][: args.clips])
    fitted = fit_response(fitted, taught)
    report = fidelity(CodecProxy(fitted), list(load_all(args.cache, "val")))
    _, predicted, real = answers(CodecProxy(fitted), held_out).T
    report = replace(
        report,
        response_correlation=float(np.corrcoef(predicted, real)[0, 1]),
        response_rmse=float(np.sqrt(np.mean((predicted - real) ** 2))),
    )
    print(fitted, report, sep="\n")
    stored = {"fit": asdict(fitted), "fidelity": asdict(report)}
    with whole(args.cache / "codec_proxy.json") as unfinished:
        unfinished.write_text(json.dumps(stored, indent=1))


if __name__ == "__main__":
    plainly(main)
