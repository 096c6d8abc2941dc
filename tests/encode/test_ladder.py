"""What a rung is known by: whatever changes it, or what is measured of it, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aqs_batch.encode import codec, plan
from aqs_batch.encode.child import Tool
from aqs_batch.encode.codec import Recipe
from aqs_batch.encode.ladder import LadderMaker, Tools, Wanted
from aqs_batch.encode.target import Along
from aqs_batch.encoders import Codec
from aqs_batch.ingest.probe import probe


@pytest.fixture(scope="module")
def wanted(make_clip: Callable[..., Path]) -> Wanted:
    video = probe(make_clip())
    recipe = Recipe(Codec.X265, "slow", "aq-mode=3")
    return Wanted(video, "f00d", plan.whole(video), recipe, {"vmaf": "vmaf_v0.6.1"})


def key(wanted: Wanted, crf: float = 22, versions: str = "ffmpeg 9") -> str:
    tools = Tools(Tool("ffmpeg"), versions, 2, 2, Path("scratch"), Path("logs"))
    return LadderMaker(wanted, tools, known=lambda key: None).key(crf)


def test_a_rung_is_known_by_all_that_made_it(wanted: Wanted) -> None:
    recipe, part = wanted.recipe, plan.window(wanted.video.frame_times_s, 0, 5, 1.0)
    others = [
        replace(wanted, fingerprint="beef"),
        replace(wanted, plan=plan.Plan((part,), "1 x 0.2 s of 1.0 s", 0.2)),
        replace(wanted, recipe=replace(recipe, codec=Codec.X264)),
        replace(wanted, recipe=replace(recipe, preset="fast")),
        replace(wanted, recipe=replace(recipe, params="")),
        replace(wanted, preprocess="aqs-preprocess x1"),
        replace(wanted, video=replace(wanted.video, chroma_location="topleft")),
        replace(wanted, video=replace(wanted.video, pixel_format="yuv411p")),
        replace(wanted, models={"vmaf": "vmaf_4k_v0.6.1"}),
    ]
    keys = [key(wanted), key(wanted, 23), key(wanted, 22.5), key(wanted, versions="ffmpeg 8")]
    keys += map(key, others)
    assert len(set(keys)) == len(keys)


def test_a_rung_is_the_same_however_its_crf_is_written_and_whoever_asks(wanted: Wanted) -> None:
    assert key(wanted, 22) == key(wanted, 22.0)
    along = Along((1, 2), (1,))
    assert key(wanted) == key(replace(wanted, along=along, container="mp4"))


def test_the_filter_is_told_no_crf_that_it_never_learned(
    wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 51 it had sharpened twice as much as at 43, and at 0 by a quarter."""
    told = [codec.filter_crf(Codec.X265, crf) for crf in (0, 21, 30.5, 43, 51)]
    assert told == [21, 21, 30.5, 43, 43]
    assert [codec.filter_crf(Codec.SVTAV1, crf) for crf in (1, 42, 63)] == [21, 34, 43]
    filtered = replace(wanted, preprocess="aqs-preprocess x1")
    ours = key(filtered, 22), key(filtered, 51)
    monkeypatch.setattr(codec, "FILTER_CRFS", (0.0, 51.0))
    assert (ours[0] == key(filtered, 22), ours[1] == key(filtered, 51)) == (True, False)
