"""One source at several CRFs: encoded from one decode, measured against it, told as rungs."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from aqs_batch.encode import alignment, child, codec, command, inventory, pair, pixels, vmaf
from aqs_batch.encode.alignment import Alignment
from aqs_batch.encode.child import Tool
from aqs_batch.encode.codec import Recipe
from aqs_batch.encode.frame_log import FrameLog, joined
from aqs_batch.encode.plan import Plan, Window
from aqs_batch.encode.segments import SEGMENT_FRAMES, measure_in_parts
from aqs_batch.encode.target import Along, Target, place_of
from aqs_batch.encode.vmaf import Measuring
from aqs_batch.encoders import FILTERED_FORMAT
from aqs_batch.errors import EncodeError, reason_and_place
from aqs_batch.media.containers import TIMELESS
from aqs_batch.records import MIXED, Rung, Stamp, Video

FORMAT = 1  # raised when rungs made before can no longer be compared with those made now

LadderProgress = Callable[[float, float, str], None]  # frames of work done, planned, what goes on


class Encoder(Protocol):
    """What turns one window into a file per target: by default ffmpeg, see `command.Piped`."""

    def __call__(
        self, window: Window, targets: Sequence[Target], on_frame: Callable[[int], None]
    ) -> None: ...


@dataclass(frozen=True)
class Tools:
    """What a ladder works with; `parallel` encoders share one decode."""

    ffmpeg: Tool
    versions: str  # of ffmpeg: part of what makes two rungs comparable
    threads: int
    parallel: int
    scratch: Path
    logs: Path


@dataclass(frozen=True)
class Wanted:
    """What a ladder is to make of one source, all but the CRFs."""

    video: Video
    fingerprint: str
    plan: Plan
    recipe: Recipe
    models: dict[str, str]  # empty for HDR, where none is valid
    preprocess: str | None = None
    along: Along | None = None  # None: the picture alone
    container: str = "matroska"
    original: Video | None = None  # where `video` is a copy of its picture in another container

    @property
    def source(self) -> Video:
        """What is encoded: the file itself where its other streams come along."""
        return self.original if self.original and self.along else self.video

    @property
    def place(self) -> int:
        """The index of the picture's stream in the encodes."""
        return place_of(self.source, self.along)

    @property
    def path(self) -> Path:
        """The file that was asked for, whatever is read in its stead."""
        return (self.original or self.video).path


@dataclass(frozen=True)
class Made:
    """A rung with its files, one a window, and its frames; a rung from the cache has neither."""

    rung: Rung
    key: str
    files: tuple[Path, ...] = ()
    log: FrameLog | None = field(repr=False, default=None)


