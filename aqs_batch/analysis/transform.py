"""The one place that turns pixels into tensors, for training and inference alike."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def transform(tiles: NDArray[np.uint8] | Tensor, device: torch.device | str = "cpu") -> Tensor:
    """Normalise uint8[B,7,H,W,3] to float[B,7,3,H,W] with ImageNet mean and deviation."""
    pixels = torch.as_tensor(tiles).to(device, non_blocking=True)
    scale = torch.tensor([1 / (255 * s) for s in IMAGENET_STD], device=pixels.device)
    shift = torch.tensor(
        [-m / s for m, s in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)], device=pixels.device
    )
    # Channels stay last in memory: the permuted view is what channels-last convolutions want.
    return (pixels.float() * scale + shift).permute(0, 1, 4, 2, 3)
