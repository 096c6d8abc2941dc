"""What is read off ffmpeg's log, whose threads write at once."""

from __future__ import annotations

import math
import time

from aqs_batch.ingest.frames import Colour
from aqs_batch.ingest.stamps import Stamps


def test_torn_lines_are_made_up_for() -> None:
    """As seen of damaged files: a decoder's complaint in the midst of a line about a frame."""
    stamps, meta, info = Stamps(), "[Parsed_metadata_2 @ 0x7f] [info]", "[Parsed_showinfo_5 @ 0x7f]"
    spoilt = "Error submitting packet to decoder: Invalid data found when processing input"
    colours = " color_space:bt709 color_primaries:bt709"
    for number, torn in enumerate(("", "colour", "scene", "", "frame", "")):
        at = f"frame:{number}    pts:{number}    pts_time:{number}.5"
        stamps.on_line(spoilt + at if torn == "frame" else f"{meta} {at}")
        score = "lavfi.scene_score=0.100000"
        stamps.on_line(spoilt + score if torn == "scene" else f"{meta} {score}")
        said = f"{info} [info] color_range:tv"
        stamps.on_line(said + (spoilt if torn == "colour" else colours))
    began = time.monotonic()
    told = [(*stamps.next(), stamps.colour()) for _ in range(6)]
    assert time.monotonic() - began < 1
    times = [at for at, _, _ in told]
    assert math.isnan(times.pop(4)) and times == [0.5, 1.5, 2.5, 3.5, 5.5]
    assert [score for _, score, _ in told] == [0.1, 0.1, 0.0, 0.1, 0.1, 0.1]
    assert {colour for _, _, colour in told} == {Colour("bt709", "tv")}
