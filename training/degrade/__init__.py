"""The ten artifacts, each with several physically different generators.

They work on uint8 at full resolution, before the tile is cut; borders are reflected and gain is
kept, so that nothing but the artifact itself gives it away. Generators marked held_out are for
evaluation and are never trained on.
"""

from training.degrade import blur, coding, colour, motion, noise
from training.degrade.generator import (
    GENERATORS,
    PAST,
    Clip,
    Generator,
    ahead,
    generators,
    times_ahead,
)

__all__ = [
    "GENERATORS",
    "PAST",
    "Clip",
    "Generator",
    "ahead",
    "blur",
    "coding",
    "colour",
    "generators",
    "motion",
    "noise",
    "times_ahead",
]
