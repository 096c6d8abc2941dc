"""What a Matroska file holds that libav reads over, so that no copy of ours has it.

Of tags of one name it keeps the last, of editions those chapters that go on in time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from aqs_batch.encode.inventory import OWN_TAGS
from aqs_batch.media.elements import Element, elements

_SEGMENT, _INFO, _CHAPTERS, _TAGS = 0x18538067, 0x1549A966, 0x1043A770, 0x1254C367
_LINKS = (0x3CB923, 0x3EB923)  # to the file before and the one after
_EDITION, _IS_ORDERED, _CHAPTER, _TITLE = 0x45B9, 0x45DD, 0xB6, 0x80
_TAG, _TARGETS, _SIMPLE_TAG, _NAME = 0x7373, 0x63C0, 0x67C8, 0x45A3
_LANGUAGES = (0x447A, 0x447B)
_TARGET_LEVEL = 0x68CA  # a number that libav does not go by: it takes the level's name


def told(handle: BinaryIO, end: int) -> Iterator[str]:
    """In words."""
    for segment in elements(handle, 0, end):
        for part in _in(handle, segment) if segment.number == _SEGMENT else ():
            if part.number == _INFO and any(e.number in _LINKS for e in _in(handle, part)):
                yield "the link to the file before or after it"
            elif part.number == _CHAPTERS:
                yield from _of_chapters(handle, part)
            elif part.number == _TAGS:
                yield from _of_tags(handle, part)


def _of_chapters(handle: BinaryIO, chapters: Element) -> Iterator[str]:
    editions = [e for e in _in(handle, chapters) if e.number == _EDITION]
    if len(editions) > 1:
        yield "a second edition of chapters"
    for part in (part for edition in editions for part in _in(handle, edition)):
        if part.number == _IS_ORDERED and any(_bytes(handle, part)):
            yield "the order that the chapters are to be shown in"
        inner = Counter(e.number for e in _in(handle, part)) if part.number == _CHAPTER else {}
        if _CHAPTER in inner:
            yield "a chapter within a chapter"
        if inner.get(_TITLE, 0) > 1:
            yield "a second title of a chapter"


def _of_tags(handle: BinaryIO, tags: Element) -> Iterator[str]:
    seen = Counter(
        (_target(handle, tag), *name)
        for tag in _in(handle, tags)
        if tag.number == _TAG
        for name in _names(handle, tag)
    )
    for (_, name, _), times in seen.items():
        if times > 1 and not name.lower().startswith(OWN_TAGS):
            yield f"a repeated tag {name}"


def _target(handle: BinaryIO, tag: Element) -> tuple[tuple[int, bytes], ...]:
    """What a tag is said of; () for the whole file."""
    parts = (p for t in _in(handle, tag) if t.number == _TARGETS for p in _in(handle, t))
    said = ((p.number, _bytes(handle, p)) for p in parts if p.number != _TARGET_LEVEL)
    return tuple(sorted((number, value) for number, value in said if any(value)))


def _names(handle: BinaryIO, place: Element, above: str = "") -> Iterator[tuple[str, bytes]]:
    """Name and language of each tag; what is said of another tag stands behind its name."""
    for tag in (e for e in _in(handle, place) if e.number == _SIMPLE_TAG):
        parts = {e.number: e for e in _in(handle, tag)}
        name = _bytes(handle, parts[_NAME]).decode(errors="replace") if _NAME in parts else ""
        yield above + name, b" ".join(_bytes(handle, parts[n]) for n in _LANGUAGES if n in parts)
        yield from _names(handle, tag, f"{above}{name}/")


def _in(handle: BinaryIO, element: Element) -> Iterator[Element]:
    return elements(handle, element.body, element.until)


def _bytes(handle: BinaryIO, element: Element) -> bytes:
    handle.seek(element.body)
    return handle.read(element.until - element.body).rstrip(b"\0")
