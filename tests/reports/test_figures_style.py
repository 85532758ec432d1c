"""What all figures share: the template, ticks, labels at the ends of lines, and what they import."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import pairwise

import pytest
from hpsearch.reports.figures.labels import apart
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.reports.figures.style import PALETTE, TEMPLATE, empty_figure, log_axis, nothing, panels


def test_tables_do_without_plotly() -> None:
    script = "import hpsearch.reports.tables, sys; print('plotly' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"


def test_the_house_style_is_each_figure_s_own_and_leaves_plotly_s_default_alone() -> None:
    import plotly.io as pio

    figure = empty_figure(title="a title")
    assert figure.layout.template == pio.templates[TEMPLATE]
    assert figure.layout.template.layout.colorway == PALETTE
    assert pio.templates.default != TEMPLATE


def lightness(colour: str) -> float:
    """How light a colour is to the eye, 0 to 1 (the relative luminance of sRGB)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_colour_stands_out_from_white() -> None:
    assert len(set(PALETTE)) == len(PALETTE)
    for colour in PALETTE:
        assert 1.05 / (lightness(colour) + 0.05) > 2.0, colour


@given(
    st.lists(st.floats(-0.5, 1.5), max_size=12),
    st.floats(0.01, 0.3),
)
def test_labels_stand_apart_in_their_order_and_inside(places: list[float], distance: float) -> None:
    moved = apart(places, distance)
    room = min(distance, 1 / max(len(places) - 1, 1))
    assert len(moved) == len(places)
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in moved)
    order = sorted(range(len(places)), key=places.__getitem__)
    for before, after in pairwise(order):
        assert moved[after] - moved[before] >= room - 1e-9


@given(st.lists(st.floats(0, 1), max_size=8))
def test_labels_with_room_stay_where_they_are(places: list[float]) -> None:
    steps = [after - before for before, after in pairwise(sorted(places))]
    distance = min([0.1, *steps]) * 0.999
    if distance > 1e-6:
        assert apart(places, distance) == pytest.approx(places)


def test_a_long_log_axis_has_ticks_at_powers_of_ten_and_a_short_one_plain_numbers() -> None:
    assert log_axis(1e-6, 1e-2)["nticks"] == 4
    assert "tickformat" not in log_axis(1e-6, 1e-2)
    assert log_axis(0.0066, 0.1)["tickformat"] == "~g"
    # Plotly's rule: ticks at 1, 2 and 5 where a tick's share of the axis is above 0.3 decades.
    assert math.log10(0.1 / 0.0066) / log_axis(0.0066, 0.1)["nticks"] > 0.3


@pytest.mark.parametrize(("titles", "columns"), [(1, 5), (5, 5), (7, 5), (20, 5), (16, 4), (3, 2)])
def test_panels_are_as_many_as_titles(titles: int, columns: int) -> None:
    figure = panels([f"t{place}" for place in range(titles)], columns=columns, panel_height=100, x_title="x")
    shown = [axis for axis in figure.select_xaxes() if axis.visible is not False]
    assert len(shown) == titles
    # Below the last panel of each column stand ticks, also where the last row is not full.
    ticked = [axis for axis in shown if axis.showticklabels is not False]
    assert len(ticked) >= min(columns, titles)


def test_nothing_says_so_in_words() -> None:
    figure = nothing("there is nothing yet", title="a title")
    assert [annotation.text for annotation in figure.layout.annotations] == ["there is nothing yet"]
    assert not figure.data
