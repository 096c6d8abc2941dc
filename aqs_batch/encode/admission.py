"""Which sources are encoded at all, and what a person should know of the encodes of the others."""

from __future__ import annotations

from aqs_batch.encode import codec
from aqs_batch.encode.command import even_size
from aqs_batch.encode.filtered import fits
from aqs_batch.encode.inventory import Inventory
from aqs_batch.errors import RefusedMedia, TargetError
from aqs_batch.media import side_data
from aqs_batch.records import Video
from aqs_batch.settings import Encode

OPAQUE = "transparency is not carried over"
BARE = "what else comes with each picture, a second eye's view say, is not carried over"
VMAF_MORE_THAN_PX = 16  # libvmaf crashes at this, once the encode is made


def admit(video: Video, held: Inventory, asked: Encode) -> list[str]:
    """What a person should know of the encodes of this source; raises AqsError to refuse it."""
    dolby = any("DOVI" in name for name in held.picture.hdr.names)
    if dolby and not video.hdr:
        raise RefusedMedia(
            "Dolby Vision without an HDR10 or HLG base: its colours would come out wrong",
            hint="Keep this file as it is.",
        )
    if not video.hdr and min(even_size(video)) <= VMAF_MORE_THAN_PX:
        raise RefusedMedia(
            f"{video.width}x{video.height} is too small for VMAF, "
            f"which needs more than {VMAF_MORE_THAN_PX} pixels each way",
            hint="Keep this file as it is.",
        )
    warnings = []
    if less := codec.coarser(video, asked.codec):
        warnings.append(less)
    if video.hdr:
        if asked.target_vmaf:
            raise TargetError(
                f"HDR ({video.hdr}): no VMAF model is valid for it, so no VMAF can be aimed at",
                hint="Use --crf or --max-kbps for this file.",
            )
        warnings.append(f"HDR ({video.hdr}): no VMAF model is valid, so none was measured")
    if asked.preprocess == "auto" and not fits(video):
        light = video.hdr or "linear light"
        warnings.append(f"{light}: the preprocess filter knows SDR only, so it was left out")
    if dolby:
        warnings.append("Dolby Vision metadata is not carried over, its base layer is")
    if "DYNAMIC_HDR_PLUS" in held.picture.hdr.names:
        warnings.append("HDR10+ metadata is not carried over, HDR10's is")
    if side_data.NAMELESS in held.picture.shown_with:
        warnings.append(BARE)
    if held.picture.transparent:
        warnings.append(OPAQUE)
    if video.interlaced:
        warnings.append("interlaced: deinterlaced frame by frame, on both sides")
    if cut := codec.odd_size(video):
        warnings.append(f"{cut}, on both sides")
    return warnings
