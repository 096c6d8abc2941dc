"""Colour tags by their numbers in H.273, which containers share, in ffmpeg's names but for a few.

What is named here is carried through a pipe; what is not is lost there.
"""

from __future__ import annotations

from typing import Any

PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020",
    10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "jedec-p22",
}  # fmt: skip
TRANSFERS = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100",
    10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "srgb", 14: "bt2020-10", 15: "bt2020-12",
    16: "pq", 17: "smpte428", 18: "hlg",
}  # fmt: skip
MATRICES = {
    0: "rgb", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco",
    9: "bt2020nc", 10: "bt2020c", 12: "chroma-derived-nc", 13: "chroma-derived-c", 14: "ictcp",
}  # fmt: skip
RANGES = {1: "limited", 2: "full"}
UNKNOWN = 2  # of all but the range, whose is 0
UNSAID = (UNKNOWN, UNKNOWN, UNKNOWN, 0)  # primaries, transfer, matrix, range

Tags = tuple[int, int, int, int]


def tags_of(said_by: Any) -> Tags:
    """The four tags of a frame, or of a codec's context, as PyAV has them."""
    three = said_by.color_primaries, said_by.color_trc, said_by.colorspace
    primaries, transfer, matrix = map(int, three)
    return primaries, transfer, matrix, int(said_by.color_range)


def first_said(first: Tags, second: Tags) -> Tags:
    """Each tag as `first` has it, as `second` has it where that says nothing."""
    pairs = zip(first, second, UNSAID, strict=True)
    primaries, transfer, matrix, range_ = (b if a == unsaid else a for a, b, unsaid in pairs)
    return primaries, transfer, matrix, range_


def named(tags: Tags) -> dict[str, Any]:
    """The tags by the names of a Video's fields; "" for what is not said or has no name here."""
    primaries, transfer, matrix, range_ = tags
    return {
        "color_primaries": PRIMARIES.get(primaries, ""),
        "color_transfer": TRANSFERS.get(transfer, ""),
        "color_matrix": MATRICES.get(matrix, ""),
        "color_range": RANGES.get(range_, ""),
        "hdr": {16: "PQ", 18: "HLG"}.get(transfer, ""),
    }


def words(primaries: int, transfer: int, matrix: int, range_: int) -> str:
    """The four tags as a person reads them; a number that has no name stays a number."""
    of_three = (("primaries", PRIMARIES), ("transfer", TRANSFERS), ("matrix", MATRICES))
    named = [
        f"{what} {names.get(number, 'unknown' if number == UNKNOWN else number)}"
        for (what, names), number in zip(of_three, (primaries, transfer, matrix), strict=True)
    ]
    return ", ".join([*named, f"range {RANGES.get(range_, 'unknown')}"])
