"""Learning curves: what is plotted is what was given."""

from __future__ import annotations

import math

import pytest
from made_trials import texts

from hpsearch.reports.figures import curve_grid, curves_together, describe, training_curves

CURVES = {
    "train_loss": [2.0, 1.0, 0.5],
    "train_accuracy": [0.3, 0.6, 0.9],
    "validation_loss": [2.1, 1.4, 1.2],
    "validation_accuracy": [0.2, 0.5, math.inf],
}
BOUNDS = {"accuracy": (0.0, 1.0), "loss": None}


def test_a_training_has_a_panel_for_each_quantity_with_train_dashed_and_validation_solid() -> None:
    figure = training_curves(CURVES, bounds=BOUNDS)
    assert texts(figure)[:2] == ["loss", "accuracy"]
    curves = {(trace.xaxis, trace.line.dash): list(trace.y) for trace in figure.data}
    assert curves == {
        ("x", "dash"): CURVES["train_loss"],
        ("x", "solid"): CURVES["validation_loss"],
        ("x2", "dash"): CURVES["train_accuracy"],
        ("x2", "solid"): pytest.approx([0.2, 0.5, math.nan], nan_ok=True),  # what is not finite is a gap
    }
    loss, accuracy = (axis.range for axis in figure.select_yaxes())
    assert accuracy == pytest.approx((0.165, 0.935))
    assert loss == pytest.approx((0.42, 2.18))
    assert len(training_curves({"validation_accuracy": [0.5]}).data) == 1


@pytest.mark.parametrize("falling", [False, True])
def test_curves_that_rise_or_fall_fast_are_not_flat_behind_it(falling: bool) -> None:
    ends = [0.95 + 0.004 * place for place in range(12)]
    curves = [[end - (end - 0.1) * 0.4**epoch for epoch in range(40)] for end in ends]
    rows = [{"score": 1, "train_q": [1e3 * (1 - v) for v in curve] if falling else curve} for curve in curves]
    figure = curve_grid(rows, quantity="q", bounds=None if falling else (0.0, 1.0))
    low, high = figure.layout.yaxis.range
    last = [trace.y[-1] for trace in figure.data]
    assert low < min(last) < max(last) < high
    assert max(last) - min(last) > 0.3 * (high - low)
    assert high <= 1.02 or falling
    assert any(f"{'above' if falling else 'below'} 0.9" in text or "left out" in text for text in texts(figure))


def test_a_grid_shows_the_best_20_with_rank_score_and_a_parameter() -> None:
    rows = [{"score": 0.9 - place / 100, "param:lr": 0.01, **CURVES} for place in range(25)]
    figure = curve_grid(rows, quantity="accuracy", bounds=(0.0, 1.0), parameter="lr", title="a title")
    titles = texts(figure)[:20]
    assert titles[0] == "1: 0.9, lr 0.01"
    assert titles[19].startswith("20: 0.71")
    assert len({trace.xaxis for trace in figure.data}) == 20
    assert [trace.line.dash for trace in figure.data] == ["dash", "solid"] * 20
    # Shared axes: one zoom moves all.
    assert len({axis.matches for axis in figure.select_yaxes()} - {None}) == 1
    assert len({axis.range for axis in figure.select_yaxes()}) == 1
    assert texts(figure)[20:22] == ["epoch", "accuracy"]
    assert texts(curve_grid([{"score": 0.5, "validation_loss": [0.5]}], quantity="loss"))[0] == "1: 0.5"


@pytest.mark.parametrize(
    "curves", [{}, {"train_loss": []}, {"train_loss": [math.nan]}], ids=["none", "empty", "not finite"]
)
def test_nothing_to_plot_is_said_in_words(curves: dict[str, list[float]]) -> None:
    rows = [{"score": 1, **curves}] if curves else []
    for figure in (training_curves(curves), curve_grid(rows, quantity="loss")):
        assert not figure.data
        assert texts(figure) == ["there is no learning curve to plot"]


def test_many_curves_share_axes_and_each_group_is_a_trace_with_gaps_between_its_trials() -> None:
    groups = {"finished last": {3: [0.2, 0.4], 5: [0.1]}, "running": {}, "the best": {7: [0.5, math.inf, 0.9]}}
    figure = curves_together(groups, metric="score_of_it", bounds=(0.0, 1.0))
    finished, best = figure.data
    assert (finished.name, best.name) == ("finished last", "the best")  # no trace of nothing
    assert list(finished.x) == [1, 2, None, 1, None]
    assert list(finished.y) == [0.2, 0.4, None, 0.1, None]
    assert list(finished.text) == ["trial 3"] * 3 + ["trial 5"] * 2
    assert list(best.y)[:3] == pytest.approx([0.5, math.nan, 0.9], nan_ok=True)
    assert best.line.width > finished.line.width
    assert figure.layout.yaxis.title.text == "score of it"
    assert describe(figure) == "Score of it by epoch of trials: 2 finished last, 1 the best."
    assert texts(curves_together({"running": {1: []}}, metric="score")) == ["there is no learning curve to plot"]
