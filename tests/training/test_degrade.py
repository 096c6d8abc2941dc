"""Degradations: true labels, no give-aways."""

from __future__ import annotations

import numpy as np
import pytest

from aqs_batch.records import Artifact
from training.content import Drawing, Gradient
from training.degrade import GENERATORS, PAST, Clip, Generator, ahead, generators
from training.effect import SCALES, effect, luma, rms
from training.sources import REGION_PX, PhotoScene, Scene

TIMES = tuple(float(t) for t in range(7))


def picture() -> np.ndarray:
    """A made-up photograph: smooth slopes, texture, edges and colour."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:420, 0:420] / 420
    base = np.stack([120 + 90 * np.sin(6 * x), 128 + 80 * np.cos(5 * y), 90 + 120 * x * y], -1)
    base[100:220, 120:260] += rng.normal(0, 28, (120, 140, 1))
    base[260:330, 60:330] = [200, 40, 30]
    base[300:310, 200:400] = 240
    return np.clip(base, 0, 255).astype(np.uint8)


class Moving(Scene):
    """The picture under a steady pan of four pixels a frame."""

    name, length, continuous = "moving", 24, True

    def __init__(self, step: int = 4) -> None:
        self._picture, self._step = picture(), step

    def frame(self, t: float) -> np.ndarray:
        at = round(t * self._step) % 120
        return self._picture[20 : 20 + REGION_PX, at : at + REGION_PX]


def clip_of(scene: Scene) -> Clip:
    return Clip(scene.sequence(list(TIMES)), scene, TIMES)


def size(generator: Generator, clip: Clip, strength: float, seed: int = 1) -> float:
    worse = generator.apply(clip, strength, np.random.default_rng(seed))
    return effect(generator.artifact, worse.frames, clip.frames, pitch=worse.pitch)


names = [f"{g.artifact.value}-{g.name}" for g in GENERATORS]


@pytest.mark.parametrize("artifact", Artifact, ids=lambda a: a.value)
def test_every_artifact_has_two_generators_and_one_held_out(artifact: Artifact) -> None:
    assert len(generators(artifact)) >= 2
    assert len(generators(artifact, held_out=True)) >= 1


def test_later_generators_are_drawn_only_where_asked_for() -> None:
    """The frozen test's draws depend on how many there are."""
    names_of = lambda later: {g.name for g in generators(Artifact.GHOSTING, later=later)}  # noqa: E731
    assert names_of(1) - names_of(0) == {"bright_trail"}
    assert names_of(2) - names_of(1) == {"mean_of_many"}


@pytest.mark.parametrize("generator", GENERATORS, ids=names)
def test_the_same_seed_gives_the_same_pixels(generator: Generator) -> None:
    clip = clip_of(Moving())
    one, two = (generator.apply(clip, 0.5, np.random.default_rng(9)).frames for _ in range(2))
    assert np.array_equal(one, two)
    assert one.dtype == np.uint8
    assert one.shape == clip.frames.shape


@pytest.mark.parametrize("generator", GENERATORS, ids=names)
def test_stronger_is_worse(generator: Generator) -> None:
    clip = clip_of(Moving())

    def error(strength: float, seed: int) -> float:
        worse = generator.apply(clip, strength, np.random.default_rng(seed)).frames
        return rms(worse.astype(np.float32) - clip.frames)

    mild, middle, heavy = (
        np.mean([error(strength, seed) for seed in range(5)]) for strength in (0.1, 0.5, 0.9)
    )
    # Cadences differ in kind, and where they start is random: a little slack between neighbours.
    assert mild < 1.03 * middle < 1.03**2 * heavy
    assert mild < heavy
    # What shows on one picture hides in another: whole-pixel pans put edges on the block grid.
    scenes = (Moving(), Gradient(np.random.default_rng(1)), Drawing(np.random.default_rng(4)))
    slow = PhotoScene(picture(), None, np.random.default_rng(8), "photo")
    seen = max(size(generator, clip_of(scene), 0.9) for scene in (*scenes, slow))
    assert seen > SCALES[generator.artifact].floor


@pytest.mark.parametrize("generator", GENERATORS, ids=names)
def test_brightness_does_not_leak(generator: Generator) -> None:
    clip = clip_of(Moving())
    worse = generator.apply(clip, 0.5, np.random.default_rng(2)).frames
    limit = 6.0 if generator.artifact is Artifact.IMPULSE_NOISE else 4.0
    assert abs(float(luma(worse).mean() - luma(clip.frames).mean())) < limit


