"""One training sample: a clean scene, up to three artifacts, perhaps an encode; and its truth.

Every sample is a pure function of (split, index): the same index gives the same pixels and labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from aqs_batch.ingest.frames import PipedFrames, PipeFormat
from aqs_batch.records import FRAMES_PER_SEQUENCE, TILE_PX, Artifact
from training.awkward import FROM_THE_START, KINDS
from training.codec import chroma_subsampled, round_trip
from training.content import draw_scene, uneven, varied
from training.degrade import Clip, ahead, times_ahead
from training.degrade.coding import CODING_DAMAGE
from training.effect import SCALES, blocking_gain, effect, luma, rms
from training.quality import QualityTarget
from training.recipe import ARTIFACTS, Plan, Recipe, draw_plan
from training.sources import Library, Scene, Scenes

Frames = NDArray[np.uint8]
Rng = np.random.Generator

ABSENT, PRESENT, UNKNOWN = 0, 1, -1
GOOD_VMAF, BAD_VMAF = 90.0, 75.0

# What is done to each pixel by itself, and so to points spread over a frame as well.
OF_POINTS = frozenset(
    {
        Artifact.GAUSSIAN_NOISE,
        Artifact.IMPULSE_NOISE,
        Artifact.COLOR_BANDING,
        Artifact.COLOR_SATURATION,
    }
)


@dataclass(frozen=True)
class Sample:
    """uint8[7,224,224,3] with presence (0, 1, -1 unknown) and intensity of ten, and quality 0-1.

    `swatch`, uint8[64,64,3], is of the whole frame. Quality and VMAF are -1 where nobody computed
    them.
    """

    tile: Frames
    swatch: Frames
    presence: NDArray[np.int8]
    intensity: NDArray[np.float32]
    quality: float
    vmaf: float
    note: str


def make_sample(library: Scenes, split: str, index: int, recipe: Recipe) -> Sample:
    """Build sample `index` of `split`; deterministic."""
    rng = np.random.default_rng([ord(c) for c in split + recipe.name] + [index])
    clean, plan = draw_clip(library, rng, recipe)
    scene, times = clean.scene, list(clean.times)
    assert scene is not None
    origin = draw_origin(rng, clean)
    full, pitch = degraded(plan, clean)
    tile, reference = cut(full, origin), cut(_as_carried(plan, clean), origin)
    judged = not plan.steps or rng.random() < recipe.judged
    vmaf = _target().vmaf(reference, tile) if judged else -1.0
    presence, intensity = _label(plan, clean, full, pitch, origin)
    if plan.encoder is not None and not plan.steps:
        at = ARTIFACTS.index(Artifact.BLOCKING)
        intensity[at] = _label_encode(clean, full, origin, vmaf, presence)
        if plan.scale != 1.0 and presence[at] == ABSENT and vmaf < GOOD_VMAF:
            presence[at] = UNKNOWN  # its blocks lie on another grid than the one measured
        if recipe.softened:
            _label_softness(clean, full, origin, vmaf, presence, intensity)
    if uneven(scene, times) and not any(g.artifact is Artifact.JUDDER for g, _, _ in plan.steps):
        presence[ARTIFACTS.index(Artifact.JUDDER)] = UNKNOWN
    quality = _target().quality(vmaf, reference, tile) if judged else -1.0
    swatch = swatch_of(plan, scene.whole(times[FRAMES_PER_SEQUENCE // 2]))
    return Sample(tile, swatch, presence, intensity, quality, vmaf, f"{scene.name}: {plan.note}")


def draw_clip(library: Scenes, rng: Rng, recipe: Recipe) -> tuple[Clip, Plan]:
    """Seven clean frames and what is to be done with them."""
    scene, start = draw_place(library, rng, recipe)
    times = [float(start + i) for i in range(FRAMES_PER_SEQUENCE)]
    clean = Clip(scene.sequence(times), scene, tuple(times))
    plan = draw_plan(rng, recipe)
    return clean, replace(plan, lead=min(plan.lead, start))


def draw_origin(rng: Rng, clean: Clip) -> tuple[int, int]:
    y, x = (int(rng.integers(0, max(n - TILE_PX, 0) + 1)) for n in clean.frames.shape[1:3])
    return y, x


def draw_place(library: Scenes, rng: Rng, recipe: Recipe) -> tuple[Scene, int]:
    """A clean scene and the frame at which the seven begin."""
    kind = ""
    # Most awkward scenes begin with a photograph: other libraries would be asked for one for ever.
    if isinstance(library, Library) and recipe.awkward and rng.random() < recipe.awkward:
        kind = list(KINDS)[rng.integers(len(KINDS))]
        scene = KINDS[kind](library, rng)
    else:
        scene = draw_scene(library, rng)
    if recipe.varied:
        scene = varied(scene, rng)
    if kind in FROM_THE_START:
        return scene, 0
    return scene, int(rng.integers(0, max(scene.length - 2 * FRAMES_PER_SEQUENCE, 0) + 1))


_shared_target: list[QualityTarget] = []


def _target() -> QualityTarget:
    if not _shared_target:
        _shared_target.append(QualityTarget())
    return _shared_target[0]


def swatch_of(plan: Plan, whole: Frames) -> Frames:
    """A whole frame's swatch after the chain, as the tool would take it: uint8[64,64,3].

    Of points only what is done to each by itself can be told. A tile's blur or ringing, done to a
    frame that was squeezed, is several times too wide, and gave blurred samples away.
    """
    steps = tuple(step for step in plan.steps if step[0].artifact in OF_POINTS)
    high, wide = whole.shape[:2]
    swatch = PipedFrames(whole.reshape(1, -1), high, wide, PipeFormat.RGB24).swatch()
    return degraded(Plan(steps, subsampled=False), Clip(swatch[None]))[0][0]


def cut(frames: Frames, origin: tuple[int, ...]) -> Frames:
    y, x = origin
    tile = frames[:, y : y + TILE_PX, x : x + TILE_PX]
    short = TILE_PX - tile.shape[1], TILE_PX - tile.shape[2]
    if max(short) > 0:
        tile = np.pad(tile, ((0, 0), (0, short[0]), (0, short[1]), (0, 0)), mode="reflect")
    return np.ascontiguousarray(tile)


def _as_carried(plan: Plan, clean: Clip) -> Frames:
    """The clean frames as the sample's kind of video would have carried them.

    Thin coloured text loses luma to 4:2:0 alone: against RGB a clean drawing had got 0.71.
    """
    return degraded(Plan(subsampled=plan.subsampled or plan.encoder is not None), clean)[0]


def degraded(plan: Plan, clean: Clip, without: int | None = None) -> tuple[Frames, int]:
    """Run the chain, leaving out step `without`: frames as large as the clean ones, block pitch."""
    clip, past = clean, _past(plan, clean, without)
    for number, (generator, strength, seed) in enumerate(plan.steps):
        if number == without:
            continue
        if past is not None and generator.artifact is Artifact.GHOSTING:
            clip, past = replace(clip, before=past.frames), None
        clip = generator.apply(clip, strength, np.random.default_rng(seed))
        if past is not None:
            past = generator.apply(past, strength, np.random.default_rng(seed))
    frames = clip.frames
    if plan.encoder is not None:
        frames = _coded(plan, clip)
    elif plan.subsampled:
        frames = chroma_subsampled(frames)
    high, wide = clean.frames.shape[1:3]
    lost = high - frames.shape[1], wide - frames.shape[2]
    if max(lost):
        frames = np.pad(frames, ((0, 0), (0, lost[0]), (0, lost[1]), (0, 0)), mode="edge")
    return frames, clip.pitch


def _past(plan: Plan, clean: Clip, without: int | None) -> Clip | None:
    """What a ghost is made of, to go through the chain as far as the ghost."""
    steps = [g for number, (g, _, _) in enumerate(plan.steps) if number != without]
    if clean.scene is None or all(g.artifact is not Artifact.GHOSTING for g in steps):
        return None
    return Clip(ahead(clean), clean.scene, times_ahead(clean))


def _coded(plan: Plan, clip: Clip) -> Frames:
    """The clip through the plan's encoder, which saw `lead` frames before and works at `scale`."""
    assert plan.encoder is not None
    frames = clip.frames
    if plan.lead and clip.scene is not None:
        before = [clip.times[0] - n for n in range(plan.lead, 0, -1)]
        frames = np.concatenate([clip.scene.sequence(before), frames])
    if plan.scale == 1.0:
        return round_trip(frames, plan.encoder)[plan.lead :]
    high, wide = frames.shape[1:3]
    small = tuple(round(side * plan.scale / 2) * 2 for side in (wide, high))
    coded = round_trip(_resized(frames, small, cv2.INTER_AREA), plan.encoder)[plan.lead :]
    return _resized(coded, (wide, high), cv2.INTER_CUBIC)


