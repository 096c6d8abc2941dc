"""One training sample: a clean scene, up to three artifacts, perhaps an encode; and its truth.

Every sample is a pure function of (split, index): the same index gives the same pixels and labels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aqs_batch.records import FRAMES_PER_SEQUENCE, TILE_PX, Artifact
from training.codec import Encoder, chroma_subsampled, round_trip
from training.content import draw_scene, uneven
from training.degrade import Clip, Generator, generators
from training.effect import SCALES, blocking_gain, effect, luma, rms
from training.quality import QualityTarget
from training.sources import Library

Frames = NDArray[np.uint8]
Rng = np.random.Generator

ARTIFACTS = tuple(Artifact)
ABSENT, PRESENT, UNKNOWN = 0, 1, -1
GOOD_VMAF, BAD_VMAF = 90.0, 75.0

# Optics come before sensors, sensors before processing, processing before coding.
ORDER = (
    Artifact.MOTION_BLUR,
    Artifact.DEFOCUS_BLUR,
    Artifact.GHOSTING,
    Artifact.JUDDER,
    Artifact.GAUSSIAN_NOISE,
    Artifact.IMPULSE_NOISE,
    Artifact.COLOR_SATURATION,
    Artifact.COLOR_BANDING,
    Artifact.RINGING,
    Artifact.BLOCKING,
)

REAL_ENCODERS: tuple[tuple[str, float, float], ...] = (
    ("libx264", 20, 46),
    ("libx265", 20, 46),
    ("mpeg2video", 3, 31),
    ("libvpx-vp9", 24, 62),
    ("libsvtav1", 26, 62),
)
CODING_DAMAGE = (
    Artifact.RINGING,
    Artifact.DEFOCUS_BLUR,
    Artifact.COLOR_BANDING,
    Artifact.GAUSSIAN_NOISE,
    Artifact.BLOCKING,
)


@dataclass(frozen=True)
class Recipe:
    """What kinds of sample to draw; `clean` and `encoded` are shares, the rest is degraded.

    `emphasis` says how much more often some artifacts are drawn. `judged` is the share of degraded
    samples that get a quality target; the others are made twice as fast, with quality -1 (unknown).
    """

    name: str = ""
    clean: float = 0.14
    encoded: float = 0.12
    held_out: bool = False  # use only the generators kept from training
    emphasis: tuple[tuple[Artifact, float], ...] = ()
    judged: float = 1.0


STANDARD = Recipe()
HELD_OUT = Recipe("held_out", 0.0, 0.0, held_out=True)
# More of what the detector finds hardest, beside what it must not be mistaken for.
HARD = Recipe(
    "hard",
    clean=0.10,
    encoded=0.16,
    emphasis=(
        (Artifact.GHOSTING, 4.0),
        (Artifact.COLOR_SATURATION, 3.0),
        (Artifact.RINGING, 2.0),
        (Artifact.MOTION_BLUR, 2.0),
        (Artifact.COLOR_BANDING, 2.0),
        (Artifact.DEFOCUS_BLUR, 1.5),
    ),
    judged=0.25,
)


@dataclass(frozen=True)
class Sample:
    """uint8[7,224,224,3] with presence (0, 1, -1 unknown) and intensity of ten, and quality 0-1.

    Quality and VMAF are -1 where nobody computed them.
    """

    tile: Frames
    presence: NDArray[np.int8]
    intensity: NDArray[np.float32]
    quality: float
    vmaf: float
    note: str


@dataclass(frozen=True)
class _Plan:
    """One sample's chain: generators with strength and seed each, then perhaps an encoder."""

    steps: tuple[tuple[Generator, float, int], ...] = ()
    encoder: Encoder | None = None
    subsampled: bool = True
    note: str = field(default="clean")