class LadderMaker:
    """Makes the rungs of one source under one recipe; `known` finds those made before by key."""

    def __init__(
        self,
        wanted: Wanted,
        tools: Tools,
        known: Callable[[str], Rung | None],
        progress: LadderProgress = lambda done, planned, what: None,
        encoder: Encoder | None = None,
    ) -> None:
        self._wanted, self._tools, self._known, self._tell = wanted, tools, known, progress
        self._encode_window = encoder or self._with_ffmpeg
        self._done = self._planned = 0.0
        self._stamp = _stamp(wanted.path)
        self.made: list[Made] = []  # by this ladder, with its files

    def climb(self, crfs: Sequence[float]) -> list[Made]:
        """The rungs of these CRFs in their order, those made before without any work.

        Raises EncodeError when an encode fails, its frames are not the source's (Misaligned), or
        the source changes meanwhile; what was finished before that is in `made`.
        """
        keys = {crf: self.key(crf) for crf in crfs}
        made: dict[float, Made] = {}
        for crf in crfs:
            codec.check_crf(self._wanted.recipe.codec, crf)
            rung = self._known(keys[crf])
            if rung is not None:
                made[crf] = Made(rung, keys[crf])
        missing = [crf for crf in dict.fromkeys(crfs) if crf not in made]
        frames = self._frames() * len(missing)
        self._planned += 2 * frames
        for group in _groups(missing, self._tools.parallel):
            files, encode_fps = self._encode(group)
            for crf in group:
                made[crf] = self._measured(crf, files[crf], encode_fps)
                self.made.append(made[crf])
        return [made[crf] for crf in crfs]

    def key(self, crf: float) -> str:
        """What a rung is known by: source, frames, encoder, its arguments, models and versions."""
        w = self._wanted
        crf = int(crf) if crf == int(crf) else crf  # 22 and 22.0 are one rung
        told = codec.filter_crf(w.recipe.codec, crf)
        as_x265 = "" if told == crf else f" as CRF {told:g}"
        filtered = w.preprocess and f"{w.preprocess} {FILTERED_FORMAT}{as_x265}"
        kept = codec.pixel_format(w.video, w.recipe.codec)
        quarter = kept if pixels.is_411(w.video.pixel_format) else ""
        mixed = MIXED if w.video.field_order == MIXED else ""
        parts = [
            FORMAT, w.fingerprint, [(v.start, v.frames) for v in w.plan.windows], crf,
            codec.options(w.recipe, crf), filtered, sorted(w.models.items()),
            self._tools.versions,
            # Of old they were other encodes.
            *filter(None, [w.video.chroma_location, quarter, mixed]),
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    def _frames(self) -> int:
        total = len(self._wanted.video.frame_times_s)
        return sum(w.frames or total for w in self._wanted.plan.windows)

    def _encode(self, crfs: Sequence[float]) -> tuple[dict[float, list[Path]], float]:
        files: dict[float, list[Path]] = {crf: [] for crf in crfs}
        began, wanted = time.monotonic(), self._wanted
        what = "encoding CRF " + ", ".join(f"{crf:g}" for crf in crfs)
        for number, window in enumerate(wanted.plan.windows):
            targets = [self._target(crf, number) for crf in crfs]
            self._encode_window(window, targets, self._counter(len(crfs), what, window))
            for target in targets:
                files[target.crf].append(target.path)
        self._check_source()
        spent = max(time.monotonic() - began, 1e-6)
        return files, self._frames() * len(crfs) / spent

    def _with_ffmpeg(
        self, window: Window, targets: Sequence[Target], on_frame: Callable[[int], None]
    ) -> None:
        wanted = self._wanted
        argv = command.encoder_argv(
            self._tools.ffmpeg.path, wanted.source, window, wanted.recipe, targets
        )
        what = f"encoding {wanted.source.path.name}"
        child.run(argv, what, on_frame, self._tools.ffmpeg.stall_s)

    def _target(self, crf: float, number: int) -> Target:
        w = self._wanted
        kind = "whole" if w.along else "picture"
        path = self._tools.scratch / f"{kind}-crf{crf:g}-{number}.part"
        return Target(crf, path, w.container, w.along)

    def _counter(self, weight: int, what: str, window: Window) -> Callable[[int], None]:
        """Counts frames of one window into the progress of the ladder."""
        before = self._done
        most = (window.frames or self._frames()) * weight

        def count(frame: int) -> None:
            self._done = before + min(frame * weight, most)
            self._tell(self._done, self._planned, what)

        return count

    def _measured(self, crf: float, files: Sequence[Path], encode_fps: float) -> Made:
        wanted = self._wanted
        place = wanted.place
        logs, aligned, size_bytes, libvmaf = [], [], 0, ""
        for window, path in zip(wanted.plan.windows, files, strict=True):
            found = inventory.take(path, place)
            size_bytes += found.picture.size_bytes
            sides = pair.own(path, place, wanted.video, window, wanted.recipe)
            times = found.picture.times_s, wanted.video.frame_times_s
            most = len(times[1]) if wanted.video.container in TIMELESS else SEGMENT_FRAMES
            counter = self._counter(1, f"measuring CRF {crf:g}", window)
            frames = measure_in_parts(sides, self._measuring(), times, counter, most)
            logs.append(_log(wanted.video, window, frames))
            aligned.append(frames.alignment)
            libvmaf = frames.libvmaf
        self._check_source()
        log = joined(logs)
        rung = self._rung(crf, log, alignment.together(aligned), size_bytes, encode_fps, libvmaf)
        self._keep(log, rung)
        return Made(rung, self.key(crf), tuple(files), log)

    def _measuring(self) -> Measuring:
        video, recipe = self._wanted.video, self._wanted.recipe
        kept = codec.pixel_format(video, recipe.codec)
        shallow = vmaf.xpsnr_format(kept, command.even_size(video)[0])
        tools = self._tools
        models = self._wanted.models
        return Measuring(tools.ffmpeg, models, tools.threads, shallow, tools.scratch)

    def _rung(
        self,
        crf: float,
        log: FrameLog,
        aligned: Alignment,
        size_bytes: int,
        fps: float,
        version: str,
    ) -> Rung:
        wanted = self._wanted
        size_bytes = round(size_bytes / wanted.plan.share)
        kbps = size_bytes * 8 / 1000 / max(wanted.video.duration_s, 1e-6)
        pooled = {name: vmaf.pool(log.scores[name]) for name in wanted.models}
        source_bytes = sum(wanted.video.kbps_over_time) * 1000 / 8
        model = f"{wanted.models['vmaf']}, libvmaf {version}, {vmaf.POOLING}" if pooled else ""
        kind = wanted.recipe.codec.value
        name = f"{wanted.fingerprint[:12]}-{kind}-crf{crf:g}-{self.key(crf)[:8]}.json.gz"
        return Rung(
            crf=crf,
            preset=wanted.recipe.preset,
            preprocess=wanted.preprocess,
            size_bytes=size_bytes,
            kbps=kbps,
            vmaf=pooled.get("vmaf"),
            vmaf_neg=pooled.get("vmaf_neg"),
            vmaf_v1=pooled.get("vmaf_v1"),
            xpsnr=float(np.mean(log.scores["xpsnr"])),
            alignment=aligned.words,
            codec=kind,
            params=wanted.recipe.params,
            plan=wanted.plan.words,
            frames=len(log.numbers),
            model=model,
            encode_fps=fps,
            ratio=size_bytes / source_bytes if source_bytes else 0.0,
            strip=log.strip(),
            vmaf_log=f"{self._tools.logs.name}/{name}",
        )

    def _keep(self, log: FrameLog, rung: Rung) -> None:
        wanted = self._wanted
        facts = {
            "fingerprint": wanted.fingerprint, "codec": rung.codec, "preset": rung.preset,
            "params": rung.params, "preprocess": rung.preprocess, "crf": rung.crf,
            "plan": rung.plan, "models": wanted.models, "model": rung.model,
            "alignment": rung.alignment,
        }  # fmt: skip
        try:
            log.write(self._tools.logs.parent / rung.vmaf_log, facts)
        except OSError as error:
            raise EncodeError(
                f"the VMAF log cannot be written: {reason_and_place(error)}",
                hint="Free disk space, or make the folder writable, and run again.",
            ) from error

    def _check_source(self) -> None:
        if _stamp(self._wanted.path) != self._stamp:
            raise EncodeError(
                "the source changed while it was being encoded",
                hint="Nothing was kept. Run again once the file is complete.",
            )


def _log(video: Video, window: Window, frames: vmaf.Frames) -> FrameLog:
    count = len(frames.xpsnr)
    first = window.start + max(frames.alignment.offset, 0)
    numbers = np.arange(first, first + count)
    known = np.array(video.frame_times_s)
    times = known[np.minimum(numbers, len(known) - 1)] - known[0]
    scores = {**frames.vmaf, "xpsnr": frames.xpsnr}
    return FrameLog(numbers, times, scores, frames.worst_cell, frames.alignment.offset)


def _groups(crfs: Sequence[float], most: int) -> list[list[float]]:
    return [list(crfs[at : at + most]) for at in range(0, len(crfs), max(most, 1))]


def _stamp(path: Path) -> tuple[int, int]:
    try:
        return Stamp.of(os.stat(path)).written
    except OSError as error:
        raise EncodeError("the source is gone", hint="It vanished while it was in use.") from error