def _resized(frames: Frames, size: tuple[int, ...], how: int) -> Frames:
    return np.stack([cv2.resize(frame, size, interpolation=how) for frame in frames])


def with_and_without(
    plan: Plan, clean: Clip, full: Frames, number: int
) -> list[tuple[Frames, Frames]]:
    """Whole frames with a step of the chain and without it; where an encode follows, those before
    it as well, and the smaller effect counts: an encoder may hide an artifact, and its own noise
    must not be mistaken for one.
    """
    pairs = [(full, degraded(plan, clean, number)[0])]
    if plan.encoder is not None:
        bare = Plan(plan.steps, None, False)
        pairs.append((degraded(bare, clean)[0], degraded(bare, clean, number)[0]))
    return pairs


def effect_at(
    artifact: Artifact, pair: tuple[Frames, Frames], origin: tuple[int, ...], pitch: int = 0
) -> float:
    """The visible effect in the tile at `origin`."""
    with_it, without = (cut(frames, origin) for frames in pair)
    return effect(artifact, with_it, without, pitch=pitch, origin=(origin[0], origin[1]))


def _label(
    plan: Plan, clean: Clip, full: Frames, pitch: int, origin: tuple[int, ...]
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Presence and intensity by visible effect: the result with against without each artifact."""
    presence = np.zeros(len(ARTIFACTS), np.int8)
    intensity = np.zeros(len(ARTIFACTS), np.float32)
    for number, (generator, _, _) in enumerate(plan.steps):
        pairs = with_and_without(plan, clean, full, number)
        size = min(effect_at(generator.artifact, pair, origin, pitch) for pair in pairs)
        at = ARTIFACTS.index(generator.artifact)
        presence[at], intensity[at] = verdict(generator.artifact, size)
        with_it, without = (cut(frames, origin) for frames in pairs[0])
        changed = rms(luma(with_it) - luma(without)) > 1.5
        if generator.artifact is Artifact.BLOCKING and changed and presence[at] == ABSENT:
            presence[at] = UNKNOWN  # coded hard, yet no edges on the grid: nobody could say
        for other in generator.also if changed else ():
            if all(g.artifact is not other for g, _, _ in plan.steps):
                presence[ARTIFACTS.index(other)] = UNKNOWN
    return presence, intensity


def _label_softness(
    clean: Clip,
    full: Frames,
    origin: tuple[int, ...],
    vmaf: float,
    presence: NDArray[np.int8],
    intensity: NDArray[np.float32],
) -> None:
    """Label the detail that a real encode lost as defocus blur, by the same effect and floor.

    While it counted as unknown, AQS took off for MPEG-2's blocks and nothing for AV1's smear at the
    same VMAF (training/LOG.md, 36). Of a good encode it is never said to be there.
    """
    at = ARTIFACTS.index(Artifact.DEFOCUS_BLUR)
    lost = effect(Artifact.DEFOCUS_BLUR, cut(full, origin), cut(clean.frames, origin))
    presence[at], intensity[at] = verdict(Artifact.DEFOCUS_BLUR, lost)
    if vmaf >= GOOD_VMAF and presence[at] == PRESENT:
        presence[at], intensity[at] = UNKNOWN, 0.0


def verdict(artifact: Artifact, size: float) -> tuple[int, float]:
    scale = SCALES[artifact]
    found = presence_of(size, scale.floor)
    return found, scale.intensity(size) if found == PRESENT else 0.0


def presence_of(size: float, floor: float) -> int:
    """Absent below half of what is just visible; from there to it the eye would argue."""
    if size < 0.5 * floor:
        return ABSENT
    return UNKNOWN if size < floor else PRESENT


def _label_encode(
    clean: Clip, full: Frames, origin: tuple[int, ...], vmaf: float, presence: NDArray[np.int8]
) -> float:
    """Label a real encode and return the intensity of its blocking.

    Blocking is present where block edges measurably show. A good encode has no artifact; of a
    visibly coded one the rest of the damage is unknown, since nobody put it there.
    """
    size = blocking_gain(cut(full, origin), cut(clean.frames, origin), 8, (origin[0], origin[1]))
    at = ARTIFACTS.index(Artifact.BLOCKING)
    found, intensity = verdict(Artifact.BLOCKING, size)
    if vmaf >= GOOD_VMAF:
        found, intensity = min(found, ABSENT), 0.0
    else:
        presence[[ARTIFACTS.index(other) for other in CODING_DAMAGE]] = UNKNOWN
        if found == ABSENT and vmaf < BAD_VMAF:
            found = UNKNOWN  # deblocked, yet plainly coded
    presence[at] = found
    return intensity
