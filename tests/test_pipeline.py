"""What the pipeline refuses and keeps, without its model."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from aqs_batch import ffmpeg, pipeline
from aqs_batch.analysis.checkpoint import Checkpoint, ModelCard
from aqs_batch.analysis.engine import Engine, Floats
from aqs_batch.analysis.tiles import Tile
from aqs_batch.config import load
from aqs_batch.encode import inventory
from aqs_batch.errors import MediaError, RefusedMedia
from aqs_batch.events import Progress
from aqs_batch.ingest.probe import probe
from aqs_batch.lookahead import MOST_SEQUENCES
from aqs_batch.pipeline import Workbench, WorstMoments, look_ahead, process
from aqs_batch.records import Video
from aqs_batch.reports.summary import WORST_MOMENTS


def test_the_pictures_kept_are_those_of_the_worst_moments() -> None:
    worst, picture = WorstMoments(), np.zeros((8, 8, 3), np.uint8)
    values = [0.9, 0.2, 0.8, 0.1, 0.7, 0.3, 0.6, 0.4, 0.5, 0.95]
    for number, aqs in enumerate(values):
        worst.offer(number, aqs, picture)
    lowest = sorted(range(len(values)), key=values.__getitem__)[:WORST_MOMENTS]
    assert sorted(worst.thumbnails()) == sorted(lowest)


class Scored(Exception):
    """A file was not refused."""


@pytest.mark.parametrize(
    ("max_hours", "said", "error"),
    [(4.9, r"5\.0 hours, more than the limit of 4\.9", RefusedMedia), (5.1, None, Scored)],
)
def test_what_is_longer_than_the_limit_is_refused(
    max_hours: float, said: str | None, error: type, make_clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(*_: object) -> None:
        raise Scored

    settings = load(None, {}, {"limits.max_hours": max_hours}).settings
    film = replace(probe(make_clip(seconds=1), settings.limits), duration_s=5 * 3600.0)
    monkeypatch.setattr(pipeline, "probe", lambda *_: film)
    monkeypatch.setattr(pipeline, "score", score)
    with pytest.raises(error, match=said):
        process(film.path, SimpleNamespace(settings=settings))


def test_a_long_film_that_was_begun_ahead_is_probed_once(
    make_clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its index is read packet by packet, which takes minutes over a network."""
    probed, scored = [], []

    def count(*arguments: Any) -> Any:
        probed.append(arguments[0])
        return probe(*arguments)

    def score(video: Video, bench: object, progress: Progress) -> None:
        progress(0, MOST_SEQUENCES + 1)
        scored.append(video.path)
        raise Scored

    monkeypatch.setattr(pipeline, "probe", count)
    monkeypatch.setattr(pipeline, "score", score)
    settings, engine = load(None, {}, {}).settings, SimpleNamespace(busy_s=0.0)
    ahead = look_ahead(SimpleNamespace(settings=settings, engine=engine))
    films = [make_clip(f"{name}.mp4", seconds=1) for name in ("first", "second")]
    for number, film in enumerate(films, start=1):
        with pytest.raises(Scored):
            ahead.finish(film, lambda done, of: None, films[number:])
    assert (sorted(probed), scored) == (sorted(films), films)


class Blank:
    """A backend that knows nothing."""

    name = device = "cpu"

    def run(self, tiles: Sequence[Tile]) -> tuple[Floats, Floats, Floats]:
        ten = np.zeros((len(tiles), 10), np.float32)
        return np.zeros(len(tiles), np.float32), ten, ten


def bench_for(**flags: object) -> Workbench:
    """A real bench but for the model."""
    named = {name.replace("__", "."): value for name, value in flags.items()}
    settings = load(None, {}, {"analysis.tiles": 1, **named}).settings
    card = ModelCard("blank", "1", "none", "2026-01-01")
    checkpoint = Checkpoint(Path("blank.safetensors"), card, "0")
    engine = Engine(Blank(), card, 8)
    return Workbench(settings, "key", ffmpeg.find(), checkpoint, engine)


