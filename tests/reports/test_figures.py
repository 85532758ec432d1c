"""Figures of a search: the same laws for every kind, whatever the order, number and end of the trials."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import pandas as pd
import plotly.io as pio
import pytest
from made_trials import SPACE, made_stage, made_trials, texts, traces

from hpsearch.errors import BadInput
from hpsearch.reports import figures
from hpsearch.reports.figures.style import GRID, INK, MUTED, PALETTE, TEMPLATE, empty_figure, log_axis, nothing, panels
from hpsearch.reports.figures.trials import MOST_POINTS, evenly
from hpsearch.reports.importance import Importance
from hpsearch.space import Categorical, Float, Int, Parameter, Space
from hpsearch.statistics import Interval

ONE: dict[str, Parameter] = {"lr": Float(1e-6, 1e-2, log=True)}
LISTS: dict[str, Parameter] = {
    "optimizer": Categorical(("sgd", "a < b & <i>c</i>")),
    "batch_norm": Categorical((True, False)),
}
INTS: dict[str, Parameter] = {
    "hidden_layers": Int(1, 6),
    "batch_size": Int(16, 256, log=True),
    "units": Int(10, 90, step=10),
}


Make = Callable[..., Any]
SHARES = Importance({"lr": 0.7, "dropout": 0.3}, {"lr": 0.4, "dropout": 0.5}, 60, 6)
KINDS: dict[str, Make] = {
    "parameter": lambda of, **more: figures.score_by_parameters(of, dict(list(of.stage.space.items())[:1]), **more),
    "parameters": lambda of, **more: figures.score_by_parameters(of, narrowed=of.stage.space, **more),
    "pair": lambda of, **more: figures.pair(
        [of], next(iter(of.stage.space)), list(of.stage.space)[-1], ranges=[of.stage], **more
    ),
    "parallel": figures.parallel,
    "history": lambda of, **more: figures.search_history([of], interval=Interval(0.5, 0.9), **more),
    "lineage": lambda of, **more: figures.lineage([of], **more),
    "stages": lambda of, **more: figures.scores_by_stage([of], **more),
    "isolation": figures.isolation,
    "budget": figures.best_of_n,
}
FEW = {
    "no trial": made_trials(0),
    "one": made_trials(1),
    "one failed": made_trials(1, failed=1),
    "only failures": made_trials(5, failed=5),
    "only pruned": made_trials(5, pruned=5),
    "running": made_trials(3, running=3),
    "two of the same score": made_trials(2).assign(score=0.5),
    "a bit of all": made_trials(12, pruned=3, failed=3, running=2),
}
EMPTY = {
    "no trial": "there are no trials yet",
    "one failed": "the one trial failed",
    "only failures": "all trials failed",
    "running": "no trial is complete yet",
}


def said(figure: Any) -> str:
    return " | ".join(texts(figure))


@pytest.mark.parametrize("few", FEW)
@pytest.mark.parametrize("kind", KINDS)
def test_few_trials_of_any_end_are_plotted_or_said(kind: str, few: str) -> None:
    figure = KINDS[kind](made_stage(FEW[few]), title="a title")
    assert figure.to_json()
    assert len(figures.describe(figure)) > 20
    assert figure.layout.title.text == "a title"
    assert figure.layout.width is None  # as wide as its place
    if kind != "lineage" and few in EMPTY:
        assert EMPTY[few] in said(figure)


@pytest.mark.parametrize("space", [ONE, LISTS, INTS], ids=["one", "lists", "ints"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_parameter_is_plotted(kind: str, space: Space) -> None:
    assert KINDS[kind](made_stage(made_trials(30, space, pruned=3, failed=3), space)).to_json()


@pytest.mark.parametrize("kind", KINDS)
def test_the_axes_name_the_metric_and_the_parameters(kind: str) -> None:
    figure = KINDS[kind](made_stage(20, metric="validation_loss"))
    axes = [axis.title.text for axis in (*figure.select_xaxes(), *figure.select_yaxes())]
    bar = [trace.marker.colorbar.title.text for trace in figure.data if trace.type == "scatter"]
    words = " | ".join(filter(None, (*axes, *bar, said(figure).replace("<br>", " "))))
    assert "validation loss" in words
    if kind not in ("history", "stages", "budget"):
        assert "lr, log scale" in words or "lr (log)" in words


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_rows_does_not_matter(kind: str) -> None:
    frame = made_trials(80, pruned=10, failed=5, running=2)
    shuffled = frame.sample(frac=1, random_state=1)
    assert KINDS[kind](made_stage(shuffled)).to_json() == KINDS[kind](made_stage(frame)).to_json()


@pytest.mark.parametrize("kind", ["parameter", "parameters", "pair", "history"])
def test_every_trial_is_plotted_as_what_it_is(kind: str) -> None:
    figure = KINDS[kind](made_stage(made_trials(60, pruned=9, failed=7, running=3)))
    panels = len(SPACE) if kind == "parameters" else 1
    for name, symbol, count in (("pruned", "triangle-down-open", 9), ("failed", "x-thin", 7)):
        assert [len(trace.x) for trace in traces(figure, name)] == [count] * panels
        assert {trace.marker.symbol for trace in traces(figure, name)} == {symbol}
    scored = [trace for trace in figure.data if trace.name == "trials" or trace.name.startswith("best 5")]
    assert sum(len(trace.x) for trace in scored) == 41 * panels


@cache
def many() -> pd.DataFrame:
    return made_trials(4000, pruned=300, failed=200)


@pytest.mark.parametrize("kind", KINDS)
def test_of_many_trials_some_are_left_out_and_that_is_said(kind: str) -> None:
    figure = KINDS[kind](made_stage(many()))
    points = sum(len(trace.x) for trace in figure.data if trace.type == "scatter" and trace.mode == "markers")
    assert points <= (MOST_POINTS + 10) * (len(SPACE) if kind in ("parameters", "isolation") else 1)
    if kind not in ("lineage", "isolation", "budget"):
        assert " trials plotted: " in said(figure)
        assert "4,000" in said(figure) or "3,500" in said(figure)
    assert len(figure.to_json()) < 2_000_000


def test_the_best_are_never_left_out() -> None:
    frame = many()
    top = frame.sort_values(["score", "validation_loss", "number"], ascending=[False, True, True]).head(5)
    [best] = traces(figures.score_by_parameters(made_stage(frame), ONE), "best 5")
    assert list(best.x) == pytest.approx(list(top["param:lr"]))
    [line] = traces(figures.parallel(made_stage(frame)), "best 5")
    assert {text.split("<br>")[0] for text in line.text} == {f"trial {number}" for number in top["number"]}


def test_an_even_sample_keeps_both_ends_and_the_order() -> None:
    kept = evenly(100, 0.07).tolist()
    assert (kept[0], kept[-1], len(kept)) == (0, 99, 7)
    assert kept == sorted(kept)
    assert evenly(100, 1.0).tolist() == list(range(100))


@pytest.mark.parametrize("kind", [*KINDS, "importance"])
def test_a_dark_figure_has_no_ink_on_black_and_the_same_data(kind: str) -> None:
    figure = figures.importances(SHARES) if kind == "importance" else KINDS[kind](made_stage(made_trials(30, failed=3)))
    dark = figures.dark(figure)
    text = dark.to_json()
    assert not any(f'"{colour}"' in text for colour in (INK, MUTED, GRID, "white"))
    assert INK in figure.to_json()
    for before, after in zip(figure.data, dark.data, strict=True):
        assert (before.name, before.to_plotly_json().get("x") is None) == (after.name, after.x is None)
        if before.type == "scatter" and before.fill == "toself":
            assert before.fillcolor != after.fillcolor  # as faint as on white, a band would be lost


def test_a_value_that_is_missing_is_a_gap() -> None:
    frame = made_trials(4)
    frame.loc[0, "param:lr"] = math.nan
    frame.loc[1, "param:hidden"] = None
    for make in KINDS.values():
        assert make(made_stage(frame)).to_json()
    y = [y for trace in figures.parallel(made_stage(frame), best=4).data for y in trace.y]
    assert sum(map(math.isnan, y)) == 4 + 2  # after each line, and the two


def test_a_choice_s_name_is_no_markup() -> None:
    trials = made_stage(20, LISTS)
    for kind in ("parameters", "pair", "parallel"):
        text = KINDS[kind](trials).to_json().replace("\\u003c", "<").replace("\\u003e", ">")
        assert "a &lt; b" in text
        assert "<i>" not in text


CHOICES = SPACE["hidden"]
SOME = made_stage(2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: figures.score_by_parameters(SOME, ONE, narrowed={"lr": CHOICES}),
            "lr is a list of choices in one stage",
        ),
        (lambda: figures.score_by_parameters(SOME, ONE, narrowed={"lr": Float(0, 1)}), "lr is on a log scale"),
        (lambda: figures.curve_grid([{"score": 1}], quantity="loss"), "a trial has no curve of its loss"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(make: Any, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        make()
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_house_style_is_each_figure_s_own_and_leaves_plotly_s_default_alone() -> None:
    figure = empty_figure(title="a title")
    assert figure.layout.template == pio.templates[TEMPLATE]
    assert figure.layout.template.layout.colorway == PALETTE
    assert pio.templates.default != TEMPLATE
    assert said(nothing("there is nothing yet")) == "there is nothing yet"


def test_a_long_log_axis_has_ticks_at_powers_of_ten_and_a_short_one_plain_numbers() -> None:
    assert log_axis(1e-6, 1e-2)["nticks"] == 4
    assert "tickformat" not in log_axis(1e-6, 1e-2)
    assert (log_axis(0.0066, 0.1)["tickformat"], log_axis(3e-7, 3e-5)["tickformat"]) == ("~g", "~e")
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
