"""Lines, learning curves, paths and histograms: what is drawn is what was given."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hpsearch.errors import BadInput
from hpsearch.reports.figures import (
    activation_histograms,
    bowl,
    by_layer,
    curve_grid,
    curves_by_scale,
    learning_curves,
    lines,
    optimizer_paths,
    training_history,
)

CURVES = {
    "train_loss": [2.0, 1.0, 0.5],
    "train_accuracy": [0.3, 0.6, 0.9],
    "validation_loss": [2.1, 1.4, 1.2],
    "validation_accuracy": [0.2, 0.5, 0.6],
}


def texts(figure: Any) -> list[str]:
    return [annotation.text for annotation in figure.layout.annotations]


def numbers(values: Any) -> Any:
    return pytest.approx(list(values), nan_ok=True)


@pytest.mark.parametrize("quantity", ["accuracy", "loss"])
def test_train_is_dashed_and_validation_solid_in_one_colour_a_name(quantity: Any) -> None:
    other = {name: np.array(values) / 2 for name, values in CURVES.items()}
    figure = learning_curves({"plain": CURVES, "dropout": other}, quantity=quantity)
    by_name = {trace.name: trace for trace in figure.data}
    assert len(by_name) == 4
    for name, curves in (("plain", CURVES), ("dropout", other)):
        train, validation = by_name[f"{name}, train"], by_name[f"{name}, validation"]
        assert (train.line.dash, validation.line.dash) == ("dash", "solid")
        assert train.line.color == validation.line.color
        assert list(train.y) == numbers(curves[f"train_{quantity}"])
        assert list(validation.y) == numbers(curves[f"validation_{quantity}"])
        assert list(train.x) == [1, 2, 3]
    assert len({trace.line.color for trace in figure.data}) == 2
    # Each name stands once, at the end of its validation curve.
    assert texts(figure).count("plain") == texts(figure).count("dropout") == 1


def test_accuracy_goes_from_0_to_1() -> None:
    low, high = learning_curves({"a": CURVES}).layout.yaxis.range
    assert low <= 0
    assert high >= 1
    assert high - low < 1.1


def test_labels_at_the_ends_are_beside_their_lines() -> None:
    figure = lines({"low": [5.0, 0.0], "high": [5.0, 10.0]}, x_title="x", y_title="y")
    low, high = figure.layout.yaxis.range
    places = {annotation.text: annotation.y for annotation in figure.layout.annotations}
    assert places["low"] == pytest.approx((0 - low) / (high - low))
    assert places["high"] == pytest.approx((10 - low) / (high - low))


def test_labels_of_a_log_axis_are_beside_their_lines() -> None:
    figure = lines({"a": [1.0, 1e-4], "b": [1.0, 1e-2]}, x_title="x", y_title="y", log_y=True)
    assert figure.layout.yaxis.type == "log"
    low, high = figure.layout.yaxis.range
    places = {annotation.text: annotation.y for annotation in figure.layout.annotations}
    assert places["b"] == pytest.approx((-2 - low) / (high - low))
    assert places["a"] < places["b"]


def test_many_names_go_into_a_legend() -> None:
    figure = lines({f"line {place}": [1, 2] for place in range(11)}, x_title="x", y_title="y")
    assert all(trace.showlegend for trace in figure.data)
    assert not texts(figure)


def test_lines_take_y_alone_or_x_and_y() -> None:
    figure = lines({"y": [3, 4, 5], "xy": ([10, 20], [1, 2]), "two": (7, 8)}, x_title="x", y_title="y")
    assert [list(trace.x) for trace in figure.data] == [[1, 2, 3], [10, 20], [1, 2]]
    assert [list(trace.y) for trace in figure.data] == [[3, 4, 5], [1, 2], [7, 8]]


def test_a_band_lies_around_its_line_and_inside_the_axes() -> None:
    band = ([0.5, 0.0, 2.0], [2.0, 4.0, 8.0])
    figure = lines({"a": [1, 2, 4]}, x_title="x", y_title="y", bands={"a": band})
    outline, line = figure.data
    assert (list(outline.x), list(outline.y)) == ([1, 2, 3, 3, 2, 1], [0.5, 0, 2, 8, 4, 2])
    assert outline.fillcolor == line.line.color
    assert figure.layout.yaxis.range[0] <= 0 < 8 <= figure.layout.yaxis.range[1]
    # On a log axis a point of the band at 0 is left out.
    figure = lines({"a": [1, 2, 4]}, x_title="x", y_title="y", bands={"a": band}, log_y=True)
    assert list(figure.data[0].y) == [0.5, 2, 8, 2]
    with pytest.raises(BadInput, match="give as many"):
        lines({"a": [1, 2, 4]}, x_title="x", y_title="y", bands={"a": ([1], [2])})


def test_lines_take_dashes_and_log_axes() -> None:
    series = {"a": ([1, 1000], [1e-3, 1.0]), "b": ([1, 10], [0.0, -1.0])}
    figure = lines(series, x_title="x", y_title="y", log_x=True, log_y=True, dashes={"a": "dot"})
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "log")
    assert figure.layout.xaxis.range == pytest.approx((0, 3))
    assert figure.data[0].line.dash == "dot"
    # A log axis has no place for these, and their line has no end to be named at.
    assert all(math.isnan(y) for y in figure.data[1].y)
    assert texts(figure) == ["a"]


def test_what_is_not_finite_is_a_gap() -> None:
    figure = lines({"a": [1.0, math.inf, math.nan, 4.0]}, x_title="x", y_title="y")
    assert list(figure.data[0].y) == numbers([1, math.nan, math.nan, 4])
    assert max(figure.layout.yaxis.range) < 5


def test_history_has_a_panel_for_loss_and_one_for_accuracy() -> None:
    figure = training_history(CURVES)
    assert texts(figure)[:2] == ["loss", "accuracy"]
    drawn = {(trace.xaxis, trace.line.dash): list(trace.y) for trace in figure.data}
    assert drawn == {
        ("x", "dash"): CURVES["train_loss"],
        ("x", "solid"): CURVES["validation_loss"],
        ("x2", "dash"): CURVES["train_accuracy"],
        ("x2", "solid"): CURVES["validation_accuracy"],
    }
    assert len(training_history({"validation_accuracy": [0.5]}).data) == 1


def test_curve_grid_draws_the_best_20_with_rank_score_and_lr() -> None:
    rows = [{"score": 0.9 - place / 100, "param:lr": 0.01, **CURVES} for place in range(25)]
    figure = curve_grid(rows)
    titles = texts(figure)[:20]
    assert titles[0] == "1: 0.9, lr 0.01"
    assert titles[19].startswith("20: 0.71")
    assert len({trace.xaxis for trace in figure.data}) == 20
    assert [trace.line.dash for trace in figure.data] == ["dash", "solid"] * 20
    # Shared axes: one zoom moves all.
    assert len({axis.matches for axis in figure.select_yaxes()} - {None}) == 1
    assert len({axis.range for axis in figure.select_yaxes()}) == 1
    assert texts(curve_grid([{"score": 0.5, "validation_accuracy": [0.5]}]))[0] == "1: 0.5"


def test_curves_by_scale_has_16_panels_and_one_legend() -> None:
    scales = np.logspace(0, -4, 16)
    curves = {scale: {"batch norm": [0.5, 0.9], "plain": [0.1, 0.1 + scale / 2]} for scale in scales}
    figure = curves_by_scale(curves)
    assert len({trace.xaxis for trace in figure.data}) == 16
    assert sorted(trace.name for trace in figure.data if trace.showlegend) == ["batch norm", "plain"]
    assert len({(trace.name, trace.line.color) for trace in figure.data}) == 2
    assert list(figure.data[-1].y) == numbers([0.1, 0.1 + 1e-4 / 2])


def test_optimizer_paths_start_at_the_start_and_show_the_minimum() -> None:
    steps = np.linspace([-7, 2], [0, 0], 31)
    figure = optimizer_paths({"SGD": steps, "Adam": steps[::2], "RMSProp": steps[:1]})
    paths = [trace for trace in figure.data if trace.type == "scatter" and trace.name != "minimum"]
    assert [trace.name for trace in paths] == texts(figure)[:3] == ["SGD", "Adam", "RMSProp"]
    assert all((trace.x[0], trace.y[0]) == (-7, 2) for trace in paths)
    assert list(paths[0].x) == numbers(steps[:, 0])
    stars = [trace for trace in figure.data if trace.name == "minimum"]
    assert len(stars) == 3
    assert {(*trace.x, *trace.y) for trace in stars} == {(0.0, 0.0)}
    assert figure.layout.xaxis.range[0] < -7 < 0 < figure.layout.xaxis.range[1]


def test_the_contours_are_those_of_the_function() -> None:
    figure = optimizer_paths({"SGD": [[-7, 2], [0, 0]]})
    contour = next(trace for trace in figure.data if trace.type == "contour")
    x, y = np.meshgrid(contour.x, contour.y)
    height = np.asarray(contour.z) ** 2
    # Drawn is the root above the lowest point of the mesh: lines of equal height all the same.
    assert np.allclose(height, bowl(x, y) - bowl(x, y).min())


def test_a_path_that_flies_off_does_not_shrink_the_others() -> None:
    away = np.array([[-7.0, 2.0], [1e6, -1e9], [math.nan, math.inf]])
    figure = optimizer_paths({"SGD": away, "Adam": [[-7, 2], [0, 0]]})
    assert np.ptp(figure.layout.xaxis.range) < 40
    assert np.ptp(figure.layout.yaxis.range) < 40


@pytest.mark.parametrize("x_range", [None, (0.0, 1.0)])
def test_histograms_have_a_row_a_scheme_and_a_column_a_layer(x_range: Any) -> None:
    rng = np.random.default_rng(0)
    values = {scheme: [rng.uniform(0, 1, (50, 10)) for _ in range(5)] for scheme in ("Xavier", "He")}
    figure = activation_histograms(values, x_range=x_range)
    assert len(figure.data) == 10
    assert len({trace.xaxis for trace in figure.data}) == 10
    for trace, layer in zip(figure.data, [layer for layers in values.values() for layer in layers], strict=True):
        assert sum(trace.y) == pytest.approx(1)
        counts, _ = np.histogram(layer, bins=len(trace.y), range=x_range or (0, max(map(np.max, values[trace.name]))))
        assert list(trace.y) == numbers(counts / layer.size)
        assert f"std {layer.std():.2g}" in texts(figure)
    if x_range:
        assert len({axis.range for axis in figure.select_xaxes()}) == 1


def test_zeros_of_relu_are_told_and_not_drawn() -> None:
    layer = np.concatenate([np.zeros(60), np.linspace(0.5, 1, 40)])
    figure = activation_histograms({"He": [layer]}, x_range=(0, 1))
    assert f"std {layer.std():.2g}, 60% zero" in texts(figure)
    assert figure.data[0].y[0] == 0
    assert sum(figure.data[0].y) == pytest.approx(1)
    # All zero is what the layer is: then they are drawn.
    dead = activation_histograms({"He": [np.zeros(10)]}, x_range=(0, 1))
    assert dead.data[0].y[0] == 1


def test_by_layer_counts_layers_from_1_on_a_log_axis() -> None:
    figure = by_layer({"He": [0.9, 0.8, 0.7], "normal(0.01)": [1e-1, 1e-3, 1e-5]}, y_title="std")
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.xaxis.dtick == 1
    assert list(figure.data[1].x) == [1, 2, 3]
    assert list(figure.data[1].y) == numbers([1e-1, 1e-3, 1e-5])


@pytest.mark.parametrize(
    "figure",
    [
        lambda: learning_curves({}),
        lambda: learning_curves({"a": {"train_accuracy": [], "validation_accuracy": []}}),
        lambda: learning_curves({"a": {"validation_accuracy": [math.nan]}}),
        lambda: training_history({}),
        lambda: training_history({"train_loss": []}),
        lambda: curve_grid([]),
        lambda: curves_by_scale({}),
        lambda: curves_by_scale({0.1: {}}),
        lambda: optimizer_paths({}),
        lambda: lines({}, x_title="x", y_title="y"),
        lambda: lines({"a": []}, x_title="x", y_title="y"),
        lambda: lines({"a": [0.0, -1.0]}, x_title="x", y_title="y", log_y=True),
        lambda: activation_histograms({}),
        lambda: activation_histograms({"He": []}),
        lambda: by_layer({}, y_title="std"),
    ],
)
def test_nothing_to_draw_is_said_in_words(figure: Any) -> None:
    drawn = figure()
    assert not drawn.data
    assert any("there " in text for text in texts(drawn))


@pytest.mark.parametrize(
    ("figure", "says"),
    [
        (lambda: learning_curves({"a": {"train_loss": [1]}}), "a has no accuracy; it has train_loss"),
        (lambda: learning_curves({"a": {}}), "a has no accuracy; it has nothing"),
        (lambda: learning_curves({"a": CURVES}, quantity="los"), "quantity = 'los'; give accuracy or loss"),  # type: ignore[arg-type]
        (lambda: training_history({"train_los": [1]}), "did you mean 'train_loss'"),
        (lambda: curve_grid([{"scores": 1, **CURVES}]), "row 1 has no score"),
        (lambda: curves_by_scale({0.1: {"plain": ["x"]}}), "plain at 0.1: not a row of numbers"),
        (lambda: optimizer_paths({"SGD": [[1, 2, 3]]}), "the path of SGD has the shape (1, 3); give (T + 1, 2)"),
        (lambda: optimizer_paths({"SGD": [["a", "b"]]}), "not an array of numbers"),
        (lambda: lines({"a": [[1, 2]]}, x_title="x", y_title="y"), "a has the shape (1, 2)"),
        (lambda: lines({"a": ([1, 2], [1])}, x_title="x", y_title="y"), "a has 2 x and 1 y"),
        (lambda: lines({"a": [1]}, x_title="x", y_title="y", dashes={"b": "dash"}), "a dash for 'b'"),
        (lambda: activation_histograms({"He": [["x"]]}), "the activations of He"),
    ],
)
def test_what_does_not_fit_is_refused(figure: Any, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        figure()
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
