"""Scenes that look like damage and are none: the kinds of hard negative, by name."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from training.content import CHANGES, Changed, Cut, Drawing, Gradient, Still, rng_at
from training.sources import Library, PhotoScene, Scene

Pixels = NDArray[np.uint8]
Rng = np.random.Generator

PAN_SPEEDUP = 4.0
GRAIN_LEVELS = (1.2, 2.0)  # below effect.SCALES' floor of visible noise (2.5 levels)
FROM_THE_START = frozenset({"scene cut", "fast pan"})  # what makes them awkward is in frames 0-6


class Hastened(Scene):
    """Another scene at several times its speed, every frame sharp: a fast pan."""

    continuous = True

    def __init__(self, inner: Scene, speedup: float) -> None:
        self.name, self.length = f"{inner.name}+hastened", inner.length
        self._inner, self._speedup = inner, speedup

    def frame(self, t: float) -> Pixels:
        return self._inner.frame(3.0 + (t - 3.0) * self._speedup)

    def whole(self, t: float) -> Pixels:
        return self._inner.whole(t)


def _photo(library: Library, rng: Rng) -> Scene:
    """A photograph under a camera that moves."""
    while True:
        scene = library.draw(rng)
        if isinstance(scene, PhotoScene) and not np.array_equal(scene.frame(0), scene.frame(6)):
            return scene


def _cut(library: Library, rng: Rng) -> Scene:
    while True:
        before, after = library.draw(rng), library.draw(rng)
        if before.frame(0).shape == after.frame(0).shape:
            return Cut(before, after, float(rng.uniform(0.5, 6)))


def _bokeh(library: Library, rng: Rng) -> Scene:
    """A sharp subject before a background out of focus."""
    sigma, radius = rng.uniform(3, 7), rng.uniform(0.30, 0.45)

    def change(frame: Pixels, _: float) -> Pixels:
        high, wide = frame.shape[:2]
        y, x = np.mgrid[0:high, 0:wide] - np.array([high / 2, wide / 2])[:, None, None]
        subject = np.clip((radius - np.hypot(y / high, x / wide)) * 20, 0, 1)[..., None]
        away = cv2.GaussianBlur(frame, (0, 0), sigma)
        return (frame * subject + away * (1 - subject) + 0.5).astype(np.uint8)

    return Changed(library.draw(rng), "bokeh", change)


def _grain(library: Library, rng: Rng) -> Scene:
    """Fine film grain: on luma, a little soft, new in every frame, too weak to be damage."""
    level, seed = rng.uniform(*GRAIN_LEVELS), int(rng.integers(2**31))

    def change(frame: Pixels, t: float) -> Pixels:
        noise = rng_at(seed, t).standard_normal(frame.shape[:2])
        soft = cv2.GaussianBlur(noise, (0, 0), 0.6)
        grain = soft[..., None] * (level / soft.std())
        return np.clip(np.rint(frame + grain), 0, 255).astype(np.uint8)

    return Changed(library.draw(rng), "grain", change)


def _changed(name: str) -> Callable[[Library, Rng], Scene]:
    make = next(make for _, known, make in CHANGES if known == name)
    return lambda library, rng: Changed(library.draw(rng), name, make(rng))


KINDS: dict[str, Callable[[Library, Rng], Scene]] = {
    "plain": lambda library, rng: library.draw(rng),
    "bokeh": _bokeh,
    "fine film grain": _grain,
    "fog": _changed("fog"),
    "night": _changed("dark"),
    "smooth gradient": lambda library, rng: Gradient(rng),
    "drawing, text, screen": lambda library, rng: Drawing(rng),
    "titles": _changed("titles"),
    "still slide": lambda library, rng: Still(library.draw(rng)),
    "fast pan": lambda library, rng: Hastened(_photo(library, rng), PAN_SPEEDUP),
    "scene cut": _cut,
    "fade": _changed("fade"),
    "black and white": _changed("grey"),
    "letterbox": _changed("letterbox"),
    "good encode": lambda library, rng: library.draw(rng),
}
