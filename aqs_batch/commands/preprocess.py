"""`aqs-batch preprocess`: a filtered lossless copy for use with any other encoder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from aqs_batch.commands.endings import complain, naming, plain_errors
from aqs_batch.commands.flags import CONFIG, DEBUG, load


class _Number(click.FloatRange):
    """A number within its bounds; to click "nan" is one, and the copy was black."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        return self.fail(f"{value} is no number.", param, ctx) if math.isnan(number) else number


@click.command()
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--crf", type=_Number(0, 51), default=28.0,
              help="The x265 CRF that the copy will be encoded at (28).")  # fmt: skip
@click.option("--strength", type=_Number(0, 2), default=1.0,
              help="How strongly: 0 changes nothing, 1 is as trained (1).")  # fmt: skip
@CONFIG
@DEBUG
def preprocess(
    source: Path, target: Path, crf: float, strength: float, config: Path | None, debug: bool
) -> int:
    """Filter SOURCE for x265 into TARGET, a lossless .mkv."""
    from aqs_batch.console import count_frames
    from aqs_batch.encode import lossless
    from aqs_batch.encode.child import Tool
    from aqs_batch.encode.codec import filter_crf, odd_size
    from aqs_batch.encoders import Codec
    from aqs_batch.errors import EncodeError
    from aqs_batch.ffmpeg import find
    from aqs_batch.ingest.probe import probe
    from aqs_batch.reencoding import preprocessing
    from aqs_batch.wording import count, shown

    with plain_errors(debug):
        settings = load(config, None, None).settings
        with naming(source):
            video = probe(source, settings.limits)
        if not target.absolute().parent.is_dir():
            raise EncodeError(f"{target}: there is no such folder", hint="Make it first.")
        if cut := odd_size(video):
            complain(f"{shown(str(source))}: {cut}")
        for warning in video.warnings:
            complain(f"{shown(str(source))}: {warning}")
        told = filter_crf(Codec.X265, crf)
        with count_frames(len(video.frame_times_s)) as on_frame:
            frames, lost = lossless.write(
                Tool(find(settings.ffmpeg.path).path, settings.limits.stall_s),
                video,
                target,
                preprocessing.filters(strength)(told),
                on_frame,
            )
        for words in lost:
            complain(f"{shown(str(target))}: {words}")
        nearest = "" if told == crf else f", the nearest to {crf:g} that the filter knows"
        done = f"{count(frames, 'frame')} filtered for CRF {told:g}{nearest}"
        click.echo(f"{shown(str(target))}: {done}")
    return 0
