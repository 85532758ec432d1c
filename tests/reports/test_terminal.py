from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hpsearch.reports.terminal import chart

curves = st.lists(st.floats(0, 1), min_size=1, max_size=400)


@given(train=curves, width=st.integers(30, 120), height=st.integers(2, 20))
def test_a_chart_fits_its_place_and_shows_its_extremes(train: list[float], width: int, height: int) -> None:
    lines = chart({"o": train}, width=width, height=height)
    assert len(lines) == height + 2
    assert max(map(len, lines[:-1])) <= width
    assert f"{max(train):.3g}" in lines[0]
    assert f"{min(train):.3g}" in lines[height - 1]
    assert lines[-1].split() == (["1", str(len(train)), "epoch"] if len(train) > 1 else ["1", "epoch"])
    marks = [line.partition("|")[2] for line in lines[:height]]
    assert all(sum(column == "o" for column in columns) == 1 for columns in zip(*_padded(marks), strict=True))


def _padded(marks: list[str]) -> list[str]:
    width = max(map(len, marks))
    return [mark.ljust(width) for mark in marks]


def test_higher_is_further_up_and_the_later_curve_is_seen_where_they_meet() -> None:
    lines = chart({".": [0.0] * 15 + [1.0] * 15, "o": [0.0] * 30}, height=3)
    assert [line.partition("|")[2] for line in lines[:3]] == [" " * 15 + "." * 15, "", "o" * 30]


def test_nothing_makes_no_chart() -> None:
    assert chart({"o": []}) == []
