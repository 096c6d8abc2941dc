"""The learned video filter that runs before an encoder: luma in, luma out, chroma never touched.

A small U-Net looks at three frames (t-1, t, t+1) at a quarter of the resolution and, told the CRF,
decides for every place how much of each detail band x265 should be given: less of the finest
detail that it would code without anyone seeing it, more of the middle band that it is about to
lose. Nothing is normalised over the frame, so a tile of a frame gives what the frame gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aqs_batch.encode.raw_frames import Luma

ARCHITECTURE = "aqs-preprocess-1"
WIDTH, WIDE = 16, 24
GATES = 4  # the fine band, its small values alone, the middle band, the coarse band
FACTS = 5
GATE_BOUND = 0.6
SMALL = 3.0 / 255  # fine detail below three levels is mostly grain and coding noise
FREE_BOUND = 2.0 / 255  # what the network may add of its own accord
RESIDUAL_BOUND = 24.0 / 255
STEP_PX = 8  # the network's own grid; strips start on it
OVERLAP_PX = 64  # more than the reach of any output pixel
STRIP_PIXELS = 2**21  # a 1080p frame in one go, 0.2 GB; the overlap of strips costs time
CRF_MIDDLE, CRF_SPAN = 32.0, 10.0


def smooth(x: Tensor, reach: int = 1) -> Tensor:
    """The 5x5 binomial filter (1 4 6 4 1)/16 with holes of `reach`; [B,1,H,W] to the same size."""
    for dim, pad in ((2, (0, 0, 2 * reach, 2 * reach)), (3, (2 * reach, 2 * reach, 0, 0))):
        wide, size = F.pad(x, pad, mode="replicate"), x.shape[dim]
        near = wide.narrow(dim, reach, size) + wide.narrow(dim, 3 * reach, size)
        far = wide.narrow(dim, 0, size) + wide.narrow(dim, 4 * reach, size)
        x = torch.add(far, near, alpha=4).add_(x, alpha=6).mul_(1 / 16)
    return x


@dataclass(frozen=True)
class Bands:
    """What the frame consists of: `fine` at full size, `middle` and `coarse` at half size."""

    fine: Tensor
    small: Tensor
    middle: Tensor
    coarse: Tensor


def split_bands(luma: Tensor) -> Bands:
    """Detail bands of luma [B,1,H,W] in 0-1; H and W are multiples of STEP_PX."""
    fine = luma - smooth(luma)
    half = F.avg_pool2d(luma, 2)
    smoother = smooth(half)
    return Bands(
        fine, fine.clamp(-SMALL, SMALL), half - smoother, smoother - smooth(smoother, reach=2)
    )


class Told(nn.Module):
    """A convolution that is told the CRF: scale and shift of its channels follow it (FiLM)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.condition = nn.Linear(2, 2 * outputs)
        nn.init.zeros_(self.condition.weight)
        nn.init.zeros_(self.condition.bias)

    def forward(self, x: Tensor, crf: Tensor) -> Tensor:
        scale, shift = self.condition(crf[:, 1:])[:, :, None, None].chunk(2, 1)
        return F.relu(torch.addcmul(shift, self.convolution(x), 1 + scale))


