"""Hard negatives one kind at a time: artifact-free scenes that look like damage.

Each kind is drawn from unseen sources; what share of its tiles has any artifact detected?
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aqs_batch.records import FRAMES_PER_SEQUENCE, TILE_PX, Artifact
from training.codec import Encoder, chroma_subsampled, round_trip
from training.content import CHANGES, Changed, Cut, Drawing, Gradient, Still, uneven
from training.detector import Read
from training.figures import DETECTED
from training.sources import Library, PhotoScene, Scene

Pixels = NDArray[np.uint8]
Rng = np.random.Generator

TILES_EACH = 24
PAN_SPEEDUP = 4.0
GRAIN_LEVELS = (1.2, 2.0)  # below effect.SCALES' floor of visible noise (2.5 levels)
GOOD_CRF = (15, 21)


@dataclass(frozen=True)
class Negative:
    """A clean tile uint8[7,224,224,3]; judder cannot be denied where the source itself stutters."""

    tile: Pixels
    stutters: bool


class Hastened(Scene):
    """Another scene at several times its speed, every frame sharp: a fast pan."""

    continuous = True

    def __init__(self, inner: Scene, speedup: float) -> None:
        self.name, self.length = f"{inner.name}+hastened", inner.length
        self._inner, self._speedup = inner, speedup

    def frame(self, t: float) -> Pixels:
        return self._inner.frame(3.0 + (t - 3.0) * self._speedup)


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
        noise = np.random.default_rng((seed, round(t * 64) + 4096)).standard_normal(frame.shape[:2])
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


def draw(library: Library, kind: str, number: int) -> Negative:
    """Tile `number` of a kind; deterministic."""
    rng = np.random.default_rng([7, list(KINDS).index(kind), number])
    scene = KINDS[kind](library, rng)
    start = int(rng.integers(0, max(scene.length - FRAMES_PER_SEQUENCE, 0) + 1))
    moving = kind not in {"scene cut", "fast pan"}
    times = [float(t + (start if moving else 0)) for t in range(FRAMES_PER_SEQUENCE)]
    frames = scene.sequence(times)
    if kind == "good encode":
        frames = round_trip(frames, Encoder("libx264", float(rng.integers(*GOOD_CRF))))
    else:
        frames = chroma_subsampled(frames)
    y, x = ((n - TILE_PX) // 2 for n in frames.shape[1:3])
    tile = frames[:, max(y, 0) :, max(x, 0) :][:, :TILE_PX, :TILE_PX]
    short = TILE_PX - tile.shape[1], TILE_PX - tile.shape[2]
    tile = np.pad(tile, ((0, 0), (0, short[0]), (0, short[1]), (0, 0)), mode="reflect")
    return Negative(np.ascontiguousarray(tile), uneven(scene, times))


def hard_negatives(
    library: Library, read: Callable[[list[Pixels]], Read], each: int = TILES_EACH
) -> dict[str, Any]:
    """Share of tiles with any artifact of a severity above 0.2, over all and by kind.

    `artifacts` counts which ones were named. Scene cuts are included: a cut inside a window is
    something the tool's own sampling avoids, so the figure here is the harder one.
    """
    kinds: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        drawn = [draw(library, kind, number) for number in range(each)]
        said = read([negative.tile for negative in drawn]).severity > DETECTED
        said[[n.stutters for n in drawn], list(Artifact).index(Artifact.JUDDER)] = False
        named = {a.value: int(said[:, i].sum()) for i, a in enumerate(Artifact) if said[:, i].any()}
        kinds[kind] = {
            "tiles": each,
            "with_detection": float(said.any(1).mean()),
            "artifacts": named,
        }
    total = float(np.mean([row["with_detection"] for row in kinds.values()]))
    return {"tiles": each * len(kinds), "with_detection": total, "kinds": kinds}
