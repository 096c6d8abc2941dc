"""The learned filter: identity at strength 0, tiles equal frames, bounded, told the CRF."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from aqs_batch.analysis import checkpoint
from aqs_batch.encode.preprocess import (
    ARCHITECTURE,
    RESIDUAL_BOUND,
    FrameFilter,
    PreprocessNet,
    smooth,
)
from aqs_batch.encode.raw_frames import Luma
from aqs_batch.reencoding import preprocessing


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return checkpoint.load_tensors(preprocessing.shipped(), ARCHITECTURE)


def noise(height: int, width: int, depth: int = 8, seed: int = 3) -> list[Luma]:
    """Three frames with edges, texture and grain."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    picture = 128 + 60 * np.sign(np.sin(rows / 9 + columns / 13)) + 20 * np.sin(columns / 2)
    frames = [picture + rng.normal(0, 4, (height, width)) for _ in range(3)]
    kind = np.uint8 if depth == 8 else np.uint16
    return [np.clip(f * 2 ** (depth - 8), 0, 2**depth - 1).astype(kind) for f in frames]


@given(
    height=st.integers(1, 40), width=st.integers(1, 40), depth=st.sampled_from([8, 10]),
    crf=st.floats(0, 51),
)  # fmt: skip
@hypothesis_settings(max_examples=20, deadline=None)
def test_strength_zero_is_the_identity_to_the_bit(
    tensors: dict[str, torch.Tensor], height: int, width: int, depth: int, crf: float
) -> None:
    window = noise(height, width, depth)
    filtered = FrameFilter(tensors)(window, crf, 0.0, depth)
    assert filtered.dtype == window[1].dtype
    assert np.array_equal(filtered, window[1])


@given(height=st.integers(1, 40), width=st.integers(1, 40), crf=st.floats(0, 51))
@hypothesis_settings(max_examples=20, deadline=None)
def test_any_size_is_filtered_and_keeps_its_shape(
    tensors: dict[str, torch.Tensor], height: int, width: int, crf: float
) -> None:
    window = noise(height, width)
    change = FrameFilter(tensors)(window, crf).astype(int) - window[1]
    assert change.shape == (height, width)
    assert np.abs(change).max() <= RESIDUAL_BOUND * 255 + 1


def test_strips_give_what_the_whole_frame_gives(tensors: dict[str, torch.Tensor]) -> None:
    window = noise(400, 96)
    whole = FrameFilter(tensors, strip_pixels=400 * 96)(window, 32)
    strips = FrameFilter(tensors, strip_pixels=64 * 96)(window, 32)
    assert (whole != window[1]).mean() > 0.3  # else this test would say nothing
    # A sum in another order may tip a tie of the rounding, and nothing more.
    assert np.abs(whole.astype(int) - strips).max() <= 1
    assert (whole != strips).mean() < 1e-3


def test_network_output_of_a_tile_is_that_of_the_frame(tensors: dict[str, torch.Tensor]) -> None:
    net = PreprocessNet().eval()
    net.load_state_dict(tensors)
    window = torch.from_numpy(np.stack(noise(256, 256)).astype(np.float32))[None] / 255
    crf = torch.tensor([27.0])
    with torch.no_grad():
        frame, tile = net(window, crf), net(window[..., 64:, 64:], crf)
    inside = slice(64, None)
    assert torch.allclose(frame[..., 128:, 128:], tile[..., inside, inside], atol=1e-5)


@pytest.mark.parametrize("depth", [10, 12])
def test_deep_pixels_are_filtered_as_eight_bits_are(
    depth: int, tensors: dict[str, torch.Tensor]
) -> None:
    eight, steps = noise(64, 64), 2 ** (depth - 8)
    deep = [f.astype(np.uint16) * steps for f in eight]
    coarse = FrameFilter(tensors)(eight, 30).astype(float)
    fine = FrameFilter(tensors)(deep, 30, bit_depth=depth).astype(float) / steps
    assert np.abs(coarse - fine).max() <= 0.75


def test_the_crf_changes_what_is_done(tensors: dict[str, torch.Tensor]) -> None:
    window, frames = noise(96, 96), FrameFilter(tensors)
    assert not np.array_equal(frames(window, 22), frames(window, 42))


def test_flat_areas_stay_flat(tensors: dict[str, torch.Tensor]) -> None:
    flat = [np.full((64, 64), 100, np.uint8)] * 3
    filtered = FrameFilter(tensors)(flat, 32)
    assert np.ptp(filtered.astype(int)) <= 1
    assert abs(float(filtered.mean()) - 100) <= 1


def test_smooth_keeps_the_mean_and_removes_the_finest_pattern() -> None:
    board = torch.from_numpy((np.indices((32, 32)).sum(0) % 2).astype(np.float32))[None, None]
    inside = smooth(board)[..., 4:-4, 4:-4]
    assert torch.allclose(inside, torch.full_like(inside, 0.5), atol=1e-6)


def test_the_filter_is_small() -> None:
    assert 5_000 <= sum(p.numel() for p in PreprocessNet().parameters()) <= 50_000
