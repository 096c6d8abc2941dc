"""Jurors that go on from where they stand: held to what was said before, unless a label says no."""

from __future__ import annotations

import numpy as np
import torch

from aqs_batch.analysis.model import Logits
from aqs_batch.records import Artifact
from training.heads import Lesson, course
from training.losses import held, loss

ARTIFACTS = len(Artifact)


def scores(seed: int, samples: int = 4) -> Logits:
    torch.manual_seed(seed)
    quality, presence, intensity = (torch.randn(samples, n) for n in (1, ARTIFACTS, ARTIFACTS))
    return Logits(quality.squeeze(1), presence, intensity)


def test_nothing_is_nearer_to_what_was_said_than_saying_it_again() -> None:
    said, other = scores(1), scores(2)
    unknown = torch.full((4, ARTIFACTS), -1)
    assert held(said, said, unknown) < held(other, said, unknown)
    again = said.presence.clone().requires_grad_()
    held(said._replace(presence=again), said, unknown).backward()
    assert again.grad is not None and again.grad.abs().max() < 1e-6


def test_a_label_that_says_otherwise_lets_go() -> None:
    said = scores(1)
    contrary = (said.presence < 0).long()
    moved = scores(2)._replace(quality=said.quality)
    assert held(moved, said, contrary) == 0.0
    assert held(moved, said, 1 - contrary) > held(said, said, 1 - contrary)


def test_who_begins_is_held_to_nothing() -> None:
    logits, truth = scores(1), (torch.zeros(4, ARTIFACTS), torch.zeros(4, ARTIFACTS), torch.ones(4))
    assert Lesson(truth, None).cost(logits) == loss(logits, *truth)
    assert Lesson(truth, scores(2)).cost(logits) > loss(logits, *truth)
    assert course(mixed=True, before=None).steps > course(mixed=True, before=logits).steps


def test_a_lesson_in_another_order_teaches_the_same() -> None:
    logits, before = scores(1), scores(2)
    truth = (torch.randint(-1, 2, (4, ARTIFACTS)), torch.rand(4, ARTIFACTS), torch.rand(4))
    order = np.array([2, 0, 3, 1])
    turned = Logits(*(column[order] for column in logits))
    lesson = Lesson(truth, before)
    torch.testing.assert_close(lesson.of(order).cost(turned), lesson.cost(logits))
