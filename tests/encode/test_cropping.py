"""A container that shows less than is coded: every pixel is encoded, and the crop is told of."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from aqs_batch import ffmpeg
from aqs_batch.config import load
from aqs_batch.encode import cropping
from aqs_batch.ingest import decode
from aqs_batch.ingest.fingerprint import fingerprint
from aqs_batch.ingest.probe import probe
from aqs_batch.ingest.sampling import SamplePlan
from aqs_batch.ingest.stamps import Stamps
from aqs_batch.records import Rung
from aqs_batch.reencoding import encoding

TAGS = ("-vf", "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709")


def crop(path: Path, rows: int) -> None:
    """Let a Matroska file's header leave out rows above and below, in its colour tags' place."""
    data = bytearray(path.read_bytes())
    data[data.index(b"\xbf\x84", data.index(b"\x16\x54\xae\x6b"))] = 0xEC  # the checksum
    at = data.index(b"\x55\xb0")
    size = 3 + (data[at + 2] & 0x7F)
    said = bytes([0x54, 0xBB, 0x81, rows, 0x54, 0xAA, 0x81, rows, 0xEC, 0x80 | size - 10])
    data[at : at + size] = said + bytes(size - len(said))
    path.write_bytes(data)


def whole_and_cropped(make_clip: Callable[..., Path], folder: Path) -> tuple[Path, Path]:
    """The same clip twice; the second's container says that 20 rows above and below are no part."""
    plain = make_clip("plain.mkv", seconds=0.4, size="160x120", options=TAGS)
    cropped = Path(shutil.copy(plain, folder / "cropped.mkv"))
    crop(cropped, 20)
    return plain, cropped


def encoded(source: Path, output_dir: Path) -> Rung:
    flags = {"output.dir": str(output_dir), "encode.crf": [12], "encode.keep": "all",
             "encode.preset": "ultrafast"}  # fmt: skip
    settings = load(None, {}, flags).settings
    order = encoding.Order(
        source, fingerprint(source), settings, ffmpeg.find(), known=lambda key: None, score=None
    )
    (stored,) = encoding.encode(order).rungs
    return stored.rung


def test_what_a_container_crops_is_not_enlarged(
    make_clip: Callable[..., Path], tmp_path: Path, ffmpeg_path: str
) -> None:
    """Of 120 rows 80 had been left, and those were scaled to 120 again, unsaid."""
    plain, cropped = whole_and_cropped(make_clip, tmp_path)
    assert cropping.told(ffmpeg_path, probe(plain)) == ()
    words = "the container's crop to 160x80"
    assert cropping.told(ffmpeg_path, probe(cropped)) == (words,)
    ours, theirs = encoded(cropped, tmp_path / "one"), encoded(plain, tmp_path / "two")
    assert ours.vmaf == theirs.vmaf
    assert f"{words} was left out" in ours.warnings
    assert not any("crop" in said for said in theirs.warnings)


def test_what_a_container_crops_is_scored_as_it_is_coded(
    make_clip: Callable[..., Path], tmp_path: Path, ffmpeg_path: str
) -> None:
    """What it left had been enlarged to the size in the header, and the enlarging was scored."""
    seen = []
    for path in whole_and_cropped(make_clip, tmp_path):
        video, stamps = probe(path), Stamps()
        decoding = decode.Decoding(ffmpeg_path, 120, 160, 60)
        (sequence, *_) = decode.sequences(video, SamplePlan(1.0, 1), decoding, stamps)
        seen.append((sequence.frames.small(0, 160), stamps.has_crop))
    (all_of_it, is_cropped), (the_same, is_told) = seen
    assert np.array_equal(all_of_it, the_same)
    assert (is_cropped, is_told) == (False, True)


def test_a_first_frame_of_another_size_is_no_crop(media: Path, ffmpeg_path: str) -> None:
    for name in ("fate_frame_size_change.webm", "fate_vp90-2-05-resize.ivf"):
        assert cropping.told(ffmpeg_path, probe(media / "odd" / name)) == ()
