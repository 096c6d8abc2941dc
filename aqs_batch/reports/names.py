"""How a file name is written down: in text, on a screen and as the name of its page."""

from __future__ import annotations

import hashlib
import re
import unicodedata

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NEEDS_ESCAPE = re.compile(r"\\[xu\\]")
# C0 and C1 controls but tab and newline, and the marks that reorder text: a name ending in
# U+202E "gpj.exe" must not read as "exe.jpg".
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_SLUG_CHARACTERS = 48
_HASH_CHARACTERS = 16


def printable(name: str) -> str:
    r"""A file name as valid Unicode text; an undecodable byte 0x80 reads `\x80`.

    Two names never become one text, for what is escaped can be told and undone.
    """
    if name.isascii() and "\\" not in name:  # nearly all, and every key of a report's JSON
        return name
    if not (_SURROGATE.search(name) or _NEEDS_ESCAPE.search(name)):
        return name
    return _SURROGATE.sub(_escape_surrogate, name.replace("\\", "\\\\"))


def visible(text: str) -> str:
    """Text for a page: what HTML cannot hold, or an eye cannot see, is spelled out."""
    return _INVISIBLE.sub(_spell, _SURROGATE.sub(_escape_surrogate, text))


def visible_name(name: str) -> str:
    """A file name for a page, on one line."""
    return visible(printable(name)).replace("\n", "\\x0a").replace("\t", "\\x09")


def page_name(name: str) -> str:
    """The name of a video's page: a readable slug and a hash of the whole file name.

    Only a-z, 0-9 and "-" before ".html", at most 70 characters, the same in every run.
    """
    last_part = unicodedata.normalize("NFKD", name.rsplit("/", 1)[-1])
    words = re.findall(r"[a-z0-9]+", last_part.encode("ascii", "ignore").decode().lower())
    slug = "-".join(words)[:_SLUG_CHARACTERS].strip("-") or "video"
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{slug}-{digest[:_HASH_CHARACTERS]}.html"


def is_page_name(name: str) -> bool:
    """Whether `page_name` could have made this name."""
    return re.fullmatch(rf"[a-z0-9-]+-[0-9a-f]{{{_HASH_CHARACTERS}}}\.html", name) is not None


def _escape_surrogate(match: re.Match[str]) -> str:
    code = ord(match.group())
    # os.fsdecode maps byte 0xNN to U+DCNN; any other lone surrogate comes from Windows.
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def _spell(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
