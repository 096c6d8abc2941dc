"""`--preprocess`: both ladders, a verdict, and a kept file that loses nothing."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from aqs_batch import ffmpeg
from aqs_batch.analysis import checkpoint
from aqs_batch.cli import commands
from aqs_batch.config import load
from aqs_batch.encode import child, command
from aqs_batch.encode.child import Tool
from aqs_batch.encode.codec import Recipe
from aqs_batch.encode.filtered import LumaFilter, WindowEncoder
from aqs_batch.encode.ladder import Encoder
from aqs_batch.encode.plan import WHOLE, Window
from aqs_batch.encode.raw_frames import Luma
from aqs_batch.encode.target import Target
from aqs_batch.encoders import Codec
from aqs_batch.errors import RefusedMedia, SettingsError
from aqs_batch.ingest.fingerprint import fingerprint
from aqs_batch.ingest.probe import probe
from aqs_batch.records import Rung, Video, Vmaf
from aqs_batch.reencoding import encoding, preprocessing
from aqs_batch.settings import Settings

CRFS = (20, 27, 34, 41)
# Uneven times (every third frame is gone), sound, colour tags, and bits enough to save some.
OPTIONS = (
    "-vf", "select='mod(n,3)',setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709",
    "-fps_mode", "vfr", "-c:v", "libx264", "-crf", "4", "-preset", "ultrafast",
    "-pix_fmt", "yuv420p", "-c:a", "aac", "-metadata:s:a", "language=fre",
)  # fmt: skip


@pytest.fixture
def film(make_clip: Callable[..., Path], tmp_path: Path) -> Path:
    sound = ("-f", "lavfi", "-t", "1.2", "-i", "sine")
    source = make_clip("film.mkv", seconds=1.2, inputs=sound, options=OPTIONS)
    return Path(shutil.copy(source, tmp_path / "film.mkv"))


def asked(tmp_path: Path, **encode: object) -> Settings:
    base = {"enabled": True, "preset": "ultrafast", "crf": CRFS, "aqs": False, "full": True}
    flags = {f"encode.{key}": value for key, value in (base | encode).items()}
    return load(None, {}, {"output.dir": str(tmp_path / "out"), **flags}).settings


def encode(path: Path, settings: Settings) -> encoding.Result:
    return encoding.encode(
        encoding.Order(
            path, fingerprint(path), settings, ffmpeg.find(), known=lambda key: None, score=None
        )
    )


def damage(strength: float, weights: Path | None = None) -> Callable[[float], object]:
    """A filter that no encode can be better for."""

    def apply(window: Sequence[Luma], bit_depth: int) -> Luma:
        return np.roll(window[1], 3, axis=1)

    return lambda crf: apply


def test_a_strength_encodes_both_ways_and_keeps_the_filtered_file_whole(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "what lies there stays after a kill"))
    result = encode(film, asked(tmp_path, preprocess="1", keep="best", good_vmaf=60))
    rungs = [stored.rung for stored in result.rungs]
    label = preprocessing.label(1.0)
    assert sorted((r.preprocess or "", r.crf) for r in rungs) == sorted(
        (name, crf) for name in ("", label) for crf in CRFS
    )
    assert {r.alignment for r in rungs} == {"exact"}
    (best,) = [r for r in rungs if r.recommended]
    assert best.preprocess == label
    assert "preprocess" in best.recommended
    assert result.best is not None
    before, after = probe(film), probe(result.best)
    assert after.frame_times_s == pytest.approx(before.frame_times_s, abs=1.1e-3)
    assert [s.split()[1] for s in after.streams] == ["video", "audio"]
    for name in ("color_primaries", "color_transfer", "color_matrix", "color_range"):
        assert getattr(after, name) == getattr(before, name), name
    assert [c for c in best.checks if not c.kept] == []


@pytest.mark.parametrize("preprocess", ["off", "1"])
@pytest.mark.parametrize(
    ("matrix", "pixels"),
    [("bt2020c", "yuv420p"), ("ycgco", "yuv444p"), ("chroma-derived-nc", "yuv422p10le")],
)
def test_a_matrix_that_no_scaler_takes_is_encoded_as_it_is(
    make_clip: Callable[..., Path], tmp_path: Path, matrix: str, pixels: str, preprocess: str
) -> None:
    """There had been no encode: "Impossible to convert between the formats", and 20 lines more."""
    named = ("-vf", f"format={pixels},setparams=colorspace={matrix}", "-preset", "ultrafast")
    source = make_clip("m.mkv", seconds=0.4, options=("-c:v", "libx264", "-crf", "10", *named))
    wanted = asked(tmp_path, preprocess=preprocess, keep="best", crf=(20,), good_vmaf=60)
    result = encode(source, wanted)
    assert result.best is not None
    assert probe(result.best).color_matrix == probe(source).color_matrix == matrix
    for stored in result.rungs:
        assert [c for c in stored.rung.checks if not c.kept] == []
        assert stored.rung.xpsnr > 30


@pytest.mark.parametrize(
    ("name", "size", "frames"),
    [("full-hd.mp4", "1920x1080", 4), ("still.mp4", "64x48", 1), ("uneven.mkv", "64x48", 9)],
)
def test_an_encode_through_the_filter_has_the_same_encoder(
    make_clip: Callable[..., Path],
    ffmpeg_path: str,
    tmp_path: Path,
    name: str,
    size: str,
    frames: int,
) -> None:
    """Of pictures so large or so few x265 had been told 720,000 frames a second: half the bytes."""
    every = ("-vf", "select='mod(n,3)'", "-fps_mode", "vfr")
    source = make_clip(name, size=size, options=(*every, "-frames:v", str(frames), "-crf", "10"))
    video, recipe = probe(source), Recipe(Codec.X265, "ultrafast")
    straight, piped = tmp_path / "straight.mkv", tmp_path / "piped.mkv"
    target = Target(30.0, straight, "matroska")
    child.run(command.encoder_argv(ffmpeg_path, video, WHOLE, recipe, [target]), "encoding")
    through = preprocessing.encoder(Tool(ffmpeg_path), video, recipe, 0.0)
    through(WHOLE, [replace(target, path=piped)], lambda frame: None)
    assert picture_bytes(piped) == picture_bytes(straight)
    assert probe(piped).frame_rate == probe(straight).frame_rate
    assert probe(piped).frame_times_s == probe(straight).frame_times_s


def picture_bytes(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0)]


def test_worst_frames_of_an_encode_that_lacks_the_first_are_beside_their_own(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each had been shown beside the one two frames on, as if all differed there."""

    def lacking(tool: Tool, video: Video, recipe: Recipe, _: float) -> Encoder:
        def late(
            window: Window, targets: Sequence[Target], on_frame: Callable[[int], None]
        ) -> None:
            argv = command.encoder_argv(tool.path, video, window, recipe, targets)
            at = argv.index("-filter:0") + 1
            argv[at] += ",select=gte(n\\,2)"
            child.run(argv, "encoding")

        return late

    monkeypatch.setattr(preprocessing, "encoder", lacking)
    result = encode(film, asked(tmp_path, preprocess="1", crf=(4,)))
    (best,) = [s.rung for s in result.rungs if s.rung.recommended]
    assert best.alignment == "offset 2"
    (shown,) = best.worst
    picture = np.asarray(Image.open(io.BytesIO(shown.picture)).convert("L"), np.float32)
    half = picture.shape[1] // 2
    assert np.abs(picture[:, : half - 4] - picture[:, half + 4 :]).mean() < 4


