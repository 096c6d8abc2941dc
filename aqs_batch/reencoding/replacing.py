"""Which encode may take its original's place, and that it does."""

from __future__ import annotations

import os
from pathlib import Path

from aqs_batch.clock import Clock, iso
from aqs_batch.encode import codec, inventory, output, siting, trash
from aqs_batch.encode.pixels import are_as_fine
from aqs_batch.encoders import Codec
from aqs_batch.errors import EncodeError, RefusedMedia
from aqs_batch.ffmpeg import find as find_ffmpeg
from aqs_batch.ingest import wholeness
from aqs_batch.ingest.fingerprint import fingerprint as fingerprint_of
from aqs_batch.ingest.probe import probe
from aqs_batch.media import side_data
from aqs_batch.records import Rung, Video
from aqs_batch.reencoding.encoding import Result
from aqs_batch.settings import Settings
from aqs_batch.store import Store
from aqs_batch.wording import cut

_NO_VMAF = "no VMAF is valid for HDR, so nothing says how its encode looks"
_BEFOREHAND = "Nothing was encoded; without --replace it is."


class Replacing:
    """Puts encodes in their originals' places, as far as nothing is lost by it."""

    def __init__(self, store: Store, settings: Settings, settings_key: str, clock: Clock) -> None:
        self._store, self._settings = store, settings
        self._settings_key, self._clock = settings_key, clock

    def check(self, path: Path, fingerprint: str) -> None:
        """Raises AqsError for an original that no encode can replace: it had been encoded for
        hours before that was told.
        """
        trash.check(path)
        folder = path.absolute().parent
        if not os.access(folder, os.W_OK | os.X_OK):
            raise EncodeError(
                f"the original stays: {folder} cannot be written to", hint=_BEFOREHAND
            )
        video = probe(path, self._settings.limits)
        if video.hdr:
            raise RefusedMedia(f"the original stays: {_NO_VMAF}", hint=_BEFOREHAND)
        if lost := [*self._damage(video, fingerprint), *_cut(video), *self._lacks(video)]:
            raise RefusedMedia(
                f"the original stays, for its encode would hold less: {'; '.join(lost)}",
                hint=_BEFOREHAND,
            )

    def replace(self, path: Path, fingerprint: str, result: Result) -> dict[str, str]:
        """Put the best encode in the original's place; returns where both are.

        Raises AqsError where the original stays, for something would be lost by it.
        """
        if result.best is None:
            raise EncodeError(
                "the original stays: no encode was worth taking", hint="Nothing was replaced."
            )
        asked = self._settings.encode
        (taken,) = [stored.rung for stored in result.rungs if stored.rung.recommended]
        _check_looks(taken, asked.target_vmaf or asked.good_vmaf, result.best)
        ours, theirs = (place.stat().st_size for place in (result.best, path))
        if ours >= theirs:
            raise EncodeError(
                f"the original stays: its encode has {ours:,} bytes, itself {theirs:,}",
                hint=f"The encode is {result.best}.",
            )
        # Looked at anew: it may have been cut short meanwhile.
        video = probe(path, self._settings.limits)
        lost = [*self._damage(video, fingerprint), *result.losses]
        if lost:
            raise EncodeError(
                f"the original stays, for its encode lost something: {'; '.join(lost)}",
                hint=f"The encode is {result.best}.",
            )
        if fingerprint_of(path) != fingerprint:  # the encode waited for the database, say
            raise EncodeError(
                "the original stays: it changed after it was encoded",
                hint=f"Run again. The encode of what it was is {result.best}.",
            )
        entry = trash.replace(path, result.best, fingerprint, iso(self._clock.now()))
        self._store.move_output(fingerprint, str(result.best), str(entry.replacement))
        return {"by": str(entry.replacement), "kept": str(entry.kept)}

    def _damage(self, video: Video, fingerprint: str) -> list[str]:
        """What is wrong with an original: an encode of what could be read is not all it holds."""
        analysis = self._store.analysis(fingerprint, self._settings_key)
        found = analysis.warnings if analysis else ()
        fields = ["the fields of its interlaced part"] if wholeness.FIELDS_IN_PART in found else []
        # The analysis may be older than what the probe knows of truncation.
        return [*fields, *wholeness.unread([*video.warnings, *found])]

    def _lacks(self, video: Video) -> list[str]:
        """What the encoder that is asked for, or every container, will leave out.

        Raises EncodeError where its file has no place beside the original.
        """
        kind = self._settings.encode.codec
        held = inventory.take(video.path, video.stream_index)
        tool = find_ffmpeg(self._settings.ffmpeg.path).path
        container = output.container_of(tool, siting.told(tool, video), held, kind)
        trash.place_for(video.path, container.suffix)
        lost = output.losses((), container.left_out)
        if held.picture.transparent:
            lost.append("transparency")
        if side_data.NAMELESS in held.picture.shown_with:
            lost.append("what else comes with each picture")
        coded = codec.pixel_format(video, kind)
        if codec.is_rgb(video.pixel_format) or not are_as_fine(coded, video.pixel_format):
            lost.append(f"{video.pixel_format} would become {coded}")
        if kind is Codec.SVTAV1 and "A53_CC" in held.picture.shown_with:
            lost.append("captions in the picture")
        return lost


def _cut(video: Video) -> list[str]:
    """What no encode holds of a whole original."""
    scan = ["half of the moments in time of an interlaced picture"] if video.interlaced else []
    return [*scan, *filter(None, [codec.odd_size(video)])]


def _check_looks(taken: Rung, floor: float, encode: Path) -> None:
    """Raises EncodeError for an encode that looks too bad for its original's place, or may."""
    if taken.vmaf is None:
        raise EncodeError(f"the original stays: {_NO_VMAF}", hint=f"The encode is {encode}.")
    if taken.vmaf.mean < floor:
        raise EncodeError(
            f"the original stays: its encode has a VMAF of {cut(taken.vmaf.mean)}, "
            f"{floor:g} is asked for",
            hint=f"The encode is {encode}; [encode] good_vmaf says what is good enough.",
        )
