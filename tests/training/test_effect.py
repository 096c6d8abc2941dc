"""Visible effects of pictures that can be worked out by hand, and the labels that follow."""

from __future__ import annotations

import numpy as np
import pytest

from aqs_batch.records import Artifact
from training.degrade import Clip
from training.degrade.coding import CODING_DAMAGE
from training.effect import SCALES, blockiness, effect
from training.recipe import ARTIFACTS
from training.samples import (
    ABSENT,
    BAD_VMAF,
    GOOD_VMAF,
    PRESENT,
    UNKNOWN,
    _label_encode,
    presence_of,
)

GREY = np.full((7, 64, 64, 3), 100, np.uint8)
NOISY = np.random.default_rng(1).integers(60, 140, (7, 64, 64, 3)).astype(np.uint8)


def stairs(pitch: int, origin: tuple[int, int]) -> np.ndarray:
    """Blocks of two levels, ten apart, on a grid that begins outside the picture."""
    y, x = ((np.arange(64) + at) // pitch for at in origin)
    board = 100 + 10 * ((y[:, None] + x[None]) % 2)
    return np.broadcast_to(board[None, :, :, None], GREY.shape).astype(np.uint8)


@pytest.mark.parametrize("pitch", [4, 8])
@pytest.mark.parametrize("origin", [(0, 0), (3, 1), (1, 3)])
def test_block_edges_are_sought_on_the_grid_alone(pitch: int, origin: tuple[int, int]) -> None:
    blocks = stairs(pitch, origin)
    assert blockiness(blocks, pitch, origin) == pytest.approx(10, abs=0.01)
    assert blockiness(blocks, pitch, (origin[0] + 1, origin[1])) == pytest.approx(5, abs=0.01)
    assert effect(Artifact.BLOCKING, blocks, GREY, pitch=pitch, origin=origin) > 9.9


def test_blocks_that_an_encoder_merged_show_on_the_coarser_grid() -> None:
    assert effect(Artifact.BLOCKING, stairs(16, (0, 0)), GREY, pitch=8) > 9.9
    assert blockiness(stairs(8, (0, 0)), 0, (0, 0)) == 0.0


def test_noise_counts_in_every_colour() -> None:
    """As much red as makes up for the blue leaves luma as it was."""
    tinted = GREY.astype(np.int16) + np.array([38, 0, -100])
    change = np.sqrt((38**2 + 100**2) / 3)
    found = effect(Artifact.GAUSSIAN_NOISE, tinted.astype(np.uint8), GREY)
    assert found == pytest.approx(change, rel=1e-3)
    assert effect(Artifact.RINGING, tinted.astype(np.uint8), GREY) < 0.5


@pytest.mark.parametrize(("off", "share"), [(31, 1 / 64), (30, 0.0)])
def test_a_pixel_is_off_where_one_of_its_colours_is(off: int, share: float) -> None:
    spotted = GREY.copy()
    spotted[:, 5, :, 2] -= np.uint8(off)
    assert effect(Artifact.IMPULSE_NOISE, spotted, GREY) == pytest.approx(share)


def test_saturation_is_a_matter_of_chroma() -> None:
    assert effect(Artifact.COLOR_SATURATION, GREY + np.uint8(40), GREY) < 0.01
    bluer = GREY.copy()
    bluer[..., 2] += 50
    luma = 50 * 0.114
    blue, red = (50 - luma) * 0.564, -luma * 0.713
    expected = np.sqrt((blue**2 + red**2) / 2)
    assert effect(Artifact.COLOR_SATURATION, bluer, GREY) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("artifact", [Artifact.MOTION_BLUR, Artifact.DEFOCUS_BLUR])
def test_blur_is_gradient_lost_and_never_gained(artifact: Artifact) -> None:
    soft = ((NOISY.astype(int) + 100) // 2).astype(np.uint8)
    assert effect(artifact, soft, NOISY) == pytest.approx(0.5, abs=0.02)
    assert effect(artifact, NOISY, soft) == 0.0
    faint = GREY.copy()
    faint[:, ::2] += 1  # a level and less is nothing there to blur
    assert effect(artifact, GREY, faint) == 0.0


def slope(rows: int) -> np.ndarray:
    """A slope of one level a column over so many rows, texture below."""
    out = NOISY.copy()
    out[:, :rows] = (60 + np.arange(64))[None, None, :, None]
    return out


def banded(frames: np.ndarray) -> np.ndarray:
    return (frames // 8 * 8).astype(np.uint8)


def test_bands_show_on_slopes_and_less_where_these_are_few() -> None:
    whole, strip = slope(64), slope(10)
    full = effect(Artifact.COLOR_BANDING, banded(whole), whole)
    assert full == pytest.approx(np.std(np.arange(8)), rel=0.05)
    assert 0 < effect(Artifact.COLOR_BANDING, banded(strip), strip) < 0.7 * full
    assert effect(Artifact.COLOR_BANDING, banded(NOISY), NOISY) == 0.0


def test_a_shift_of_level_and_what_is_flat_are_no_bands() -> None:
    assert effect(Artifact.COLOR_BANDING, slope(64) + np.uint8(9), slope(64)) < 0.01
    assert effect(Artifact.COLOR_BANDING, NOISY, GREY) == 0.0


@pytest.mark.parametrize("artifact", list(Artifact))
def test_the_mildest_is_at_the_floor_and_the_strongest_at_full_and_beyond(
    artifact: Artifact,
) -> None:
    scale = SCALES[artifact]
    assert scale.intensity(scale.floor) == pytest.approx(scale.mild)
    assert scale.intensity(scale.full) == pytest.approx(scale.heavy)
    assert scale.intensity(scale.full * 3) == pytest.approx(scale.heavy)


def test_from_half_the_floor_to_the_floor_the_eye_would_argue() -> None:
    found = [presence_of(size, 2.0) for size in (0.0, 0.99, 1.0, 1.99, 2.0, 9.0)]
    assert found == [ABSENT, ABSENT, UNKNOWN, UNKNOWN, PRESENT, PRESENT]


@pytest.mark.parametrize(
    ("blocks", "vmaf", "blocking", "rest"),
    [
        (True, GOOD_VMAF, ABSENT, ABSENT),
        (True, GOOD_VMAF - 1, PRESENT, UNKNOWN),
        (False, GOOD_VMAF - 1, ABSENT, UNKNOWN),
        (False, BAD_VMAF - 1, UNKNOWN, UNKNOWN),
    ],
)
def test_of_a_coded_scene_only_what_shows_is_labelled(
    blocks: bool, vmaf: float, blocking: int, rest: int
) -> None:
    clean = np.full((7, 224, 224, 3), 100, np.uint8)
    full = np.tile(stairs(8, (0, 0)), (1, 4, 4, 1))[:, :224, :224] if blocks else clean
    presence = np.zeros(len(ARTIFACTS), np.int8)
    intensity = _label_encode(Clip(clean), full, (0, 0), vmaf, presence)
    at = ARTIFACTS.index(Artifact.BLOCKING)
    others = [ARTIFACTS.index(a) for a in CODING_DAMAGE if a is not Artifact.BLOCKING]
    assert presence[at] == blocking and (presence[others] == rest).all()
    assert (intensity > 0) == (blocking == PRESENT)
