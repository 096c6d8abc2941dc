"""Words for a terminal."""

from __future__ import annotations


def shown(text: str) -> str:
    """Text fit for a terminal: bytes that are not UTF-8 and control characters are spelled out."""
    safe = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in safe)
