"""Real x265 forward, the codec proxy's gradient backward."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from training.preprocess.clips import YuvClip
from training.preprocess.codec_proxy import CodecProxy
from training.preprocess.encoders import Encoding, round_trip

GREY = 128


class RealDecode(torch.nn.Module):
    """Same call as the codec proxy; while `active`, its decode has the real encoder's values.

    A handful of frames is encoded without a key frame's help beyond the first, so bits stay the
    proxy's estimate: a real count of so short a clip would be mostly headers and the key frame.
    """

    def __init__(self, proxy: CodecProxy, preset: str = "medium") -> None:
        super().__init__()
        self.proxy, self.preset, self.active = proxy, preset, False

    def forward(
        self, luma: Tensor, flow: Tensor, crf: Tensor, intra_share: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        decoded, bits = self.proxy(luma, flow, crf, intra_share)
        if not self.active:
            return decoded, bits
        real = torch.stack([self._real(one, float(c)) for one, c in zip(luma, crf, strict=True)])
        return decoded + (real - decoded).detach(), bits

    def bits_ratio(self, filtered: Tensor, plain: Tensor, crf: Tensor) -> Tensor:
        return self.proxy.bits_ratio(filtered, plain, crf)

    def _real(self, luma: Tensor, crf: float) -> Tensor:
        y = luma.detach().round().clamp(0, 255).to(torch.uint8).cpu().numpy()
        half = np.full((len(y), y.shape[1] // 2, y.shape[2] // 2), GREY, np.uint8)
        coded = round_trip(
            YuvClip("sample", y, half, half), Encoding(round(crf), "x265", self.preset)
        )
        return torch.from_numpy(coded.decoded.y.astype(np.float32)).to(luma.device)
