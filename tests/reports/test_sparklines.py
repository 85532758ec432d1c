"""Curves in a few characters: all on one scale, as long as they ran, readable without blocks."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.reports.terminal import BLOCKS, DIGITS, WIDTH, Scale, shows_blocks

CURVES = st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), min_size=1, max_size=5)


def test_a_rise_in_steps() -> None:
    curve = [epoch / 8 for epoch in range(1, 9)]
    assert Scale.of([curve]).sparkline(curve) == BLOCKS
    assert Scale.of([curve], blocks=False).sparkline(curve) == "01245789"


def test_each_character_is_the_mean_of_its_epochs() -> None:
    curve = [0.0, 1.0] * 10
    scale = Scale.of([curve])
    assert scale.sparkline(curve) == BLOCKS[4] * WIDTH
    assert scale.sparkline([0.0] * 10 + [1.0] * 10) == BLOCKS[0] * 5 + BLOCKS[-1] * 5


def test_what_was_stopped_early_is_shorter() -> None:
    scale = Scale.of([[0.1] * 12], epochs=50)
    assert [len(scale.sparkline([0.1] * epochs)) for epochs in (0, 1, 5, 12, 25, 50)] == [0, 1, 1, 3, 5, 10]
    assert scale.epochs == 50


@given(curves=CURVES)
def test_rows_compare(curves: list[list[float]]) -> None:
    """A constant curve is drawn no higher than one that lies above it, whatever else is in the table."""
    scale = Scale.of(curves)
    assert (scale.low, scale.high) == (min(map(min, curves)), max(map(max, curves)))
    flat = sorted(curve[0] for curve in curves)
    marks = [scale.sparkline([value]) for value in flat]
    assert marks == sorted(marks, key=BLOCKS.index)
    assert all(1 <= len(scale.sparkline(curve)) <= WIDTH for curve in curves)
    assert all(set(scale.sparkline(curve)) <= set(BLOCKS) for curve in curves)


def test_what_is_not_finite() -> None:
    curves = [[1.0, math.nan, 3.0], [math.inf, -math.inf, 2.0]]
    scale = Scale.of(curves)
    assert (scale.low, scale.high) == (1.0, 3.0)
    assert scale.sparkline(curves[0]) == f"{BLOCKS[0]} {BLOCKS[-1]}"
    assert scale.sparkline(curves[1]) == f"{BLOCKS[-1]}{BLOCKS[0]}{BLOCKS[4]}"
    assert scale.sparkline([1.0, math.nan]) == BLOCKS[0]  # blanks at the end are nobody's data
    assert Scale.of([[math.nan]]).sparkline([math.nan]) == ""
    assert Scale.of([]).sparkline([]) == ""
    assert Scale.of([[5.0]]).sparkline([5.0]) == BLOCKS[-1]


def test_the_heading_says_the_scale() -> None:
    assert Scale(0.09, 0.794, 50).words == "0.09 to 0.79"
    assert Scale(0.09, 0.794, 50, blocks=False).words == "0 = 0.09, 9 = 0.79"
    assert len(DIGITS) == 10


@pytest.mark.parametrize(("encoding", "shows"), [("utf-8", True), ("latin-1", False), ("ascii", False), (None, False)])
def test_blocks_where_the_output_has_them(encoding: str | None, shows: bool) -> None:
    assert shows_blocks(encoding) is shows
    assert not shows_blocks("no such encoding")
