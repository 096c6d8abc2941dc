"""Samples of the recipes: the same by index, honest labels, and what a recipe promises."""

from __future__ import annotations

import numpy as np
import pytest

from aqs_batch.records import Artifact
from training.content import Drawing, Gradient, Shaken, Still, uneven
from training.degrade import Clip, generators
from training.recipe import STANDARD, USED, VARIED, WILD, Plan, Recipe, draw_plan
from training.samples import OF_POINTS, degraded, make_sample, swatch_of
from training.sources import PhotoScene, Scene


class Studio:
    """A library without files: gradients, drawings, and squares under a moving camera."""

    def draw(self, rng: np.random.Generator) -> Scene:
        kind = rng.integers(3)
        if kind < 2:
            return (Gradient, Drawing)[kind](rng)
        coarse = rng.integers(0, 255, (60, 60, 3), np.uint8)
        return PhotoScene(coarse.repeat(8, 0).repeat(8, 1), None, rng, "squares")


@pytest.mark.parametrize(
    "recipe", [STANDARD, WILD, VARIED, USED], ids=lambda r: r.name or "standard"
)
def test_an_index_is_a_sample(recipe: Recipe) -> None:
    for index in range(3):
        one, two = (make_sample(Studio(), "train", index, recipe) for _ in range(2))
        assert np.array_equal(one.tile, two.tile)
        assert np.array_equal(one.presence, two.presence)
        assert (one.quality, one.note) == (two.quality, two.note)
        assert (one.tile.shape, one.swatch.shape) == ((7, 224, 224, 3), (64, 64, 3))
        assert np.array_equal(one.swatch, two.swatch)


def test_clean_and_good_has_no_artifact() -> None:
    seen = [make_sample(Studio(), "train", n, WILD) for n in range(40)]
    clean = [s for s in seen if ": clean" in s.note and s.vmaf >= 90]
    assert len(clean) > 5
    assert all((s.presence != 1).all() for s in clean)


def test_subsampling_alone_is_no_damage() -> None:
    """Thin coloured text lost luma to 4:2:0: a clean drawing had got 0.71."""
    seen = [make_sample(Studio(), "train", n, WILD) for n in range(40)]
    untouched = [s for s in seen if s.note.rstrip().endswith(": clean")]
    assert len(untouched) > 3
    assert min(s.quality for s in untouched) > 0.999


def test_what_is_in_use_is_encoded_mid_stream_with_many_presets_and_sizes() -> None:
    rng = np.random.default_rng(1)
    plans = [draw_plan(rng, WILD) for _ in range(300)]
    encoded = [p for p in plans if p.encoder is not None and not p.steps]
    assert {p.lead > 0 for p in encoded} == {True, False}
    assert {p.scale < 1 for p in encoded} == {True, False}
    assert len({p.encoder.options for p in encoded if p.encoder}) > 5


def test_a_recipe_that_asks_for_nothing_new_draws_as_before() -> None:
    """The frozen test depends on it: the same numbers, whatever other recipes learned."""
    rng = np.random.default_rng(3)
    plans = [draw_plan(rng, STANDARD) for _ in range(50)]
    assert [plan.note.strip() for plan in plans[:6]] == [
        "clean libvpx-vp9@24",
        "defocus_blur/disc@0.48, ringing/over_sharpened@0.52",
        "motion_blur/long_exposure@0.40 mpeg2video@2",
        "defocus_blur/gaussian_lens@0.75, gaussian_noise/sensor_noise@0.23",
        "encoded libvpx-vp9@35",
        "ghosting/rate_conversion@0.71, color_banding/dropped_bits@0.85",
    ]
    assert {(plan.lead, plan.scale) for plan in plans} == {(0, 1.0)}


