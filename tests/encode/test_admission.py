"""Which sources are encoded at all, and what is said of those that lose something by it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aqs_batch.encode import inventory
from aqs_batch.encode.admission import BARE, OPAQUE, admit
from aqs_batch.encode.hdr_data import HdrData
from aqs_batch.encode.inventory import Inventory
from aqs_batch.errors import RefusedMedia, TargetError
from aqs_batch.ingest.probe import probe
from aqs_batch.media import side_data
from aqs_batch.records import Video
from aqs_batch.settings import Encode

PLAIN = Encode()


@pytest.fixture(scope="module")
def source(make_clip) -> tuple[Video, Inventory]:
    return probe(make_clip()), inventory.take(make_clip())


def said(source: tuple[Video, Inventory], asked: Encode = PLAIN, **facts: object) -> list[str]:
    """Of a source with other facts: those of a picture begin with its name."""
    video, held = source
    of_picture = {k.removeprefix("picture_"): v for k, v in facts.items() if "picture_" in k}
    of_video = {k: v for k, v in facts.items() if "picture_" not in k}
    held = replace(held, picture=replace(held.picture, **of_picture))
    return admit(replace(video, **of_video), held, asked)


def test_a_plain_source_is_taken_without_a_word(source: tuple[Video, Inventory]) -> None:
    assert said(source) == said(source, Encode(target_vmaf=93, preprocess="auto")) == []


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"hdr": "PQ"}, "HDR (PQ): no VMAF model is valid, so none was measured"),
        ({"hdr": "PQ", "picture_hdr": HdrData(("DOVI_CONF",))},
         "Dolby Vision metadata is not carried over, its base layer is"),
        ({"picture_hdr": HdrData(("DYNAMIC_HDR_PLUS",))},
         "HDR10+ metadata is not carried over, HDR10's is"),
        ({"picture_transparent": True}, OPAQUE),
        ({"picture_shown_with": (side_data.NAMELESS,)}, BARE),
        ({"pixel_format": "yuv420p16le", "bit_depth": 16},
         "less chroma or depth: yuv420p16le becomes yuv420p12le"),
        ({"field_order": "tt"}, "interlaced: deinterlaced frame by frame, on both sides"),
    ],
)  # fmt: skip
def test_what_an_encode_will_not_hold_is_said(
    source: tuple[Video, Inventory], facts: dict[str, object], words: str
) -> None:
    assert words in said(source, **facts)


def test_an_odd_line_that_is_cut_is_said(source: tuple[Video, Inventory]) -> None:
    cut = "odd size: the last row or column is cut off, on both sides"
    assert said(source, width=321) == said(source, height=241) == [cut]


def test_what_cannot_come_out_right_is_refused(source: tuple[Video, Inventory]) -> None:
    with pytest.raises(RefusedMedia, match="colours would come out wrong"):
        said(source, picture_hdr=HdrData(("DOVI_CONF",)))
    with pytest.raises(TargetError, match="no VMAF can be aimed at") as caught:
        said(source, Encode(target_vmaf=93), hdr="HLG")
    assert "--max-kbps" in caught.value.hint
    assert said(source, Encode(max_kbps=500), hdr="HLG")
