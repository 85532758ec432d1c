"""Texts of anybody on a terminal."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.text import duration, printable, printable_line, reason, rounded, span


@given(text=st.text())
def test_nothing_that_steers_is_left_and_nothing_else_changes(text: str) -> None:
    shown = printable(text)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)
    if text.isprintable():
        assert shown == text


def test_spaces_of_any_width_stay() -> None:
    assert printable("5\xa0MB\u2009or\x1b[31m") == "5\xa0MB\u2009or\\x1b[31m"


def test_a_reason_is_one_line_of_an_error() -> None:
    assert [reason(KeyError("lr")), reason(ValueError("a\n  b")), reason(AssertionError())] == [
        "KeyError: 'lr'",
        "ValueError: a b",
        "AssertionError",
    ]
    assert len(reason(ValueError("x" * 9999))) == 500


@given(text=st.text(max_size=50), times=st.sampled_from([1, 100, 10_000]))
def test_a_line_is_bounded_and_steers_nothing(text: str, times: int) -> None:
    for shown in (printable_line(text * times), printable(text * times, 200)):
        assert all(character.isprintable() or character.isspace() for character in shown)
        assert len(shown) <= 10 * 3000
    assert printable("x" * 10_000, 200) == "x" * 100 + " ... (10,000 characters) ... " + "x" * 71


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.815, "0.82"),
        (0.8149, "0.81"),
        (1, "1.00"),
        (1e-9, "0.00"),
        (0.005, "0.01"),
        (math.inf, "inf"),
        (1e30, f"{1e30:.2f}"),
        (-1.255, "-1.26"),
    ],
)
def test_people_round_halves_up(value: float, shown: str) -> None:
    assert rounded(value, 2) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0341, "0.034 s"), (9.96, "10 s"), (120, "120 s"), (200, "3 min"), (7100, "118 min"), (12_600, "3.5 h")],
)
def test_a_span_of_time_has_no_exponent(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0.5", 0.5),
        ("90s", 90),
        ("10m", 600),
        ("10 min", 600),
        ("1.5h", 5400),
        ("1h 30m", 5400),
        ("2d", 172800),
    ],
)
def test_a_span_of_time_is_read(text: str, seconds: float) -> None:
    assert span(text) == seconds


@pytest.mark.parametrize(
    "value", ["", "m", "10 minutes", "1h30", "ten", "10m!", "1,5h", "0s", "nan", "inf", -1, 10**400, True, None]
)
def test_what_is_no_span_of_time_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not a span of time above 0"):
        span(value)
