"""What a clean sequence may look like besides plain footage: the hard negatives, made to order.

Each is a Scene, so that every artifact can be laid over it as over anything else.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from training.sources import REGION_PX, ClipScene, PhotoScene, Scene, Scenes

Frames = NDArray[np.uint8]
Rng = np.random.Generator
Change = Callable[[Frames, float], Frames]


def rng_at(seed: int, t: float) -> Rng:
    """Randomness of one moment of a scene: the same whenever, and in whatever order, it is seen."""
    return np.random.default_rng((seed, round(t * 64) + 4096))


LOCAL = frozenset({"letterbox", "titles", "bokeh"})  # changes of a place, not of all colours


class Changed(Scene):
    """Another scene with every frame passed through `change(frame, t)`."""

    def __init__(self, inner: Scene, name: str, change: Change) -> None:
        self._inner, self._change, self._local = inner, change, name in LOCAL
        self.name = f"{inner.name}+{name}"
        self.length, self.continuous = inner.length, inner.continuous

    def frame(self, t: float) -> Frames:
        return self._change(self._inner.frame(t), t)

    def whole(self, t: float) -> Frames:
        whole = self._inner.whole(t)
        return whole if self._local else self._change(whole, t)


class Gradient(Scene):
    """A smooth, slowly moving field of colour (sky, studio wall, fog), dithered to 8 bits."""

    continuous = True
    length = 24

    def __init__(self, rng: Rng) -> None:
        self.name = "gradient"
        coarse = rng.uniform(0, 1, (3, 3, 3)).astype(np.float32)
        spread = rng.uniform(15, 120)
        size = (REGION_PX + 96, REGION_PX + 96)
        field = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC) - 0.5
        self._field = rng.uniform(40, 215, 3).astype(np.float32) + field * np.float32(spread)
        self._drift = rng.uniform(-3, 3, 2) if rng.random() < 0.7 else np.zeros(2)
        self._grain = rng.uniform(0.3, 1.2)
        self._seed = int(rng.integers(2**31))

    def frame(self, t: float) -> Frames:
        x, y = 48 + self._drift * t
        shift = np.array([[1.0, 0, x], [0, 1.0, y]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        view = cv2.warpAffine(self._field, shift, (REGION_PX, REGION_PX), flags=flags, borderMode=4)
        noise = rng_at(self._seed, t).standard_normal(view.shape, dtype=np.float32)
        return np.clip(np.rint(view + noise * self._grain), 0, 255).astype(np.uint8)


class Drawing(Scene):
    """Flat shapes and text on a plain ground: cartoons, slides and screens."""

    continuous = True
    length = 24

    def __init__(self, rng: Rng) -> None:
        self.name = "drawing"
        side = REGION_PX + 96
        ground = np.empty((side, side, 3), np.uint8)
        ground[:] = rng.choice([255, 245, 20, 40, int(rng.integers(256))])

        def colour() -> tuple[int, ...]:
            return tuple(int(c) for c in rng.integers(0, 256, 3))

        for _ in range(int(rng.integers(0, 14))):
            centre = rng.integers(0, side, 2)
            points = (centre + rng.normal(0, rng.uniform(15, 80), (5, 2))).astype(np.int32)
            hull = cv2.convexHull(points)
            cv2.fillPoly(ground, [hull], colour(), lineType=cv2.LINE_AA)
        words = "".join(chr(int(c)) for c in rng.integers(33, 123, 40))
        ink = colour()
        for row in range(int(rng.integers(0, 24))):
            at = (int(rng.integers(0, 40)), 16 + row * 16)
            size = float(rng.uniform(0.35, 0.6))
            cv2.putText(ground, words[row:], at, 0, size, ink, 1, cv2.LINE_AA)
        self._ground = ground
        moves = rng.random()
        self._drift = np.zeros(2) if moves < 0.4 else rng.integers(-4, 5, 2).astype(float)

    def frame(self, t: float) -> Frames:
        x, y = np.rint(48 + self._drift * t).astype(int).clip(0, 96)
        return self._ground[y : y + REGION_PX, x : x + REGION_PX]


def _grey(frame: Frames, _: float) -> Frames:
    return np.repeat(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def _letterbox(rng: Rng) -> Change:
    edge, below = int(rng.integers(50, REGION_PX - 100)), rng.random() < 0.5

    def change(frame: Frames, _: float) -> Frames:
        out = frame.copy()
        out[edge:] = 16 if below else out[edge:]
        if not below:
            out[:-edge] = 0
        return out

    return change


def _fade(rng: Rng) -> Change:
    start, rate = rng.uniform(0.1, 1.0), rng.choice([-1, 1]) * rng.uniform(0.02, 0.12)

    def change(frame: Frames, t: float) -> Frames:
        gain = np.clip(start + rate * t, 0.05, 1.0)
        return (frame * gain + 0.5).astype(np.uint8)

    return change


def _dark(rng: Rng) -> Change:
    gain, lift = rng.uniform(0.15, 0.5), rng.uniform(0, 12)
    return lambda frame, _: (frame * gain + lift + 0.5).astype(np.uint8)


def _fog(rng: Rng) -> Change:
    keep, grey = rng.uniform(0.3, 0.6), rng.uniform(110, 220)
    return lambda frame, _: (frame * keep + grey * (1 - keep) + 0.5).astype(np.uint8)


def _titles(rng: Rng) -> Change:
    words = "".join(chr(int(c)) for c in rng.integers(48, 123, 24))
    at = (int(rng.integers(0, 120)), int(rng.integers(60, 230)))
    size, ink = float(rng.uniform(0.5, 1.6)), tuple(int(c) for c in rng.choice([0, 255, 230], 3))

    def change(frame: Frames, _: float) -> Frames:
        out = frame.copy()
        cv2.putText(out, words, at, 0, size, ink, 1 + int(size > 1), cv2.LINE_AA)
        return out

    return change


class Still(Scene):
    """A slide: time stands still."""

    continuous = False

    def __init__(self, inner: Scene) -> None:
        self.name, self.length = f"{inner.name}+still", inner.length
        self._inner, self._at = inner, min(3.0, inner.length - 1.0)
        self._frame = inner.frame(self._at)

    def frame(self, t: float) -> Frames:
        return self._frame

    def whole(self, t: float) -> Frames:
        return self._inner.whole(self._at)


class Cut(Scene):
    """A scene cut inside the window."""

    continuous = False

    def __init__(self, before: Scene, after: Scene, at: float) -> None:
        self.name, self.length = f"{before.name}|{after.name}", min(before.length, after.length)
        self._before, self._after, self._at = before, after, at

    def frame(self, t: float) -> Frames:
        return (self._before if t < self._at else self._after).frame(t)

    def whole(self, t: float) -> Frames:
        return (self._before if t < self._at else self._after).whole(t)


class Shaken(Scene):
    """Another scene held by an unsteady hand: every step its own length and direction.

    To a detector that knew only smooth motion such footage stuttered (training/LOG.md, 35, 37).
    """

    REACH_PX = 24.0  # less than the room a tile has in its region
    FRAMES = 64

    def __init__(self, inner: Scene, rng: Rng) -> None:
        self.name, self.length = f"{inner.name}+shaken", inner.length
        self.inner, self.continuous = inner, inner.continuous
        speed = np.zeros(2)
        path = [speed]
        strength = min(rng.exponential(2.5) + 0.5, 9.0)
        for _ in range(self.FRAMES - 1):
            speed = 0.5 * speed + rng.normal(0, strength, 2)
            path.append(0.85 * path[-1] + speed)
        self._path = np.array(path)
        self._path *= min(1.0, self.REACH_PX / np.abs(self._path).max())

    def whole(self, t: float) -> Frames:
        return self.inner.whole(t)

    def frame(self, t: float) -> Frames:
        frame, place = self.inner.frame(t), (t if self.continuous else round(t)) + self.FRAMES / 4
        x, y = (np.interp(place, np.arange(self.FRAMES), axis) for axis in self._path.T)
        shift = np.array([[1.0, 0, x], [0, 1.0, y]])
        high, wide = frame.shape[:2]
        return cv2.warpAffine(frame, shift, (wide, high), flags=cv2.INTER_LANCZOS4, borderMode=4)


CHANGES: tuple[tuple[float, str, Callable[[Rng], Change]], ...] = (
    (0.04, "grey", lambda _: _grey),
    (0.03, "letterbox", _letterbox),
    (0.03, "fade", _fade),
    (0.05, "dark", _dark),
    (0.03, "fog", _fog),
    (0.05, "titles", _titles),
)


def _mirrored(frame: Frames, _: float) -> Frames:
    return np.ascontiguousarray(frame[:, ::-1])


def _turned(frame: Frames, _: float) -> Frames:
    return np.ascontiguousarray(frame.swapaxes(0, 1))


def _graded(rng: Rng) -> Change:
    """Another camera's taste: exposure curve, white balance, and a little more or less colour."""
    levels = (np.arange(256) / 255) ** rng.uniform(0.75, 1.3)
    table = (255 * levels[:, None] * rng.uniform(0.92, 1.0, 3)).astype(np.float32)[None]
    colour, seed = rng.uniform(0.8, 1.15), int(rng.integers(2**31))

    def change(frame: Frames, t: float) -> Frames:
        graded = cv2.LUT(frame, table)
        grey = cv2.cvtColor(graded, cv2.COLOR_RGB2GRAY)
        mixed = cv2.addWeighted(graded, colour, cv2.merge([grey] * 3), 1 - colour, 0)
        # Dithered: rounding alone would leave gaps in the histogram, as lost bits do.
        dither = rng_at(seed, t).random(mixed.shape, dtype=np.float32)
        return np.clip(np.floor(mixed + dither), 0, 255).astype(np.uint8)

    return change


