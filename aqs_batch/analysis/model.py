"""AqsNet: EfficientNet-B0, attention over seven frames, heads for quality and artifacts.

The shallowest map is made of every frame, and how it changes from frame to frame; the deeper ones
of two frames only, which stand for their neighbours (docs/decisions/016).

Shapes: B tiles, T=7 frames, D=2 frames looked at closely, C channels, 10 artifacts.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aqs_batch.analysis import facts
from aqs_batch.analysis.beside import ColourHead, SoftnessHead, TrailHead, spread
from aqs_batch.analysis.facts import LOOKED_AT, STANDS_FOR
from aqs_batch.records import FRAMES_PER_SEQUENCE, TILE_PX, Artifact

ARCHITECTURE = "aqsnet-b0-10"
ARTIFACTS = len(Artifact)
SATURATION = list(Artifact).index(Artifact.COLOR_SATURATION)
GHOSTING = list(Artifact).index(Artifact.GHOSTING)
BLURS = tuple(map(list(Artifact).index, (Artifact.DEFOCUS_BLUR, Artifact.MOTION_BLUR)))
DROPOUT = 0.2  # of the jurors, in training
LEFT_OUT = 0.12  # share of the runs of features that half of the jurors do without in training
STAGE_CHANNELS = (16, 24, 40, 112, 320)  # efficientnet_b0 at strides 2, 4, 8, 16, 32
MAPS_AFTER = (1, 2, 4, 6)  # the backbone's blocks whose outputs are the deeper four maps


class Logits(NamedTuple):
    """Raw outputs: quality [B], presence [B,10], intensity [B,10]; sigmoid makes them 0-1."""

    quality: Tensor
    presence: Tensor
    intensity: Tensor


class Front(NamedTuple):
    """Of tiles: the shallowest map pooled [B,T,E], facts of the frames looked at [B,D,S], what
    changes [B,T-1,G], and facts of trails [B,TRAIL_FACTS].
    """

    every: Tensor
    still: Tensor
    moved: Tensor
    trails: Tensor


class Attend(nn.Module):
    """One pre-norm transformer block over the tokens: [B,N,width] -> [B,N,width].

    Written out, since the library's own layer takes another path in inference than in training,
    which neither traces to OpenVINO nor keeps backends equal.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        heads = self.qkv(self.norm1(tokens)).unflatten(2, (3, self.heads, -1))
        q, k, v = heads.permute(2, 0, 3, 1, 4).unbind(0)  # each [B,heads,N,width/heads]
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        tokens = tokens + self.drop(self.out(seen))
        wide = self.drop(F.gelu(self.widen(self.norm2(tokens))))
        out: Tensor = tokens + self.drop(self.narrow(wide))
        return out


