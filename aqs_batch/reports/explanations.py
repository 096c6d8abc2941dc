"""The artifacts as a person reads of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aqs_batch.records import Artifact


@dataclass(frozen=True)
class Explanation:
    """One artifact in plain words: what one sees, and what most often causes it."""

    label: str
    looks: str
    cause: str


EXPLANATIONS: Mapping[Artifact, Explanation] = {
    Artifact.BLOCKING: Explanation(
        "Blocking",
        "The picture breaks into small squares, most of all in motion and in dark areas.",
        "Too few bits for the content: a low bit rate or a high CRF.",
    ),
    Artifact.RINGING: Explanation(
        "Ringing",
        "Faint echoes and shimmer run along sharp edges and lettering.",
        "Strong compression, or sharpening and scaling before it.",
    ),
    Artifact.GHOSTING: Explanation(
        "Ghosting",
        "Moving things trail a pale copy of themselves from a neighbouring frame.",
        "Blended frame-rate conversion, poor deinterlacing or heavy temporal denoising.",
    ),
    Artifact.JUDDER: Explanation(
        "Judder",
        "Motion stutters: frames repeat, are missing or come at uneven steps.",
        "Frame-rate conversion by repeating or dropping frames, or frames lost in capture.",
    ),
    Artifact.GAUSSIAN_NOISE: Explanation(
        "Gaussian noise",
        "Fine grain flickers over the whole picture, clearest in flat and dark areas.",
        "High sensor gain, an analogue source or film grain; it also costs many bits.",
    ),
    Artifact.IMPULSE_NOISE: Explanation(
        "Impulse noise",
        "Single bright or dark specks appear for a frame and vanish.",
        "Tape dropouts, dust, dead pixels or transmission errors.",
    ),
    Artifact.MOTION_BLUR: Explanation(
        "Motion blur",
        "Things in motion smear along their path and lose their edges.",
        "A long exposure, a shaking camera or blended frames.",
    ),
    Artifact.DEFOCUS_BLUR: Explanation(
        "Defocus blur",
        "The picture is soft all over and fine detail is missing.",
        "Missed focus, a soft lens, an upscale from a smaller picture, or too few bits.",
    ),
    Artifact.COLOR_BANDING: Explanation(
        "Color banding",
        "Smooth gradients, such as skies and fades, turn into visible steps.",
        "8-bit or over-compressed gradients whose dither was removed.",
    ),
    Artifact.COLOR_SATURATION: Explanation(
        "Color saturation",
        "Colors are garish or washed out, and may clip to flat patches.",
        "A wrong color matrix or range, or a grade pushed too far.",
    ),
}


def label(artifact: Artifact) -> str:
    """The artifact's name as a heading."""
    return EXPLANATIONS[artifact].label
