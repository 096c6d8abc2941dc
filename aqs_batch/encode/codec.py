"""The encoders: what each is called in ffmpeg, which pixels it takes, and how its CRF is said."""

from __future__ import annotations

from dataclasses import dataclass

from aqs_batch.encode import pixels
from aqs_batch.encoders import CRF_MAX, FILTER_CRFS, Codec, refused_crf
from aqs_batch.errors import EncodeError
from aqs_batch.records import Video


@dataclass(frozen=True)
class Recipe:
    """All that one rung's encoder is told but its CRF; `params` are key=value:key=value."""

    codec: Codec
    preset: str
    params: str = ""


_ENCODERS = {Codec.X265: "libx265", Codec.X264: "libx264", Codec.SVTAV1: "libsvtav1"}
_PARAMS = {Codec.X265: "x265-params", Codec.X264: "x264-params", Codec.SVTAV1: "svtav1-params"}
# x265 and SVT-AV1 write their own logs past ffmpeg's; only errors are of use to us.
_QUIET = {Codec.X265: "log-level=error", Codec.X264: "", Codec.SVTAV1: ""}
_BIT_DEPTHS = {Codec.X265: (8, 10, 12), Codec.X264: (8, 10), Codec.SVTAV1: (8, 10)}


def crf_range(codec: Codec) -> tuple[float, float]:
    """Lowest and highest CRF that a search may use; a ladder may name lower ones."""
    return 4.0, CRF_MAX[codec]


def check_crf(codec: Codec, crf: float) -> None:
    """Raises EncodeError for a CRF the encoder does not know."""
    if refused := refused_crf(codec, [crf]):
        raise EncodeError(f"{refused}, not {crf:g}", hint="Name other values with --crf.")


def filter_crf(codec: Codec, crf: float) -> float:
    """What the filter is told: x265's CRF at the same place of its scale, the nearest it learned.

    Told SVT-AV1's own, it sharpened as it was never trained to: VMAF gained, NEG did not. Told 51
    it did so twice as much as at 43, and told 0, where nothing is to be changed, as much as there.
    """
    least, most = FILTER_CRFS
    return min(max(crf * (CRF_MAX[Codec.X265] / CRF_MAX[codec]), least), most)


def is_rgb(pixel_format: str) -> bool:
    """Whether pixels are red, green and blue, so that a matrix must be chosen for them."""
    kinds = ("gbr", "rgb", "bgr", "argb", "abgr", "0rgb", "0bgr", "x2rgb", "x2bgr", "pal8", "xyz")
    return pixel_format.startswith(kinds)


def pixel_format(video: Video, codec: Codec) -> str:
    """The format to encode in: the source's chroma and bit depth as far as the encoder goes.

    10-bit stays 10-bit; RGB becomes 4:4:4, 4:1:1 becomes 4:2:2, transparency is lost, SVT-AV1 knows
    4:2:0 only.
    """
    chroma = "420" if codec is Codec.SVTAV1 else pixels.chroma(video.pixel_format)
    depths = _BIT_DEPTHS[codec]
    depth = next((d for d in depths if d >= video.bit_depth), depths[-1])
    return f"yuv{chroma}p" + ("" if depth == 8 else f"{depth}le")


def colours(video: Video) -> tuple[str, str]:
    """(matrix, range) of the frames to encode, by ffmpeg's names; "" where the source says none.

    RGB goes by BT.709, and says so: unsaid it was BT.601, which players take for BT.709 in HD.
    """
    if is_rgb(video.pixel_format):
        return "bt709", "limited"
    return video.color_matrix, video.color_range


def options(recipe: Recipe, crf: float) -> list[str]:
    """The encoder's own output options, as ffmpeg takes them."""
    params = ":".join(part for part in (_QUIET[recipe.codec], recipe.params) if part)
    argv = ["-c:v", _ENCODERS[recipe.codec], "-preset", recipe.preset, "-crf", f"{crf:g}"]
    return [*argv, f"-{_PARAMS[recipe.codec]}", params] if params else argv


def decoded_last(codec: Codec, frame: int) -> list[str]:
    """Makes a keyframe of the last frame: MP4 counts by the order of decoding, where B-frames come
    behind what is shown after them, and had not held it.
    """
    if codec is Codec.SVTAV1:
        return []
    return ["-force_key_frames", f"expr:eq(n,{frame})", "-forced-idr", "1"]


def container_tag(codec: Codec, container: str) -> list[str]:
    """In MP4 HEVC is called hvc1, or Apple's players refuse it."""
    is_mp4 = container in {"mp4", "mov"}
    return ["-tag:v", "hvc1"] if is_mp4 and codec is Codec.X265 else []


def captions(codec: Codec) -> list[str]:
    """x265 leaves captions in the picture out unless told; x264 never does, SVT-AV1 always."""
    return ["-a53cc:v", "1"] if codec is Codec.X265 else []


def coarser(video: Video, kind: Codec) -> str:
    """What of a picture's chroma or depth an encode lacks; "" where nothing is."""
    coded = pixel_format(video, kind)
    if pixels.are_as_fine(coded, video.pixel_format):
        return ""
    return f"less chroma or depth: {video.pixel_format} becomes {coded}"


def odd_size(video: Video) -> str:
    """What is cut off a picture for want of a second pixel; "" where nothing is."""
    odd = video.width % 2 or video.height % 2
    return "odd size: the last row or column is cut off" if odd else ""
