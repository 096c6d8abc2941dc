"""The preprocess filter in an encode: put in front of the encoder, and whether it is worth it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aqs_batch.analysis import checkpoint
from aqs_batch.encode.bd_rate import Incomparable, bd_rate
from aqs_batch.errors import CheckpointError
from aqs_batch.records import Rung

if TYPE_CHECKING:
    from aqs_batch.encode.child import Tool
    from aqs_batch.encode.codec import Recipe
    from aqs_batch.encode.filtered import LumaFilter, WindowEncoder
    from aqs_batch.encode.raw_frames import Luma
    from aqs_batch.records import Video
    from aqs_batch.settings import Encode

SHIPPED = "preprocess.safetensors"
LEAST_GAIN = 1.0  # percent of the bytes; less is not worth the time that the filter takes


def shipped() -> checkpoint.Checkpoint:
    """The filter's checkpoint; raises CheckpointError when it is missing or damaged."""
    path = checkpoint.shipped_path().with_name(SHIPPED)
    try:
        return checkpoint.inspect(path)
    except CheckpointError as error:  # in words of the model that scores, which another may replace
        state = "cannot be used" if path.exists() else "is missing"
        hint = "Reinstall aqs-batch. Encodes without --preprocess do not need it."
        raise CheckpointError(f"the preprocess filter {state}: {path}", hint=hint) from error


def label(strength: float) -> str:
    """How rungs name what ran before their encoder, e.g. "aqs-preprocess 0.1.0 x1"."""
    return f"{shipped().card.label} x{strength:g}"


def filters(strength: float) -> Callable[[float], LumaFilter]:
    """CRF to the filter for it, as `encode.filtered` takes it.

    Raises CheckpointError when the shipped weights are not this version's.
    """
    from aqs_batch.encode.preprocess import ARCHITECTURE, FrameFilter

    frames = FrameFilter(checkpoint.load_tensors(shipped(), ARCHITECTURE))

    def for_crf(crf: float) -> LumaFilter:
        def apply(window: Sequence[Luma], bit_depth: int) -> Luma:
            return frames(window, crf, strength, bit_depth)

        return apply

    return for_crf


def encoder(tool: Tool, video: Video, recipe: Recipe, strength: float) -> WindowEncoder:
    """What a ladder encodes its windows with; raises RefusedMedia where `filtered.fits` says no."""
    from aqs_batch.encode.filtered import WindowEncoder

    return WindowEncoder(tool, video, recipe, filters(strength))


def applies(video: Video, asked: Encode) -> bool:
    """Whether an encode is to try the filter: where its light is not the filter's, auto does not,
    and a strength that was asked for is refused.
    """
    from aqs_batch.encode.filtered import fits

    return asked.strength > 0 and (asked.preprocess != "auto" or fits(video))


@dataclass(frozen=True)
class Verdict:
    """Whether the filter is worth it for one video, and why in a person's words."""

    worth_it: bool
    words: str


def judge(plain: Sequence[Rung], filtered: Sequence[Rung]) -> Verdict:
    """By BD-rate of the two ladders: VMAF must gain, and NEG must not lose.

    Plain VMAF alone is cheap to inflate by sharpening; NEG is not. Without both numbers, no.
    """
    try:
        vmaf, neg = (bd_rate(plain, filtered, measure) for measure in ("vmaf", "vmaf_neg"))
    except Incomparable as error:
        return Verdict(False, f"preprocess: whether it is worth it cannot be told here: {error}")
    worth_it = vmaf <= -LEAST_GAIN and neg <= 0
    said = "worth it" if worth_it else "not worth it"
    return Verdict(
        worth_it, f"preprocess is {said} here: BD-rate VMAF {vmaf:+.1f} %, NEG {neg:+.1f} %"
    )
