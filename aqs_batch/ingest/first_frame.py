"""What the first frame tells that a header does not: how it is turned, its fields and colours."""

from __future__ import annotations

import av
import av.error
import av.video.stream

from aqs_batch.media import colour
from aqs_batch.media.turning import UPRIGHT, turn_of

MOST_PACKETS = 200  # without a frame that decodes; then nothing is known of it


class FirstFrame:
    """The first frame that decodes, of packets as they come; those before it may be damaged."""

    def __init__(self) -> None:
        self.turn = UPRIGHT
        self.is_interlaced = False
        self.colour: tuple[int, int, int, int] = colour.UNSAID
        self._is_found, self._is_whole, self._packets = False, True, 0

    @property
    def decodes(self) -> bool:
        """Whether there is one, and nothing before it was damaged."""
        return self._is_found and self._is_whole

    def look(self, packet: av.Packet[av.video.stream.VideoStream]) -> None:
        """Decode the packet unless the frame is known already."""
        if self._is_found or self._packets == MOST_PACKETS:
            return
        self._packets += 1
        try:
            frame = next(iter(packet.decode()), None)
        except (av.error.FFmpegError, ValueError):
            self._is_whole = False
            return
        if frame is not None:
            self.turn = turn_of(frame)
            self.is_interlaced = bool(frame.interlaced_frame)
            self.colour = colour.tags_of(frame)
            self._is_found = True
