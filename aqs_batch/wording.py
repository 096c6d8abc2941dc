"""Words for a terminal."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@\s]*@")


def shown(text: str) -> str:
    """Text fit for a terminal: bytes that are not UTF-8 and control characters are spelled out."""
    safe = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in safe)


def without_password(text: str) -> str:
    """Text in which the passwords of URLs are starred out: reports and logs are passed on."""
    return _PASSWORD.sub(r"\1***@", text)
