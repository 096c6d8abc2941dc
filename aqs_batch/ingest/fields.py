"""Which of MPEG-2's pictures are made of two fields: its header tells of the first picture alone.

A disc or broadcast may begin with film and go on with video. Taken as progressive, all of its video
had been scored with its combs.
"""

from __future__ import annotations

_EXTENSION = b"\0\0\1\xb5"
_SEQUENCE, _PICTURE = 1, 8  # kinds of extensions (H.262, 6.3.1)
_LOOKED_AT_BYTES = 64 * 1024  # what stands before a picture's slices is short
_BOTTOM_FIELD, _FRAME = 2, 3  # structures of a picture


class Mpeg2Fields:
    """The order of the fields of the first picture that has any, "" as long as none has."""

    def __init__(self) -> None:
        self.order = ""
        self._is_progressive = False  # by the sequence's word, which decoders go by

    def look(self, packet: memoryview) -> None:
        """Read the headers of a picture unless the order is known already."""
        if self.order:
            return
        for extension in bytes(packet[:_LOOKED_AT_BYTES]).split(_EXTENSION)[1:]:
            kind = extension[0] >> 4 if len(extension) > 4 else 0
            if kind == _SEQUENCE:
                self._is_progressive = bool(extension[1] & 0x08)
            elif kind == _PICTURE:
                if not self._is_progressive and not extension[4] & 0x80:
                    self.order = _order(extension)
                return


def _order(extension: bytes) -> str:
    structure = extension[2] & 3
    if structure == _FRAME:
        return "tt" if extension[3] & 0x80 else "bb"
    return "bb" if structure == _BOTTOM_FIELD else "tt"
