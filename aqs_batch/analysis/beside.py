"""Heads beside the jury: each speaks of what a tile alone cannot tell, from facts of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aqs_batch.analysis import facts

SURE, WEIGHT = 1.0, 1.5  # logit from which softness is spoken of, and how loudly


class Perceptron(nn.Module):
    """One hidden layer, from facts [B,given] to logits [B,outputs]; untrained it adds nothing.

    A share of the facts is `left_out` in training, so that none is leant on.
    """

    def __init__(
        self, given: int, outputs: int, width: int, dropout: float, left_out: float = 0.0
    ) -> None:
        super().__init__()
        self.norm, self.leave_out = nn.BatchNorm1d(given), nn.Dropout(left_out)
        self.hidden, self.drop = nn.Linear(given, width), nn.Dropout(dropout)
        self.out = nn.Linear(width, outputs)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, given: Tensor) -> Tensor:
        seen = self.leave_out(self.norm(given))
        said: Tensor = self.out(self.drop(F.gelu(self.hidden(seen))))
        return said


class ColourHead(Perceptron):
    """What the colours of a whole frame add to the logit of saturation: [B,COLOUR_FACTS] -> [B].

    Beside the jurors, not among what they are given: what a frame's colours are tells its source,
    and jurors would learn that by heart (docs/decisions/021).
    """

    def __init__(self, width: int = 192) -> None:
        super().__init__(facts.COLOUR_FACTS, 1, width, dropout=0.3, left_out=0.05)

    def forward(self, colours: Tensor) -> Tensor:
        return super().forward(colours).squeeze(1)


class TrailHead(nn.Module):
    """What trails add to the logit of ghosting: [B,T-1,CHANGE_FACTS] and [B,TRAIL_FACTS] -> [B].

    Beside the jurors, taught with many times as many ghosts as there are whole samples
    (docs/decisions/022). Cells of a table are alike: a share is left out in training.
    """

    def __init__(self) -> None:
        super().__init__()
        given = facts.TRAIL_FACTS + 2 * facts.CHANGE_FACTS
        self.norm, self.leave_out = nn.BatchNorm1d(given), nn.Dropout(0.3)
        self.drop = nn.Dropout(0.2)
        self.hidden, self.second = nn.Linear(given, 64), nn.Linear(64, 32)
        self.out = nn.Linear(32, 1)
        nn.init.zeros_(self.out.weight)  # untrained it adds nothing
        nn.init.zeros_(self.out.bias)

    def forward(self, moved: Tensor, trails: Tensor) -> Tensor:
        told = torch.cat([trails, moved.mean(1), spread(moved)], dim=1)
        given = self.leave_out(self.norm(told))
        seen = self.drop(F.gelu(self.second(self.drop(F.gelu(self.hidden(given))))))
        added: Tensor = self.out(seen).squeeze(1)
        return added


class SoftnessHead(Perceptron):
    """Whether a whole frame is out of focus, or smeared: [B,SOFTNESS_FACTS] -> logits [B,2].

    For blur so wide that a tile of it looks like a sky (docs/decisions/025).
    """

    def __init__(self) -> None:
        super().__init__(facts.SOFTNESS_FACTS, 2, width=64, dropout=0.3)

    def accuse(self, softness: Tensor) -> Tensor:
        """What is taken from a frame's quality and added to its blurs: [B,2], from 0 on.

        It can only accuse a frame, never praise it, and is silent up to a logit of SURE, which
        one clean frame in two hundred of validation exceeds.
        """
        return WEIGHT * F.relu(self.forward(softness) - SURE)


def spread(rows: Tensor) -> Tensor:
    """Standard deviation over time: [B,T,width] -> [B,width]."""
    return ((rows - rows.mean(1, keepdim=True)).square().mean(1) + 1e-5).sqrt()