def _processed(rng: Rng) -> Change:
    """What a telephone makes of its sensor's noise: smoothed where it is flat, edges lifted."""
    noise, smooth, edges = rng.uniform(1.5, 5), rng.uniform(4, 12), rng.uniform(0.2, 0.7)
    seed = int(rng.integers(2**31))

    def change(frame: Frames, t: float) -> Frames:
        grain = rng_at(seed, t).standard_normal(frame.shape, dtype=np.float32)
        noisy = np.clip(frame + grain * noise, 0, 255).astype(np.uint8)
        smoothed = cv2.bilateralFilter(noisy, 5, noise * 2 + smooth, 2.0).astype(np.float32)
        lifted = smoothed + edges * (smoothed - cv2.GaussianBlur(smoothed, (0, 0), 1.0))
        return np.clip(np.rint(lifted), 0, 255).astype(np.uint8)

    return change


def varied(scene: Scene, rng: Rng) -> Scene:
    """The scene as another camera, held another way, would have brought it home."""
    if rng.random() < 0.5:
        scene = Changed(scene, "mirrored", _mirrored)
    if rng.random() < 0.3:
        scene = Changed(scene, "turned", _turned)
    if rng.random() < 0.5:
        scene = Changed(scene, "graded", _graded(rng))
    if rng.random() < 0.12:
        scene = Changed(scene, "processed", _processed(rng))
    if rng.random() < 0.2:
        scene = Shaken(scene, rng)
    return scene


def draw_scene(library: Scenes, rng: Rng) -> Scene:
    """One clean scene: mostly footage and moving photographs, now and then something awkward."""
    kind = rng.random()
    if kind < 0.05:
        return Gradient(rng)
    if kind < 0.10:
        return Drawing(rng)
    scene = library.draw(rng)
    if kind < 0.13:
        return Still(scene)
    if kind < 0.155:
        other = library.draw(rng)
        if scene.frame(0).shape == other.frame(0).shape:
            return Cut(scene, other, float(rng.uniform(0.5, 6)))
    for share, name, make in CHANGES:
        if rng.random() < share:
            scene = Changed(scene, name, make(rng))
    return scene


def uneven(scene: Scene, times: list[float]) -> bool:
    """Whether the source itself stutters, so that judder can be neither claimed nor denied."""
    if isinstance(scene, Shaken):
        return uneven(scene.inner, times)
    if not isinstance(scene, (ClipScene, Changed)) or isinstance(scene, PhotoScene):
        return False
    frames = scene.sequence(times)[:, ::4, ::4].astype(np.float32)
    steps = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
    return bool(steps.max() > 1.0 and steps.min() < 0.35 * np.median(steps))
