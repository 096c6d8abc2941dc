"""Facts about pixels: what they tell, and that every backend is told the same."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

import cv2
import numpy as np
import openvino as ov
import pytest
import torch

from aqs_batch.analysis import facts
from aqs_batch.analysis.facts import levels, palette, spectrum
from aqs_batch.analysis.facts.softness import SOFTNESS_FACTS, WAYS, softness_facts
from aqs_batch.analysis.facts.trails import SHARES, TRAIL_FACTS, trail_facts
from aqs_batch.analysis.transform import transform

PX = 224


def picture(seed: int = 0) -> np.ndarray:
    """A texture of no direction, float32[224,224] in 0-255."""
    rng = np.random.default_rng(seed)
    grain = rng.normal(size=(PX, PX)).astype("f4")
    smooth = (grain + np.roll(grain, 1, 0) + np.roll(grain, 1, 1) + np.roll(grain, 1, (0, 1))) / 2
    return np.clip(128 + 30 * smooth, 0, 255).astype("f4")


def test_the_power_is_that_of_the_fourier_transform() -> None:
    luma = torch.from_numpy(picture())[None]
    window = spectrum._window(PX, PX)
    there = torch.fft.rfft2((luma - luma.mean()) * window / PX)
    wanted = torch.log(there.abs().square() + 0.05)
    assert torch.allclose(spectrum.log_power(luma), wanted, atol=1e-3)


@pytest.mark.parametrize(("dy", "dx", "ring"), [(3, 5, 1), (10, -9, 3), (0, 21, 4), (30, 12, 5)])
def test_a_second_copy_of_the_picture_is_a_peak_at_its_displacement(
    dy: int, dx: int, ring: int
) -> None:
    plain = picture()
    doubled = 0.6 * plain + 0.4 * np.roll(plain, (dy, dx), (0, 1))
    both = torch.from_numpy(np.stack([plain, doubled]).astype("f4"))
    told = spectrum.cepstrum_facts(spectrum.log_power(both)).reshape(2, -1, 2, 2)
    off_or_on_axis = 1 if 0 in (dy, dx) else 0
    peaks = told[:, :, off_or_on_axis, 0]
    assert peaks[1].argmax() == ring
    assert peaks[1, ring] > peaks[0, ring] + 0.5


def test_a_tile_of_one_level_has_no_cepstrum() -> None:
    flat = torch.full((1, PX, PX), 100.0)
    assert spectrum.cepstrum_facts(spectrum.log_power(flat)).abs().max() < 0.02


class Facts(torch.nn.Module):
    def forward(self, tiles: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return facts.of(transform(tiles))


def assert_same_everywhere(tile: np.ndarray) -> None:
    facts.prepare(PX)
    graph = ov.convert_model(Facts().eval(), example_input=torch.from_numpy(tile))
    graph.reshape(tile.shape)
    run = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for one, two in zip(run([tile]).values(), Facts()(torch.from_numpy(tile)), strict=True):
        assert np.abs(one - two.numpy()).max() < 1e-3


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_whole_grey_levels_are_counted_alike_by_every_backend() -> None:
    """Thresholds that met levels exactly were decided by rounding, each backend having its own.

    A static grey scene in which a few places change by exactly five levels had facts that differed
    by 2.7 between OpenVINO and torch.
    """
    rng = np.random.default_rng(3)
    grey = rng.integers(0, 64, (PX // 8, PX // 8)).repeat(8, 0).repeat(8, 1) * 4
    frames = np.repeat(grey[None], 7, 0)
    frames[3:, 60:90, 60:90] += 5
    frames[5:, 100:130, 60:90] += 2
    tile = np.repeat(frames.clip(0, 255).astype(np.uint8)[..., None], 3, -1)[None]
    assert_same_everywhere(tile)


class Whole(torch.nn.Module):
    """A swatch's pixels to facts, as the OpenVINO graph has it."""

    def forward(self, swatches: torch.Tensor) -> torch.Tensor:
        return facts.of_swatches(transform(swatches[:, None]))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_whole_frames_are_told_alike_by_every_backend() -> None:
    """Blurred ones too: random points had hidden that OpenVINO had all bends wrong."""
    facts.prepare(PX)
    swatch = np.random.default_rng(6).integers(0, 256, (1, 64, 64, 3)).astype(np.uint8)
    graph = ov.convert_model(Whole().eval(), example_input=torch.zeros(1, 64, 64, 3).byte())
    graph.reshape(swatch.shape)
    run = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for seen in (swatch, cv2.GaussianBlur(swatch[0], (0, 0), 2.0)[None]):
        (told,) = run([seen]).values()
        assert np.abs(told - Whole()(torch.from_numpy(seen)).numpy()).max() < 1e-3


