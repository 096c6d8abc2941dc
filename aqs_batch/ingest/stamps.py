"""What ffmpeg's log tells of the frames it sends: times, scene scores, colours, and complaints."""

from __future__ import annotations

import queue
import re

from aqs_batch.ingest.frames import Colour

# Who says it counts: ffmpeg repeats a file's own tags in its log, whatever they look like.
_FRAME_LINE = re.compile(
    r"\[Parsed_metadata_\d+ @ [^]]+\] \[info\] frame:(\d+)\s+pts:\S+\s+pts_time:(\S+)"
)
_SCENE_LINE = re.compile(r"\[Parsed_metadata_\d+ @ [^]]+\] \[info\] lavfi\.scene_score=(\S+)")
_COLOUR_LINE = re.compile(
    r"\[Parsed_showinfo_\d+ @ [^]]+\] \[info\] "
    r"color_range:(\S+) color_space:(\S+) color_primaries:"
)
SCENE_KEY = "lavfi.scene_score"
_SPEAKER = re.compile(r"\[[^\]]*@ 0x[0-9a-f]+\]\s*")  # "[h264 @ 0x5620fd91bb40] "
# Only what ffmpeg itself calls a complaint: names and titles of files may say "error" as well.
_COMPLAINT = re.compile(r"^(?:\[[^\]]*@ 0x[0-9a-f]+\]\s*)*\[(?:warning|error|fatal|panic)\]\s*")
# What follows from a complaint made before: how ffmpeg's own threads end, with numbers for names.
_AFTERMATH = (
    "Terminating thread",
    "Task finished",
    "Decode error rate",
    "Nothing was written",
    "Error binding",
    "Could not open encoder",
    "Cannot determine format",
    "corrupt input packet",
)
# An MPEG-TS counts its packets: all that ffmpeg sees is that the count leaps.
_LEAP = re.compile(r"\[in#\d+/mpegts @ [^]]+\] \[warning\] Packet corrupt \((.*)\)\.")
_DOLBY_VISION = re.compile(r"\[Parsed_showinfo_\d+ @ [^]]+\] \[info\]   side data - Dolby Vision ")
_STREAM = re.compile(
    r"\[info\]   Stream #0:(\d+)(?:\[0x[0-9a-f]+\])?(?:\(\w+\))?: \w+:"  # as the file is opened
    r"|\[in#0/[^]]*\] \[warning\] New \w+ stream with index (\d+) at pos:"
)
_FIELDS = re.compile(r"\[Eval @ [^]]+\] \[info\] 1\.0")
_CROP = "[info]       Frame Cropping: "  # tags have their colon one column further on
_TROUBLE = re.compile("error|corrupt", re.IGNORECASE)
_STAMP_WAIT_S = 30.0
_COLOUR_WAIT_S = 1.0  # for the last frame's, where those before it are known
MOST_DAMAGE = 5


class Stamps:
    """Times, scene scores and colours of the selected frames, read off ffmpeg's log by line.

    A line may be torn: ffmpeg's threads write at once, and some lines piece by piece. What a torn
    line would have told is made up for when the next frame is told of, for each line waited for in
    vain had cost half a minute, and had put off the times of all frames after it.
    """

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[float, float]] = queue.Queue()
        self._colours: queue.Queue[Colour] = queue.Queue()
        self._stamped = self._coloured = 0  # frames told of so far
        self._pending = float("nan")
        self._colour: Colour | None = None  # the last one told
        self.first_s = 0.0  # time of the first frame told of
        self.damage: list[str] = []
        self.cuts = 0  # that the reader found among the selected frames
        self.turned = 0  # frames played forth and back, where there were no seven in a row
        self._told = False
        self.has_dolby_vision = False
        self.streams = 0  # of the file, whenever they begin
        self.has_fields = False  # in a frame at least, of those looked at
        self.has_crop = False  # its container shows less of the picture than is coded

    def on_line(self, line: str) -> None:
        if match := _FRAME_LINE.match(line):
            self._make_up(int(match[1]))
            self._pending = _number(match[2])
            if not self._told:
                self._told, self.first_s = True, self._pending
        elif match := _SCENE_LINE.match(line):
            self._stamp(_number(match[1]))
        elif match := _COLOUR_LINE.match(line):
            self._paint(Colour(matrix=match[2], range=match[1]))
        elif _DOLBY_VISION.match(line):
            self.has_dolby_vision = True
        elif match := _STREAM.match(line):
            self.streams = max(self.streams, int(match[1] or match[2]) + 1)
        elif _FIELDS.match(line):
            self.has_fields = True
        elif line.startswith(_CROP):
            self.has_crop = True
        elif len(self.damage) < MOST_DAMAGE and _TROUBLE.search(said := complaint(line)):
            # Said twice: as the file is opened, and as it is read.
            self.damage += [said] if said not in self.damage else []

    def _make_up(self, frames: int) -> None:
        """Tell of as many frames, where lines were torn."""
        while self._stamped < frames:
            self._stamp(0.0)
        while self._coloured < frames:
            self._paint(self._colour or Colour())

    def _stamp(self, score: float) -> None:
        self._queue.put((self._pending, score))
        self._pending = float("nan")
        self._stamped += 1

    def _paint(self, colour: Colour) -> None:
        self._colour = colour
        self._colours.put(colour)
        self._coloured += 1

    def next(self) -> tuple[float, float]:
        """(time in s, scene score) of the next frame; nan where ffmpeg could not say."""
        try:
            return self._queue.get(timeout=_STAMP_WAIT_S)
        except queue.Empty:
            return float("nan"), 0.0

    def colour(self) -> Colour:
        """How the next frame's planes are to be read: as it was piped, whatever the file says."""
        try:
            return self._colours.get(timeout=_COLOUR_WAIT_S if self._colour else _STAMP_WAIT_S)
        except queue.Empty:
            return self._colour or Colour()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def complaint(line: str) -> str:
    """What ffmpeg complains of in a line of its log, empty where it only tells."""
    if match := _LEAP.match(line):
        return f"corrupt: packets are missing, or two recordings are joined there ({match[1]})"
    match = _COMPLAINT.match(line)
    said = _SPEAKER.sub("", line[match.end() :]) if match else ""
    return "" if said.startswith(_AFTERMATH) else said
