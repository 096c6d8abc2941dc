"""Colour tags by their numbers in H.273, which containers share, in ffmpeg's names but for a few.

What is named here is carried through a pipe; what is not is lost there.
"""

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
    9: "bt2020nc", 10: "bt2020c",
}  # fmt: skip
RANGES = {1: "limited", 2: "full"}
UNKNOWN = 2  # of all but the range, whose is 0


def words(primaries: int, transfer: int, matrix: int, range_: int) -> str:
    """The four tags as a person reads them; a number that has no name stays a number."""
    of_three = (("primaries", PRIMARIES), ("transfer", TRANSFERS), ("matrix", MATRICES))
    named = [
        f"{what} {names.get(number, 'unknown' if number == UNKNOWN else number)}"
        for (what, names), number in zip(of_three, (primaries, transfer, matrix), strict=True)
    ]
    return ", ".join([*named, f"range {RANGES.get(range_, 'unknown')}"])
