"""Curves of a training for TensorBoard: `tensorboard --logdir training/runs`."""

from __future__ import annotations

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from training.judge import Judged


class Board:
    """The curves of what is trained in one go.

    `step` is where it goes on: what was logged after it is logged again, and shown once.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def loss(self, value: float, step: int) -> None:
        """What training costs."""
        self._writer.add_scalar("train/loss", value, step)

    def judged(self, judged: Judged, step: int) -> None:
        """What validation says."""
        for key, value in judged.as_dict().items():
            if isinstance(value, float):
                self._writer.add_scalar(f"val/{key}", value, step)
        self._writer.flush()