def make_sample(library: Library, split: str, index: int, recipe: Recipe) -> Sample:
    """Build sample `index` of `split`; deterministic."""
    rng = np.random.default_rng([ord(c) for c in split + recipe.name] + [index])
    scene = draw_scene(library, rng)
    start = int(rng.integers(0, max(scene.length - 2 * FRAMES_PER_SEQUENCE, 0) + 1))
    times = [float(start + i) for i in range(FRAMES_PER_SEQUENCE)]
    clean = Clip(scene.sequence(times), scene, tuple(times))
    plan = _draw_plan(rng, recipe)
    origin = tuple(int(rng.integers(0, max(n - TILE_PX, 0) + 1)) for n in clean.frames.shape[1:3])
    full, pitch = _apply(plan, clean)
    tile, reference = _cut(full, origin), _cut(clean.frames, origin)
    judged = not plan.steps or rng.random() < recipe.judged
    vmaf = _target().vmaf(reference, tile) if judged else -1.0
    presence, intensity = _label(plan, clean, full, pitch, origin)
    if plan.encoder is not None and not plan.steps:
        at = ARTIFACTS.index(Artifact.BLOCKING)
        intensity[at] = _label_encode(clean, full, origin, vmaf, presence)
    if uneven(scene, times) and not any(g.artifact is Artifact.JUDDER for g, _, _ in plan.steps):
        presence[ARTIFACTS.index(Artifact.JUDDER)] = UNKNOWN
    quality = _target().quality(vmaf, reference, tile) if judged else -1.0
    return Sample(tile, presence, intensity, quality, vmaf, f"{scene.name}: {plan.note}")


_shared_target: list[QualityTarget] = []


def _target() -> QualityTarget:
    if not _shared_target:
        _shared_target.append(QualityTarget())
    return _shared_target[0]


def _cut(frames: Frames, origin: tuple[int, ...]) -> Frames:
    y, x = origin
    tile = frames[:, y : y + TILE_PX, x : x + TILE_PX]
    short = TILE_PX - tile.shape[1], TILE_PX - tile.shape[2]
    if max(short) > 0:
        tile = np.pad(tile, ((0, 0), (0, short[0]), (0, short[1]), (0, 0)), mode="reflect")
    return np.ascontiguousarray(tile)


def _draw_plan(rng: Rng, recipe: Recipe) -> _Plan:
    kind = rng.random()
    if kind < recipe.clean:
        encoder = _light_encoder(rng) if rng.random() < 0.5 else None
        return _Plan((), encoder, rng.random() < 0.85, f"clean {_say(encoder)}")
    if kind < recipe.clean + recipe.encoded:
        codec, good, bad = REAL_ENCODERS[rng.integers(len(REAL_ENCODERS))]
        encoder = Encoder(codec, float(rng.uniform(good, bad)))
        return _Plan((), encoder, True, f"encoded {_say(encoder)}")
    count = int(rng.choice([1, 2, 3], p=[0.45, 0.33, 0.22]))
    weights = np.array([dict(recipe.emphasis).get(a, 1.0) for a in ARTIFACTS])
    chosen = rng.choice(len(ARTIFACTS), count, replace=False, p=weights / weights.sum())
    steps = []
    for artifact in sorted((ARTIFACTS[i] for i in chosen), key=ORDER.index):
        options = generators(artifact, held_out=recipe.held_out)
        generator = options[rng.integers(len(options))]
        steps.append((generator, float(rng.uniform(0.15, 1.0)), int(rng.integers(2**31))))
    encoder = _light_encoder(rng) if rng.random() < 0.3 else None
    words = ", ".join(f"{g.artifact.value}/{g.name}@{s:.2f}" for g, s, _ in steps)
    return _Plan(tuple(steps), encoder, rng.random() < 0.85, f"{words} {_say(encoder)}")


def _light_encoder(rng: Rng) -> Encoder:
    codec, good, bad = [
        ("libx264", 14, 23),
        ("libx265", 14, 24),
        ("libvpx-vp9", 15, 30),
        ("mpeg2video", 1, 3),
    ][rng.choice(4, p=[0.5, 0.3, 0.12, 0.08])]
    return Encoder(codec, float(rng.uniform(good, bad)))