def test_a_ghost_has_been_through_the_same_lens() -> None:
    """On a still, blur and then a ghost is the blur alone: the ghost is no sharper."""
    rng = np.random.default_rng(2)
    scene = PhotoScene(rng.integers(0, 255, (400, 400, 3), np.uint8), None, rng, "noise")
    still = Still(scene)
    times = [float(t) for t in range(9, 16)]
    clip = Clip(still.sequence(times), still, tuple(times))
    steps = [
        (next(g for g in generators(artifact) if g.name == name), 0.9, 5)
        for artifact, name in (
            (Artifact.DEFOCUS_BLUR, "disc"),
            (Artifact.GHOSTING, "temporal_blend"),
        )
    ]
    blurred = degraded(Plan((steps[0],)), clip)[0]
    assert not np.array_equal(blurred, clip.frames)
    assert np.array_equal(degraded(Plan(tuple(steps)), clip)[0], blurred)


def test_lost_detail_of_an_encode_is_blur_and_of_a_good_one_never() -> None:
    seen = [make_sample(Studio(), "train", n, WILD) for n in range(80)]
    at = list(Artifact).index(Artifact.DEFOCUS_BLUR)
    encoded = [s for s in seen if ": encoded" in s.note]
    soft = [s for s in encoded if s.presence[at] == 1]
    assert soft and all(s.vmaf < 90 and s.intensity[at] > 0 for s in soft)
    assert np.mean([s.vmaf for s in soft]) < np.mean([s.vmaf for s in encoded])


def test_an_unsteady_hand_does_not_stutter() -> None:
    """Every step has its own length; what the hand holds may still stutter by itself."""
    rng = np.random.default_rng(4)
    scene = PhotoScene(rng.integers(0, 255, (400, 400, 3), np.uint8), None, rng, "noise")
    times = [float(t) for t in range(7)]
    for _ in range(5):
        shaken = Shaken(Still(scene), rng)
        frames = shaken.sequence(times)
        assert frames.shape == scene.sequence(times).shape
        assert np.array_equal(frames[3], shaken.frame(3.0))
        assert not uneven(shaken, times)
        steps = np.abs(np.diff(frames.astype(np.int16), axis=0)).mean((1, 2, 3))
        assert (steps > 0).all()


class Square(Scene):
    """A grey place in a frame that is red elsewhere."""

    name, length, continuous = "square", 24, True

    def frame(self, t: float) -> np.ndarray:
        return np.full((288, 288, 3), 120, np.uint8)

    def whole(self, t: float) -> np.ndarray:
        return np.broadcast_to(np.array([200, 60, 60], np.uint8), (512, 512, 3)).copy()


def pale(strength: float) -> Plan:
    (generator,) = (g for g in generators(Artifact.COLOR_SATURATION) if g.name == "under_saturated")
    return Plan(((generator, strength, 1),))


def test_a_swatch_goes_through_the_chain() -> None:
    whole = Square().whole(0)
    plain, faded = (swatch_of(plan, whole).astype(int) for plan in (Plan(), pale(1.0)))
    assert np.ptp(plain.mean((0, 1))) > 3 * np.ptp(faded.mean((0, 1)))


def test_what_needs_time_or_neighbours_leaves_a_swatch_alone() -> None:
    """A tile's blur, done to a squeezed frame, was several times too wide."""
    whole = np.random.default_rng(1).integers(0, 256, (512, 512, 3)).astype(np.uint8)
    plain = swatch_of(Plan(), whole)
    for artifact in set(Artifact) - OF_POINTS:
        step = (generators(artifact)[0], 1.0, 1)
        assert np.array_equal(swatch_of(Plan((step,)), whole), plain)
    for artifact in OF_POINTS:
        step = (generators(artifact)[0], 1.0, 1)
        assert not np.array_equal(swatch_of(Plan((step,)), whole), plain)


def test_what_judder_wipes_out_is_not_in_the_chain() -> None:
    """It takes its frames anew: a still that was blurred before had counted as stuttering."""
    rng = np.random.default_rng(3)
    plans = [draw_plan(rng, VARIED) for _ in range(400)]
    kinds = [[generator.artifact for generator, _, _ in plan.steps] for plan in plans]
    assert sum(Artifact.JUDDER in steps for steps in kinds) > 10
    assert all(steps.index(Artifact.JUDDER) == 0 for steps in kinds if Artifact.JUDDER in steps)
