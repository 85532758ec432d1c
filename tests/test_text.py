"""Texts of anybody on a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hpsearch.text import printable


@given(text=st.text())
def test_nothing_that_steers_is_left_and_nothing_else_changes(text: str) -> None:
    shown = printable(text)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)
    if text.isprintable():
        assert shown == text


def test_spaces_of_any_width_stay() -> None:
    assert printable("5\xa0MB\u2009or\x1b[31m") == "5\xa0MB\u2009or\\x1b[31m"
