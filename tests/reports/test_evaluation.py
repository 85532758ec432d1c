"""The confusion matrix and the mistakes, on a terminal and as figures."""

from __future__ import annotations

import numpy as np
import pytest

from hpsearch.errors import BadInput
from hpsearch.reports.confusion import confusion_table
from hpsearch.reports.figures import Picture, confusion, mistakes
from hpsearch.reports.figures.evaluation import is_picture

MATRIX = [[8, 2, 0], [0, 5, 5], [0, 0, 0]]
NAMES = ("a", "b", "c")


def test_a_small_matrix_is_shown_whole() -> None:
    table = confusion_table(MATRIX, NAMES)
    assert list(table) == ["label", "a", "b", "c", "right"]
    assert table["b"] == ["2", "5", "."]
    assert table["right"] == ["80%", "50%", None]


@pytest.mark.parametrize("names", [[f"{i}" for i in range(13)], ["cat", "caterpillar"]])
def test_of_a_big_one_the_worst_pairs(names: list[str]) -> None:
    matrix = np.zeros((len(names), len(names)), dtype=int)
    matrix[0, 1], matrix[1, 0], matrix[0, 0] = 3, 4, 5
    table = confusion_table(matrix.tolist(), names)
    assert table["label"] == [names[1], names[0]]
    assert table["taken for"] == [names[0], names[1]]
    assert table["images"] == [4, 3]
    assert table["of the label's"] == [4, 8]


def test_the_figure_has_every_count_and_colours_the_mistakes_alone() -> None:
    figure = confusion(MATRIX, NAMES)
    (heat,) = figure.data
    shares = np.array(heat.z, dtype=float)
    assert np.isnan(np.diag(shares)).all()
    assert shares[0, 1] == pytest.approx(0.2)
    assert shares[1, 2] == pytest.approx(0.5)
    written = {(a.y, a.x): a.text for a in figure.layout.annotations}
    assert written == {(0, 0): "8", (0, 1): "2", (1, 1): "5", (1, 2): "5"}
    # The first class stands on top.
    low, high = figure.layout.yaxis.range
    assert low > high


def test_what_does_not_fit_is_refused_and_nothing_is_said() -> None:
    with pytest.raises(BadInput, match="2 classes"):
        confusion(MATRIX, ("a", "b"))
    assert "no image was scored" in confusion([[0]], ("a",)).layout.annotations[0].text
    assert "no image was classified wrong" in mistakes([], (2, 2), NAMES).layout.annotations[0].text
    with pytest.raises(BadInput, match="no pictures"):
        mistakes([], (4,), NAMES)
    with pytest.raises(BadInput, match="a picture of 3 values"):
        mistakes([Picture([0, 0, 0], 0, 1, 0.9)], (2, 2), NAMES)


def test_names_are_text_and_no_markup() -> None:
    names = ("<b>a</b>", "b&c")
    for figure in (confusion([[1, 1], [0, 1]], names), mistakes([Picture([0.0] * 4, 0, 1, 0.9)], (2, 2), names)):
        assert "<b>" not in figure.to_json().replace("\\u003c", "<")


@pytest.mark.parametrize(
    ("shape", "drawn"), [((28, 28), True), ((8, 8, 1), True), ((8, 8, 3), True), ((8, 8, 2), False), ((64,), False)]
)
def test_which_examples_are_pictures(shape: tuple[int, ...], drawn: bool) -> None:
    assert is_picture(shape) is drawn


def test_pictures_come_with_label_prediction_and_probability() -> None:
    pictures = [Picture([0, 1, 0.5, 0], 0, 2, 0.987), Picture([0] * 4, 1, 0, 0.5)]
    figure = mistakes(pictures, (2, 2), NAMES)
    first, second = figure.data
    assert np.array(first.z)[:, :, 0].tolist() == [[0, 255], [128, 0]]
    assert np.array(second.z).max() == 0
    assert [a.text for a in figure.layout.annotations[:2]] == ["a > c<br>98.7%", "b > a<br>50.0%"]
    colour = mistakes([Picture(np.linspace(0, 1, 12), 0, 1, 0.9)], (2, 2, 3), NAMES)
    assert np.array(colour.data[0].z).shape == (2, 2, 3)


def test_values_beyond_0_and_1_are_scaled() -> None:
    figure = mistakes([Picture([-1.0, 0.0, 1.0, 3.0], 0, 1, 0.9)], (2, 2), NAMES)
    assert np.array(figure.data[0].z)[:, :, 0].tolist() == [[0, 64], [128, 255]]