class PreprocessNet(nn.Module):
    """Window [B,3,H,W] in 0-1 and CRF [B] to the residual [B,1,H,W] of its middle frame.

    H and W are multiples of STEP_PX. About 19,000 weights, 540 multiply-adds a pixel.
    """

    def __init__(self) -> None:
        super().__init__()
        # A 3-D convolution as deep as the window is a 2-D one over the frames as channels.
        self.stem = nn.Conv2d(3, WIDTH, 4, 4)
        self.enter = Told(WIDTH + FACTS, WIDTH)
        self.down = Told(WIDTH, WIDE, stride=2)
        self.middle = Told(WIDE, WIDE)
        self.up = nn.Conv2d(WIDE, WIDTH, 1)
        self.leave = Told(WIDTH, WIDTH)
        # Attention over the branches, place by place, and four values of free residual.
        self.head = nn.Conv2d(WIDTH, GATES + 4, 1)
        self.habit = nn.Linear(3, GATES, bias=False)  # what the CRF alone asks for
        nn.init.normal_(self.head.weight, std=0.02)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        nn.init.zeros_(self.habit.weight)
        with torch.no_grad():
            self.habit.weight[:, 0] = torch.tensor([-0.15, 0.0, 0.3, 0.15])

    def forward(self, window: Tensor, crf: Tensor) -> Tensor:
        luma = window[:, 1:2]
        bands = split_bands(luma)
        told = (crf - CRF_MIDDLE) / CRF_SPAN
        condition = torch.stack([torch.ones_like(told), told, told * told], 1)
        seen = torch.cat([self._stem(window), _facts(window, bands)], 1)
        seen = seen.contiguous(memory_format=torch.channels_last)  # a third quicker on a CPU
        first = self.enter(seen, condition)
        deep = self.middle(self.down(first, condition), condition)
        back = F.interpolate(self.up(deep), scale_factor=2.0, mode="nearest")
        heads = self.head(self.leave(first + back, condition)).contiguous()
        habit = self.habit(condition)[:, :, None, None]
        gates = GATE_BOUND * torch.tanh((heads[:, :GATES] + habit) / GATE_BOUND)
        full = F.interpolate(gates[:, :2], scale_factor=4.0, mode="bilinear")
        half = F.interpolate(gates[:, 2:], scale_factor=2.0, mode="bilinear")
        free = F.pixel_shuffle(FREE_BOUND * torch.tanh(heads[:, GATES:]), 2)
        low = torch.addcmul(free, half[:, :1], bands.middle)
        low = torch.addcmul(low, half[:, 1:], bands.coarse)
        residual = F.interpolate(low, scale_factor=2.0, mode="bilinear")
        residual = torch.addcmul(residual, full[:, :1], bands.fine)
        residual = torch.addcmul(residual, full[:, 1:], bands.small)
        return residual.clamp(-RESIDUAL_BOUND, RESIDUAL_BOUND)

    def _stem(self, window: Tensor) -> Tensor:
        """The first convolution, of the window less 0.5: the bias takes it, not every pixel."""
        weight, bias = self.stem.weight, self.stem.bias
        assert bias is not None
        return F.conv2d(window, weight, bias - 0.5 * weight.sum((1, 2, 3)), 4)


def _facts(window: Tensor, bands: Bands) -> Tensor:
    """How strong each band and the change to either neighbour are around a place: [B,5,H/4,W/4]."""
    before, now, after = (window[:, n : n + 1] for n in range(3))
    strength = [
        F.avg_pool2d(bands.fine.abs(), 4),
        F.avg_pool2d(bands.middle.abs(), 2),
        F.avg_pool2d(bands.coarse.abs(), 2),
        F.avg_pool2d((before - now).abs(), 4),
        F.avg_pool2d((after - now).abs(), 4),
    ]
    return torch.log1p(torch.cat(strength, 1) * 255) - 0.5


@contextmanager
def one_core_each(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads for as many frames at a time, each filtered by one core.

    The encoder wants the cores too, and cores that share a frame wait for each other at every step,
    which took ten times as long beside a busy encoder.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(workers, initializer=lambda: torch.set_num_threads(1))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)


class FrameFilter:
    """The trained filter over whole frames of any size, in strips that bound its memory."""

    def __init__(self, tensors: Mapping[str, Tensor], strip_pixels: int = STRIP_PIXELS) -> None:
        self._net = PreprocessNet()
        self._net.load_state_dict({name: t.float() for name, t in tensors.items()})
        self._net.eval().to(memory_format=torch.channels_last)
        self._net.stem.to(memory_format=torch.contiguous_format)
        self._strip_pixels = strip_pixels

    @torch.inference_mode()
    def __call__(
        self, window: Sequence[Luma], crf: float, strength: float = 1.0, bit_depth: int = 8
    ) -> Luma:
        """Filter the middle one of three luma planes [H,W]; strength 0 is the identity to the bit.

        Codes are taken as they are, limited or full range; `bit_depth` 8 to 12.
        """
        before, now, after = window
        if strength == 0.0:
            return now.copy()
        unit = 255.0 * 2 ** (bit_depth - 8)
        stacked = torch.from_numpy(np.stack([before, now, after]).astype(np.float32))[None]
        stacked.div_(unit)
        height, width = now.shape
        spare = (0, -width % STEP_PX, 0, -height % STEP_PX)
        padded = F.pad(stacked, spare, mode="replicate") if any(spare) else stacked
        residual = torch.cat([*self._strips(padded, crf)], 2)[0, 0, :height, :width].numpy()
        limit = 2**bit_depth - 1
        shown = np.rint(now + residual * np.float32(strength * unit))
        kept = np.clip(shown, 0, limit)
        return kept.astype(np.uint8) if now.dtype == np.uint8 else kept.astype(np.uint16)

    def _strips(self, frame: Tensor, crf: float) -> Iterator[Tensor]:
        told = torch.tensor([crf], dtype=torch.float32)
        rows, columns = frame.shape[2:]
        strip = max(self._strip_pixels // columns // STEP_PX, 1) * STEP_PX
        for top in range(0, rows, strip):
            end = min(top + strip, rows)
            start = max(0, top - OVERLAP_PX)
            piece = frame[:, :, start : min(end + OVERLAP_PX, rows)]
            yield self._net(piece, told)[:, :, top - start : end - start]
