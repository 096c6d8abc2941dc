"""Checkpoints: weights with their model card in one .safetensors file; loaded only here."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aqs_batch.atomic import unfinished
from aqs_batch.errors import CheckpointError, reason_of
from aqs_batch.records import FRAMES_PER_SEQUENCE, TILE_PX, Artifact

if TYPE_CHECKING:
    from aqs_batch.analysis.model import AqsNet

CARD_KEY = "model_card"
SHIPPED = "aqs-b0.safetensors"


@dataclass(frozen=True)
class ModelCard:
    """What a checkpoint is: its name, how it was made, and how to read its outputs.

    `temperature` and `offset` calibrate the ten presence logits (logit / temperature + offset);
    `threshold` is the probability above which each artifact is named, chosen on validation.
    """

    name: str
    version: str
    architecture: str
    created: str
    frames: int = FRAMES_PER_SEQUENCE
    tile_px: int = TILE_PX
    artifacts: tuple[str, ...] = tuple(a.value for a in Artifact)
    temperature: tuple[float, ...] = (1.0,) * len(Artifact)
    offset: tuple[float, ...] = (0.0,) * len(Artifact)
    threshold: tuple[float, ...] = (0.5,) * len(Artifact)
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name every result carries, e.g. "aqs-b0 1.0.0"."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Checkpoint:
    """A card with its weights still on disk; `digest` is the file's SHA-256, shortened."""

    path: Path
    card: ModelCard
    digest: str

    @property
    def label(self) -> str:
        return f"{self.card.label} ({self.digest})"


def chosen(path: str) -> Checkpoint:
    """The checkpoint at `path`, or the shipped one where that is empty; raises CheckpointError."""
    return inspect(Path(path) if path else shipped_path())


def shipped_path() -> Path:
    """Where the package keeps its own checkpoint."""
    return Path(__file__).resolve().parent.parent / "weights" / SHIPPED


def save(path: Path, tensors: Mapping[str, Any], card: ModelCard) -> None:
    """Write weights as fp16 with their card."""
    import torch
    from safetensors.torch import save_file

    half = {
        name: (t.half() if t.is_floating_point() else t).contiguous().cpu().clone()
        for name, t in tensors.items()
    }
    assert all(isinstance(t, torch.Tensor) for t in half.values())
    with unfinished(path) as temporary:
        save_file(half, temporary, metadata={CARD_KEY: json.dumps(asdict(card), indent=1)})


def inspect(path: Path) -> Checkpoint:
    """Read a checkpoint's card and digest without loading torch.

    Raises CheckpointError when the file is missing, damaged or has no card.
    """
    hint = "Reinstall aqs-batch, or set [model] checkpoint to a trained .safetensors file."
    try:
        raw = path.read_bytes()
        (length,) = struct.unpack("<Q", raw[:8])
        card = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"][CARD_KEY])
        known: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in card.items()
        }
        if newer := sorted(set(known) - {entry.name for entry in fields(ModelCard)}):
            raise CheckpointError(
                f"{path} is of a newer aqs-batch: its model card has {', '.join(newer)}",
                hint="Upgrade aqs-batch, or set [model] checkpoint to one that this version made.",
            )
        return Checkpoint(path, ModelCard(**known), hashlib.sha256(raw).hexdigest()[:12])
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint at {path}: nothing is scored", hint=hint) from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {reason_of(error)}", hint=hint) from error
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise CheckpointError(f"{path} is not an aqs-batch checkpoint", hint=hint) from error


def load_tensors(checkpoint: Checkpoint, architecture: str) -> dict[str, Any]:
    """The weights of a checkpoint of this architecture, in fp32.

    Raises CheckpointError when it is of another one or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if checkpoint.card.architecture != architecture:
        raise CheckpointError(
            f"{checkpoint.path} holds a model of the kind {checkpoint.card.architecture}",
            hint=f"This version reads {architecture}; retrain, or use the shipped checkpoint.",
        )
    try:
        tensors = load_file(checkpoint.path)
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{checkpoint.path}: {reason_of(error)}") from error
    return {k: t.float() if t.is_floating_point() else t for k, t in tensors.items()}


def load_model(checkpoint: Checkpoint) -> AqsNet:
    """The AqsNet of a checkpoint in fp32, ready for inference.

    Raises CheckpointError when architecture or tensors do not match this version.
    """
    from aqs_batch.analysis.model import ARCHITECTURE, AqsNet

    model = AqsNet()
    try:
        model.load_state_dict(load_tensors(checkpoint, ARCHITECTURE))
    except RuntimeError as error:
        hint = f"This version reads {ARCHITECTURE}; retrain, or use the shipped checkpoint."
        raise CheckpointError(f"{checkpoint.path}: {error}", hint=hint) from error
    return model.eval()