@pytest.mark.parametrize("mirrored", [[], ["-display_hflip"]])
def test_worst_frames_of_a_turned_video_stand_upright(
    make_clip: Callable[..., Path], ffmpeg_path: str, tmp_path: Path, mirrored: list[str]
) -> None:
    """Those of a phone's videos had lain on their side."""
    lying = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "4", "-bf", "0")
    bars = make_clip("bars.mp4", source="smptebars", size="320x180", options=lying)
    turned, upright = tmp_path / "turned.mp4", tmp_path / "upright.png"
    quiet = [ffmpeg_path, "-hide_banner", "-y"]
    turning = [*quiet, "-display_rotation", "90", *mirrored, "-i", str(bars), "-c", "copy"]
    for argv in (
        [*turning, str(turned)],
        [*quiet, "-i", str(turned), "-frames:v", "1", str(upright)],
    ):
        assert ffmpeg.run(argv).returncode == 0
    result = encode(turned, asked(tmp_path, crf=(51,)))
    picture = Image.open(io.BytesIO(result.rungs[0].rung.worst[0].picture)).convert("L")
    assert picture.size == (2 * 180 + 4, 320)
    source = np.asarray(picture, np.float32)[:, :180]
    assert np.abs(source - np.asarray(Image.open(upright).convert("L"), np.float32)).mean() < 8


