"""Jurors that go on from where they stand."""

from __future__ import annotations

import torch

from aqs_batch.analysis.model import Juror
from training.heads import course, go_back


def test_a_juror_goes_part_of_the_way() -> None:
    torch.manual_seed(1)
    juror, other = Juror(12, 6, 8, 0.0), Juror(12, 6, 8, 0.0)
    began = {name: now.clone() for name, now in juror.state_dict().items()}
    became = other.state_dict()
    juror.load_state_dict(became)
    go_back(juror, began, 0.25)
    for name, now in juror.state_dict().items():
        if not now.is_floating_point():
            continue
        whole = name.startswith("intensity")
        wanted = became[name] if whole else 0.75 * began[name] + 0.25 * became[name]
        torch.testing.assert_close(now, wanted)


def test_only_who_goes_on_is_held_back() -> None:
    assert course(mixed=True, further=False).share == 1.0
    assert course(mixed=False, further=True).share < 1.0
