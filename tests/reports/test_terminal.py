"""Curves in plain characters, and errors beside scores."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.reports.tables import BLOCKS, WIDTH, Scale, chart, shows_blocks
from hpsearch.statistics.intervals import share_error

curves = st.lists(st.floats(0, 1), min_size=1, max_size=400)
CURVES = st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("share", "count", "error"),
    [(0.8, 100, 0.04), (0.5, 10_000, 0.005), (1.0, 96, math.sqrt(0.98 * 0.02 / 100)), (0.0, 6, 0.4 / math.sqrt(10))],
)
def test_the_standard_error_of_a_share(share: float, count: int, error: float) -> None:
    assert share_error(share, count) == pytest.approx(error)


@given(train=curves, width=st.integers(30, 120), height=st.integers(2, 20))
def test_a_chart_fits_its_place_and_shows_its_extremes(train: list[float], width: int, height: int) -> None:
    lines = chart({"o": train}, width=width, height=height)
    assert len(lines) == height + 2
    assert max(map(len, lines[:-1])) <= width
    assert f"{max(train):.3g}" in lines[0]
    assert f"{min(train):.3g}" in lines[height - 1]
    assert lines[-1].split() == (["1", str(len(train)), "epoch"] if len(train) > 1 else ["1", "epoch"])
    marks = [line.partition("|")[2] for line in lines[:height]]
    padded = [mark.ljust(max(map(len, marks))) for mark in marks]
    assert all(sum(column == "o" for column in columns) == 1 for columns in zip(*padded, strict=True))


def test_higher_is_further_up_and_the_later_curve_is_seen_where_they_meet() -> None:
    lines = chart({".": [0.0] * 15 + [1.0] * 15, "o": [0.0] * 30}, height=3)
    assert [line.partition("|")[2] for line in lines[:3]] == [" " * 15 + "." * 15, "", "o" * 30]
    assert chart({"o": []}) == []


def test_a_sparkline_rises_in_steps_each_the_mean_of_its_epochs() -> None:
    curve = [epoch / 8 for epoch in range(1, 9)]
    assert Scale.of([curve]).sparkline(curve) == BLOCKS
    assert Scale.of([curve], blocks=False).sparkline(curve) == "01245789"
    scale = Scale.of([[0.0, 1.0]], epochs=20)
    assert scale.sparkline([0.0, 1.0] * 10) == BLOCKS[4] * WIDTH
    assert scale.sparkline([0.0] * 10 + [1.0] * 10) == BLOCKS[0] * 5 + BLOCKS[-1] * 5


def test_a_pruned_curve_is_shorter() -> None:
    scale = Scale.of([[0.1] * 12], epochs=50)
    assert [len(scale.sparkline([0.1] * epochs)) for epochs in (0, 1, 5, 12, 25, 50)] == [0, 1, 1, 3, 5, 10]


@given(curves=CURVES)
def test_rows_of_a_table_compare(curves: list[list[float]]) -> None:
    """A constant curve stands no higher than one that lies above it, whatever else is in the table."""
    scale = Scale.of(curves)
    assert (scale.low, scale.high) == (min(map(min, curves)), max(map(max, curves)))
    marks = [scale.sparkline([value]) for value in sorted(curve[0] for curve in curves)]
    assert marks == sorted(marks, key=BLOCKS.index)
    assert all(1 <= len(scale.sparkline(curve)) <= WIDTH for curve in curves)
    assert all(set(scale.sparkline(curve)) <= set(BLOCKS) for curve in curves)


def test_a_sparkline_of_values_that_are_not_finite() -> None:
    curves = [[1.0, math.nan, 3.0], [math.inf, -math.inf, 2.0]]
    scale = Scale.of(curves)
    assert (scale.low, scale.high) == (1.0, 3.0)
    assert scale.sparkline(curves[0]) == f"{BLOCKS[0]} {BLOCKS[-1]}"
    assert scale.sparkline(curves[1]) == f"{BLOCKS[-1]}{BLOCKS[0]}{BLOCKS[4]}"
    assert scale.sparkline([1.0, math.nan]) == BLOCKS[0]  # no blanks at the end
    assert Scale.of([[math.nan]]).sparkline([math.nan]) == Scale.of([]).sparkline([]) == ""
    assert Scale.of([[5.0]]).sparkline([5.0]) == BLOCKS[-1]


def test_the_heading_says_the_scale() -> None:
    assert Scale(0.09, 0.794, 50).words == "0.09 to 0.794"
    assert Scale(0.09, 0.794, 50, blocks=False).words == "0 = 0.09, 9 = 0.794"


@pytest.mark.parametrize(
    ("encoding", "shows"), [("utf-8", True), ("latin-1", False), ("ascii", False), (None, False), ("unknown", False)]
)
def test_blocks_where_the_output_has_them(encoding: str | None, shows: bool) -> None:
    assert shows_blocks(encoding) is shows
