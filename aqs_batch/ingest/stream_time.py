"""Times that go on where a file's clock starts over, as in recordings that were joined."""

from __future__ import annotations

STARTS_OVER = ("mpegts", "mpeg")  # libav's names of the containers that do such things
AHEAD_S, BACK_S = 10.0, 0.1  # a step that is no step: where ffmpeg draws the line as well


class StreamTime:
    """The times of one stream, packet by packet in the order of the file."""

    def __init__(self, container: str, step_s: float) -> None:
        self._starts_over, self._step_s = container in STARTS_OVER, step_s
        self._expected_s: float | None = None
        self._offset_s = 0.0

    def going_on(self, shown_s: float, decoded_s: float, lasts_s: float) -> float:
        """When a packet is shown, counted on from before the clock was set to another time."""
        if not self._starts_over:
            return shown_s
        if self._expected_s is not None:
            jump_s = decoded_s - self._expected_s
            if jump_s > AHEAD_S or jump_s < -BACK_S:
                self._offset_s -= jump_s
        self._expected_s = decoded_s + (lasts_s or self._step_s)
        return shown_s + self._offset_s
