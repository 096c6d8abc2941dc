"""What the network is made of and what its heads go by: for people who change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from aqs_batch.analysis.checkpoint import Checkpoint, load_model
from aqs_batch.analysis.facts import COLOUR_FACTS, TRAIL_FACTS
from aqs_batch.analysis.model import STAGE_CHANNELS
from aqs_batch.records import SWATCH_PX, Artifact

SAMPLES = 256  # random feature vectors the heads' attention is averaged over


@dataclass(frozen=True)
class Part:
    """One named part: its parameters, and its multiply-adds for one 7-frame tile."""

    name: str
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Stage:
    """One tapped map of the backbone: channels, stride and receptive field in pixels."""

    channels: int
    stride: int
    receptive_field_px: int


@dataclass(frozen=True)
class Anatomy:
    """The whole: parts, stages, and what each head looks at (shares that sum to 1)."""

    parts: tuple[Part, ...]
    stages: tuple[Stage, ...]
    heads: dict[str, dict[str, float]]


def examine(checkpoint: Checkpoint) -> Anatomy:
    """Look at a checkpoint's network; raises CheckpointError where it cannot be loaded."""
    network = load_model(checkpoint)
    card = checkpoint.card
    tile = torch.zeros(1, card.frames, 3, card.tile_px, card.tile_px)
    swatch = torch.zeros(1, 1, 3, SWATCH_PX, SWATCH_PX)
    return Anatomy(_parts(network, tile, swatch), _stages(network), _heads(network, card.frames))


def _parts(network: nn.Module, tile: Tensor, swatch: Tensor) -> tuple[Part, ...]:
    multiply_adds: dict[str, int] = {}
    handles = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            handles.append(module.register_forward_hook(_counter(multiply_adds, name)))
    with torch.inference_mode():
        network(tile, swatch)
    for handle in handles:
        handle.remove()
    parts = []
    for name, module in network.named_children():
        for inner, piece in [*module.named_children()] if name == "backbone" else [("", module)]:
            path = f"{name}.{inner}".rstrip(".")
            mine = sum(n for key, n in multiply_adds.items() if f"{key}.".startswith(f"{path}."))
            parts.append(Part(path, sum(p.numel() for p in piece.parameters()), mine))
    return tuple(p for p in parts if p.parameters)


def _counter(found: dict[str, int], name: str) -> Callable[[nn.Module, Any, Tensor], None]:
    def count(module: nn.Module, _: Any, output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            height, width = module.kernel_size
            each = module.in_channels // module.groups * height * width
        else:
            assert isinstance(module, nn.Linear)
            each = module.in_features
        found[name] = found.get(name, 0) + output.numel() * each

    return count


def _stages(network: Any) -> tuple[Stage, ...]:
    """Receptive fields by the usual recurrence over the main path's convolutions.

    Squeeze-excite gates look at the whole map; they weigh channels and are left out.
    """
    field, jump, found = 1, 1, {}
    for name, module in network.backbone.named_modules():
        if isinstance(module, nn.Conv2d) and ".se." not in name:
            field += (module.kernel_size[0] - 1) * jump
            jump *= module.stride[0]
            found[jump] = (module.out_channels, field)
    return tuple(
        Stage(channels, stride, found[stride][1])
        for channels, stride in zip(STAGE_CHANNELS, sorted(found), strict=True)
    )


def _heads(network: Any, frames: int) -> dict[str, dict[str, float]]:
    """How much each head's output moves with each group of features, all moved by their own spread.

    The mean absolute gradient times the feature's deviation, over random feature vectors drawn
    as the batch norms saw them in training; a share of the sum over all groups.
    """
    torch.manual_seed(0)
    seen, seen_spread = _drawn(network.jury[0].frame_in, (SAMPLES, frames))
    moved, moved_spread = _drawn(network.jury[0].change_in, (SAMPLES, frames - 1))
    drawn = [_drawn(head, (SAMPLES,)) for head in (network.colour, network.softness)]
    whole, whole_spread = (torch.cat(part, dim=-1) for part in zip(*drawn, strict=True))
    trails, trails_spread = _drawn(network.trails, (SAMPLES,), TRAIL_FACTS)
    logits = network.judge(seen, moved, trails, whole)
    columns = {"quality": logits.quality}
    for number, artifact in enumerate(Artifact):
        columns[artifact.value] = logits.presence[:, number]
    shares = {}
    for name, column in columns.items():
        given = seen, moved, trails, whole
        by_seen, by_moved, by_trails, by_whole = torch.autograd.grad(
            column.sum(), given, retain_graph=True, materialize_grads=True
        )
        of_whole = (by_whole.abs() * whole_spread).mean(0)
        weights = {
            **_grouped((by_seen.abs() * seen_spread).mean((0, 1)), STAGE_CHANNELS, "map", "pixels"),
            **_grouped(
                (by_moved.abs() * moved_spread).mean((0, 1)),
                STAGE_CHANNELS[:1],
                "change of map",
                "change of pixels",
            ),
            "trails": float((by_trails.abs() * trails_spread).mean(0).sum()),
            "whole frame's colours": float(of_whole[:COLOUR_FACTS].sum()),
            "whole frame's softness": float(of_whole[COLOUR_FACTS:].sum()),
        }
        total = sum(weights.values()) or 1.0
        shares[name] = {group: weight / total for group, weight in weights.items()}
    return shares


def _drawn(
    entry: nn.Module, shape: tuple[int, ...], first: int | None = None
) -> tuple[Tensor, Tensor]:
    """Random features [*shape, F] with the mean and spread of an entry's batch norm, or of the
    first of them.
    """
    norm = next(m for m in entry.modules() if isinstance(m, nn.BatchNorm1d))
    assert norm.running_mean is not None and norm.running_var is not None
    spread = norm.running_var[:first].sqrt()
    drawn = norm.running_mean[:first] + torch.randn(*shape, len(spread)) * spread
    return drawn.requires_grad_(), spread


def _grouped(weights: Tensor, channels: tuple[int, ...], name: str, rest: str) -> dict[str, float]:
    """Sum weights over each map's 2C features; what is left are the parameter-free facts."""
    groups, start = {}, 0
    for number, count in enumerate(channels, start=1):
        groups[f"{name} {number}"] = float(weights[start : start + 2 * count].sum())
        start += 2 * count
    return groups | {rest: float(weights[start:].sum())}
