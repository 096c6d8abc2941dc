"""Blocking and ringing: what encoders and resamplers leave behind."""

from __future__ import annotations

import cv2
import numpy as np

from aqs_batch.records import Artifact
from training.codec import Encoder, round_trip
from training.degrade.generator import (
    Clip,
    Floats,
    Frames,
    Rng,
    between,
    each,
    gaussian_blur,
    generator,
)

CODING_DAMAGE = (  # what a hard encode does beside blocks
    Artifact.RINGING,
    Artifact.DEFOCUS_BLUR,
    Artifact.COLOR_BANDING,
    Artifact.GAUSSIAN_NOISE,
)


def _still(frame: Frames, suffix: str, *options: int) -> Frames:
    """A frame through a codec of still pictures."""
    _, data = cv2.imencode(suffix, frame[..., ::-1], options)
    coded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert coded is not None  # as it was written just now
    return np.ascontiguousarray(coded[..., ::-1])


@generator(Artifact.BLOCKING, *CODING_DAMAGE)
def _jpeg_blocks(clip: Clip, strength: float, rng: Rng) -> Clip:
    quality = int(between(34, 5, strength))

    def code(frame: Frames) -> Frames:
        return _still(frame, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality)

    return each(clip, code, 8)


@generator(Artifact.BLOCKING, *CODING_DAMAGE)
def _mpeg2_blocks(clip: Clip, strength: float, rng: Rng) -> Clip:
    return clip.replaced(
        round_trip(clip.frames, Encoder("mpeg2video", between(10, 31, strength))), 8
    )


@generator(Artifact.BLOCKING, *CODING_DAMAGE)
def _x264_no_deblock(clip: Clip, strength: float, rng: Rng) -> Clip:
    coder = Encoder(
        "libx264", between(32, 45, strength), (("flags", "-loop"), ("preset", "ultrafast"))
    )
    return clip.replaced(round_trip(clip.frames, coder), 8)


@generator(Artifact.BLOCKING, *CODING_DAMAGE)
def _upscaled_blocks(clip: Clip, strength: float, rng: Rng) -> Clip:
    factor = int(rng.choice([2, 3]))
    high, wide = (n // factor & ~1 for n in clip.frames.shape[1:3])
    small = np.stack(
        [cv2.resize(f, (wide, high), interpolation=cv2.INTER_AREA) for f in clip.frames]
    )
    coded = round_trip(small, Encoder("mpeg2video", between(5, 20, strength)))
    size = (wide * factor, high * factor)
    big = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_LINEAR) for f in coded])
    full = clip.frames.copy()  # the few rows that the division left over stay as they were
    full[:, : size[1], : size[0]] = big
    return clip.replaced(full, 8 * factor)


@generator(Artifact.BLOCKING, *CODING_DAMAGE, held_out=True)
def _mpeg4_blocks(clip: Clip, strength: float, rng: Rng) -> Clip:
    return clip.replaced(round_trip(clip.frames, Encoder("mpeg4", between(9, 31, strength))), 8)


@generator(Artifact.RINGING, Artifact.DEFOCUS_BLUR, Artifact.COLOR_BANDING)
def _wavelet_codec(clip: Clip, strength: float, rng: Rng) -> Clip:
    rate = int(between(45, 8, strength))  # thousandths of the raw size

    def code(frame: Frames) -> Frames:
        return _still(frame, ".jp2", cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, rate)

    return each(clip, code)


def _low_pass(frames: Frames, cutoff: float, softness: float) -> Floats:
    """Radial brick-wall (softness 0) or nearly so, on reflected frames; cutoff 1 is Nyquist."""
    pad = 24
    padded = np.pad(frames, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="reflect")
    spectrum = np.fft.rfft2(padded.astype(np.float32), axes=(1, 2))
    fy = np.abs(np.fft.fftfreq(padded.shape[1]))[:, None] * 2
    fx = np.fft.rfftfreq(padded.shape[2])[None, :] * 2
    keep = np.maximum(fy, fx)
    gain = np.clip((cutoff + softness - keep) / max(softness, 1e-3), 0, 1)
    out = np.fft.irfft2(spectrum * gain[None, :, :, None], s=padded.shape[1:3], axes=(1, 2))
    return out[:, pad:-pad, pad:-pad].astype(np.float32)


@generator(Artifact.RINGING, Artifact.DEFOCUS_BLUR)
def _sinc_low_pass(clip: Clip, strength: float, rng: Rng) -> Clip:
    soft = _low_pass(clip.frames, between(0.5, 0.2, strength), 0.02)
    gain = rng.uniform(0.0, 0.8)  # often re-sharpened, which restores edges and lifts the ripples
    return clip.replaced(soft + gain * (soft - gaussian_blur(soft, 1.5)))


@generator(Artifact.RINGING)
def _over_sharpened(clip: Clip, strength: float, rng: Rng) -> Clip:
    base = clip.frames.astype(np.float32)
    amount, sigma = between(1.0, 5.0, strength), rng.uniform(0.9, 2.2)
    return clip.replaced(base + amount * (base - gaussian_blur(base, sigma)))


@generator(Artifact.RINGING, later=1)
def _box_sharpened(clip: Clip, strength: float, rng: Rng) -> Clip:
    """Luma sharpened against the mean of a square, as players do: halos with corners."""
    amount, side = between(1.0, 4.0, strength), 2 * int(rng.integers(2, 7)) + 1

    def sharpen(frame: Frames) -> Floats:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
        mean = cv2.blur(grey, (side, side), borderType=cv2.BORDER_REFLECT_101)
        return frame + amount * (grey - mean)[..., None]

    return each(clip, sharpen)


@generator(Artifact.RINGING, Artifact.DEFOCUS_BLUR, held_out=True)
def _lanczos_upscaled(clip: Clip, strength: float, rng: Rng) -> Clip:
    factor = between(0.55, 0.28, strength)

    def resize(frame: Frames) -> Floats:
        high, wide = frame.shape[:2]
        small = cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        sharp = small.astype(np.float32)
        sharp += 1.2 * (sharp - cv2.GaussianBlur(sharp, (0, 0), 1.0))
        return cv2.resize(sharp, (wide, high), interpolation=cv2.INTER_LANCZOS4)

    return each(clip, resize)
