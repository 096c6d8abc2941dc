"""The verdict, on made-up pictures and on the twelve ways in which files fool other tools."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqs_batch import ffmpeg
from aqs_batch.encode import alignment, pair, vmaf
from aqs_batch.encode.alignment import PICTURE_PX, overlap, verdict
from aqs_batch.errors import Misaligned
from aqs_batch.ingest.probe import probe

X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-crf", "30", "-x265-params", "log-level=error")


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


# The twelve cases.


@dataclass(frozen=True)
class Case:
    """How the source and its encode are made; `expects` None: refused."""

    name: str
    source: dict[str, object]
    encode: tuple[str, ...]
    suffix: str = ".mkv"
    expects: str | None = "exact"
    encode_input: tuple[str, ...] = ()


FAST = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "16", "-pix_fmt", "yuv420p")
CASES = [
    Case("mkv of an mp4", {}, X265),
    Case("23.976", {"options": (*FAST, "-r", "24000/1001")}, X265),
    Case("29.97", {"options": (*FAST, "-r", "30000/1001")}, X265),
    Case("59.94", {"options": (*FAST, "-r", "60000/1001")}, X265),
    Case(
        "variable frame rate",
        {"options": (*FAST, "-vf", "setpts='(N+0.4*mod(N,3))/25/TB'", "-fps_mode", "vfr")},
        (*X265, "-fps_mode", "passthrough", "-enc_time_base", "demux"),
    ),
    Case(
        "B-frames with an edit list",
        {"options": (*FAST, "-bf", "3", "-video_track_timescale", "90000")},
        (*X265, "-bf", "4"),
        ".mp4",
    ),
    Case("a dropped frame", {}, ("-vf", "select='not(eq(n,11))'", *X265), expects=None),
    Case(
        "a doubled frame",
        {},
        ("-vf", "loop=loop=1:size=1:start=11,setpts=N/25/TB", *X265),
        expects=None,
    ),
    Case(
        "a one-frame offset",
        {},
        ("-vf", "trim=start_frame=1,setpts=PTS-STARTPTS", *X265),
        expects="offset 1",
    ),
    Case("another size", {}, ("-vf", "scale=160:120:flags=bicubic", *X265)),
    Case("a crop", {}, ("-vf", "crop=320:176", *X265)),
    Case("rotation", {"rotated": True}, X265),
    Case("10-bit", {"options": (*FAST[:-1], "yuv420p10le")}, (*X265, "-pix_fmt", "yuv420p10le")),
    Case(
        "interlaced",
        {"options": (*FAST, "-vf", "interlace", "-flags", "+ilme+ildct")},
        ("-vf", "bwdif=mode=send_frame:deint=interlaced", *X265),
    ),
    Case("odd size", {"size": "321x241", "options": (*FAST[:-1], "yuv444p")}, X265),
]


def build(
    case: Case, make_clip: Callable[..., Path], run: Callable[..., None], at: Path
) -> tuple[Path, Path]:
    made = dict(case.source)
    rotated = made.pop("rotated", False)
    made.setdefault("options", FAST)
    source = make_clip("source.mp4", source="testsrc2", **made)
    if rotated:
        turned = at / "turned.mp4"
        run("-display_rotation", "90", "-i", f"file:{source}", "-c", "copy", f"file:{turned}")
        source = turned
    target = at / f"encode{case.suffix}"
    run("-i", f"file:{source}", *case.encode, f"file:{target}")
    return source, target


@pytest.fixture(scope="session")
def run_ffmpeg(ffmpeg_path: str) -> Callable[..., None]:
    def run(*options: str) -> None:
        done = ffmpeg.run([ffmpeg_path, "-hide_banner", "-nostdin", "-y", *options], timeout_s=300)
        assert done.returncode == 0, done.tail

    return run


def by_hand(ffmpeg_path: str, source: Path, encode: Path, chain: str, log: Path) -> float:
    """VMAF as someone would have it who knows the trap: both clocks replaced by hand."""
    graph = (
        f"[0:v]{chain}settb=AVTB,setpts=N/25/TB[d];[1:v]{chain}settb=AVTB,setpts=N/25/TB[r];"
        f"[d][r]libvmaf=log_fmt=json:log_path={log}"
    )
    argv = [ffmpeg_path, "-hide_banner", "-nostdin", "-i", f"file:{encode}", "-i", f"file:{source}"]
    done = ffmpeg.run([*argv, "-lavfi", graph, "-f", "null", "-"], timeout_s=300)
    assert done.returncode == 0, done.tail
    return float(json.loads(log.read_text())["pooled_metrics"]["vmaf"]["mean"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: re.sub(r"\W+", "-", case.name))
def test_the_twelve_cases(
    case: Case,
    make_clip: Callable[..., Path],
    run_ffmpeg: Callable[..., None],
    ffmpeg_path: str,
    tmp_path: Path,
) -> None:
    source, encode = build(case, make_clip, run_ffmpeg, tmp_path)
    reference = probe(source)
    measuring = vmaf.Measuring(
        ffmpeg_path, vmaf.models(reference.width, reference.height, with_v1=False), 2
    )
    sides = pair.foreign(probe(encode), reference)
    if case.expects is None:
        with pytest.raises(Misaligned):
            vmaf.measure(*sides, measuring)
        return
    frames = vmaf.measure(*sides, measuring)
    assert frames.alignment.words == case.expects
    score = vmaf.pool(frames.vmaf["vmaf"]).mean
    assert 50 < score <= 100
    if case.name in {"mkv of an mp4", "23.976", "59.94", "rotation", "variable frame rate"}:
        hand = by_hand(ffmpeg_path, source, encode, "", tmp_path / "hand.json")
        assert score == pytest.approx(hand, abs=0.05)
