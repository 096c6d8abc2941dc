"""What real x265 answers to a filter: bytes and decodes of filtered regions beside the plain ones.

A codec proxy may rank clips well and still be wrong about what a filter saves. `build` encodes a
few regions of the real ladders through known filters; `codec_proxy.fit_response` is held to what
that changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aqs_batch.encode.preprocess import smooth
from aqs_batch.errors import MediaError
from training.preprocess.encoders import Encoding, round_trip
from training.preprocess.ladders import CRFS, RealLadder, load, load_all, save

# Gains of the fine, middle and coarse band; the last one cores: less of what is small.
FILTERS: Mapping[str, tuple[float, float, float, float]] = {
    "sharp": (0.25, 0.0, 0.0, 0.0),
    "middle": (-0.15, 0.15, 0.1, 0.0),
    "coarse": (0.0, 0.15, 0.15, 0.0),
    "cored": (0.0, 0.2, 0.0, -0.6),
    "soft": (-0.4, 0.0, 0.0, 0.0),
}


@dataclass(frozen=True)
class Response:
    """A filtered region with its encodes; `plain` is the ladder it answers to."""

    filter: str
    plain: RealLadder
    filtered: RealLadder


def hand_filter(luma: Tensor, gains: tuple[float, float, float, float]) -> Tensor:
    """Luma [N,1,H,W] in 0-255 with its three detail bands weighted."""
    bands, rest = [], luma
    for reach in (1, 2, 4):
        smoother = smooth(rest, reach)
        bands.append(rest - smoother)
        rest = smoother
    bands.append(bands[0].clamp(-3, 3))
    return (luma + sum(g * b for g, b in zip(gains, bands, strict=True))).round().clamp(0, 255)


def build(cache: Path, clips: int) -> Iterator[str]:
    """Encode what is not there yet; yields a line for each."""
    ladders = list(load_all(cache, "train"))
    for ladder in ladders[:: max(1, len(ladders) // clips)][:clips]:
        for name, gains in FILTERS.items():
            target = cache / "responses" / f"{ladder.name}__{name}.npz"
            if target.exists():
                continue
            luma = hand_filter(torch.from_numpy(ladder.y[:, None].astype(np.float32)), gains)
            clip = ladder.clip.with_luma(luma[:, 0].numpy().astype(np.uint8))
            coded = [round_trip(clip, Encoding(crf)) for crf in CRFS]
            save(
                replace(
                    ladder, y=clip.y, decoded=np.stack([c.decoded.y for c in coded]),
                    size_bytes=np.array([c.size_bytes for c in coded]),
                ),
                target,
            )  # fmt: skip
            yield f"{ladder.name}: {name}"


def load_responses(cache: Path) -> Sequence[Response]:
    plain = {x.name: x for x in load_all(cache, "train")}
    found = []
    for path in sorted((cache / "responses").glob("*.npz")):
        filtered = load(path)
        if filtered.name in plain:  # else of media that are no longer trained on
            found.append(Response(path.stem.rpartition("__")[2], plain[filtered.name], filtered))
    return found


def halves(found: Sequence[Response]) -> tuple[list[Response], list[Response]]:
    """Half of the clips to fit to, and half to judge by; raises MediaError where there is but one,
    which had been found after the fit, the longest step of all.
    """
    names = sorted({r.plain.name for r in found})
    if len(names) < 2:
        raise MediaError(
            "one clip was filtered, and half of them are to judge the proxy by",
            hint="Ask for two --responses or more, of as many ladders of `train`.",
        )
    judging = set(names[1::2])
    taught = [r for r in found if r.plain.name not in judging]
    return taught, [r for r in found if r.plain.name in judging]