class Juror(nn.Module):
    """From features to scores: a token a frame, a token a step between frames, attention, heads."""

    def __init__(self, pooled: int, change: int, width: int, dropout: float, runs: float) -> None:
        super().__init__()
        # BatchNorm, not LayerNorm: the features' own scales differ by orders of magnitude, and
        # the faint ones are those that tell banding and saturation.
        self.frame_in = _entry(pooled, width, dropout, runs)
        self.change_in = _entry(change, width, dropout, runs)
        tokens = 2 * FRAMES_PER_SEQUENCE - 1
        self.position = nn.Parameter(torch.zeros(1, tokens, width))
        self.attend = Attend(width, heads=4, dropout=dropout)
        # mean of the attended frame tokens, mean and spread of the attended change tokens, and the
        # unattended mean and spread of both: what is steady, and what varies.
        self.trunk = nn.Sequential(
            nn.LayerNorm(7 * width),
            nn.Linear(7 * width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
        )
        self.quality = nn.Linear(2 * width, 1)
        self.presence = nn.Linear(2 * width, ARTIFACTS)
        self.intensity = nn.Linear(2 * width, ARTIFACTS)

    def forward(self, seen: Tensor, moved: Tensor) -> Logits:
        batch, frames = seen.shape[:2]
        look = self.frame_in(seen.flatten(0, 1)).reshape(batch, frames, -1)  # [B,T,width]
        change = self.change_in(moved.flatten(0, 1)).reshape(batch, frames - 1, -1)
        attended = self.attend(torch.cat([look, change], dim=1) + self.position)
        summary = [
            attended[:, :frames].mean(1),
            attended[:, frames:].mean(1),
            spread(attended[:, frames:]),
            look.mean(1),
            spread(look),
            change.mean(1),
            spread(change),
        ]
        features = self.trunk(torch.cat(summary, dim=1))
        return Logits(
            self.quality(features).squeeze(1), self.presence(features), self.intensity(features)
        )


class AqsNet(nn.Module):
    """Scores tiles float[B,7,3,H,W] with their frames' swatches float[B,1,3,h,w] -> Logits.

    Both normalised by analysis/transform.
    """

    def __init__(self, width: int = 128, jurors: int = 10) -> None:
        super().__init__()
        facts.prepare(TILE_PX)
        self.backbone = timm.create_model(
            "efficientnet_b0",
            pretrained=False,
            features_only=True,
            out_indices=tuple(range(len(STAGE_CHANNELS))),
        )
        pooled = 2 * sum(STAGE_CHANNELS) + facts.FRAME_FACTS  # mean and deviation over space
        change = 2 * STAGE_CHANNELS[0] + facts.CHANGE_FACTS
        # Trained apart from different beginnings: where samples are few their errors differ, and
        # ten of them cost a tenth of the time (docs/performance.md). Half also do without runs of
        # features.
        self.jury = nn.ModuleList(
            Juror(pooled, change, width, DROPOUT, runs=LEFT_OUT if n >= jurors // 2 else 0.0)
            for n in range(jurors)
        )
        self.colour, self.trails, self.softness = ColourHead(), TrailHead(), SoftnessHead()

    def forward(self, tiles: Tensor, swatches: Tensor) -> Logits:
        return self.judge(*self.features(tiles, swatches))

    def features(self, tiles: Tensor, swatches: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What is seen in each frame [B,T,F], how frames change [B,T-1,G], their trails
        [B,TRAIL_FACTS], and the colours and softness of the whole frame [B,SWATCH_FACTS].
        """
        return *self.look(tiles), facts.of_swatches(swatches)

    def look(self, tiles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The features of tiles alone: [B,T,F], [B,T-1,G] and [B,TRAIL_FACTS]."""
        front, shallow = self.front(tiles)
        close = self.close(shallow[:, list(LOOKED_AT)])
        return seen(front.every, close, front.still), front.moved, front.trails

    def front(self, tiles: Tensor) -> tuple[Front, Tensor]:
        """All that is not the deeper maps, and the shallowest map itself [B,T,C,h,w]."""
        shallow = self.shallow(tiles)
        every = _pool(shallow.flatten(0, 1)).reshape(*shallow.shape[:2], -1)
        # Facts count single levels and thin shares: half precision would wash them out.
        with torch.autocast(tiles.device.type, enabled=False):
            still, moved, trails = facts.of(tiles)
        moved = torch.cat([_change(shallow), moved], dim=2)
        return Front(every, still, moved, trails), shallow

    def shallow(self, frames: Tensor) -> Tensor:
        """The shallowest map: [B,N,3,H,W] -> [B,N,C,h,w]."""
        net: Any = self.backbone
        shallow: Tensor = net.blocks[0](net.bn1(net.conv_stem(frames.flatten(0, 1))))
        return shallow.reshape(*frames.shape[:2], *shallow.shape[1:])

    def close(self, shallow: Tensor) -> Tensor:
        """The deeper four maps of frames, pooled, from their shallowest: [B,N,C,h,w] -> [B,N,P]."""
        net: Any = self.backbone
        deeper, pooled = shallow.flatten(0, 1), []
        for number, block in enumerate(net.blocks[1:], start=1):
            deeper = block(deeper)
            if number in MAPS_AFTER:
                pooled.append(_pool(deeper))
        return torch.cat(pooled, dim=1).reshape(*shallow.shape[:2], -1)

    def judge(self, seen: Tensor, moved: Tensor, trails: Tensor, whole: Tensor) -> Logits:
        """The scores of features: the part that can be trained on cached ones."""
        return self.with_heads(mean_of(self.jury, seen, moved), moved, trails, whole)

    def with_heads(self, logits: Logits, moved: Tensor, trails: Tensor, whole: Tensor) -> Logits:
        """What jurors say of tiles, with what the heads beside them add to it."""
        changes = moved[..., -facts.CHANGE_FACTS :]
        colours, softness = torch.tensor_split(whole, [facts.COLOUR_FACTS], dim=1)
        soft = self.softness.accuse(softness)
        blurred = sum(_at(n, s) for n, s in zip(BLURS, soft.unbind(1), strict=True))
        told = _at(GHOSTING, self.trails(changes, trails)) + _at(SATURATION, self.colour(colours))
        return Logits(
            logits.quality - soft.sum(1),
            logits.presence + told + blurred,
            logits.intensity + blurred,
        )


def _at(artifact: int, logit: Tensor) -> Tensor:
    """One artifact's logit among zeros for the others: [B] -> [B,10]."""
    return F.pad(logit[:, None], (artifact, ARTIFACTS - artifact - 1))


def mean_of(jurors: Iterable[nn.Module], seen: Tensor, moved: Tensor) -> Logits:
    """The mean scores that some jurors give to features."""
    votes = [juror(seen, moved) for juror in jurors]
    return Logits(*(torch.stack(column).mean(0) for column in zip(*votes, strict=True)))


def seen(every: Tensor, close: Tensor, still: Tensor) -> Tensor:
    """A row a frame: [B,T,E], and what the frames looked at stand for, [B,D,P] and [B,D,S]."""
    standing = torch.cat([close, still], dim=2)[:, list(STANDS_FOR)]
    return torch.cat([every, standing], dim=2)


def _change(maps: Tensor) -> Tensor:
    """How much each channel changes from frame to frame, log scale: [B,T,C,h,w] -> [B,T-1,2C].

    The second half is the change of the change (a frame against the mean of its neighbours),
    which a blended or repeated frame betrays; its first row is repeated to make T-1.
    """
    first = (maps[:, 1:] - maps[:, :-1]).abs().mean((3, 4))  # [B,T-1,C]
    middle = maps[:, 1:-1] - 0.5 * (maps[:, 2:] + maps[:, :-2])
    second = middle.abs().mean((3, 4))  # [B,T-2,C]
    second = torch.cat([second[:, :1], second], dim=1)
    return torch.log(torch.cat([first, second], dim=2) + 1e-3)


def _entry(features: int, width: int, dropout: float, runs: float) -> nn.Sequential:
    """Features to a token; some are left out in training, so that no one fact is leant on."""
    left_out = nn.Sequential(RunDropout(features, runs), nn.Dropout(dropout))
    return nn.Sequential(nn.BatchNorm1d(features), left_out, nn.Linear(features, width), nn.GELU())


class RunDropout(nn.Module):
    """Leaves out whole runs of neighbouring features in training: [N,F] -> [N,F].

    Neighbours tell much the same (a stage's maps, facts of one kind), so that a feature that is
    left out by itself is missed by nobody.
    """

    def __init__(self, features: int, share: float, runs: int = 12) -> None:
        super().__init__()
        bounds = [features * n // runs for n in range(runs + 1)]
        self._lengths = [end - begin for begin, end in pairwise(bounds)]
        self._share = share

    def forward(self, features: Tensor) -> Tensor:
        if not self.training:
            return features
        lengths = torch.tensor(self._lengths, device=features.device)
        drawn = torch.rand(len(features), len(lengths), device=features.device)
        return features * (drawn >= self._share).float().repeat_interleave(lengths, dim=1)


def _pool(stage: Tensor) -> Tensor:
    """Mean and standard deviation over space: [N,C,h,w] -> [N,2C]."""
    mean = stage.mean((2, 3))
    variance = (stage - mean[:, :, None, None]).square().mean((2, 3))
    return torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)
