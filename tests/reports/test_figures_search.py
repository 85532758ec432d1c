"""Figures of a whole search: what is drawn is what the rows say, whatever their order, number and kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_trials import SPACE, made_trials

from hpsearch.errors import BadInput
from hpsearch.records import NewStage
from hpsearch.reports import figures
from hpsearch.reports.figures.style import GRID, INK, MUTED
from hpsearch.reports.figures.trials import MOST_POINTS, thinned
from hpsearch.space import Categorical, Float, Int, Parameter, Space

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
NEXT: dict[str, Parameter] = {**SPACE, "lr": Float(1e-4, 3e-2, log=True), "hidden": Categorical(("50", "100x2"))}


def stage(number: int, space: Space, parent: int | None = None) -> NewStage:
    return NewStage("mnist", number, "maximize", 0, space, {}, parent)


STAGES = [stage(1, SPACE), stage(2, NEXT, 1), stage(3, SPACE, 1)]

Draw = Callable[[pd.DataFrame, Space], Any]
KINDS: dict[str, Draw] = {
    "parameter": lambda frame, space: figures.score_by_parameter(frame, next(iter(space)), space[next(iter(space))]),
    "parameters": lambda frame, space: figures.score_by_parameters(frame, space, narrowed=space),
    "pair": lambda frame, space: figures.pair(
        frame, next(iter(space)), list(space)[-1], space=space, rectangles={"stage 1": space}
    ),
    "parallel": lambda frame, space: figures.parallel(frame, space),
    "history": lambda frame, space: figures.search_history({"stage 1": frame}, interval=(0.5, 0.9)),
    "lineage": lambda frame, space: figures.lineage([stage(1, space)], {1: frame}),
    "stages": lambda frame, space: figures.scores_by_stage({"stage 1": frame}),
}
FEW = {
    "no trial": made_trials(0),
    "one": made_trials(1),
    "one failed": made_trials(1, failed=1),
    "only failures": made_trials(5, failed=5),
    "only stopped": made_trials(5, pruned=5),
    "running": made_trials(3, running=3),
    "two of the same score": made_trials(2).assign(score=0.5),
    "a bit of all": made_trials(12, pruned=3, failed=3, running=2),
}


def traces(figure: Any, name: str) -> list[Any]:
    return [trace for trace in figure.data if trace.name == name]


def texts(figure: Any) -> str:
    return " | ".join(annotation.text for annotation in figure.layout.annotations)


@pytest.mark.parametrize("few", FEW)
@pytest.mark.parametrize("kind", KINDS)
def test_few_trials_of_any_end_are_drawn_or_said(kind: str, few: str) -> None:
    figure = KINDS[kind](FEW[few], SPACE)
    assert figure.to_json()
    assert len(figures.describe(figure)) > 20
    assert figure.layout.width is None  # as wide as its place


@pytest.mark.parametrize("space", [ONE, LISTS, INTS], ids=["one", "lists", "ints"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_parameter_is_drawn(kind: str, space: Space) -> None:
    frame = made_trials(30, space, pruned=3, failed=3)
    assert KINDS[kind](frame, space).to_json()


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_rows_does_not_matter(kind: str) -> None:
    frame = made_trials(80, pruned=10, failed=5, running=2)
    shuffled = frame.sample(frac=1, random_state=1)
    assert KINDS[kind](shuffled, SPACE).to_json() == KINDS[kind](frame, SPACE).to_json()


@pytest.mark.parametrize("kind", ["parameter", "parameters", "pair", "history"])
def test_every_trial_is_drawn_as_what_it_is(kind: str) -> None:
    figure = KINDS[kind](made_trials(60, pruned=9, failed=7, running=3), SPACE)
    panels = len(SPACE) if kind == "parameters" else 1
    for name, symbol, count in (("stopped early", "triangle-down-open", 9), ("failed", "x-thin", 7)):
        found = traces(figure, name)
        assert [len(trace.x) for trace in found] == [count] * panels
        assert {trace.marker.symbol for trace in found} == {symbol}
    scored = [trace for trace in figure.data if trace.name == "trials" or trace.name.startswith("best 5")]
    assert sum(len(trace.x) for trace in scored) == 41 * panels


@pytest.mark.parametrize("kind", KINDS)
def test_of_many_trials_some_are_left_out_and_that_is_said(kind: str) -> None:
    figure = KINDS[kind](made_trials(4000, pruned=300, failed=200), SPACE)
    points = sum(len(trace.x) for trace in figure.data if trace.type == "scatter" and trace.mode == "markers")
    assert points <= (MOST_POINTS + 10) * (len(SPACE) if kind == "parameters" else 1)
    if kind != "lineage":
        assert " trials drawn: " in texts(figure)
        assert "4,000" in texts(figure) or "3,500" in texts(figure)
    assert len(figure.to_json()) < 2_000_000


def test_the_best_are_never_left_out() -> None:
    frame = made_trials(4000, failed=100)
    top = frame.sort_values(["score", "validation_loss", "number"], ascending=[False, True, True]).head(5)
    [best] = traces(figures.score_by_parameter(frame, "lr", SPACE["lr"]), "best 5")
    assert list(best.x) == pytest.approx(list(top["param:lr"]))
    [line] = traces(figures.parallel(frame, SPACE), "best 5")
    assert {text.split("<br>")[0] for text in line.text} == {f"trial {number}" for number in top["number"]}


def test_thinning_keeps_both_ends_and_the_order() -> None:
    rows = pd.DataFrame({"score": np.arange(100)})
    kept = thinned(rows, 7)["score"].tolist()
    assert (kept[0], kept[-1], len(kept)) == (0, 99, 7)
    assert kept == sorted(kept)
    assert thinned(rows, 100) is rows


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_best_so_far_is_the_best_of_all_trials_before(direction: Any) -> None:
    frames = {
        "stage 1": made_trials(40, failed=5),
        "stage 2": made_trials(30, pruned=4, seed=1),
        "stage 3": made_trials(0),
    }
    figure = figures.search_history(frames, direction=direction)
    scores = pd.concat(frame.loc[frame["state"] != "PRUNED", "score"] for frame in frames.values())
    # Stage 1 has the places 1 to 40.
    places = np.r_[1:41, 41:67]
    [line] = traces(figure, "best so far")
    found = dict(zip(line.x, line.y, strict=True))
    best = math.nan
    for place, score in zip(places, scores, strict=True):
        if math.isfinite(score) and not (score <= best if direction == "maximize" else score >= best):
            best = score
            assert found[place] == best
    assert line.y[-1] == best == (scores.max() if direction == "maximize" else scores.min())
    assert line.line.shape == "hv"
    assert "stage 1" in texts(figure)
    assert "stage 2" in texts(figure)


def test_the_interval_of_the_best_is_a_band_across_all_trials() -> None:
    figure = figures.search_history({"stage 1": made_trials(20)}, interval=(0.61, 0.93))
    [band] = traces(figure, "interval of one trial")
    assert (min(band.y), max(band.y)) == (0.61, 0.93)
    low, high = figure.layout.yaxis.range
    assert low < 0.61 < 0.93 < high
    assert min(band.x) < 1 < 20 < max(band.x)
    assert "0.61 to 0.93, not corrected for its having been chosen as the best" in figures.describe(figure)
    corrected = figures.search_history({"stage 1": made_trials(20)}, interval=(0.6, 0.9), corrected=True)
    assert traces(corrected, "corrected interval of the best")
    assert "without the luck of having been chosen its 95 % interval is 0.6 to 0.9" in figures.describe(corrected)


def test_every_parameter_has_a_panel_on_its_own_scale_with_both_ranges() -> None:
    frame = made_trials(50)
    figure = figures.score_by_parameters(frame, SPACE, narrowed=NEXT)
    axes = list(figure.select_xaxes())
    titles = [axis.title.text for axis in axes if axis.visible is not False]
    assert titles == [
        "learning rate (lr), log scale",
        "weight decay, log scale",
        "hidden layers",
        "batch size",
        "dropout",
    ]
    assert [axis.type for axis in axes[:2]] == ["log", "log"]
    shown = [sorted([*a.x, *b.x]) for a, b in zip(traces(figure, "trials"), traces(figure, "best 5"), strict=True)]
    for name, xs in zip(SPACE, shown, strict=True):
        if not isinstance(SPACE[name], Categorical):
            assert xs == pytest.approx(sorted(frame[f"param:{name}"]))
    band = traces(figure, "next range")[0]
    assert (min(band.x), max(band.x)) == (1e-4, 3e-2)
    assert sum(bool(trace.showlegend) for trace in figure.data) == len({trace.name for trace in figure.data})


def test_a_line_goes_through_its_trial_s_values_to_its_score() -> None:
    frame = made_trials(3)
    figure = figures.parallel(frame, SPACE, best=1)
    best = frame.sort_values("score", ascending=False).iloc[0]
    [line] = traces(figure, "best 1")
    assert list(line.x[:-1]) == list(range(len(SPACE) + 1))
    lr, dropout, score = line.y[0], line.y[4], line.y[5]
    assert lr == pytest.approx(0.03 / 1.06 + (math.log10(best["param:lr"]) + 6) / 4 / 1.06)
    assert dropout == pytest.approx(0.03 / 1.06 + best["param:dropout"] / 0.6 / 1.06)
    others = [y for trace in traces(figure, "trials") for y in trace.y[5::7]]
    assert score > max(others)


def test_a_value_that_is_missing_is_a_gap() -> None:
    frame = made_trials(4)
    frame.loc[0, "param:lr"] = math.nan
    frame.loc[1, "param:hidden"] = None
    for kind in KINDS:
        assert KINDS[kind](frame, SPACE).to_json()
    y = np.concatenate([trace.y for trace in figures.parallel(frame, SPACE, best=4).data])
    assert np.isnan(y).sum() == 4 + 2  # after each line, and the two


def test_lineage_has_each_stage_s_ranges_and_its_best_value() -> None:
    frames = {1: made_trials(30), 2: made_trials(20, NEXT, seed=1)}
    figure = figures.lineage(STAGES, frames)
    for one in STAGES:
        bar = traces(figure, f"stage {one.number}")[0]
        lr = one.space["lr"]
        assert isinstance(lr, Float)
        assert [x for x in bar.x if x is not None] == [lr.low, lr.high]
    for number, frame in frames.items():
        top = frame.sort_values(["score", "validation_loss"], ascending=[False, True]).iloc[0]
        assert traces(figure, f"best of stage {number}")[0].x[0] == top["param:lr"]
    [scores] = traces(figure, "best score")
    assert list(scores.x) == [frame["score"].max() for frame in frames.values()]
    assert list(figure.layout.yaxis.ticktext) == ["stage 1", "stage 2<br>from 1", "stage 3<br>from 1"]
    # Lines lead from the ends of the range that a stage came from to its own ends.
    (link, *_), (other, *_) = traces(figure, "stage 2 from 1"), traces(figure, "stage 3 from 1")
    assert (list(link.x), list(link.y)) == ([1e-6, 1e-4, None, 1e-2, 3e-2, None], [0, 1, None] * 2)
    assert (list(other.x), list(other.y)) == ([1e-6, 1e-6, None, 1e-2, 1e-2, None], [0, 2, None] * 2)
    assert [trace.text for trace in traces(figure, "no score yet")] == [("no score yet",)]
    # A list of choices that has a gap is a bar with one.
    hidden = traces(figure, "stage 2")[2]
    assert [round(x) for x in hidden.x if x is not None] == [0, 0, 2, 2]
    assert "Stage 2, from stage 1: lr 0.0001 .. 0.03 (log)" in figures.describe(figure)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dark_figure_has_no_ink_on_black(kind: str) -> None:
    figure = KINDS[kind](made_trials(30, failed=3), SPACE)
    text = figures.dark(figure).to_json()
    assert not any(f'"{colour}"' in text for colour in (INK, MUTED, GRID, "white"))
    assert INK in figure.to_json()


def test_dark_leaves_the_data_alone() -> None:
    figure = figures.score_by_parameter(made_trials(30), "lr", SPACE["lr"])
    for light, dark in zip(figure.data, figures.dark(figure).data, strict=True):
        assert (light.name, light.mode) == (dark.name, dark.mode)
        for before, after in ((light.x, dark.x), (light.y, dark.y)):
            assert np.array_equal(np.array(before, float), np.array(after, float), equal_nan=True)


def test_a_choice_s_name_is_no_markup() -> None:
    frame = made_trials(20, LISTS)
    for figure in (KINDS["parameters"](frame, LISTS), KINDS["pair"](frame, LISTS), KINDS["parallel"](frame, LISTS)):
        text = figure.to_json().replace("\\u003c", "<").replace("\\u003e", ">")
        assert "a &lt; b" in text
        assert "<i>" not in text


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(BadInput, match="range of 'momentum'"):
        figures.score_by_parameters(made_trials(3), SPACE, narrowed={"momentum": Float(0, 1)})
    with pytest.raises(BadInput, match="no column 'param:lr'"):
        figures.parallel(made_trials(3, LISTS), SPACE)
    with pytest.raises(BadInput, match="no column 'score'"):
        figures.search_history({"a": made_trials(3).drop(columns="score")})


def test_a_page_has_words_for_who_cannot_see_it() -> None:
    page = figures.page(figures.search_history({"stage 1": made_trials(20, failed=2)}))
    assert '<figure aria-label="20 trials: 18 complete, 2 failed; the best score is ' in page