def test_a_swatch_tells_pale_frames_from_colourful_ones() -> None:
    colourful = np.random.default_rng(2).integers(0, 256, (1, 64, 64, 3)).astype(np.uint8)
    grey = colourful.mean(-1, keepdims=True)
    pale = (grey + 0.25 * (colourful - grey)).astype(np.uint8)
    vivid, faded = (facts.of_swatches(transform(s[:, None])) for s in (colourful, pale))
    assert vivid.shape == (1, facts.SWATCH_FACTS)
    above_32_levels = levels.CHROMA.index(32 + levels.BETWEEN)
    assert vivid[0, above_32_levels] > faded[0, above_32_levels] + 1


def test_a_palette_says_how_strong_colours_are_where() -> None:
    """In the order of all points, and by brightness: what is grey but for its shadows is told."""
    bright = np.full((1, 64, 64, 3), 180, np.uint8)
    dark = np.full((1, 64, 64, 3), 30, np.uint8)
    dark[..., 0] = 90
    frames = np.concatenate([np.where(np.arange(64)[:, None] < 8, dark, bright), bright])
    luma, blue, red = (p[:, 0] for p in facts.planes(transform(frames[:, None])))
    told = palette.palette_facts(luma, blue, red)
    assert told.shape == (2, palette.PALETTE_FACTS)
    strength, purity, brightness = told[:, : 3 * len(palette.PLACES)].split(
        len(palette.PLACES), dim=1
    )
    assert (strength[0, -4:] > 3).all() and (strength[0, :5] < 0.1).all()  # an eighth is coloured
    assert (strength[1] < 0.1).all() and (purity[1] < 1e-6).all()
    assert brightness[0].tolist() == sorted(brightness[0].tolist())
    share, mean, square = told[0, 3 * len(palette.PLACES) : -8].reshape(-1, 3).T
    assert share.tolist() == [1 / 8, 0, 0, 7 / 8, 0]
    assert mean[0] > 3 > mean[3] and square[0] > 3 > square[3]


def test_points_of_a_blurred_frame_step_without_bending() -> None:
    """By the mean of all ways: a sharp frame's steps bend as much as they are long."""
    rng = np.random.default_rng(5)
    sharp = rng.integers(0, 256, (64, 64)).astype(np.float32)
    ramp = np.add.outer(np.arange(64), 2 * np.arange(64)).astype(np.float32)
    frames = np.stack([sharp, cv2.GaussianBlur(sharp, (0, 0), 2), ramp])
    told = softness_facts(torch.from_numpy(frames))
    assert told.shape == (3, SOFTNESS_FACTS)
    bent = told[:, : len(WAYS)].exp().mean(1)
    assert bent[0] > 0.8 > 0.6 > bent[1] > 2 * bent[2]


def test_what_moves_leaves_a_trail_only_where_frames_are_mixed() -> None:
    """Of an edge that went on, a ghost keeps a share at its old place, and none before it came."""
    rng = np.random.default_rng(4)
    coarse = rng.integers(0, 255, (PX // 32, PX // 32 + 3)).repeat(32, 0).repeat(32, 1)
    shown = [coarse[:PX, 9 * n : 9 * n + PX].astype(np.float32) for n in range(8)]
    clean = torch.from_numpy(np.stack(shown[1:]))[None]
    ghost = torch.from_numpy(np.stack([0.65 * a + 0.35 * b for b, a in pairwise(shown)]))[None]
    cells = len(SHARES) + 1
    told = [trail_facts(luma)[0] for luma in (clean, ghost)]
    assert told[0].shape == (TRAIL_FACTS,)
    half_left = bisect_left(SHARES, 0.35 / 0.65)
    tables = [facts_of[cells**2 : 2 * cells**2].reshape(cells, cells) for facts_of in told]
    of_clean, of_ghost = (float(table[half_left].sum()) for table in tables)
    assert of_ghost > 0.2 > 0.1 > abs(of_clean)


def test_a_still_picture_has_no_trail_to_speak_of() -> None:
    rng = np.random.default_rng(5)
    frame = rng.integers(0, 255, (PX, PX)).astype(np.float32)
    told = trail_facts(torch.from_numpy(np.repeat(frame[None], 7, 0))[None])[0]
    cells = (len(SHARES) + 1) ** 2
    assert told[cells : 2 * cells].abs().max() == 0.0


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_coloured_pixels_at_a_threshold_are_counted_alike_by_every_backend() -> None:
    """The luma of (225, 237, 229) is 232.5 to the last digit: facts differed by 6.5."""
    tile = np.broadcast_to(np.array([225, 237, 229], np.uint8), (1, 7, PX, PX, 3)).copy()
    assert_same_everywhere(tile)
