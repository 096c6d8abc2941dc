"""A recipe tried on a few black frames, so that what its encoder refuses blames no file."""

from __future__ import annotations

from dataclasses import replace

from aqs_batch import ffmpeg
from aqs_batch.encode import child, codec, command
from aqs_batch.encode.codec import Recipe
from aqs_batch.errors import EncodeError, SettingsError
from aqs_batch.ffmpeg import Ffmpeg

_DEPTHS = ("yuv420p", "yuv420p10le")  # some parameters are for deep pixels alone
_CRF = 30.0
_LONGEST_S = 60.0
_MEASURES = ("libvmaf", "xpsnr")
_WHICH = "`aqs-batch doctor` says which ffmpeg this is, and why; [ffmpeg] path sets another."


def check(found: Ffmpeg, recipe: Recipe) -> None:
    """Raises SettingsError for an ffmpeg that cannot measure or lacks the encoder, and for
    parameters that the encoder takes at no depth.
    """
    if lacking := [name for name in _MEASURES if name in found.missing]:
        what = f"ffmpeg at {found.path} has no {' and no '.join(lacking)}"
        raise SettingsError(f"{what}: no re-encode can be measured", hint=_WHICH)
    _try(found.path, replace(recipe, params=""), f"[encode] codec {recipe.codec.value}", _WHICH)
    if recipe.params:
        _try(found.path, recipe, "[encode] params", f"Look at --params: {recipe.params}")


def _try(ffmpeg_path: str, recipe: Recipe, what: str, hint: str) -> None:
    refused: EncodeError | None = None
    for pixels in _DEPTHS:
        tried = argv(ffmpeg_path, recipe, pixels)
        try:
            child.check(what, tried, ffmpeg.run(tried, timeout_s=_LONGEST_S))
            return
        except EncodeError as error:
            refused = refused or error
    raise SettingsError(str(refused), hint=hint)


def argv(ffmpeg_path: str, recipe: Recipe, pixels: str) -> list[str]:
    """A fifth of a second of black through the encoder, and nowhere."""
    source = f"color=size=640x360:rate=25:duration=0.2,format={pixels}"
    said = codec.options(recipe, _CRF)
    return [*command.quiet(ffmpeg_path), "-f", "lavfi", "-i", source, *said, "-f", "null", "-"]