def _say(encoder: Encoder | None) -> str:
    return f"{encoder.codec}@{encoder.quality:.0f}" if encoder else ""


def _apply(plan: _Plan, clean: Clip, without: int | None = None) -> tuple[Frames, int]:
    """Run the chain, leaving out step `without`; returns frames as large as the clean ones."""
    clip = clean
    for number, (generator, strength, seed) in enumerate(plan.steps):
        if number != without:
            clip = generator.apply(clip, strength, np.random.default_rng(seed))
    frames = clip.frames
    if plan.encoder is not None:
        frames = round_trip(frames, plan.encoder)
    elif plan.subsampled:
        frames = chroma_subsampled(frames)
    high, wide = clean.frames.shape[1:3]
    lost = high - frames.shape[1], wide - frames.shape[2]
    if max(lost):
        frames = np.pad(frames, ((0, 0), (0, lost[0]), (0, lost[1]), (0, 0)), mode="edge")
    return frames, clip.pitch


def _label(
    plan: _Plan, clean: Clip, full: Frames, pitch: int, origin: tuple[int, ...]
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Presence and intensity by visible effect: the result with against without each artifact.

    The effect is taken twice, before and after the final encode, and the smaller one counts: an
    encoder may hide an artifact, and its own noise must not be mistaken for one.
    """
    presence = np.zeros(len(ARTIFACTS), np.int8)
    intensity = np.zeros(len(ARTIFACTS), np.float32)
    place = (origin[0], origin[1])
    bare = _Plan(plan.steps, None, False)
    before = _cut(_apply(bare, clean)[0], origin) if plan.steps else None
    for number, (generator, _, _) in enumerate(plan.steps):
        pairs = [(_cut(full, origin), _cut(_apply(plan, clean, number)[0], origin))]
        if before is not None and plan.encoder is not None:
            pairs.append((before, _cut(_apply(bare, clean, number)[0], origin)))
        size = min(
            effect(generator.artifact, with_it, without, pitch=pitch, origin=place)
            for with_it, without in pairs
        )
        at = ARTIFACTS.index(generator.artifact)
        presence[at], intensity[at] = _verdict(generator.artifact, size)
        changed = rms(luma(pairs[0][0]) - luma(pairs[0][1])) > 1.5
        if generator.artifact is Artifact.BLOCKING and changed and presence[at] == ABSENT:
            presence[at] = UNKNOWN  # coded hard, yet no edges on the grid: nobody could say
        for other in generator.also if changed else ():
            if all(g.artifact is not other for g, _, _ in plan.steps):
                presence[ARTIFACTS.index(other)] = UNKNOWN
    return presence, intensity


def _verdict(artifact: Artifact, size: float) -> tuple[int, float]:
    scale = SCALES[artifact]
    if size < 0.5 * scale.floor:
        return ABSENT, 0.0
    if size < scale.floor:
        return UNKNOWN, 0.0
    return PRESENT, scale.intensity(size)


def _label_encode(
    clean: Clip, full: Frames, origin: tuple[int, ...], vmaf: float, presence: NDArray[np.int8]
) -> float:
    """Label a real encode and return the intensity of its blocking.

    Blocking is present where block edges measurably show. A good encode has no artifact; of a
    visibly coded one the rest of the damage is unknown, since nobody put it there.
    """
    size = blocking_gain(_cut(full, origin), _cut(clean.frames, origin), 8, (origin[0], origin[1]))
    at = ARTIFACTS.index(Artifact.BLOCKING)
    verdict, intensity = _verdict(Artifact.BLOCKING, size)
    if vmaf >= GOOD_VMAF:
        verdict, intensity = min(verdict, ABSENT), 0.0
    else:
        presence[[ARTIFACTS.index(other) for other in CODING_DAMAGE]] = UNKNOWN
        if verdict == ABSENT and vmaf < BAD_VMAF:
            verdict = UNKNOWN  # deblocked, yet plainly coded
    presence[at] = verdict
    return intensity
