"""A recipe tried on a few black frames, so that what its encoder refuses blames no file."""

from __future__ import annotations

from aqs_batch import ffmpeg
from aqs_batch.encode import child, codec, command
from aqs_batch.encode.codec import Recipe
from aqs_batch.errors import EncodeError, SettingsError

_DEPTHS = ("yuv420p", "yuv420p10le")  # some parameters are for deep pixels alone
_CRF = 30.0
_LONGEST_S = 60.0


def check(ffmpeg_path: str, recipe: Recipe) -> None:
    """Raises SettingsError for parameters that the encoder takes at no depth."""
    if not recipe.params:
        return
    refused: EncodeError | None = None
    for pixels in _DEPTHS:
        tried = argv(ffmpeg_path, recipe, pixels)
        try:
            child.check("[encode] params", tried, ffmpeg.run(tried, timeout_s=_LONGEST_S))
            return
        except EncodeError as error:
            refused = refused or error
    raise SettingsError(str(refused), hint=f"Look at --params: {recipe.params}")


def argv(ffmpeg_path: str, recipe: Recipe, pixels: str) -> list[str]:
    """A fifth of a second of black through the encoder, and nowhere."""
    source = f"color=size=640x360:rate=25:duration=0.2,format={pixels}"
    said = codec.options(recipe, _CRF)
    return [*command.quiet(ffmpeg_path), "-f", "lavfi", "-i", source, *said, "-f", "null", "-"]
