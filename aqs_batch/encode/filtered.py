"""Decode, filter, encode through pipes, one frame at a time: memory does not grow with length."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from functools import cached_property, partial
from pathlib import Path
from typing import Protocol

from aqs_batch.encode import codec, command
from aqs_batch.encode.child import Tool, Watch, check
from aqs_batch.encode.codec import Recipe
from aqs_batch.encode.frame_times import noted_s
from aqs_batch.encode.plan import Window
from aqs_batch.encode.raw_frames import (
    Luma,
    RawFormat,
    RawFrame,
    frame_bytes,
    input_options,
    read_frames,
    shown_as,
    stream_header,
)
from aqs_batch.encode.target import Target
from aqs_batch.encoders import Codec
from aqs_batch.errors import RefusedMedia
from aqs_batch.ffmpeg import Child, child
from aqs_batch.media.containers import rate_and_sar
from aqs_batch.media.turning import Turn
from aqs_batch.records import Video


class Decoding(Protocol):
    """The command that decodes to stdout, told where to note when each frame is shown."""

    def __call__(self, *, times: Path) -> Sequence[str]: ...


class LumaFilter(Protocol):
    """Three luma planes (t-1, t, t+1) and their bit depth to the filtered middle one."""

    def __call__(self, window: Sequence[Luma], bit_depth: int) -> Luma: ...


def fits(video: Video) -> bool:
    """Whether a video's light is what the filter was trained for: SDR, not linear."""
    return not video.hdr and video.color_transfer != "linear"


def admit(video: Video) -> None:
    """Raises RefusedMedia for light the filter was not trained for."""
    if not fits(video):
        raise RefusedMedia(
            f"the preprocess filter knows SDR only; this video is {video.hdr or 'linear light'}",
            hint="Encode it without --preprocess.",
        )


def raw_format(video: Video, kind: Codec) -> RawFormat:
    """What of a video goes through the filter to an encoder; raises EncodeError if unreadable."""
    rate, sar = rate_and_sar(video.path, video.stream_index)
    size = command.even_size(video)
    return RawFormat(codec.pixel_format(video, kind), *size, rate, says_sar=bool(sar))


class WindowEncoder:
    """Encodes a window through the filter, each target told its own CRF: a `ladder.Encoder`."""

    def __init__(
        self,
        tool: Tool,
        video: Video,
        recipe: Recipe,
        filter_for: Callable[[float], LumaFilter],
    ) -> None:
        admit(video)
        self._tool, self._video, self._recipe = tool, video, recipe
        self._filter_for = filter_for

    @cached_property
    def _raw(self) -> RawFormat:
        """Once, for a ladder has many windows and CRFs."""
        return raw_format(self._video, self._recipe.codec)

    def __call__(
        self, window: Window, targets: Sequence[Target], on_frame: Callable[[int], None]
    ) -> None:
        video, recipe, raw = self._video, self._recipe, self._raw
        turned = input_options(Turn(video.rotation_deg, video.is_mirrored))
        piped = command.Piped(tuple(turned), shown_as(video, raw))
        done = 0
        for target in targets:
            decoder = partial(
                command.decoder_argv, self._tool.path, video, window, recipe,
                planar=raw.pixel_format, others=target.others,
            )  # fmt: skip
            encoder = command.encoder_argv(self._tool.path, video, window, recipe, [target], piped)

            def count(frame: int, before: int = done) -> None:
                on_frame((before + frame) // len(targets))

            told, folder = codec.filter_crf(recipe.codec, target.crf), target.path.parent
            luma_filter = self._filter_for(told)
            done += run(decoder, encoder, raw, luma_filter, folder, count, self._tool.stall_s)


def run(
    decoder_argv: Decoding,
    encoder_argv: Sequence[str],
    raw: RawFormat,
    luma_filter: LumaFilter,
    scratch: Path,
    on_frame: Callable[[int], None] = lambda count: None,
    stall_s: float = float("inf"),
) -> int:
    """Feed the decoder's frames through the filter to the encoder; returns how many there were.

    Chroma and times go through untouched; the times are noted in `scratch` on their way. Raises
    EncodeError when either side fails, with its last lines, or no frame goes through for `stall_s`;
    no child is left whatever happens.
    """
    with tempfile.TemporaryDirectory(prefix="aqs-times-", dir=scratch) as folder:
        noted = Path(folder) / "times"
        decoding = decoder_argv(times=noted)
        with (
            child(decoding) as decoder,
            child(encoder_argv, fed=True) as encoder,
            Watch((decoder, encoder), stall_s) as watch,
        ):

            def moved(frame: int) -> None:
                watch.at = frame
                on_frame(frame)

            read = read_frames(decoder, raw)
            with closing(in_order(read, luma_filter, raw.bit_depth, os.cpu_count() or 1)) as frames:
                count = _feed(encoder, zip(frames, noted_s(noted), strict=False), raw, moved)
            encoder.close_input()
            ends = encoder.wait(), decoder.wait()  # a long lookahead may still be worked off
    watch.check("encoding the filtered frames")
    check("encoding the filtered frames", encoder_argv, ends[0])
    check("decoding the source", decoding, ends[1])
    return count


def _feed(
    encoder: Child,
    timed: Iterator[tuple[RawFrame, float]],
    raw: RawFormat,
    on_frame: Callable[[int], None],
) -> int:
    count = 0
    encoder.write(stream_header(raw))
    for frame, time_s in timed:
        if not encoder.write(*frame_bytes(frame, raw, time_s)):
            break  # it has ended early: its exit status and last lines say why
        count += 1
        on_frame(count)
    return count


def in_order(
    frames: Iterator[RawFrame], luma_filter: LumaFilter, bit_depth: int, workers: int
) -> Generator[RawFrame]:
    """Each frame filtered with its neighbours, `workers` frames at a time; they come in order."""
    from aqs_batch.encode.preprocess import one_core_each  # torch takes a second to import

    waiting: deque[tuple[RawFrame, Future[Luma]]] = deque()
    with one_core_each(workers) as pool:
        for now, window in _windows(frames):
            waiting.append((now, pool.submit(luma_filter, window, bit_depth)))
            if len(waiting) > workers:
                frame, luma = waiting.popleft()
                yield frame.with_luma(luma.result())
        for frame, luma in waiting:
            yield frame.with_luma(luma.result())


def _windows(frames: Iterator[RawFrame]) -> Iterator[tuple[RawFrame, tuple[Luma, Luma, Luma]]]:
    """Each frame with its neighbours; the first and last stand in for missing ones."""
    before = now = next(frames, None)
    for after in frames:
        assert before is not None and now is not None
        yield now, (before.luma, now.luma, after.luma)
        before, now = now, after
    if before is not None and now is not None:
        yield now, (before.luma, now.luma, now.luma)
