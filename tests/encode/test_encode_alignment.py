"""The verdict, on made-up pictures and on the twelve ways in which files fool other tools."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqs_batch import ffmpeg
from aqs_batch.encode import alignment, pair, vmaf
from aqs_batch.encode.alignment import PICTURE_PX, overlap, verdict
from aqs_batch.encode.child import Tool
from aqs_batch.errors import Misaligned
from aqs_batch.ingest.probe import probe
from bench.alignment_cases import CASES, Case, build


def moving(frames: int, *, noise: int = 0, seed: int = 1) -> np.ndarray:
    """Frames of a picture that wanders, as an encode with `noise` levels of damage shows them."""
    rng = np.random.default_rng(seed)
    wide = rng.integers(0, 256, (PICTURE_PX, PICTURE_PX + 8 * frames)).astype(float)
    wide = (wide + np.roll(wide, 1, 1) + np.roll(wide, 2, 1)) / 3
    shown = np.stack([wide[:, 4 * n : 4 * n + PICTURE_PX] for n in range(frames)])
    damage = np.random.default_rng(seed + 1).integers(-noise, noise + 1, shown.shape)
    return np.clip(shown + damage, 0, 255).astype(np.uint8)


def test_the_same_frames_are_exact_whatever_the_coding_noise() -> None:
    assert verdict(moving(30, noise=6), moving(30)).words == "exact"


def test_a_faint_change_that_the_encoder_left_out_just_before_a_cut_is_exact() -> None:
    before, after = moving(1)[0], moving(1, seed=5)[0]
    captioned = np.clip(before.astype(int) + 5, 0, 255).astype(np.uint8)
    source = np.stack([before] * 10 + [captioned] * 2 + [after] * 10)
    encode = np.stack([before] * 12 + [after] * 10)
    assert verdict(encode, source).words == "exact"
    strong = np.clip(before.astype(int) + 40, 0, 255).astype(np.uint8)
    with pytest.raises(Misaligned):
        verdict(encode, np.stack([before] * 10 + [strong] * 2 + [after] * 10))


def lit(levels: dict[int, int]) -> np.ndarray:
    """Thirty frames of a dark picture that wanders, some of them lit by so many levels."""
    shown, flash = moving(30).astype(float) / 4, moving(1, seed=7)[0] / 255
    for number, level in levels.items():
        shown[number] += level * flash
    return np.clip(shown, 0, 255).astype(np.uint8)


def test_a_flash_that_fades_too_slowly_is_exact() -> None:
    """Ladders of lightning had been refused as a whole."""
    source = lit({10: 180, 11: 40, 20: 120})
    assert verdict(lit({10: 170, 11: 140, 12: 40, 20: 100, 21: 20}), source).words == "exact"
    for at, stands_for in ((11, 10), (10, 11), (20, 19), (20, 21)):
        encode = source.copy()
        encode[at] = source[stands_for]
        with pytest.raises(Misaligned):
            verdict(encode, source)


@given(st.integers(-3, 3).filter(bool))
@settings(max_examples=8, deadline=None)
def test_a_constant_shift_is_an_offset(offset: int) -> None:
    source = moving(30)
    first, _, common = overlap(30, 30, offset)
    shifted = moving(30, noise=4)[max(offset, 0) :][: 30 - abs(offset)] if offset > 0 else None
    if shifted is None:
        lead = moving(-offset, seed=9)
        shifted = np.concatenate([lead, moving(30, noise=4)])
    assert verdict(shifted, source).offset == offset
    assert first + common <= 30


@given(st.integers(1, 28), st.integers(1, 28))
@settings(max_examples=30, deadline=None)
def test_dropped_and_doubled_frames_are_never_averaged_over(dropped: int, doubled: int) -> None:
    source = moving(30)
    for numbers in (
        [n for n in range(30) if n != dropped],
        sorted([*range(30), doubled]),
        sorted([n for n in range(30) if n != dropped] + [doubled if doubled != dropped else 0]),
    ):
        if numbers == list(range(30)):
            continue
        if numbers == list(range(1, 30)) or numbers == list(range(29)):
            continue
        with pytest.raises(Misaligned):
            verdict(moving(30, noise=4)[numbers], source)


def test_an_end_that_is_missing_is_no_offset() -> None:
    """The shift explains every frame that is there, and none of those that are not."""
    source = moving(30)
    assert verdict(source[2:], source).offset == 2
    with pytest.raises(Misaligned, match="18 frames, the source 30"):
        verdict(source[2:20], source)


def test_a_still_picture_has_no_known_shift() -> None:
    still = np.repeat(moving(1), 20, 0)
    assert verdict(still, still).words == "exact"
    with pytest.raises(Misaligned, match="19 frames, the source 20"):
        verdict(still[:19], still)


def test_another_picture_is_refused() -> None:
    with pytest.raises(Misaligned, match="same picture"):
        verdict(moving(20, seed=5), moving(20, seed=50))


def test_windows_must_agree() -> None:
    assert alignment.together([alignment.Alignment(), alignment.Alignment()]).words == "exact"
    with pytest.raises(Misaligned, match="differently"):
        alignment.together([alignment.Alignment(), alignment.Alignment(1)])


# What a knowing hand puts before libvmaf on either side, besides the clock.
SAME_BY_HAND = {
    "Matroska of an MP4": ("", ""),
    "23.976 fps": ("", ""),
    "59.94 fps": ("", ""),
    "variable frame rate": ("", ""),
    "rotation": ("", ""),
    "a crop": ("", "crop=320:176,"),
    "another size": ("scale=320:240:flags=bicubic,", ""),
    "a one-frame offset": ("", "trim=start_frame=1,"),
    "10 bits": ("", ""),
    "interlaced": ("", "bwdif=mode=send_frame:deint=interlaced,"),
}


def by_hand(
    ffmpeg_path: str, source: Path, encode: Path, chains: tuple[str, str], log: Path
) -> float:
    """VMAF as someone would have it who knows the trap: both clocks replaced by hand."""
    graph = (
        f"[0:v]{chains[0]}settb=AVTB,setpts=N/25/TB[d];[1:v]{chains[1]}settb=AVTB,setpts=N/25/TB[r];"
        f"[d][r]libvmaf=log_fmt=json:log_path={log}"
    )
    argv = [ffmpeg_path, "-hide_banner", "-nostdin", "-i", f"file:{encode}", "-i", f"file:{source}"]
    done = ffmpeg.run([*argv, "-lavfi", graph, "-f", "null", "-"], timeout_s=300)
    assert done.returncode == 0, done.tail
    return float(json.loads(log.read_text())["pooled_metrics"]["vmaf"]["mean"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_cases_that_fool_other_tools(case: Case, ffmpeg_path: str, tmp_path: Path) -> None:
    source, encode = build(case, ffmpeg_path, tmp_path)
    reference = probe(source)
    models = vmaf.models(reference.width, reference.height, with_v1=False)
    measuring = vmaf.Measuring(Tool(ffmpeg_path), models, 2)
    sides = pair.foreign(probe(encode), reference)
    if case.verdict is None:
        with pytest.raises(Misaligned):
            vmaf.measure(*sides, measuring)
        return
    frames = vmaf.measure(*sides, measuring)
    assert frames.alignment.words == case.verdict
    score = vmaf.pool(frames.vmaf["vmaf"]).mean
    assert 50 < score <= 100
    if case.name in SAME_BY_HAND:
        hand = by_hand(ffmpeg_path, source, encode, SAME_BY_HAND[case.name], tmp_path / "hand.json")
        assert score == pytest.approx(hand, abs=0.05)
