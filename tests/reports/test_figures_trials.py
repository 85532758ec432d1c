"""Figures of trials: scores against parameters, ranges of stages, scores stage by stage."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpsearch.errors import BadInput
from hpsearch.reports.figures import pair, score_by_parameter, scores_by_stage
from hpsearch.reports.figures.axes import ParameterAxis
from hpsearch.space import Categorical, Float, Int, Parameter

LR = Float(1e-6, 1e-2, log=True)
DECAY = Float(1e-8, 1e-4, log=True)
HIDDEN = Categorical(("50", "100", "100x2"))
SPACE: dict[str, Parameter] = {"lr": LR, "weight_decay": DECAY, "hidden": HIDDEN, "batch_size": Int(10, 200)}


def trials(count: int, *, failed: int = 0, running: int = 0, seed: int = 0) -> pd.DataFrame:
    """Rows as `hpsearch.store.Store.trials` gives them; the last ones failed or run."""
    rng = np.random.default_rng(seed)
    lost = failed + running
    score = np.round(rng.uniform(0.1, 0.9, count), 2)
    score[count - lost :] = math.nan
    return pd.DataFrame(
        {
            "number": range(count),
            "state": ["COMPLETE"] * (count - lost) + ["FAIL"] * failed + ["RUNNING"] * running,
            "score": score,
            "validation_loss": rng.uniform(0.5, 2, count),
            "param:lr": 10 ** rng.uniform(-6, -2, count),
            "param:weight_decay": 10 ** rng.uniform(-8, -4, count),
            "param:hidden": rng.choice(HIDDEN.choices, count),
            "param:batch_size": rng.integers(10, 200, count),
        }
    )


def named(figure: Any, name: str) -> Any:
    [trace] = [trace for trace in figure.data if trace.name == name]
    return trace


def names(figure: Any) -> set[str]:
    return {trace.name for trace in figure.data}


def texts(figure: Any) -> list[str]:
    return [annotation.text for annotation in figure.layout.annotations]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_best_are_highlighted_and_all_trials_are_there(direction: Any) -> None:
    frame = trials(60, failed=7, running=3)
    figure = score_by_parameter(frame, "lr", LR, best=5, direction=direction)
    best, rest, failed = named(figure, "best 5"), named(figure, "trials"), named(figure, "failed")
    assert (len(best.x), len(rest.x), len(failed.x)) == (5, 45, 7)
    complete = frame[frame["state"] == "COMPLETE"]
    assert sorted([*best.x, *rest.x]) == pytest.approx(sorted(complete["param:lr"]))
    assert sorted(failed.x) == pytest.approx(sorted(frame[frame["state"] == "FAIL"]["param:lr"]))
    if direction == "maximize":
        assert min(best.y) >= max(rest.y)
    else:
        assert max(best.y) <= min(rest.y)
    # Failed trials stand below every score, and inside the picture.
    low, high = figure.layout.yaxis.range
    assert low < max(failed.y) < complete["score"].min()
    assert low < complete["score"].min() <= complete["score"].max() < high
    [line] = [shape for shape in figure.layout.shapes if shape.type == "line"]
    assert max(failed.y) < line.y0 < complete["score"].min()


def test_ties_go_to_the_lower_loss_and_then_to_the_lower_number() -> None:
    frame = trials(4).assign(score=0.5, validation_loss=[1.0, 0.7, 0.7, 2.0])
    best = named(score_by_parameter(frame, "lr", LR, best=2), "best 2")
    assert [text.split("<br>")[0] for text in best.text] == ["trial 1", "trial 2"]


def test_the_axis_is_the_parameter_s_own() -> None:
    frame = trials(20)
    wide = Float(6e-4, 1e-1, log=True)
    figure = score_by_parameter(frame, "lr", LR, narrowed=wide)
    assert figure.layout.xaxis.type == "log"
    low, high = figure.layout.xaxis.range
    assert -6.5 < low < -6
    assert -1 < high < -0.5  # the widened end of the next range too
    assert score_by_parameter(frame, "batch_size", Int(10, 200)).layout.xaxis.type != "log"
    assert score_by_parameter(frame, "batch_size", Int(10, 200, log=True)).layout.xaxis.type == "log"


def test_this_range_is_lines_at_its_ends_and_the_next_a_band() -> None:
    figure = score_by_parameter(trials(20), "lr", LR, narrowed=Float(1e-3, 1e-1, log=True))
    ends = [x for x in named(figure, "this range").x if x is not None and not math.isnan(x)]
    assert set(ends) == {1e-6, 1e-2}
    band = named(figure, "next range")
    assert (min(band.x), max(band.x)) == (1e-3, 1e-1)
    assert band.fill == "toself"
    assert (min(band.y), max(band.y)) == figure.layout.yaxis.range


def test_choices_stand_side_by_side_and_the_next_list_may_have_a_gap() -> None:
    frame = trials(50)
    figure = score_by_parameter(frame, "hidden", HIDDEN, narrowed=Categorical(("50", "100x2")))
    assert list(figure.layout.xaxis.ticktext) == ["50", "100", "100x2"]
    rest = named(figure, "trials")
    for x, text in zip(rest.x, rest.text, strict=True):
        assert text.endswith(f"hidden {HIDDEN.choices[round(x)]}")
    bands = [trace for trace in figure.data if trace.name == "next range"]
    assert [[round((min(band.x) + max(band.x)) / 2)] for band in bands] == [[0], [2]]
    assert sum(band.showlegend for band in bands) == 1


def corners(trace: Any) -> tuple[float, float, float, float]:
    return min(trace.x), max(trace.x), min(trace.y), max(trace.y)


def test_rectangles_have_their_corners_at_the_ranges() -> None:
    second: dict[str, Parameter] = {"lr": Float(6.6e-3, 0.1, log=True), "weight_decay": Float(3.4e-7, 1e-4, log=True)}
    figure = pair(trials(40), "lr", "weight_decay", space=SPACE, rectangles={"stage 1": SPACE, "stage 2": second})
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "log")
    outlines = {trace.name: corners(trace) for trace in figure.data if trace.mode == "lines"}
    assert outlines == {"stage 1": (1e-6, 1e-2, 1e-8, 1e-4), "stage 2": (6.6e-3, 0.1, 3.4e-7, 1e-4)}
    low, high = figure.layout.xaxis.range
    assert low < -6 < -1 < high
    labels = [trace for trace in figure.data if trace.mode == "text"]
    assert ["stage 1" in labels[0].text[0], "stage 2" in labels[1].text[0]] == [True, True]
    for label in labels:
        left, right, bottom, top = outlines[label.name]
        assert any(label.x[0] == pytest.approx(x) for x in (left, right))
        assert any(label.y[0] == pytest.approx(y) for y in (bottom, top))


def test_labels_of_the_same_rectangle_take_different_corners() -> None:
    figure = pair(trials(5), "lr", "weight_decay", space=SPACE, rectangles={f"stage {n}": SPACE for n in range(4)})
    places = {(round(math.log10(t.x[0]), 6), round(math.log10(t.y[0]), 6)) for t in figure.data if t.mode == "text"}
    assert len(places) == 4


def test_a_pair_with_choices_has_a_rectangle_for_each_run_of_them() -> None:
    narrowed: dict[str, Parameter] = {"lr": LR, "hidden": Categorical(("50", "100x2"))}
    figure = pair(trials(40), "lr", "hidden", space=SPACE, rectangles={"stage 2": narrowed})
    boxes = [corners(trace) for trace in figure.data if trace.mode == "lines"]
    assert [round((bottom + top) / 2) for *_, bottom, top in boxes] == [0, 2]
    assert len([trace for trace in figure.data if trace.mode == "text"]) == 1


@pytest.mark.parametrize(("direction", "reverse"), [("maximize", False), ("minimize", True)])
def test_trials_are_coloured_by_score_and_the_best_lie_on_top(direction: Any, reverse: bool) -> None:
    frame = trials(30, failed=4)
    figure = pair(frame, "lr", "weight_decay", space=SPACE, direction=direction)
    drawn = named(figure, "trials")
    assert sorted(drawn.marker.color) == pytest.approx(sorted(frame["score"].dropna()))
    assert list(drawn.marker.color) == sorted(drawn.marker.color, reverse=reverse)
    assert bool(drawn.marker.reversescale) is reverse
    assert len(named(figure, "failed").x) == 4


def test_scores_by_stage_has_every_score_and_names_the_best() -> None:
    frames = {"stage-01": trials(30, failed=3), "stage-02": trials(20, seed=1), "stage-03": trials(0)}
    figure = scores_by_stage(frames, metric="validation_accuracy")
    for name in ("stage-01", "stage-02"):
        scores = frames[name]["score"].dropna()
        box = named(figure, f"{name}, quartiles")
        assert [box.q1[0], box.median[0], box.q3[0]] == pytest.approx(np.quantile(scores, [0.25, 0.5, 0.75]))
        assert (box.lowerfence[0], box.upperfence[0]) == (scores.min(), scores.max())
        assert sorted(named(figure, name).y) == pytest.approx(sorted(scores))
        assert f"best {scores.max():.4g}" in texts(figure)
    assert list(figure.layout.xaxis.ticktext) == [
        "stage-01<br>27 complete<br>3 failed",
        "stage-02<br>20 complete",
        "stage-03<br>0 complete",
    ]
    assert figure.layout.yaxis.title.text == "validation accuracy"
    least = scores_by_stage({"a": frames["stage-02"]}, direction="minimize")
    assert f"best {frames['stage-02']['score'].min():.4g}" in texts(least)


def test_one_trial_is_enough() -> None:
    frame = trials(1)
    assert list(named(score_by_parameter(frame, "lr", LR), "best 1").y) == [frame["score"][0]]
    assert len(named(pair(frame, "lr", "hidden", space=SPACE), "trials").x) == 1
    assert len(named(scores_by_stage({"stage-01": frame}), "stage-01").y) == 1
    for figure in (score_by_parameter(frame, "lr", LR), scores_by_stage({"stage-01": frame})):
        low, high = figure.layout.yaxis.range
        assert low < frame["score"][0] < high


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (trials(0), "there are no trials yet"),
        (trials(1, failed=1), "the one trial failed"),
        (trials(3, failed=3), "all trials failed"),
        (trials(3, failed=1, running=2), "no trial is complete yet"),
    ],
)
def test_no_score_is_said_in_words(frame: pd.DataFrame, says: str) -> None:
    figures = [
        score_by_parameter(frame, "lr", LR, narrowed=LR),
        pair(frame, "lr", "weight_decay", space=SPACE, rectangles={"stage 1": SPACE}),
        scores_by_stage({"stage-01": frame}),
    ]
    for figure in figures:
        assert says in texts(figure)
    failed = int((frame["state"] == "FAIL").sum())
    assert ("failed" in names(figures[0])) is ("failed" in names(figures[1])) is (failed > 0)


@pytest.mark.parametrize(
    ("figure", "says"),
    [
        (lambda: score_by_parameter(trials(2), "lrr", LR), "no column 'param:lrr'; did you mean 'param:lr'?"),
        (lambda: score_by_parameter(trials(2), "lr", LR, narrowed=HIDDEN), "lr is a list of choices in one stage"),
        (lambda: score_by_parameter(trials(2), "lr", LR, narrowed=Float(0, 1)), "lr is on a log scale"),
        (lambda: pair(trials(2), "lr", "weight_decay", space={"lr": LR}), "no parameter 'weight_decay'"),
        (lambda: pair(trials(2), "lr", "lr2", space=SPACE), "no column 'param:lr2'"),
        (lambda: scores_by_stage({"a": trials(2).drop(columns="score")}), "no column 'score'"),
    ],
)
def test_what_does_not_fit_is_refused(figure: Any, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        figure()
    assert says in str(caught.value)


@pytest.mark.parametrize("parameter", [LR, Float(-1.0, 3.0), Int(1, 64, log=True), HIDDEN])
@pytest.mark.parametrize("fraction", [0.0, 0.25, 1.0])
def test_a_fraction_of_an_axis_is_a_place_and_back(parameter: Parameter, fraction: float) -> None:
    axis = ParameterAxis("p", [parameter])
    assert axis.fraction(axis.at(fraction)) == pytest.approx(fraction)


def test_missing_values_have_no_place() -> None:
    assert np.isnan(ParameterAxis("hidden", [HIDDEN]).positions([None, "no choice", "50"])).tolist() == [
        True,
        True,
        False,
    ]
    assert np.isnan(ParameterAxis("lr", [LR]).positions([None, 0.1])).tolist() == [True, False]
