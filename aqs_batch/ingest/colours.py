"""What is done to colours that ffmpeg's scaler cannot read, or that are too bright for a screen."""

from __future__ import annotations

from aqs_batch.errors import RefusedMedia
from aqs_batch.records import Video

Filters = list[tuple[str, dict[str, object]]]

_HDR = {"color_primaries": "bt2020", "colorspace": "bt2020nc"}
_TONE_MAP: tuple[tuple[str, dict[str, object]], ...] = (
    ("zscale", {"t": "linear", "npl": 100}),
    ("format", {"pix_fmts": "gbrpf32le"}),
    ("zscale", {"p": "bt709"}),
    ("tonemap", {"tonemap": "hable", "desat": 0}),
    ("zscale", {"t": "bt709", "m": "bt709", "r": "limited"}),
)
# The scaler refuses these matrices, and files that play everywhere were called undecodable.
# Constant luminance is read as the usual kind: most files that claim it do so by mistake.
_READABLE: dict[str, tuple[str, dict[str, object]]] = {
    "ycgco": ("zscale", {"m": "bt709"}),
    "ictcp": ("zscale", {"m": "bt2020nc"}),
    "bt2020c": ("setparams", {"colorspace": "bt2020nc"}),
}
# By their numbers in H.273: no filter at hand reads these.
_UNREADABLE = {11: "SMPTE 2085", 15: "IPT-C2", 16: "YCgCo-Re", 17: "YCgCo-Ro"}
_DERIVED = ("chroma-derived-nc", "chroma-derived-c")  # from the primaries
_OF_PRIMARIES = {"bt2020": "bt2020nc", "smpte170m": "smpte170m", "bt470bg": "bt470bg"}


def check(matrix: int) -> None:
    """Raises RefusedMedia for a matrix that is not read: such files had been called damaged."""
    if matrix in _UNREADABLE:
        raise RefusedMedia(
            f"its colour matrix, {_UNREADABLE[matrix]}, is not supported",
            hint="Score a copy in another one, BT.709 say.",
        )


def readable(video: Video) -> Filters:
    """The filter, if any, after which the scaler understands what a video's matrix is."""
    if video.color_matrix in _DERIVED:
        return [("setparams", {"colorspace": _OF_PRIMARIES.get(video.color_primaries, "bt709")})]
    return [_READABLE[video.color_matrix]] if video.color_matrix in _READABLE else []


def to_planes(video: Video) -> dict[str, object]:
    """How the scaler makes planes of HDR in RGB; it says nothing of BT.601, its own choice."""
    return {"out_color_matrix": "bt2020nc"} if video.hdr and video.color_matrix == "rgb" else {}


def tone_map(video: Video) -> Filters:
    """The filters from HDR to BT.709; what a file does not say of its colours is BT.2020's."""
    said = {"color_primaries": video.color_primaries, "colorspace": video.color_matrix}
    missing: dict[str, object] = {key: _HDR[key] for key, name in said.items() if not name}
    return [*([("setparams", missing)] if missing else []), *_TONE_MAP]
