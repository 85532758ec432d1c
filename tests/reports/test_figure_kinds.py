"""What each kind of figure shows: ranges, rectangles, the best so far, lines, boxes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_trials import SPACE, made_stage, made_trials, texts, traces

from hpsearch.reports.figures import (
    best_of_n,
    describe,
    isolation,
    lineage,
    page,
    pair,
    parallel,
    score_by_parameters,
    scores_by_stage,
    search_history,
)
from hpsearch.reports.figures.style import ParameterAxis
from hpsearch.reports.figures.trials import StageTrials, usual
from hpsearch.reports.importance import importance
from hpsearch.space import Categorical, Float, Int, Parameter, Space
from hpsearch.statistics import Interval

LR, HIDDEN = SPACE["lr"], Categorical(("50", "100", "100x2"))
NEXT: dict[str, Parameter] = {**SPACE, "lr": Float(1e-4, 3e-2, log=True), "hidden": Categorical(("50", "100x2"))}


def named(figure: Any, name: str) -> Any:
    [trace] = traces(figure, name)
    return trace


def corners(trace: Any) -> tuple[float, float, float, float]:
    return min(trace.x), max(trace.x), min(trace.y), max(trace.y)


class TestScoreByParameter:
    @pytest.mark.parametrize("direction", ["maximize", "minimize"])
    def test_the_best_are_highlighted_and_failed_trials_stand_below_all_scores(self, direction: Any) -> None:
        frame = made_trials(60, failed=7, running=3)
        figure = score_by_parameters(made_stage(frame, direction=direction), {"lr": LR}, best=5)
        best, rest, failed = named(figure, "best 5"), named(figure, "trials"), named(figure, "failed")
        assert (len(best.x), len(rest.x), len(failed.x)) == (5, 45, 7)
        complete = frame[frame["state"] == "COMPLETE"]
        assert sorted([*best.x, *rest.x]) == pytest.approx(sorted(complete["param:lr"]))
        assert min(best.y) >= max(rest.y) if direction == "maximize" else max(best.y) <= min(rest.y)
        low, high = figure.layout.yaxis.range
        [line] = [shape for shape in figure.layout.shapes if shape.type == "line"]
        assert low < max(failed.y) < line.y0 < complete["score"].min() <= complete["score"].max() < high

    def test_ties_go_to_the_lower_loss_and_then_to_the_lower_number(self) -> None:
        frame = made_trials(4).assign(score=0.5, validation_loss=[1.0, 0.7, 0.7, 2.0])
        best = named(score_by_parameters(made_stage(frame), {"lr": LR}, best=2), "best 2")
        assert [text.split("<br>")[0] for text in best.text] == ["trial 1", "trial 2"]

    def test_the_axis_is_the_parameter_s_own_with_both_ranges(self) -> None:
        figure = score_by_parameters(made_stage(20), {"lr": LR}, narrowed={"lr": Float(6e-4, 1e-1, log=True)})
        assert figure.layout.xaxis.type == "log"
        low, high = figure.layout.xaxis.range
        assert -6.5 < low < -6
        assert -1 < high < -0.5  # the widened end of the next range too
        assert {x for x in named(figure, "this range").x if x is not None} == {1e-6, 1e-2}
        band = named(figure, "next range")
        assert corners(band) == (6e-4, 1e-1, *figure.layout.yaxis.range)
        assert band.fill == "toself"
        trials = made_stage(20)
        assert score_by_parameters(trials, {"batch_size": Int(10, 200)}).layout.xaxis.type != "log"
        assert score_by_parameters(trials, {"batch_size": Int(10, 200, log=True)}).layout.xaxis.type == "log"

    def test_choices_stand_side_by_side_and_the_next_list_may_have_a_gap(self) -> None:
        figure = score_by_parameters(made_stage(50), {"hidden": HIDDEN}, narrowed={"hidden": NEXT["hidden"]})
        assert list(figure.layout.xaxis.ticktext) == ["50", "100", "100x2"]
        trials = named(figure, "trials")
        for x, text in zip(trials.x, trials.text, strict=True):
            assert text.endswith(f"hidden {HIDDEN.choices[round(x)]}")
        bands = traces(figure, "next range")
        assert [round((min(band.x) + max(band.x)) / 2) for band in bands] == [0, 2]
        assert sum(band.showlegend for band in bands) == 1

    def test_every_parameter_has_a_panel_on_its_own_scale(self) -> None:
        frame = made_trials(50)
        figure = score_by_parameters(made_stage(frame), narrowed=NEXT)
        axes = [axis for axis in figure.select_xaxes() if axis.visible is not False]
        titles = ["lr, log scale", "weight decay, log scale", "hidden", "batch size", "dropout"]
        assert [axis.title.text for axis in axes] == titles
        assert [axis.type for axis in axes[:2]] == ["log", "log"]
        shown = [sorted([*a.x, *b.x]) for a, b in zip(traces(figure, "trials"), traces(figure, "best 5"), strict=True)]
        for name, xs in zip(SPACE, shown, strict=True):
            if not isinstance(SPACE[name], Categorical):
                assert xs == pytest.approx(sorted(frame[f"param:{name}"]))
        assert sum(bool(trace.showlegend) for trace in figure.data) == len({trace.name for trace in figure.data})

    def test_choices_are_named_in_full_where_fewer_panels_side_by_side_have_room(self) -> None:
        names = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")
        space: Space = {"lr": LR, "optimizer": Categorical(names), "dropout": Float(0.0, 0.6)}
        figure = score_by_parameters(made_stage(made_trials(20, space), space))
        assert [axis.ticktext for axis in figure.select_xaxes() if axis.ticktext] == [names]


class TestPair:
    def test_rectangles_have_their_corners_at_the_ranges_and_their_names_in_the_legend(self) -> None:
        second: Space = {"lr": Float(6.6e-3, 0.1, log=True), "weight_decay": Float(3.4e-7, 1e-4, log=True)}
        first = made_stage(40)
        figure = pair([first], "lr", "weight_decay", ranges=[first.stage, replace(first.stage, number=2, space=second)])
        assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "log")
        outlines = {trace.name: corners(trace) for trace in figure.data if trace.mode == "lines"}
        assert outlines == {"stage 1": (1e-6, 1e-2, 1e-8, 1e-4), "stage 2": (6.6e-3, 0.1, 3.4e-7, 1e-4)}
        low, high = figure.layout.xaxis.range
        assert low < -6 < -1 < high
        assert [trace.name for trace in figure.data if trace.mode == "lines" and trace.showlegend] == [*outlines]

    def test_choices_have_a_rectangle_for_each_run_of_them(self) -> None:
        trials = made_stage(40)
        figure = pair([trials], "lr", "hidden", ranges=[trials.stage, replace(trials.stage, number=2, space=NEXT)])
        boxes = [corners(trace) for trace in traces(figure, "stage 2") if trace.mode == "lines"]
        assert [round((bottom + top) / 2) for *_, bottom, top in boxes] == [0, 2]
        assert sum(trace.showlegend for trace in traces(figure, "stage 2")) == 1

    def test_the_caption_counts_the_trials_that_have_both(self) -> None:
        frame = made_trials(30)
        frame.loc[frame["number"] < 12, "param:dropout"] = math.nan
        trials = made_stage(frame)
        assert "; the 18 that have both are plotted." in describe(
            pair([trials], "lr", "dropout", ranges=[trials.stage])
        )
        assert "have both" not in describe(pair([trials], "lr", "weight_decay", ranges=[trials.stage]))

    @pytest.mark.parametrize(("direction", "reverse"), [("maximize", False), ("minimize", True)])
    def test_trials_are_coloured_by_score_and_the_best_lie_on_top(self, direction: Any, reverse: bool) -> None:
        frame = made_trials(30, failed=4)
        trials = made_stage(frame, direction=direction)
        marker = named(pair([trials], "lr", "dropout", ranges=[trials.stage]), "trials").marker
        assert list(marker.color) == sorted(frame["score"].dropna(), reverse=reverse)
        assert bool(marker.reversescale) is reverse


class TestHistory:
    @pytest.mark.parametrize("direction", ["maximize", "minimize"])
    def test_the_best_so_far_is_the_best_of_all_trials_before(self, direction: Any) -> None:
        frames = [made_trials(40, failed=5), made_trials(30, pruned=4, seed=1)]
        stages = [
            made_stage(frame, number=n, direction=direction) for n, frame in enumerate([*frames, made_trials(0)], 1)
        ]
        figure = search_history(stages)
        scores = pd.concat(frame.loc[frame["state"] != "PRUNED", "score"] for frame in frames)
        line = named(figure, "best so far")
        steps = dict(zip(line.x, line.y, strict=True))
        best = math.nan
        for place, score in zip(np.r_[1:41, 41:67], scores, strict=True):  # stage 1 has the places 1 to 40
            if math.isfinite(score) and not (score <= best if direction == "maximize" else score >= best):
                best = score
                assert steps[place] == best
        assert line.y[-1] == best == (scores.max() if direction == "maximize" else scores.min())
        assert line.line.shape == "hv"
        assert {"stage 1", "stage 2"} <= set(texts(figure))
        assert "70 trials: 61 complete, 4 pruned, 5 failed over 3 stages; the best score is" in describe(figure)

    def test_the_recommended_trial_has_a_ring(self) -> None:
        stages = [made_stage(made_trials(10, seed=n), number=n) for n in (1, 2)]
        ring = named(search_history(stages, recommended=(2, 3)), "recommended")
        trials = stages[1].complete
        assert list(ring.y) == trials.loc[trials["number"] == 3, "score"].tolist()
        assert list(ring.x) == [14]

    @pytest.mark.parametrize("corrected", [False, True])
    def test_the_interval_of_the_best_is_a_band_across_all_trials(self, corrected: bool) -> None:
        words = f"{'' if corrected else 'not '}corrected for selection, is 0.61 to 0.93"
        figure = search_history([made_stage(20)], interval=Interval(0.61, 0.93), corrected=corrected)
        left, right, bottom, top = corners(named(figure, "95 % interval"))
        assert left < 1 < 20 < right
        assert (bottom, top) == (0.61, 0.93)
        low, high = figure.layout.yaxis.range
        assert low < 0.61 < 0.93 < high
        assert f"its 95 % interval, {words}" in describe(figure)
        assert f"its 95 % interval, {words}" in page(figure)  # for readers who cannot see it


FAR = {
    "parameter": lambda of: score_by_parameters(of, {"lr": LR}),
    "history": lambda of: search_history([of]),
    "stages": lambda of: scores_by_stage([of]),
}


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("kind", FAR)
def test_far_bad_scores_stand_at_the_axis_s_end_and_squash_no_others(kind: str, direction: Any) -> None:
    worse = -1 if direction == "maximize" else 1
    frame = made_trials(60, failed=4)
    frame.loc[[3, 17, 40], "score"] = [worse * 1e6, worse * 50, worse * 2e3]
    usual = frame["score"].dropna().drop([3, 17, 40])
    figure = FAR[kind](made_stage(frame, direction=direction))
    low, high = figure.layout.yaxis.range
    assert low < usual.min() < usual.max() < high
    assert usual.max() - usual.min() > 0.6 * (high - low)
    words = f"below {usual.min():.3g}" if worse < 0 else f"above {usual.max():.3g}"
    far = named(figure, words)
    assert sorted(far.customdata) == sorted(frame["score"][[3, 17, 40]])
    assert low < min(far.y) == max(far.y) < usual.min() if worse < 0 else usual.max() < min(far.y) == max(far.y) < high
    plotted = [y for trace in figure.select_traces({"mode": "markers"}) if trace.name != "failed" for y in trace.y]
    assert len(plotted) == 56
    # Nothing is left out where the others have room.
    assert not any(" 0." in (trace.name or "") for trace in FAR[kind](made_stage(60, direction=direction)).data)


@pytest.mark.parametrize(("far", "left_out"), [(20, True), (22, False)])
def test_an_axis_leaves_out_a_fifth_of_the_scores_at_most(far: int, left_out: bool) -> None:
    scores = [*np.linspace(0.5, 0.6, 100 - far), *[-50.0] * far]
    assert usual(scores, minimize=False) == (0.5 if left_out else -50.0, 0.6)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_far_bad_scores_do_not_take_all_colours(direction: Any) -> None:
    frame = made_trials(60)
    usual = frame["score"].drop(3)
    frame.loc[3, "score"] = -1e6 if direction == "maximize" else 1e6
    trials = made_stage(frame, direction=direction)
    marker = named(pair([trials], "lr", "dropout", ranges=[trials.stage]), "trials").marker
    assert (marker.cmin, marker.cmax) == (usual.min(), usual.max())
    lines = traces(parallel(trials, best=1), "trials")
    assert len({line.line.color for line in lines if line.x[0] is not None}) > 4
    end = (0.03 if direction == "maximize" else 1.03) / 1.06
    assert any(y == pytest.approx(end) for line in lines for y in line.y[5::7])


def test_a_line_goes_through_its_trial_s_values_to_its_score() -> None:
    frame = made_trials(3)
    figure = parallel(made_stage(frame), best=1)
    best = frame.sort_values("score", ascending=False).iloc[0]
    line = named(figure, "best 1")
    assert list(line.x[:-1]) == list(range(len(SPACE) + 1))
    lr, dropout, score = line.y[0], line.y[4], line.y[5]
    assert lr == pytest.approx(0.03 / 1.06 + (math.log10(best["param:lr"]) + 6) / 4 / 1.06)
    assert dropout == pytest.approx(0.03 / 1.06 + best["param:dropout"] / 0.6 / 1.06)
    assert score > max(y for trace in traces(figure, "trials") for y in trace.y[5::7])


def test_ranges_per_value_are_one_in_figures() -> None:
    ranges: Space = {
        "lr[a]": Float(1e-3, 1, log=True),
        "lr[b]": Float(1e-2, 10, log=True),
        "wd[a]": Float(0, 1),
        "wd[b]": Categorical((0, 1)),
    }
    opt = Categorical(("a", "b"))
    frame = made_trials(8, {"opt": opt, **ranges})
    for name in ranges:
        frame[f"param:{name}"] = frame[f"param:{name}"].where(frame["param:opt"] == name[-2])
    space = {"opt": opt, **{name: replace(of, when={"opt": (name[-2],)}) for name, of in ranges.items()}}
    trials = StageTrials.of(replace(made_stage(3).stage, space=space), frame)
    lr = trials.folded
    assert list(lr.varied) == ["opt", "lr", "wd", "wd (choices)"]
    assert (lr.varied["lr"].low, lr.varied["lr"].high) == (1e-3, 10)  # type: ignore[union-attr]
    assert lr.trials["param:lr"].tolist() == frame["param:lr[a]"].fillna(frame["param:lr[b]"]).tolist()
    assert lr.folded is lr
    assert math.isfinite(named(parallel(trials, best=1), "best 1").y[1])
    assert set(importance(StageTrials.of(trials.stage, pd.concat([frame] * 12))).shares) == set(lr.varied)


def test_lineage_has_each_stage_s_ranges_and_its_best_value() -> None:
    frames = {1: made_trials(30), 2: made_trials(20, NEXT, seed=1)}
    stages = [
        made_stage(frames.get(number, made_trials(0)), space, number=number, parent=parent)
        for number, space, parent in ((1, SPACE, None), (2, NEXT, 1), (3, SPACE, 1))
    ]
    figure = lineage(stages)
    for stage in (one.stage for one in stages):
        lr = stage.space["lr"]
        assert isinstance(lr, Float)
        assert [x for x in traces(figure, f"stage {stage.number}")[0].x if x is not None] == [lr.low, lr.high]
    for number, frame in frames.items():
        top = frame.sort_values(["score", "validation_loss"], ascending=[False, True]).iloc[0]
        assert traces(figure, f"best of stage {number}")[0].x[0] == top["param:lr"]
    assert list(named(figure, "best score").x) == [frame["score"].max() for frame in frames.values()]
    assert list(figure.layout.yaxis.ticktext) == ["stage 1", "stage 2<br>from 1", "stage 3<br>from 1"]
    # Lines lead from the ends of the range that a stage came from to its own ends.
    link, other = traces(figure, "stage 2 from 1")[0], traces(figure, "stage 3 from 1")[0]
    assert (list(link.x), list(link.y)) == ([1e-6, 1e-4, None, 1e-2, 3e-2, None], [0, 1, None] * 2)
    assert (list(other.x), list(other.y)) == ([1e-6, 1e-6, None, 1e-2, 1e-2, None], [0, 2, None] * 2)
    assert named(figure, "no score yet").text == ("no score yet",)
    # A list of choices that has a gap is a bar with one.
    hidden = traces(figure, "stage 2")[2]
    assert [round(x) for x in hidden.x if x is not None] == [0, 0, 2, 2]
    assert "Stage 2, from stage 1: lr 0.0001 .. 0.03 (log)" in describe(figure)


def test_scores_by_stage_has_every_score_and_names_the_best() -> None:
    frames = {"stage 1": made_trials(30, failed=3), "stage 2": made_trials(20, seed=1), "stage 3": made_trials(0)}
    stages = [made_stage(frame, number=n, metric="validation_loss") for n, frame in enumerate(frames.values(), 1)]
    figure = scores_by_stage(stages)
    for name in ("stage 1", "stage 2"):
        scores = frames[name]["score"].dropna()
        box = named(figure, f"{name}, quartiles")
        assert [box.q1[0], box.median[0], box.q3[0]] == pytest.approx(np.quantile(scores, [0.25, 0.5, 0.75]))
        assert (box.lowerfence[0], box.upperfence[0]) == (scores.min(), scores.max())
        assert sorted(named(figure, name).y) == pytest.approx(sorted(scores))
        assert f"best {scores.max():.4g}" in texts(figure)
    assert list(figure.layout.xaxis.ticktext) == [
        "stage 1<br>27 complete<br>3 failed",
        "stage 2<br>20 complete",
        "stage 3<br>0 complete",
    ]
    least = scores_by_stage([made_stage(frames["stage 2"], direction="minimize")])
    assert f"best {frames['stage 2']['score'].min():.4g}" in texts(least)


@pytest.mark.parametrize("parameter", [LR, Float(-1.0, 3.0), Int(1, 64, log=True), HIDDEN])
@pytest.mark.parametrize("fraction", [0.0, 0.25, 1.0])
def test_a_fraction_of_an_axis_is_a_place_and_back(parameter: Parameter, fraction: float) -> None:
    axis = ParameterAxis("p", [parameter])
    assert axis.fraction(axis.at(fraction)) == pytest.approx(fraction)


class TestBestOfN:
    def test_the_line_is_in_sight_from_one_trial_on(self) -> None:
        figure = best_of_n(made_stage(60))
        low, high = figure.layout.yaxis.range
        assert low < min(named(figure, "expected best of n").y) < high

    @pytest.mark.parametrize("direction", ["maximize", "minimize"])
    def test_the_line_rises_to_the_best_and_the_forecast_goes_on_from_it(self, direction: Any) -> None:
        frame = made_trials(60, failed=6, pruned=4)
        sign = 1 if direction == "maximize" else -1
        figure = best_of_n(made_stage(frame, direction=direction))
        expected, forecast, so_far = (named(figure, name) for name in ("expected best of n", "forecast", "best so far"))
        complete = frame[frame["state"] == "COMPLETE"]["score"]
        best = complete.max() if sign > 0 else complete.min()
        assert (expected.x[0], expected.x[-1], forecast.x[0], so_far.x[0]) == (1, 60, 60, 60)
        assert expected.y[0] == pytest.approx(complete.mean())
        assert [expected.y[-1], forecast.y[0], so_far.y[0]] == pytest.approx([best] * 3)
        line = sign * np.array([*expected.y, *forecast.y])
        assert (np.diff(line) >= -1e-12).all()
        assert line[-1] > line[len(expected.y) - 1]
        band = named(figure, "95 % interval")
        assert min(sign * np.array(band.y)) == pytest.approx(sign * best)
        assert "50 complete" in describe(figure)
        assert "60 more trials would bring " + ("+0." if sign > 0 else "-0.") in describe(figure)

    def test_a_share_of_examples_is_forecast_up_to_1(self) -> None:
        objective = {"objective": {"kind": "network", "metric": "validation_accuracy"}}
        one = made_stage(made_trials(60).assign(score=np.linspace(0.7, 0.99, 60)))
        one = replace(one, stage=replace(one.stage, study_file=objective, sizes={"validation": 100}))
        assert max(named(best_of_n(one), "95 % interval").y) <= 1 + 1e-9

    def test_few_scores_have_no_forecast(self) -> None:
        assert not traces(best_of_n(made_stage(5)), "forecast")


class TestIsolation:
    def test_the_best_of_each_part_and_the_expected_scores_are_plotted(self) -> None:
        trials = made_stage(made_trials(60, failed=4))
        figure = isolation(trials, {"lr": LR, "hidden": HIDDEN})
        best, all_trials = traces(figure, "best trial of each part"), traces(figure, "trials")
        assert [len(trace.x) for trace in best] == [5, 3]
        assert [len(trace.x) for trace in all_trials] == [56, 56]
        assert max(best[0].y) == max(best[1].y) == trials.complete["score"].iloc[0]
        lines, bands = traces(figure, "expected, others tuned"), traces(figure, "95 % interval")
        for line, band_trace in zip(lines, bands, strict=True):
            known = [y for y in line.y if y is not None]
            assert min(y for y in band_trace.y if y is not None) < min(known)
            assert max(known) < max(y for y in band_trace.y if y is not None)
        # The score rises with lr, and nothing else matters.
        rising = [y for y in lines[0].y if y is not None]
        assert rising[-1] == max(rising)
        assert "lr is expected to be best from 0.0016 to 0.01: score 0.8" in describe(figure)
        assert "hidden is expected to be best" in describe(figure)
        assert "its interval overlaps with that of the 2 other parts" in describe(figure)

    def test_trials_in_one_part_alone_are_compared_with_nothing(self) -> None:
        frame = made_trials(40)
        figure = isolation(made_stage(frame[frame["param:lr"] > 2e-3]), {"lr": LR})
        assert "all values of lr lie from 0.001 to 0.01" in describe(figure)

    def test_few_trials_have_no_band(self) -> None:
        figure = isolation(made_stage(6), {"lr": LR})
        assert not traces(figure, "95 % interval")
        assert "of lr too few trials have a score" in describe(figure).lower()


class TestWhereTrialsFail:
    def test_the_stretch_where_most_fail_is_marked_in_the_parameter_s_panel(self) -> None:
        frame = made_trials(80)
        fails = frame["param:lr"] > 2e-3
        frame = frame.assign(state=np.where(fails, "FAIL", "COMPLETE"), score=frame["score"].mask(fails))
        figure = score_by_parameters(made_stage(frame), {"lr": LR, "dropout": SPACE["dropout"]})
        stretch = named(figure, f"{fails.sum()} of {fails.sum()} fail")
        assert corners(stretch)[:2] == (0.002, 1e-2)
        assert f"of the trials {fails.sum()} of {fails.sum()} with lr above 0.002, 0 of the other" in describe(figure)

    def test_of_a_choice_it_is_its_place(self) -> None:
        frame = made_trials(60)
        fails = frame["param:hidden"] == "100"
        frame = frame.assign(state=np.where(fails, "FAIL", "COMPLETE"), score=frame["score"].mask(fails))
        stretch = named(
            score_by_parameters(made_stage(frame), {"hidden": HIDDEN}), f"{fails.sum()} of {fails.sum()} fail"
        )
        assert corners(stretch)[:2] == pytest.approx((0.58, 1.42))
