"""The confusion matrix and the mistakes of an evaluation, in a terminal and as figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hpsearch.data.preprocessing import is_picture
from hpsearch.objectives.network.evaluation import Mistake, confusion_table
from hpsearch.objectives.network.figures import confusion_figure, mistakes_figure

MATRIX = [[8, 2, 0], [0, 5, 5], [0, 0, 0]]
NAMES = ("a", "b", "c")


def pictures(*rows: Any) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


def test_a_small_matrix_is_shown_whole() -> None:
    table = confusion_table(MATRIX, NAMES)
    assert list(table) == ["label", "a", "b", "c", "right"]
    assert table["b"] == [2, 5, None]
    assert table["right"] == ["80%", "50%", None]


@pytest.mark.parametrize("names", [[f"{i}" for i in range(13)], ["cat", "caterpillar"]])
def test_a_big_one_by_its_worst_pairs(names: list[str]) -> None:
    matrix = np.zeros((len(names), len(names)), dtype=int)
    matrix[0, 1], matrix[1, 0], matrix[0, 0] = 3, 4, 5
    assert confusion_table(matrix.tolist(), names) == {
        "label": [names[1], names[0]],
        "predicted as": [names[0], names[1]],
        "examples": [4, 3],
        "of the label's": [4, 8],
    }


def test_the_figure_has_every_count_and_colours_the_mistakes_alone() -> None:
    figure = confusion_figure(MATRIX, NAMES, title="a title")
    (heat,) = figure.data
    shares = np.array(heat.z, dtype=float)
    assert np.isnan(np.diag(shares)).all()
    assert (shares[0, 1], shares[1, 2]) == pytest.approx((0.2, 0.5))
    counts = {(a.y, a.x): a.text for a in figure.layout.annotations}
    assert counts == {(0, 0): "8", (0, 1): "2", (1, 1): "5", (1, 2): "5"}
    # The first class stands on top.
    low, high = figure.layout.yaxis.range
    assert low > high
    assert figure.layout.title.text == "a title"


def test_pictures_come_with_label_prediction_and_probability() -> None:
    inputs = pictures([0, 1, 0.5, 0], [0] * 4, [-1, 0, 1, 3])
    figure = mistakes_figure([Mistake(0, 0, 2, 0.987), Mistake(1, 1, 0, 0.5)], inputs, (2, 2), NAMES, title="")
    first, second = figure.data
    assert np.array(first.z)[:, :, 0].tolist() == [[0, 255], [128, 0]]
    assert np.array(second.z).max() == 0
    assert [a.text for a in figure.layout.annotations[:2]] == ["a > c<br>98.7%", "b > a<br>50.0%"]
    # Values beyond 0 and 1 are scaled.
    scaled = mistakes_figure([Mistake(2, 0, 1, 0.9)], inputs, (2, 2), NAMES, title="")
    assert np.array(scaled.data[0].z)[:, :, 0].tolist() == [[0, 64], [128, 255]]
    colour = mistakes_figure([Mistake(0, 0, 1, 0.9)], pictures(np.linspace(0, 1, 12)), (2, 2, 3), NAMES, title="")
    assert np.array(colour.data[0].z).shape == (2, 2, 3)
    assert "no example" in mistakes_figure([], inputs, (2, 2), NAMES, title="").layout.annotations[0].text


def test_names_are_text_and_no_markup() -> None:
    names = ("<b>a</b>", "b&c")
    mistakes = mistakes_figure([Mistake(0, 0, 1, 0.9)], pictures([0] * 4), (2, 2), names, title="")
    for figure in (confusion_figure([[1, 1], [0, 1]], names, title=""), mistakes):
        assert "<b>" not in figure.to_json().replace("\\u003c", "<")


@pytest.mark.parametrize(
    ("shape", "shown"), [((28, 28), True), ((8, 8, 1), True), ((8, 8, 3), True), ((8, 8, 2), False), ((64,), False)]
)
def test_which_examples_are_pictures(shape: tuple[int, ...], shown: bool) -> None:
    assert is_picture(shape) is shown
