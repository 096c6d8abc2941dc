"""Windows of three frames with their score: from a group list, or better, from the clips."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from training.preprocess.corpus import Corpus, pictures, read_groups
from training.preprocess.pipeline import decoded


@dataclass(frozen=True)
class Window:
    """Luma float[3,H,W] in 0-255 of reference and distorted, CRF, and the middle frame's VMAF."""

    reference: Tensor
    distorted: Tensor
    crf: float
    score: float


class CsvGroups(Dataset[Window]):
    """The windows of one split of a group list, read from PNG."""

    def __init__(self, path: Path, split: str) -> None:
        self._groups = [g for g in read_groups(path) if g.split == split]

    def __len__(self) -> int:
        return len(self._groups)

    def __getitem__(self, index: int) -> Window:
        group = self._groups[index]
        distorted = _pictures([group.dist_prev, group.dist_now, group.dist_next])
        reference = _pictures([group.ref_prev, group.ref_now, group.ref_next])
        return Window(reference, distorted, float(group.crf), group.vmaf_score)


class Clips(Dataset[Window]):
    """Every window of every encode of one split, decoded when it is asked for.

    The decodes of the last clip are kept, so read it in order or sample within a clip.
    """

    def __init__(self, corpus: Corpus, split: str, crfs: Sequence[int], frames: int) -> None:
        self._corpus, self._frames = corpus, frames
        self._scores: list[tuple[int, int, list[float]]] = []
        self._entries = [e for e in corpus.entries() if e.split == split]
        for number, entry in enumerate(self._entries):
            for crf in crfs:
                log = corpus.log(entry.sequence_name, crf)
                if log.exists():
                    self._scores.append((number, crf, json.loads(log.read_text())["vmaf"]))
        self._index = [
            (row, n)
            for row, (_, _, scores) in enumerate(self._scores)
            for n in range(1, len(scores) - 1)
        ]
        self._held: tuple[int, Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int) -> Window:
        row, n = self._index[index]
        number, crf, scores = self._scores[row]
        if self._held is None or self._held[0] != row:
            reference = self._entries[number].clip(self._frames)
            distorted = decoded(self._corpus, self._entries[number], crf, reference)
            self._held = (row, torch.from_numpy(reference.y), torch.from_numpy(distorted.y))
        _, whole, coded = self._held
        window = slice(n - 1, n + 2)
        return Window(whole[window].float(), coded[window].float(), float(crf), scores[n])


def _pictures(paths: Sequence[str]) -> Tensor:
    return torch.from_numpy(pictures(paths).astype(np.float32))
