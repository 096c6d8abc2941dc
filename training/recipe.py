"""What to draw: the shares of clean, encoded and degraded samples, and one sample's chain.

Only what a recipe asks for takes numbers from the generator, so that a frozen split stays the same
when another recipe learns something new.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aqs_batch.records import Artifact
from training.codec import Encoder
from training.degrade import Generator, generators

Rng = np.random.Generator

ARTIFACTS = tuple(Artifact)

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
PRESETS: dict[str, tuple[tuple[str, str], ...]] = {  # beside those that training.codec takes
    "libx264": (("preset", "fast"), ("preset", "medium"), ("preset", "ultrafast")),
    "libx265": (("preset", "superfast"), ("preset", "fast"), ("preset", "medium")),
    "libvpx-vp9": (("cpu-used", "5"), ("cpu-used", "8")),
    "libsvtav1": (("preset", "9"), ("preset", "12")),
}
LONGEST_LEAD = 10


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
    awkward: float = 0.0  # share of scenes from training.awkward
    varied: bool = False  # mirror, turn and grade the scenes
    later: int = 0  # draw the generators that came so late, too (training.degrade)
    in_use: bool = False  # encode as the world does: other presets, mid-stream, sometimes scaled
    softened: bool = False  # label the detail that a real encode lost as blur, by its effect


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
    later=1,
)
# As hard, with scenes that differ more than their few sources do.
VARIED = replace(
    HARD,
    name="varied",
    clean=0.18,
    encoded=0.22,
    judged=0.35,
    awkward=0.15,
    varied=True,
    in_use=True,
    softened=True,
)
# What a detector meets outside a laboratory: encodes of every rate, and good footage of every kind.
WILD = Recipe("wild", clean=0.42, encoded=0.46, awkward=0.35, in_use=True, softened=True)
# As wild, with scenes that differ more: encodes of the same few clips are learned by heart.
USED = replace(WILD, name="used", varied=True, later=1)
# Colours right and wrong, for what is judged of whole frames (training.beside).
COLOURS = Recipe(
    "colours",
    clean=0.5,
    encoded=0.0,
    emphasis=((Artifact.COLOR_SATURATION, 30.0),),
    awkward=0.25,
    varied=True,
    later=1,
)


# Ghosts beside what they are taken for, for what is judged by trails (training.beside).
GHOSTS = Recipe(
    "ghosts",
    clean=0.18,
    encoded=0.10,
    emphasis=(
        (Artifact.GHOSTING, 25.0),
        (Artifact.MOTION_BLUR, 3.0),
        (Artifact.JUDDER, 2.0),
    ),
    awkward=0.15,
    varied=True,
    later=2,
    in_use=True,
)

Step = tuple[Generator, float, int]  # what is done, how strongly, and its own seed


@dataclass(frozen=True)
class Plan:
    """One sample's chain: generators with strength and seed each, then perhaps an encoder."""

    steps: tuple[Step, ...] = ()
    encoder: Encoder | None = None
    subsampled: bool = True
    note: str = "clean"
    lead: int = 0  # frames that the encoder sees before the seven
    scale: float = 1.0  # size at which the encoder works; what it decodes to is scaled back


def draw_plan(rng: Rng, recipe: Recipe) -> Plan:
    kind = rng.random()
    if kind < recipe.clean:
        encoder = _light_encoder(rng) if rng.random() < 0.5 else None
        plan = Plan((), encoder, rng.random() < 0.85, f"clean {_say(encoder)}")
        return _in_use(plan, rng) if recipe.in_use else plan
    if kind < recipe.clean + recipe.encoded:
        codec, good, bad = REAL_ENCODERS[rng.integers(len(REAL_ENCODERS))]
        encoder = Encoder(codec, float(rng.uniform(good, bad)))
        plan = Plan((), encoder, True, f"encoded {_say(encoder)}")
        if recipe.in_use and rng.random() < 0.2:
            scale = float(rng.uniform(0.4, 0.85))
            plan = replace(plan, scale=scale, note=f"{plan.note} x{scale:.2f}")
        return _in_use(plan, rng) if recipe.in_use else plan
    count = int(rng.choice([1, 2, 3], p=[0.45, 0.33, 0.22]))
    weights = np.array([dict(recipe.emphasis).get(a, 1.0) for a in ARTIFACTS])
    chosen = rng.choice(len(ARTIFACTS), count, replace=False, p=weights / weights.sum())
    steps: list[Step] = []
    for artifact in sorted((ARTIFACTS[i] for i in chosen), key=ORDER.index):
        options = generators(artifact, held_out=recipe.held_out, later=recipe.later)
        generator = options[rng.integers(len(options))]
        steps.append((generator, float(rng.uniform(0.15, 1.0)), int(rng.integers(2**31))))
    steps = _lasting(steps)
    encoder = _light_encoder(rng) if rng.random() < 0.3 else None
    words = ", ".join(f"{g.artifact.value}/{g.name}@{s:.2f}" for g, s, _ in steps)
    return Plan(tuple(steps), encoder, rng.random() < 0.85, f"{words} {_say(encoder)}")


def _lasting(steps: list[Step]) -> list[Step]:
    """The steps without what judder wipes out: it takes its frames anew from the clean scene.

    A still that was blurred before it had counted as stuttering, by the blur that was gone.
    """
    judder = [n for n, step in enumerate(steps) if step[0].artifact is Artifact.JUDDER]
    return steps[max(judder, default=0) :]


def _in_use(plan: Plan, rng: Rng) -> Plan:
    """The plan with another preset now and then, and in the middle of a stream."""
    encoder = plan.encoder
    if encoder is None:
        return plan
    presets = PRESETS.get(encoder.codec, ())
    if presets and rng.random() < 0.6:
        encoder = replace(encoder, options=(presets[rng.integers(len(presets))],))
    return replace(plan, encoder=encoder, lead=int(rng.integers(0, LONGEST_LEAD + 1)))


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
