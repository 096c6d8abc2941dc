"""The loss: what counts, how much, and what does not."""

from __future__ import annotations

import pytest
import torch

from aqs_batch.analysis.model import ARTIFACTS, Logits, RunDropout
from aqs_batch.records import Artifact
from training.effect import SCALES
from training.losses import loss

SAMPLES = 6


def batch() -> tuple[Logits, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    draw = torch.Generator().manual_seed(1)
    presence = torch.randint(-1, 2, (SAMPLES, ARTIFACTS), generator=draw).to(torch.int8)
    intensity = torch.rand(SAMPLES, ARTIFACTS, generator=draw)
    quality = torch.rand(SAMPLES, generator=draw)
    quality[0] = -1.0
    logits = Logits(*(torch.randn(c.shape, generator=draw) for c in (quality, presence, intensity)))
    return logits, (presence, intensity, quality)


def test_equal_weights_are_no_weights() -> None:
    logits, truth = batch()
    torch.testing.assert_close(loss(logits, *truth, torch.ones(SAMPLES)), loss(logits, *truth))


def test_a_sample_without_weight_teaches_nothing() -> None:
    logits, truth = batch()
    weight = torch.ones(SAMPLES)
    weight[2] = 0.0
    rest = [n for n in range(SAMPLES) if n != 2]
    without = loss(Logits(*(part[rest] for part in logits)), *(column[rest] for column in truth))
    torch.testing.assert_close(loss(logits, *truth, weight), without)


def test_what_is_unknown_teaches_nothing() -> None:
    logits, (presence, intensity, quality) = batch()
    moved = Logits(
        torch.where(quality < 0, 9.0, logits.quality),
        torch.where(presence < 0, 9.0, logits.presence),
        torch.where(presence < 1, 9.0, logits.intensity),
    )
    truth = presence, intensity, quality
    torch.testing.assert_close(loss(moved, *truth), loss(logits, *truth))


def test_runs_of_features_are_left_out_in_training_alone() -> None:
    torch.manual_seed(1)
    dropout = RunDropout(features=30, share=0.4, runs=5)
    given = torch.ones(200, 30)
    kept = dropout(given).reshape(200, 5, 6)
    assert torch.equal(kept.amin(2), kept.amax(2))  # whole runs
    assert 0.5 < float(kept.mean()) < 0.7
    assert torch.equal(dropout.eval()(given), given)


def test_an_intensity_is_wrong_by_its_place_between_mildest_and_strongest() -> None:
    """Noise reaches from 0.035 to 0.5, blur from 0.37 to 1: half the way off is the same error."""
    values = []
    for artifact in (Artifact.GAUSSIAN_NOISE, Artifact.DEFOCUS_BLUR):
        scale, at = SCALES[artifact], list(Artifact).index(artifact)
        presence, intensity = torch.zeros(1, 10), torch.zeros(1, 10)
        presence[0, at], intensity[0, at] = 1, scale.mild
        guess = torch.zeros(1, 10)
        guess[0, at] = torch.logit(torch.tensor((scale.mild * scale.heavy) ** 0.5))
        logits = Logits(torch.zeros(1), torch.zeros(1, 10), guess)
        right = Logits(torch.zeros(1), torch.zeros(1, 10), torch.logit(intensity.clamp(min=0.01)))
        quality = torch.full((1,), 0.5)
        values.append(
            float(
                loss(logits, presence, intensity, quality)
                - loss(right, presence, intensity, quality)
            )
        )
    assert values[0] == pytest.approx(values[1], rel=1e-3)
    assert values[0] == pytest.approx(0.5 - 0.05, rel=1e-3)  # Huber's, beyond its bend at 0.1