@pytest.mark.parametrize(
    "generator",
    [g for g in GENERATORS if g.artifact in (Artifact.MOTION_BLUR, Artifact.DEFOCUS_BLUR)],
    ids=lambda g: g.name,
)
def test_borders_do_not_darken(generator: Generator) -> None:
    white = np.full((7, 96, 96, 3), 200, np.uint8)
    worse = generator.apply(Clip(white), 0.8, np.random.default_rng(2)).frames
    assert np.abs(worse.astype(int) - 200).max() <= 1


@pytest.mark.parametrize("generator", generators(Artifact.JUDDER), ids=lambda g: g.name)
def test_judder_on_a_still_changes_nothing(generator: Generator) -> None:
    assert size(generator, clip_of(Moving(step=0)), 0.9) == 0.0


@pytest.mark.parametrize("generator", generators(Artifact.COLOR_SATURATION), ids=lambda g: g.name)
def test_saturation_on_grey_changes_nothing_visible(generator: Generator) -> None:
    clip = clip_of(Moving())
    grey = Clip(np.repeat(clip.frames.mean(-1, keepdims=True).astype(np.uint8), 3, axis=-1))
    assert size(generator, grey, 0.9) < 0.5 * SCALES[Artifact.COLOR_SATURATION].floor


def test_banding_shows_on_a_slope_and_not_on_texture() -> None:
    rng = np.random.default_rng(1)
    slope = clip_of(Gradient(rng))
    texture = Clip(rng.integers(0, 256, slope.frames.shape, dtype=np.uint8))
    (generator, *_) = generators(Artifact.COLOR_BANDING)
    assert size(generator, slope, 0.8) > SCALES[Artifact.COLOR_BANDING].floor
    assert size(generator, texture, 0.8) == 0.0


@pytest.mark.parametrize("artifact", Artifact, ids=lambda a: a.value)
def test_intensity_rises_with_the_effect(artifact: Artifact) -> None:
    scale = SCALES[artifact]
    sizes = np.linspace(scale.floor, scale.full, 20)
    values = [scale.intensity(float(s)) for s in sizes]
    assert values == sorted(values)
    assert values[0] == pytest.approx(scale.mild)
    assert values[-1] == scale.intensity(9 * scale.full) == pytest.approx(scale.heavy)


def test_made_up_scenes_are_functions_of_time() -> None:
    for scene in (
        Gradient(np.random.default_rng(4)),
        Drawing(np.random.default_rng(4)),
        PhotoScene(picture(), picture(), np.random.default_rng(4), "p"),
    ):
        assert np.array_equal(scene.frame(2.0), scene.frame(2.0))
        assert scene.frame(0.0).shape == (REGION_PX, REGION_PX, 3)


def test_rms_of_nothing_is_nothing() -> None:
    assert rms(np.zeros((2, 2), np.float32)) == 0.0


class Counting(Scene):
    """A flat picture as bright as its time: what a mixture is made of can be read off it."""

    name, length, continuous = "counting", 24, False

    def frame(self, t: float) -> np.ndarray:
        return np.full((32, 32, 3), 10 * t, np.uint8)


GHOSTS = {g.name: g for g in GENERATORS if g.artifact is Artifact.GHOSTING}


@pytest.mark.parametrize("name", ["temporal_blend", "multiple_exposure", "decaying_trail"])
def test_a_ghost_is_of_what_was_before(name: str) -> None:
    """Mirrored at the start, it was of what came after, which no player ever shows."""
    times = tuple(float(t) for t in range(10, 17))
    clip = Clip(Counting().sequence(list(times)), Counting(), times)
    for seed in range(6):
        mixed = GHOSTS[name].apply(clip, 0.9, np.random.default_rng(seed)).frames[:, 0, 0, 0]
        lag = clip.frames[:, 0, 0, 0].astype(int) - mixed
        assert (lag > 0).all()
        assert lag.max() - lag.min() <= 1  # the first frame's is as old as the last one's


def test_ahead_of_the_beginning_its_first_frame_stands() -> None:
    clip = Clip(Counting().sequence([2.0, 3.0]), Counting(), (2.0, 3.0))
    assert ahead(clip)[:, 0, 0, 0].tolist() == [0] * (PAST - 2) + [0, 10]
