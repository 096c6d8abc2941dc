"""What an HDR picture says of its light is compared by its values, not by its presence."""

from __future__ import annotations

from pathlib import Path

import pytest

from aqs_batch.encode import child, command, inventory
from aqs_batch.encode.codec import Recipe
from aqs_batch.encode.plan import WHOLE
from aqs_batch.encode.target import Along, Target
from aqs_batch.encoders import Codec
from aqs_batch.ingest.probe import probe
from aqs_batch.records import Check

DISPLAY = "G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,50)"
OTHER = DISPLAY.replace("8500,", "8600,"), DISPLAY.replace("L(1", "L(4")
HDR10 = f"log-level=error:master-display={DISPLAY}:max-cll=1000,400"
X265 = Recipe(Codec.X265, "ultrafast")


@pytest.mark.parametrize(
    ("recipe", "suffix", "kept"),
    [
        (X265, ".mp4", True),
        (X265, ".mkv", True),
        (Recipe(Codec.SVTAV1, "11"), ".mp4", True),  # whose fractions are others
        (Recipe(Codec.X265, "ultrafast", "max-cll=500,400"), ".mkv", False),
        *((Recipe(Codec.X265, "ultrafast", f"master-display={o}"), ".mkv", False) for o in OTHER),
    ],
)
def test_values_that_changed_are_told(
    recipe: Recipe, suffix: str, kept: bool, make_clip, ffmpeg_path: str, tmp_path: Path
) -> None:
    colours = "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"
    options = ("-vf", colours, "-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-preset", "ultrafast")
    source = make_clip("hdr10.mp4", seconds=0.4, options=(*options, "-x265-params", HDR10))
    path, muxer = tmp_path / f"x{suffix}", "mp4" if suffix == ".mp4" else "matroska"
    target = Target(30, path, muxer, Along((), (1,)))
    argv = command.encoder_argv(ffmpeg_path, probe(source), WHOLE, recipe, [target])
    child.run(argv, "encoding")
    checks = inventory.compare(inventory.take(source), inventory.take(path), 10)
    (told,) = (check for check in checks if check.what == "HDR side data")
    assert told.kept is kept, told
    assert told.before == (
        "CONTENT_LIGHT_LEVEL 1000 and 400 cd/m2, MASTERING_DISPLAY_METADATA "
        "0.708 0.292 0.17 0.797 0.131 0.046 0.3127 0.329, 0.005 to 1000 cd/m2"
    )


def test_a_picture_without_any_loses_none(make_clip) -> None:
    held = inventory.take(make_clip())
    told = [c for c in inventory.compare(held, held, 25) if c.what == "HDR side data"]
    assert told == [Check("HDR side data", "none", "none", True)]
