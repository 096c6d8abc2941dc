"""The ten artifacts, each with several physically different generators.

A generator is a pure function of (clip, strength 0-1, random generator). It works on uint8 at full
resolution, before the tile is cut; borders are reflected and gain is kept, so that nothing but the
artifact itself gives it away. Generators marked held_out are for evaluation, never trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from aqs_batch.records import FRAMES_PER_SEQUENCE, Artifact
from training.codec import Encoder, round_trip
from training.sources import Scene

Frames = NDArray[np.uint8]
Floats = NDArray[np.float32]
Rng = np.random.Generator


@dataclass(frozen=True)
class Clip:
    """A sequence on its way through the chain: frames, and the scene and times they come from.

    `pitch` is the block grid that a blocking generator left (0: none), for measuring its effect.
    """

    frames: Frames
    scene: Scene | None = None
    times: tuple[float, ...] = field(default_factory=tuple)
    pitch: int = 0

    def replaced(self, frames: Floats | Frames, pitch: int = 0) -> Clip:
        if frames.dtype != np.uint8:
            frames = np.clip(np.rint(frames), 0, 255).astype(np.uint8)
        return Clip(frames, self.scene, self.times, pitch or self.pitch)


Apply = Callable[[Clip, float, Rng], Clip]


@dataclass(frozen=True)
class Generator:
    """One physical way to make one artifact."""

    artifact: Artifact
    name: str
    apply: Apply
    held_out: bool = False
    also: tuple[Artifact, ...] = ()  # what it may cause besides: neither present nor absent


GENERATORS: list[Generator] = []


def _generator(
    artifact: Artifact, *also: Artifact, held_out: bool = False
) -> Callable[[Apply], Apply]:
    def register(apply: Apply) -> Apply:
        GENERATORS.append(Generator(artifact, apply.__name__.strip("_"), apply, held_out, also))
        return apply

    return register


def _between(low: float, high: float, strength: float) -> float:
    """A parameter from mild (strength 0) to heavy (1), geometric where both ends are positive."""
    if low > 0 and high > 0:
        return float(low * (high / low) ** strength)
    return low + (high - low) * strength


def _each(clip: Clip, function: Callable[[Frames], Floats | Frames], pitch: int = 0) -> Clip:
    return clip.replaced(np.stack([function(f) for f in clip.frames]), pitch)


# --- blocking ------------------------------------------------------------------------------------

_CODING_DAMAGE = (
    Artifact.RINGING,
    Artifact.DEFOCUS_BLUR,
    Artifact.COLOR_BANDING,
    Artifact.GAUSSIAN_NOISE,
)


@_generator(Artifact.BLOCKING, *_CODING_DAMAGE)
def _jpeg_blocks(clip: Clip, strength: float, rng: Rng) -> Clip:
    quality = int(_between(34, 5, strength))

    def code(frame: Frames) -> Frames:
        _, data = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])

    return _each(clip, code, 8)


@_generator(Artifact.BLOCKING, *_CODING_DAMAGE)
def _mpeg2_blocks(clip: Clip, strength: float, rng: Rng) -> Clip:
    return clip.replaced(
        round_trip(clip.frames, Encoder("mpeg2video", _between(10, 31, strength))), 8
    )


@_generator(Artifact.BLOCKING, *_CODING_DAMAGE)
def _x264_no_deblock(clip: Clip, strength: float, rng: Rng) -> Clip:
    coder = Encoder("libx264", _between(33, 48, strength), (("flags", "-loop"),))
    return clip.replaced(round_trip(clip.frames, coder), 8)


@_generator(Artifact.BLOCKING, *_CODING_DAMAGE)
def _upscaled_blocks(clip: Clip, strength: float, rng: Rng) -> Clip:
    factor = int(rng.choice([2, 3]))
    high, wide = (n // factor & ~1 for n in clip.frames.shape[1:3])
    small = np.stack(
        [cv2.resize(f, (wide, high), interpolation=cv2.INTER_AREA) for f in clip.frames]
    )
    coded = round_trip(small, Encoder("mpeg2video", _between(5, 20, strength)))
    size = (wide * factor, high * factor)
    big = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_LINEAR) for f in coded])
    full = clip.frames.copy()  # the few rows that the division left over stay as they were
    full[:, : size[1], : size[0]] = big
    return clip.replaced(full, 8 * factor)


@_generator(Artifact.BLOCKING, *_CODING_DAMAGE, held_out=True)
def _mpeg4_blocks(clip: Clip, strength: float, rng: Rng) -> Clip:
    return clip.replaced(round_trip(clip.frames, Encoder("mpeg4", _between(9, 31, strength))), 8)


# --- ringing -------------------------------------------------------------------------------------


@_generator(Artifact.RINGING, Artifact.DEFOCUS_BLUR, Artifact.COLOR_BANDING)
def _wavelet_codec(clip: Clip, strength: float, rng: Rng) -> Clip:
    rate = int(_between(45, 8, strength))  # thousandths of the raw size

    def code(frame: Frames) -> Frames:
        _, data = cv2.imencode(
            ".jp2", frame[..., ::-1], [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, rate]
        )
        return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])

    return _each(clip, code)


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


@_generator(Artifact.RINGING, Artifact.DEFOCUS_BLUR)
def _sinc_low_pass(clip: Clip, strength: float, rng: Rng) -> Clip:
    soft = _low_pass(clip.frames, _between(0.5, 0.2, strength), 0.02)
    gain = rng.uniform(0.0, 0.8)  # often re-sharpened, which restores edges and lifts the ripples
    return clip.replaced(soft + gain * (soft - cv2_blur(soft, 1.5)))


def cv2_blur(frames: Floats | Frames, sigma: float) -> Floats:
    """Gaussian blur of each frame, borders reflected."""
    return np.stack(
        [
            cv2.GaussianBlur(f.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
            for f in frames
        ]
    )


@_generator(Artifact.RINGING)
def _over_sharpened(clip: Clip, strength: float, rng: Rng) -> Clip:
    base = clip.frames.astype(np.float32)
    amount, sigma = _between(1.0, 5.0, strength), rng.uniform(0.9, 2.2)
    return clip.replaced(base + amount * (base - cv2_blur(base, sigma)))


@_generator(Artifact.RINGING, Artifact.DEFOCUS_BLUR, held_out=True)
def _lanczos_upscaled(clip: Clip, strength: float, rng: Rng) -> Clip:
    factor = _between(0.55, 0.28, strength)

    def resize(frame: Frames) -> Floats:
        high, wide = frame.shape[:2]
        small = cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        sharp = small.astype(np.float32)
        sharp += 1.2 * (sharp - cv2.GaussianBlur(sharp, (0, 0), 1.0))
        return cv2.resize(sharp, (wide, high), interpolation=cv2.INTER_LANCZOS4)

    return _each(clip, resize)


# --- ghosting ------------------------------------------------------------------------------------


def _seen(clip: Clip, times: list[float]) -> Frames:
    assert clip.scene is not None
    return clip.scene.sequence(times)


@_generator(Artifact.GHOSTING, Artifact.MOTION_BLUR)
def _temporal_blend(clip: Clip, strength: float, rng: Rng) -> Clip:
    lag = int(rng.integers(1, 4))
    weight = _between(0.15, 0.5, strength)
    past = _delayed(clip.frames, lag)
    return clip.replaced(clip.frames * (1 - weight) + past * weight)


def _delayed(frames: Frames, lag: int) -> Floats:
    """The frames `lag` steps ago; before the start time runs backwards, like a reflection."""
    index = np.abs(np.arange(len(frames)) - lag)
    return frames[index].astype(np.float32)


@_generator(Artifact.GHOSTING)
def _double_image(clip: Clip, strength: float, rng: Rng) -> Clip:
    angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(4, 24)
    dx, dy = reach * np.cos(angle), reach * np.sin(angle)
    weight = _between(0.12, 0.5, strength)
    matrix = np.array([[1.0, 0, dx], [0, 1.0, dy]])
    high, wide = clip.frames.shape[1:3]

    def blend(frame: Frames) -> Floats:
        other = cv2.warpAffine(
            frame, matrix, (wide, high), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        return frame * (1 - weight) + other.astype(np.float32) * weight

    return _each(clip, blend)


@_generator(Artifact.GHOSTING, Artifact.JUDDER, Artifact.MOTION_BLUR)
def _rate_conversion(clip: Clip, strength: float, rng: Rng) -> Clip:
    """24 to 30 or 25 to 30 by blending: every output frame mixes its two neighbours in time."""
    step = rng.uniform(0.55, 0.9)
    depth = _between(0.35, 1.0, strength)
    at = rng.uniform(0.2, 0.8) + step * np.arange(len(clip.frames))
    left = np.floor(at).astype(int).clip(0, len(clip.frames) - 2)
    part = (depth * np.minimum(at - left, 1.0))[:, None, None, None].astype(np.float32)
    mixed = clip.frames[left] * (1 - part) + clip.frames[left + 1] * part
    return clip.replaced(mixed)


@_generator(Artifact.GHOSTING, Artifact.MOTION_BLUR, held_out=True)
def _decaying_trail(clip: Clip, strength: float, rng: Rng) -> Clip:
    """A recursive noise reducer that is too strong: each frame keeps part of the last output."""
    keep = _between(0.3, 0.75, strength)
    state = clip.frames[2].astype(np.float32)
    for frame in clip.frames[2::-1]:
        state = keep * state + (1 - keep) * frame
    out = []
    for frame in clip.frames:
        state = keep * state + (1 - keep) * frame
        out.append(state)
    return clip.replaced(np.stack(out))


# --- judder --------------------------------------------------------------------------------------


def _retimed(clip: Clip, index: list[int]) -> Clip:
    """The same start shown at other times; frames past the sequence come from the scene."""
    if clip.scene is None:
        return clip.replaced(clip.frames[np.clip(index, 0, len(clip.frames) - 1)])
    start, step = clip.times[0], clip.times[1] - clip.times[0]
    return clip.replaced(_seen(clip, [start + step * i for i in index]))


@_generator(Artifact.JUDDER)
def _dropped_and_repeated(clip: Clip, strength: float, rng: Rng) -> Clip:
    index = list(range(len(clip.frames)))
    for at in rng.choice(np.arange(1, len(index)), round(_between(1, 4, strength)), replace=False):
        index[at] = index[at - 1]
    return _retimed(clip, index)


@_generator(Artifact.JUDDER)
def _uneven_cadence(clip: Clip, strength: float, rng: Rng) -> Clip:
    """3:2 and its relatives: frames are held for alternating counts."""
    pattern = [[1, 2], [2, 3], [1, 1, 2], [3, 2]][min(int(strength * 4), 3)]
    held: list[int] = []
    phase, shown = int(rng.integers(0, 3)), 0
    while len(held) < len(clip.frames) + 4:
        count = pattern[(shown + phase) % len(pattern)]
        held += [shown] * count
        shown += 1
    skip = int(rng.integers(0, 3))
    return _retimed(clip, [h - held[skip] for h in held[skip : skip + len(clip.frames)]])


@_generator(Artifact.JUDDER)
def _held_frames(clip: Clip, strength: float, rng: Rng) -> Clip:
    """A low frame rate shown at a high one: every frame two or three times, time kept."""
    hold = 2 if strength < 0.6 else 3
    phase = int(rng.integers(0, hold))
    return _retimed(clip, [max((i + phase) // hold * hold - phase, 0) for i in range(7)])


@_generator(Artifact.JUDDER, held_out=True)
def _jumping_clock(clip: Clip, strength: float, rng: Rng) -> Clip:
    """Uneven sampling times: a stalling player that catches up by skipping."""
    index, now = [], 0
    for _ in clip.frames:
        index.append(now)
        now += 0 if rng.random() < _between(0.2, 0.45, strength) else int(rng.integers(1, 4))
    if index[-1] == 6 and index[3] == 3:
        index[3] = 2
    return _retimed(clip, index)


# --- noise ---------------------------------------------------------------------------------------


def _noise_like(shape: tuple[int, ...], rng: Rng) -> Floats:
    return rng.standard_normal(shape, dtype=np.float32)


@_generator(Artifact.GAUSSIAN_NOISE)
def _luma_noise(clip: Clip, strength: float, rng: Rng) -> Clip:
    noise = _noise_like((*clip.frames.shape[:3], 1), rng)
    return clip.replaced(clip.frames + noise * np.float32(_between(4, 32, strength)))


@_generator(Artifact.GAUSSIAN_NOISE)
def _rgb_noise(clip: Clip, strength: float, rng: Rng) -> Clip:
    noise = _noise_like(clip.frames.shape, rng)
    return clip.replaced(clip.frames + noise * np.float32(_between(5, 36, strength)))


@_generator(Artifact.GAUSSIAN_NOISE)
def _sensor_noise(clip: Clip, strength: float, rng: Rng) -> Clip:
    """Shot and read noise in linear light, demosaicked (slightly correlated in space)."""
    linear = (clip.frames / np.float32(255)) ** np.float32(2.2)
    level = _between(0.012, 0.10, strength)
    noise = _noise_like(clip.frames.shape, rng)
    noise = cv2_blur(noise, 0.5) * 1.6
    noisy = linear + noise * np.sqrt(linear * level**2 + (0.12 * level) ** 2)
    return clip.replaced(np.clip(noisy, 0, 1) ** np.float32(1 / 2.2) * 255)


@_generator(Artifact.GAUSSIAN_NOISE)
def _half_frozen_noise(clip: Clip, strength: float, rng: Rng) -> Clip:
    still = _noise_like((1, *clip.frames.shape[1:3], 1), rng)
    moving = _noise_like((*clip.frames.shape[:3], 1), rng)
    sigma = _between(4, 32, strength)
    return clip.replaced(clip.frames + (still + moving) * np.float32(sigma / np.sqrt(2)))


@_generator(Artifact.GAUSSIAN_NOISE, held_out=True)
def _coarse_grain(clip: Clip, strength: float, rng: Rng) -> Clip:
    noise = cv2_blur(_noise_like((*clip.frames.shape[:3], 1), rng)[..., 0], 0.8)[..., None]
    noise /= noise.std()
    return clip.replaced(clip.frames + noise * np.float32(_between(4, 28, strength)))


@_generator(Artifact.IMPULSE_NOISE)
def _salt_and_pepper(clip: Clip, strength: float, rng: Rng) -> Clip:
    hit = rng.random(clip.frames.shape[:3]) < _between(0.002, 0.10, strength)
    value = np.where(rng.random(clip.frames.shape[:3]) < 0.5, 0, 255).astype(np.uint8)
    return clip.replaced(np.where(hit[..., None], value[..., None], clip.frames))


@_generator(Artifact.IMPULSE_NOISE)
def _random_valued(clip: Clip, strength: float, rng: Rng) -> Clip:
    hit = rng.random(clip.frames.shape[:3]) < _between(0.003, 0.12, strength)
    value = rng.integers(0, 256, clip.frames.shape, dtype=np.uint8)
    return clip.replaced(np.where(hit[..., None], value, clip.frames))


@_generator(Artifact.IMPULSE_NOISE)
def _channel_impulses(clip: Clip, strength: float, rng: Rng) -> Clip:
    hit = rng.random(clip.frames.shape) < _between(0.002, 0.06, strength)
    value = np.where(rng.random(clip.frames.shape) < 0.5, 0, 255).astype(np.uint8)
    return clip.replaced(np.where(hit, value, clip.frames))


@_generator(Artifact.IMPULSE_NOISE)
def _hot_pixels(clip: Clip, strength: float, rng: Rng) -> Clip:
    """Stuck pixels: the same places in every frame, where the sensor is broken."""
    shape = clip.frames.shape[1:3]
    hit = rng.random(shape) < _between(0.001, 0.03, strength)
    value = rng.integers(180, 256, (*shape, 3), dtype=np.uint8)
    return clip.replaced(np.where(hit[None, ..., None], value[None], clip.frames))


@_generator(Artifact.IMPULSE_NOISE, held_out=True)
def _dropout_dashes(clip: Clip, strength: float, rng: Rng) -> Clip:
    """Tape dropouts: short horizontal dashes, white or black, elsewhere in every frame."""
    frames = clip.frames.copy()
    high, wide = frames.shape[1:3]
    for frame in frames:
        for _ in range(round(high * wide * _between(0.0006, 0.012, strength) / 3)):
            y, x = int(rng.integers(high)), int(rng.integers(wide))
            frame[y, x : x + int(rng.integers(2, 5))] = 255 if rng.random() < 0.7 else 0
    return clip.replaced(frames)


# --- blur ----------------------------------------------------------------------------------------


def _filtered(clip: Clip, kernel: Floats) -> Clip:
    kernel = kernel / kernel.sum()  # gain kept: no change of brightness

    def convolve(frame: Frames) -> Floats:
        return cv2.filter2D(frame.astype(np.float32), -1, kernel, borderType=cv2.BORDER_REFLECT_101)

    return _each(clip, convolve)


def _path_kernel(points: NDArray[np.float64]) -> Floats:
    """A kernel that is the (anti-aliased) path through `points`, in pixels around its centre."""
    reach = int(np.ceil(np.abs(points).max())) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    corner = np.floor(points).astype(int)
    part = points - corner
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = np.abs(1 - dy - part[:, 1]) * np.abs(1 - dx - part[:, 0])
        np.add.at(kernel, (corner[:, 1] + dy + reach, corner[:, 0] + dx + reach), weight)
    return kernel


@_generator(Artifact.MOTION_BLUR)
def _linear_motion(clip: Clip, strength: float, rng: Rng) -> Clip:
    angle, length = rng.uniform(0, np.pi), _between(5, 32, strength)
    along = np.linspace(-0.5, 0.5, 65)[:, None] * length
    return _filtered(clip, _path_kernel(along * np.array([[np.cos(angle), np.sin(angle)]])))


@_generator(Artifact.MOTION_BLUR)
def _long_exposure(clip: Clip, strength: float, rng: Rng) -> Clip:
    """The real motion, integrated while the shutter is open; a still scene stays as it is.

    A burst of real frames has no in-between moments, so there the motion is a camera shake along
    one direction that changes a little from frame to frame.
    """
    if clip.scene is not None and clip.scene.continuous:
        open_for = _between(1.0, 5.0, strength)
        moments = np.linspace(-0.5, 0.5, 17) * open_for
        return clip.replaced(
            np.stack(
                [
                    _seen(clip, [t + m for m in moments]).mean(0, dtype=np.float32)
                    for t in clip.times
                ]
            )
        )
    angle, length = rng.uniform(0, np.pi), _between(5, 28, strength)
    out = []
    for frame in clip.frames:
        here = angle + rng.normal(0, 0.15)
        along = np.linspace(-0.5, 0.5, 65)[:, None] * length * rng.uniform(0.75, 1.25)
        kernel = _path_kernel(along * np.array([[np.cos(here), np.sin(here)]]))
        out.append(_filtered(Clip(frame[None]), kernel).frames[0])
    return clip.replaced(np.stack(out))


@_generator(Artifact.MOTION_BLUR, held_out=True)
def _hand_shake(clip: Clip, strength: float, rng: Rng) -> Clip:
    steps = np.cumsum(rng.normal(0, 0.25, (64, 2)) + rng.normal(0, 1, (1, 2)), axis=0)
    steps -= steps.mean(0)
    steps *= _between(5, 28, strength) / np.ptp(steps, axis=0).max()
    return _filtered(clip, _path_kernel(steps))


@_generator(Artifact.DEFOCUS_BLUR)
def _disc(clip: Clip, strength: float, rng: Rng) -> Clip:
    radius = _between(1.3, 8, strength)
    axis = np.arange(-np.ceil(radius) - 1, np.ceil(radius) + 2)
    distance = np.hypot(axis[:, None], axis[None, :])
    return _filtered(clip, np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32))


@_generator(Artifact.DEFOCUS_BLUR)
def _gaussian_lens(clip: Clip, strength: float, rng: Rng) -> Clip:
    return clip.replaced(cv2_blur(clip.frames, _between(1.0, 5.0, strength)))


@_generator(Artifact.DEFOCUS_BLUR)
def _soft_upscale(clip: Clip, strength: float, rng: Rng) -> Clip:
    factor = _between(0.5, 0.16, strength)
    up = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR

    def resize(frame: Frames) -> Frames:
        small = cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        return cv2.resize(small, frame.shape[1::-1], interpolation=up)

    return _each(clip, resize)


@_generator(Artifact.DEFOCUS_BLUR, held_out=True)
def _hexagon(clip: Clip, strength: float, rng: Rng) -> Clip:
    radius = _between(1.6, 8.5, strength)
    axis = np.arange(-np.ceil(radius) - 1, np.ceil(radius) + 2)
    turn = rng.uniform(0, np.pi)
    edge = np.full((len(axis), len(axis)), -np.inf)
    for side in range(6):
        a = turn + side * np.pi / 3
        edge = np.maximum(edge, axis[None, :] * np.cos(a) + axis[:, None] * np.sin(a))
    return _filtered(clip, np.clip(radius * 0.9 + 0.5 - edge, 0, 1).astype(np.float32))


# --- banding -------------------------------------------------------------------------------------


def _quantised(values: Floats, step: float, offset: float) -> Floats:
    return (np.floor((values + offset) / step) + 0.5) * np.float32(step) - np.float32(offset)


@_generator(Artifact.COLOR_BANDING)
def _rgb_depth(clip: Clip, strength: float, rng: Rng) -> Clip:
    step = _between(8, 40, strength)
    return clip.replaced(
        _quantised(clip.frames.astype(np.float32), step, float(rng.uniform(0, step)))
    )


@_generator(Artifact.COLOR_BANDING)
def _luma_depth(clip: Clip, strength: float, rng: Rng) -> Clip:
    step = _between(6, 32, strength)
    offset = float(rng.uniform(0, step))

    def quantise(frame: Frames) -> Frames:
        yuv = cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb).astype(np.float32)
        yuv[..., 0] = _quantised(yuv[..., 0], step, offset)
        yuv[..., 1:] = _quantised(yuv[..., 1:], max(step / 3, 2), offset)
        return cv2.cvtColor(np.clip(yuv, 0, 255).astype(np.uint8), cv2.COLOR_YCrCb2RGB)

    return _each(clip, quantise)


@_generator(Artifact.COLOR_BANDING, Artifact.BLOCKING)
def _coded_depth(clip: Clip, strength: float, rng: Rng) -> Clip:
    """Bit-depth loss as it reaches a viewer: after a following encode."""
    bands = _luma_depth(clip, strength, rng)
    return bands.replaced(round_trip(bands.frames, Encoder("libx264", rng.uniform(16, 27))))


@_generator(Artifact.COLOR_BANDING, held_out=True)
def _palette(clip: Clip, strength: float, rng: Rng) -> Clip:
    """A small shared palette, as in GIF, without dither."""
    colours = round(_between(48, 10, strength))
    sample = clip.frames[::3, ::6, ::6].reshape(-1, 3).astype(np.float32)
    cv2.setRNGSeed(int(rng.integers(2**31)))
    stop = (cv2.TERM_CRITERIA_MAX_ITER, 8, 0)
    _, _, centres = cv2.kmeans(sample, colours, None, stop, 1, cv2.KMEANS_PP_CENTERS)

    def nearest(frame: Frames) -> Frames:
        flat = frame.reshape(-1, 3).astype(np.float32)
        score = flat @ centres.T - 0.5 * (centres**2).sum(1)
        return centres[score.argmax(1)].reshape(frame.shape)

    return _each(clip, nearest)


# --- saturation ----------------------------------------------------------------------------------


def _with_chroma(clip: Clip, red: float, blue: float) -> Clip:
    def scale(frame: Frames) -> Floats:
        pixels = frame.astype(np.float32)
        luma = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
        v, u = (pixels[..., 0] - luma) * red, (pixels[..., 2] - luma) * blue
        out = np.stack([luma + v, luma - 0.509 * v - 0.194 * u, luma + u], axis=-1)
        return np.clip(out, 0, 255)

    return _each(clip, scale)


@_generator(Artifact.COLOR_SATURATION)
def _over_saturated(clip: Clip, strength: float, rng: Rng) -> Clip:
    gain = _between(1.5, 4.0, strength)
    return _with_chroma(clip, gain, gain)


@_generator(Artifact.COLOR_SATURATION)
def _under_saturated(clip: Clip, strength: float, rng: Rng) -> Clip:
    gain = 1 - _between(0.45, 0.92, strength)
    return _with_chroma(clip, gain, gain)


@_generator(Artifact.COLOR_SATURATION)
def _one_channel(clip: Clip, strength: float, rng: Rng) -> Clip:
    gain = _between(1.6, 4.5, strength)
    return _with_chroma(clip, gain, 1.0) if rng.random() < 0.5 else _with_chroma(clip, 1.0, gain)


@_generator(Artifact.COLOR_SATURATION)
def _clipped_colour(clip: Clip, strength: float, rng: Rng) -> Clip:
    """Each channel stretched about the frame's own mean until it clips; mean brightness stays."""
    gain = _between(1.5, 4.0, strength)

    def stretch(frame: Frames) -> Floats:
        hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV).astype(np.float32)
        hsv[..., 1] = np.clip(hsv[..., 1] * gain, 0, 255)
        out = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB).astype(np.float32)
        weights = np.array([0.299, 0.587, 0.114], np.float32)
        return np.clip(out + ((frame - out) @ weights)[..., None], 0, 255)

    return _each(clip, stretch)


@_generator(Artifact.COLOR_SATURATION, held_out=True)
def _vibrance(clip: Clip, strength: float, rng: Rng) -> Clip:
    """A curve on saturation that lifts the pale colours most."""
    power = _between(0.65, 0.25, strength)

    def lift(frame: Frames) -> Frames:
        hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV).astype(np.float32)
        coloured = np.clip((hsv[..., 1] - 12) / 24, 0, 1)  # grey stays grey
        lifted = 255 * (hsv[..., 1] / 255) ** power
        hsv[..., 1] += (lifted - hsv[..., 1]) * coloured
        return cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB)

    return _each(clip, lift)


def generators(artifact: Artifact, *, held_out: bool = False) -> list[Generator]:
    """The training generators of one artifact, or the ones held out for evaluation."""
    return [g for g in GENERATORS if g.artifact is artifact and g.held_out == held_out]


assert FRAMES_PER_SEQUENCE == 7  # _held_frames counts on it
