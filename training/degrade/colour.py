"""Banding and saturation: what happens to levels and colours."""

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
    generator,
)


def _quantised(values: Floats, step: float, offset: float) -> Floats:
    return (np.floor((values + offset) / step) + 0.5) * np.float32(step) - np.float32(offset)


@generator(Artifact.COLOR_BANDING)
def _rgb_depth(clip: Clip, strength: float, rng: Rng) -> Clip:
    step = between(8, 40, strength)
    return clip.replaced(
        _quantised(clip.frames.astype(np.float32), step, float(rng.uniform(0, step)))
    )


@generator(Artifact.COLOR_BANDING)
def _luma_depth(clip: Clip, strength: float, rng: Rng) -> Clip:
    step = between(6, 32, strength)
    offset = float(rng.uniform(0, step))

    def quantise(frame: Frames) -> Frames:
        yuv = cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb).astype(np.float32)
        yuv[..., 0] = _quantised(yuv[..., 0], step, offset)
        yuv[..., 1:] = _quantised(yuv[..., 1:], max(step / 3, 2), offset)
        return cv2.cvtColor(np.clip(yuv, 0, 255).astype(np.uint8), cv2.COLOR_YCrCb2RGB)

    return each(clip, quantise)


@generator(Artifact.COLOR_BANDING)
def _dropped_bits(clip: Clip, strength: float, rng: Rng) -> Clip:
    """The low bits of each channel cut off and the rest stretched over the range again."""
    levels = 2 ** round(between(5, 2.6, strength))
    kept = np.floor(clip.frames * (levels / 256)).astype(np.float32)
    out = kept * np.float32(255 / (levels - 1))
    bright = clip.frames.mean((1, 2), keepdims=True) - out.mean((1, 2), keepdims=True)
    return clip.replaced(out + bright.astype(np.float32))


@generator(Artifact.COLOR_BANDING, Artifact.BLOCKING)
def _coded_depth(clip: Clip, strength: float, rng: Rng) -> Clip:
    """Bit-depth loss as it reaches a viewer: after a following encode."""
    bands = _luma_depth(clip, strength, rng)
    return bands.replaced(round_trip(bands.frames, Encoder("libx264", rng.uniform(16, 27))))


@generator(Artifact.COLOR_BANDING, held_out=True)
def _palette(clip: Clip, strength: float, rng: Rng) -> Clip:
    """A small shared palette, as in GIF, without dither."""
    colours = round(between(48, 10, strength))
    sample = clip.frames[::3, ::6, ::6].reshape(-1, 3).astype(np.float32)
    cv2.setRNGSeed(int(rng.integers(2**31)))
    stop = (cv2.TERM_CRITERIA_MAX_ITER, 8, 0)
    _, _, centres = cv2.kmeans(sample, colours, None, stop, 1, cv2.KMEANS_PP_CENTERS)

    def nearest(frame: Frames) -> Frames:
        flat = frame.reshape(-1, 3).astype(np.float32)
        score = flat @ centres.T - 0.5 * (centres**2).sum(1)
        return centres[score.argmax(1)].reshape(frame.shape)

    return each(clip, nearest)


def _with_chroma(clip: Clip, red: float, blue: float) -> Clip:
    def scale(frame: Frames) -> Floats:
        pixels = frame.astype(np.float32)
        luma = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
        v, u = (pixels[..., 0] - luma) * red, (pixels[..., 2] - luma) * blue
        out = np.stack([luma + v, luma - 0.509 * v - 0.194 * u, luma + u], axis=-1)
        return np.clip(out, 0, 255)

    return each(clip, scale)


def _with_luma_of(frame: Frames, other: Floats) -> Floats:
    """`other` moved along grey until its luma is the frame's, clipped."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    return np.clip(other + ((frame - other) @ weights)[..., None], 0, 255)


@generator(Artifact.COLOR_SATURATION)
def _over_saturated(clip: Clip, strength: float, rng: Rng) -> Clip:
    gain = between(1.5, 4.0, strength)
    return _with_chroma(clip, gain, gain)


@generator(Artifact.COLOR_SATURATION)
def _under_saturated(clip: Clip, strength: float, rng: Rng) -> Clip:
    gain = 1 - between(0.45, 0.92, strength)
    return _with_chroma(clip, gain, gain)


@generator(Artifact.COLOR_SATURATION)
def _one_channel(clip: Clip, strength: float, rng: Rng) -> Clip:
    gain = between(1.6, 4.5, strength)
    return _with_chroma(clip, gain, 1.0) if rng.random() < 0.5 else _with_chroma(clip, 1.0, gain)


@generator(Artifact.COLOR_SATURATION)
def _clipped_colour(clip: Clip, strength: float, rng: Rng) -> Clip:
    """Each channel stretched about the frame's own mean until it clips; mean brightness stays."""
    gain = between(1.5, 4.0, strength)

    def stretch(frame: Frames) -> Floats:
        hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV).astype(np.float32)
        hsv[..., 1] = np.clip(hsv[..., 1] * gain, 0, 255)
        out = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB).astype(np.float32)
        return _with_luma_of(frame, out)

    return each(clip, stretch)


@generator(Artifact.COLOR_SATURATION, later=1)
def _stepped_chroma(clip: Clip, strength: float, rng: Rng) -> Clip:
    """Colour differences multiplied as filters do it on 8-bit video: rounded, and clipped there."""
    gain = between(1.6, 3.5, strength) if rng.random() < 0.4 else between(0.45, 0.08, strength)
    levels = (np.arange(256) - 128) * gain + 128
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    untouched = np.arange(256, dtype=np.uint8)
    planes = np.stack([untouched, table, table], axis=-1)[None]

    def multiply(frame: Frames) -> Frames:
        coded = cv2.LUT(cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb), planes)
        return cv2.cvtColor(coded, cv2.COLOR_YCrCb2RGB)

    return each(clip, multiply)


@generator(Artifact.COLOR_SATURATION, held_out=True)
def _vibrance(clip: Clip, strength: float, rng: Rng) -> Clip:
    """A curve on saturation that lifts the pale colours most."""
    power = between(0.65, 0.25, strength)

    def lift(frame: Frames) -> Floats:
        hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV).astype(np.float32)
        coloured = np.clip((hsv[..., 1] - 12) / 24, 0, 1)  # grey stays grey
        lifted = 255 * (hsv[..., 1] / 255) ** power
        hsv[..., 1] += (lifted - hsv[..., 1]) * coloured
        out = cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB)
        return _with_luma_of(frame, out.astype(np.float32))

    return each(clip, lift)
