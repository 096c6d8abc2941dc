"""Colour tags by name: a number that stood for another tag would change the look of every copy."""

from __future__ import annotations

import subprocess
from itertools import zip_longest
from pathlib import Path

from aqs_batch.config import load
from aqs_batch.ingest.probe import probe
from aqs_batch.media import colour

_OF_FFMPEG = {"srgb": "iec61966-2-1", "pq": "smpte2084", "hlg": "arib-std-b67"}


def test_what_ffmpeg_writes_by_a_name_is_read_by_that_name(
    ffmpeg_path: str, tmp_path: Path
) -> None:
    matrices = [name for name in colour.MATRICES.values() if name != "rgb"]  # of YUV
    tags = list(
        zip_longest(
            colour.PRIMARIES.values(), colour.TRANSFERS.values(), matrices, fillvalue="bt709"
        )
    )
    argv = [ffmpeg_path, "-v", "error", "-f", "lavfi", "-i", "color=s=64x64:d=0.2"]
    for number, (primaries, transfer, matrix) in enumerate(tags):
        named = f"color_trc={_OF_FFMPEG.get(transfer, transfer)}:colorspace={matrix}"
        argv += ["-vf", f"setparams=color_primaries={primaries}:{named}:range=limited"]
        argv += ["-c:v", "ffv1", str(tmp_path / f"{number}.mkv")]
    subprocess.run(argv, check=True)
    limits = load(None, {}, {}).settings.limits
    videos = [probe(tmp_path / f"{number}.mkv", limits) for number in range(len(tags))]
    assert [(v.color_primaries, v.color_transfer, v.color_matrix) for v in videos] == tags