SAID = {
    "scaled": ({"size": "640x480"}, (), {"analysis__max_height": 240},
               "scaled from 640x480 to 320x240 first"),
    "small": ({"size": "160x120"}, (), {}, "smaller than a 224 px tile: continued by reflection"),
    "short": ({"seconds": 0.2}, (), {}, "only 5 frames: played forth and back"),
    "alone": ({"seconds": 0.04}, (), {}, "only 1 frame: played forth and back"),
    "flicker": ({}, ("-vf", "negate=enable='mod(floor(n/5),2)'"), {},
                "cuts come too close: only 5 frames in a row, played forth and back"),
    "fields": ({}, ("-vf", "interlace", "-flags", "+ilme+ildct"), {},
               "interlaced: deinterlaced before scoring"),
    "wide": ({}, ("-vf", "setsar=4/3"), {}, "anamorphic (4:3): scored as stored"),
    "HDR": ({}, ("-vf", "setparams=color_trc=arib-std-b67"), {},
            "its colours are not said to be BT.2020's, but were taken as such"),
    "matrix": ({}, ("-vf", "format=yuv420p,setparams=colorspace=bt2020c"), {},
               "BT.2020 of constant luminance by its tag: read as that of the usual kind"),
}  # fmt: skip


@pytest.mark.parametrize("case", SAID)
def test_what_was_done_to_a_picture_before_it_was_scored_is_said(case: str, make_clip) -> None:
    clip, options, settings, said = SAID[case]
    x264 = ("-c:v", "libx264", "-preset", "ultrafast")
    path = make_clip(**{"size": "320x240"} | clip, options=(*options, *x264))
    assert said in process(path, bench_for(**settings)).warnings


@pytest.mark.parametrize("fields_first", [True, False])
def test_a_picture_that_is_interlaced_in_part_is_told_as_such(
    make_clip, tmp_path: Path, fields_first: bool
) -> None:
    """H.264's header tells of the first picture alone; the rest was deinterlaced without a word."""
    x264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    film = make_clip("film.h264", options=x264)
    fields = ("-vf", "interlace", "-flags", "+ilme+ildct", *x264)
    video = make_clip("video.h264", rate=50, options=fields)
    joined = tmp_path / "joined.h264"
    parts = (video, film) if fields_first else (film, video)
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    said = [w for w in process(joined, bench_for()).warnings if "interlaced" in w]
    in_part = "interlaced in part: that was deinterlaced before scoring"
    assert said == ["interlaced: deinterlaced before scoring" if fields_first else in_part]


def test_streams_that_begin_within_a_file_are_told(make_clip, tmp_path: Path) -> None:
    """As of broadcasts whose sound begins later, or that were joined: PyAV fell over them."""
    x264 = ("-c:v", "libx264", "-preset", "ultrafast")
    other = ("-mpegts_start_pid", "0x200", "-mpegts_pmt_start_pid", "0x1100")
    first, second = make_clip("a.ts", options=x264), make_clip("b.ts", options=(*x264, *other))
    path = tmp_path / "joined.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    analysis = process(path, bench_for())
    said = "not all was read: later the file has 1 more stream, which no encode takes along"
    assert said in analysis.warnings
    assert inventory.take(path, 0).picture.frames == len(analysis.video.frame_times_s) == 25


def test_a_plain_file_has_nothing_said_of_it(make_clip) -> None:
    assert process(make_clip(size="320x240"), bench_for()).warnings == ()


def test_a_file_that_changes_while_it_is_scored_is_not(make_clip, tmp_path: Path) -> None:
    path = Path(shutil.copy(make_clip(size="320x240"), tmp_path / "film.mp4"))
    with pytest.raises(MediaError, match="changed while it was being read"):
        process(path, bench_for(), lambda done, of: os.utime(path, (1, 1)))


def test_a_decoder_has_no_more_time_than_its_limit(
    make_clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = tmp_path / "ffmpeg"  # a real one had at times been quicker than the limit
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    monkeypatch.setattr(pipeline, "LEAST_DECODE_S", 0.0)
    bench = bench_for(limits__decode_s_per_s=1e-6)
    began = time.monotonic()
    with pytest.raises(MediaError, match="no frame could be decoded"):
        process(
            make_clip(seconds=1), replace(bench, ffmpeg=replace(bench.ffmpeg, path=str(hanging)))
        )
    assert time.monotonic() - began < 30


@pytest.mark.skipif(not ffmpeg.confinement().prlimit, reason="there is no prlimit")
def test_a_decoder_has_no_more_memory_than_its_limit(make_clip) -> None:
    with pytest.raises(MediaError, match="no frame could be decoded"):
        process(make_clip(seconds=1), bench_for(limits__child_memory_mib=64))
