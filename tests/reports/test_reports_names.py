"""File names as text, on pages and as page names."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from aqs_batch.reports.names import (
    is_page_name,
    page_name,
    printable,
    visible,
    visible_name,
)
from tests.reports.conftest import original

ANY_TEXT = st.text(alphabet=st.characters(), max_size=80)  # lone surrogates included


@given(ANY_TEXT)
def test_printable_is_utf8_and_reversible(name: str) -> None:
    text = printable(name)
    text.encode("utf-8")
    assert original(text) == name


@given(st.binary(max_size=60))
def test_names_that_are_bytes_survive(raw: bytes) -> None:
    name = os.fsdecode(raw)
    assert os.fsencode(original(printable(name))) == raw


def test_undecodable_byte_reads_as_hexadecimal() -> None:
    assert printable("caf\udce9.mp4") == r"caf\xe9.mp4"
    assert printable("café.mp4") == "café.mp4"


def test_literal_backslashes_do_not_collide_with_bytes() -> None:
    assert printable(r"caf\xe9.mp4") != printable("caf\udce9.mp4")
    assert printable(r"a\b.mp4") == r"a\b.mp4"


@given(ANY_TEXT)
def test_page_name_stays_in_its_folder(name: str) -> None:
    page = page_name(name)
    assert is_page_name(page)
    assert "/" not in page and "\\" not in page and not page.startswith(".")
    assert len(page) <= 70


@given(ANY_TEXT, ANY_TEXT)
def test_two_names_have_two_pages(one: str, other: str) -> None:
    assert (page_name(one) == page_name(other)) == (one == other)


def test_page_names_differ_where_slugs_agree() -> None:
    names = ["a b.mp4", "a-b.mp4", "A B.mp4", "x/a b.mp4", "a b\udcff.mp4"]
    assert len({page_name(name) for name in names}) == len(names)
    assert page_name("../../etc/passwd").startswith("passwd-")
    assert page_name("日本.mp4").startswith("mp4-")
    assert page_name("…").startswith("video-")


def test_is_page_name_knows_only_its_own() -> None:
    assert not is_page_name("index.html")
    assert not is_page_name("my-notes.html")


def test_marks_that_reorder_text_are_spelled_out() -> None:
    assert visible("a\u202egpj.exe") == r"a\u202egpj.exe"
    assert visible("a\x00b\nc") == "a\\x00b\nc"
    assert visible_name("a\nb\tc") == r"a\x0ab\x09c"
