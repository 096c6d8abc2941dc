"""Noise and impulses: what sensors, tapes and links add."""

from __future__ import annotations

import numpy as np

from aqs_batch.records import Artifact
from training.degrade.generator import (
    Clip,
    Floats,
    Rng,
    between,
    gaussian_blur,
    generator,
)


def _noise_like(shape: tuple[int, ...], rng: Rng) -> Floats:
    return rng.standard_normal(shape, dtype=np.float32)


@generator(Artifact.GAUSSIAN_NOISE)
def _luma_noise(clip: Clip, strength: float, rng: Rng) -> Clip:
    noise = _noise_like((*clip.frames.shape[:3], 1), rng)
    return clip.replaced(clip.frames + noise * np.float32(between(4, 32, strength)))


@generator(Artifact.GAUSSIAN_NOISE)
def _rgb_noise(clip: Clip, strength: float, rng: Rng) -> Clip:
    noise = _noise_like(clip.frames.shape, rng)
    return clip.replaced(clip.frames + noise * np.float32(between(5, 36, strength)))


@generator(Artifact.GAUSSIAN_NOISE)
def _sensor_noise(clip: Clip, strength: float, rng: Rng) -> Clip:
    """Shot and read noise in linear light, demosaicked (slightly correlated in space)."""
    linear = (clip.frames / np.float32(255)) ** np.float32(2.2)
    level = between(0.012, 0.10, strength)
    noise = _noise_like(clip.frames.shape, rng)
    noise = gaussian_blur(noise, 0.5) * 1.6
    noisy = linear + noise * np.sqrt(linear * level**2 + (0.12 * level) ** 2)
    return clip.replaced(np.clip(noisy, 0, 1) ** np.float32(1 / 2.2) * 255)


@generator(Artifact.GAUSSIAN_NOISE)
def _half_frozen_noise(clip: Clip, strength: float, rng: Rng) -> Clip:
    still = _noise_like((1, *clip.frames.shape[1:3], 1), rng)
    moving = _noise_like((*clip.frames.shape[:3], 1), rng)
    sigma = between(4, 32, strength)
    return clip.replaced(clip.frames + (still + moving) * np.float32(sigma / np.sqrt(2)))


@generator(Artifact.GAUSSIAN_NOISE)
def _uniform_noise(clip: Clip, strength: float, rng: Rng) -> Clip:
    """Equally likely errors up to a limit, in luma or in every channel."""
    channels = 1 if rng.random() < 0.6 else 3
    noise = rng.random((*clip.frames.shape[:3], channels), dtype=np.float32) - np.float32(0.5)
    return clip.replaced(clip.frames + noise * np.float32(between(14, 100, strength)))


@generator(Artifact.GAUSSIAN_NOISE, held_out=True)
def _coarse_grain(clip: Clip, strength: float, rng: Rng) -> Clip:
    noise = gaussian_blur(_noise_like((*clip.frames.shape[:3], 1), rng)[..., 0], 0.8)[..., None]
    noise /= noise.std()
    return clip.replaced(clip.frames + noise * np.float32(between(4, 28, strength)))


@generator(Artifact.IMPULSE_NOISE)
def _salt_and_pepper(clip: Clip, strength: float, rng: Rng) -> Clip:
    hit = rng.random(clip.frames.shape[:3]) < between(0.002, 0.10, strength)
    value = np.where(rng.random(clip.frames.shape[:3]) < 0.5, 0, 255).astype(np.uint8)
    return clip.replaced(np.where(hit[..., None], value[..., None], clip.frames))


@generator(Artifact.IMPULSE_NOISE)
def _random_valued(clip: Clip, strength: float, rng: Rng) -> Clip:
    hit = rng.random(clip.frames.shape[:3]) < between(0.003, 0.12, strength)
    value = rng.integers(0, 256, clip.frames.shape, dtype=np.uint8)
    return clip.replaced(np.where(hit[..., None], value, clip.frames))


@generator(Artifact.IMPULSE_NOISE)
def _channel_impulses(clip: Clip, strength: float, rng: Rng) -> Clip:
    hit = rng.random(clip.frames.shape) < between(0.002, 0.06, strength)
    value = np.where(rng.random(clip.frames.shape) < 0.5, 0, 255).astype(np.uint8)
    return clip.replaced(np.where(hit, value, clip.frames))


@generator(Artifact.IMPULSE_NOISE)
def _hot_pixels(clip: Clip, strength: float, rng: Rng) -> Clip:
    """Stuck pixels: the same places in every frame, where the sensor is broken."""
    shape = clip.frames.shape[1:3]
    hit = rng.random(shape) < between(0.001, 0.03, strength)
    value = rng.integers(180, 256, (*shape, 3), dtype=np.uint8)
    return clip.replaced(np.where(hit[None, ..., None], value[None], clip.frames))


@generator(Artifact.IMPULSE_NOISE, held_out=True)
def _dropout_dashes(clip: Clip, strength: float, rng: Rng) -> Clip:
    """Tape dropouts: short horizontal dashes, white or black, elsewhere in every frame."""
    frames = clip.frames.copy()
    high, wide = frames.shape[1:3]
    for frame in frames:
        for _ in range(round(high * wide * between(0.0006, 0.012, strength) / 3)):
            y, x = int(rng.integers(high)), int(rng.integers(wide))
            frame[y, x : x + int(rng.integers(2, 5))] = 255 if rng.random() < 0.7 else 0
    return clip.replaced(frames)
