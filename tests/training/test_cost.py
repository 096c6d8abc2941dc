"""What an artifact costs, measured on samples that have it alone."""

from __future__ import annotations

import numpy as np
import pytest

from aqs_batch.records import Artifact
from training.cost import alone, fit, part_of
from training.dataset import Truth
from training.effect import SCALES


@pytest.mark.parametrize("artifact", Artifact, ids=lambda a: a.value)
def test_the_part_is_the_inverse_of_the_intensity(artifact: Artifact) -> None:
    scale = SCALES[artifact]
    sizes = np.linspace(scale.floor, scale.full, 9)
    back = part_of(np.array([scale.intensity(float(s)) for s in sizes]), scale)
    assert back == pytest.approx([scale.part(float(s)) for s in sizes], abs=1e-6)


def test_the_fit_finds_what_was_lost() -> None:
    part = np.linspace(0, 1, 200)
    lost = 0.1 * 4**part
    assert fit(part, lost) == pytest.approx((0.1, 0.4), rel=0.02)
    lost[::20] = 1.0  # what something else took away
    assert fit(part, lost) == pytest.approx((0.1, 0.4), rel=0.03)


def test_only_samples_with_the_artifact_alone_and_a_quality_count() -> None:
    presence = np.zeros((4, len(Artifact)), np.int8)
    presence[:, 0] = 1
    presence[1, 3] = 1
    truth = Truth(
        presence=presence,
        intensity=np.zeros((4, len(Artifact)), np.float32),
        quality=np.array([0.5, 0.5, -1.0, 0.5], np.float32),
        vmaf=np.zeros(4, np.float32),
        note=np.array(["a: x@1", "a: x@1, y@1", "a: x@1", "a: x@1, y@1"]),
    )
    assert alone(truth, 0).tolist() == [True, False, False, False]