def test_auto_leaves_the_filter_out_where_it_does_harm(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preprocessing, "filters", damage)
    result = encode(film, asked(tmp_path, preprocess="auto"))
    (best,) = [s.rung for s in result.rungs if s.rung.recommended]
    assert best.preprocess is None
    assert len(result.rungs) == 2 * len(CRFS)


def test_a_target_is_looked_for_with_the_filter_that_was_asked_for(
    film: Path, tmp_path: Path
) -> None:
    result = encode(film, asked(tmp_path, preprocess="0.5", target_vmaf=70, samples=1))
    (best,) = [s.rung for s in result.rungs if s.rung.recommended]
    assert best.preprocess == preprocessing.label(0.5)
    assert best.vmaf is not None
    assert best.vmaf.mean >= 70


def test_hdr_is_refused_for_a_strength_and_left_alone_by_auto(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    hdr = make_clip(
        "hdr.mkv", seconds=0.4, size="160x120",
        options=("-vf", "setparams=color_trc=smpte2084", "-c:v", "libx265", "-preset", "ultrafast",
                 "-pix_fmt", "yuv420p10le"),
    )  # fmt: skip
    with pytest.raises(RefusedMedia, match="SDR"):
        encode(hdr, asked(tmp_path, preprocess="1", crf=(30,)))
    result = encode(hdr, asked(tmp_path, preprocess="auto", crf=(30,)))
    assert [s.rung.preprocess for s in result.rungs] == [None]
    assert any("left out" in w for w in result.rungs[0].rung.warnings)


@pytest.mark.parametrize("pixels", ["gbrp", "gray"])
def test_rgb_and_grey_keep_their_levels_through_the_filter(
    pixels: str, make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    """Both had been squeezed to video levels and called full: VMAF 69 for a true 99, kept grey."""
    options = ("-vf", f"format={pixels},setsar=427/320:max=1000", "-c:v", "ffv1")
    source = make_clip(f"{pixels}.mkv", seconds=0.6, size="160x120", options=options)
    result = encode(source, asked(tmp_path, preprocess="0.01", keep="all", crf=(24,)))
    plain, filtered = sorted((s.rung for s in result.rungs), key=lambda r: r.preprocess or "")
    assert plain.vmaf is not None and filtered.vmaf is not None
    assert filtered.vmaf.mean == pytest.approx(plain.vmaf.mean, abs=1.0)
    ours, theirs = (probe(Path(rung.output)) for rung in (filtered, plain))
    assert (ours.sar, ours.color_range) == (theirs.sar, theirs.color_range)
    assert (ours.sar.num, ours.sar.den) == (427, 320)
    assert ours.color_matrix == theirs.color_matrix
    assert {"gbrp": "bt709", "gray": theirs.color_matrix}[pixels] == ours.color_matrix
    levels = {"gbrp": "limited", "gray": "full"}
    assert ours.color_range == levels[pixels]


def test_auto_leaves_linear_light_alone(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    """The whole re-encode had failed, as if the filter had been asked for."""
    linear = make_clip(
        "linear.mkv", seconds=0.4, size="160x120",
        options=("-vf", "setparams=color_trc=linear", "-c:v", "libx264", "-preset", "ultrafast"),
    )  # fmt: skip
    result = encode(linear, asked(tmp_path, preprocess="auto", crf=(30,)))
    assert [s.rung.preprocess for s in result.rungs] == [None]
    assert any("linear light: " in w for w in result.rungs[0].rung.warnings)


def rung(kbps: float, vmaf: float, neg: float) -> Rung:
    pooled = [Vmaf(v, v, v, v) for v in (vmaf, neg)]
    return Rung(30, "medium", None, int(kbps), kbps, pooled[0], pooled[1], 40.0, "exact")


def ladder(bytes_ratio: float, vmaf: float, neg: float) -> list[Rung]:
    """Four rungs, cheaper by `bytes_ratio` and better by these points than the plain ladder."""
    rates = ((400, 60), (800, 72), (1600, 84), (3200, 94))
    return [rung(rate * bytes_ratio, q + vmaf, q + neg) for rate, q in rates]


@pytest.mark.parametrize(
    ("filtered", "worth_it"),
    [
        (ladder(0.9, 0, 0), True),
        (ladder(1.0, 3, -1), False),  # VMAF inflated, NEG paid for it
        (ladder(1.1, 0, 0), False),
        (ladder(0.995, 0, 0), False),  # too little for the time
        (ladder(1.0, 200, 200), False),  # the curves do not meet
    ],
)
def test_the_verdict_asks_vmaf_and_neg(filtered: list[Rung], worth_it: bool) -> None:
    assert preprocessing.judge(ladder(1.0, 0, 0), filtered).worth_it is worth_it


@pytest.mark.parametrize("value", ["yes", "-1", "2.5", "1e9", ""])
def test_a_strength_outside_0_to_2_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingsError):
        asked(tmp_path, preprocess=value)


@pytest.mark.parametrize(("held", "said"), [(None, "is missing"), (b"cut short", "cannot be used")])
def test_a_filter_that_is_not_there_is_told_before_any_file(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bytes | None, said: str
) -> None:
    """It had been told of every file, once that was scored, that nothing is scored."""
    shipped = tmp_path / checkpoint.SHIPPED
    shutil.copy(checkpoint.shipped_path(), shipped)
    if held:
        shipped.with_name(preprocessing.SHIPPED).write_bytes(held)
    monkeypatch.setattr(checkpoint, "shipped_path", lambda: shipped)
    flags = ["--output_dir", str(tmp_path / "out"), "--preprocess", "auto"]
    done = CliRunner().invoke(commands, ["encode", str(film), *flags], standalone_mode=False)
    assert done.return_value == 2
    assert f"the preprocess filter {said}" in done.output
    assert "scored" not in done.output


@pytest.mark.parametrize(
    ("recipe", "crf", "told"),
    [(Recipe(Codec.X265, "ultrafast"), 22.3, 22.3), (Recipe(Codec.SVTAV1, "11"), 42, 34)],
)
def test_the_filter_is_told_a_crf_of_the_encoder_that_it_learned(
    recipe: Recipe, crf: float, told: float, make_clip, ffmpeg_path: str, tmp_path: Path
) -> None:
    """By SVT-AV1's own, which go up to 63, it had sharpened beyond what it was trained for."""
    said: list[float] = []

    def filter_for(of: float) -> LumaFilter:
        said.append(of)
        return lambda window, bit_depth: window[1]

    video = probe(make_clip(seconds=0.4))
    encoder = WindowEncoder(Tool(ffmpeg_path), video, recipe, filter_for)
    encoder(WHOLE, [Target(crf, tmp_path / "x.mkv", "matroska")], lambda frame: None)
    assert said == [told]
