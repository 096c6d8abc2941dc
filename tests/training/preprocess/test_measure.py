"""Ladders and BD-rate: real encodes, frames paired by index, no number where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from training.preprocess.bdrate import Point, bd_rate
from training.preprocess.clips import YuvClip
from training.preprocess.encoders import LIBRARIES, Encoding, encode_argv, round_trip
from training.preprocess.measure import libvmaf_filter, measure
from training.preprocess.quality import ExactVmaf, ms_ssim_db, psnr_db


def moving(count: int = 5, height: int = 192, width: int = 256) -> YuvClip:
    """A textured picture that slides a little each frame."""
    rng = np.random.default_rng(2)
    big = rng.normal(0, 1, (height + 40, width + 40))
    for axis in (0, 1):
        big = sum(np.roll(big, k, axis) for k in range(-3, 4)) / 2.6
    picture = np.clip(128 + 40 * big, 16, 235).astype(np.uint8)
    y = np.stack([picture[n : n + height, 2 * n : 2 * n + width] for n in range(count)])
    grey = np.full((count, height // 2, width // 2), 128, np.uint8)
    return YuvClip("moving", y, grey, grey)


def points(ratio: float, gain: float = 0.0) -> list[Point]:
    rows = ((4000, 60.0), (8000, 72.0), (16000, 84.0), (32000, 94.0))
    return [Point(30, round(b * ratio), {"vmaf": q + gain}) for b, q in rows]


def test_bd_rate_is_the_saving_and_its_sign() -> None:
    assert bd_rate(points(1), points(0.9), "vmaf") == pytest.approx(-10, abs=0.1)
    assert bd_rate(points(1), points(1.2), "vmaf") == pytest.approx(20, abs=0.1)
    better = bd_rate(points(1), points(1, 2.0), "vmaf")
    assert better is not None
    assert better < 0


def test_bd_rate_is_none_where_curves_do_not_meet_or_do_not_rise() -> None:
    assert bd_rate(points(1), points(1, 60.0), "vmaf") is None
    flat = [Point(p.crf, p.size_bytes, {"vmaf": 90.0}) for p in points(1)]
    assert bd_rate(points(1), flat, "vmaf") is None
    assert bd_rate(points(1)[:3], points(1)[:3], "vmaf") is None


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_every_codec_gives_back_every_frame(name: str) -> None:
    clip = moving()
    coded = round_trip(clip, Encoding(30, name, "ultrafast" if name != "svtav1" else "12"))
    assert coded.size_bytes > 100
    assert coded.decoded.y.shape == clip.y.shape
    assert np.abs(coded.decoded.y.astype(int) - clip.y).mean() < 8


def test_the_command_of_an_encode() -> None:
    argv = encode_argv("ffmpeg", ["-i", "file:a.yuv"], Path("b.hevc"), Encoding(27))
    assert argv[argv.index("-c:v") + 1] == "libx265"
    assert argv[argv.index("-crf") + 1] == "27"
    assert argv[argv.index("-preset") + 1] == "medium"
    assert argv[-1] == "file:b.hevc"


def test_the_distorted_clip_comes_first_and_both_are_renumbered() -> None:
    graph = libvmaf_filter(Path("/x/log.json"), ("vmaf", "neg"))
    assert graph.startswith("[0:v]settb=1/1000,setpts=N[d];[1:v]settb=1/1000,setpts=N[r];[d][r]")


def test_exact_vmaf_agrees_with_libvmaf() -> None:
    clip = moving(7)
    decoded = round_trip(clip, Encoding(38, preset="ultrafast")).decoded
    found = measure(decoded, clip, ("vmaf", "neg"))
    source, distorted = (torch.from_numpy(c.y[None].astype(np.float32)) for c in (clip, decoded))
    for name, neg in (("vmaf", False), ("neg", True)):
        exact = ExactVmaf(neg)
        motion = exact.motion(source[0])[None]
        ours = exact(source, distorted, motion)[0].clamp(0).numpy()
        assert ours == pytest.approx(found.frames[name], abs=0.1)


def test_guards_fall_with_damage() -> None:
    source = torch.from_numpy(moving(2).y[None].astype(np.float32))
    little, much = (source + n * torch.randn_like(source) for n in (2, 12))
    for metric in (ms_ssim_db, psnr_db):
        assert float(metric(source, little).mean()) > float(metric(source, much).mean())
