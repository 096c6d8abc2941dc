"""What comes along with a decoded frame, by name: light levels, captions, how it is seen."""

from __future__ import annotations

from typing import Any

NAMELESS = "what has no name here"  # the newest kinds, as spatial video's second eye


def names(frame: Any) -> set[str]:
    """As PyAV calls them; where one has no name there, it tells of none of them."""
    try:
        return {data.type.name for data in frame.side_data}
    except ValueError:
        return {NAMELESS}
