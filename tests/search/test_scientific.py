"""The comparison of scientific values: each tuned, over all stages, with an interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import made_stages
import numpy as np
import pytest

from hpsearch.errors import BadInput
from hpsearch.records import Completed, Failed, NewStage, Outcome, Trial
from hpsearch.reports import PlotKind, PlotRequest
from hpsearch.reports.figures import describe
from hpsearch.reports.plots import plot
from hpsearch.reports.report import gather, report
from hpsearch.search.checklist import checklist
from hpsearch.search.narrowing import narrow_stage
from hpsearch.search.scientific import Behind, ScientificValue, _factor, scientific_values
from hpsearch.space import Categorical, Float, Space, Value
from hpsearch.statistics import Interval
from hpsearch.store import Store

SPACE: Space = {
    "lr": Float(1e-5, 1.0, log=True),
    "optimizer": Categorical(("sgd", "adam", "lion"), role="scientific"),
    "momentum": Float(0.1, 0.99, when={"optimizer": ("sgd",)}),
}
BEST = {"sgd": (-1.0, 0.80), "adam": (-3.0, 0.90), "lion": (-4.0, 0.897)}  # the rate, and the score there


def score(number: int, params: Mapping[str, Value]) -> float:
    """Each optimizer has a best rate of its own; and noise."""
    name = str(params["optimizer"])
    lr = made_stages.as_number(params.get("lr", params.get(f"lr[{name}]")))
    rate, top = BEST[name]
    noise = np.random.default_rng(number).normal(0, 0.003)
    return float(np.clip(top - 0.03 * (np.log10(lr) - rate) ** 2 + noise, 0.05, 1))


def searched(store: Store, *, trials: int = 90, sign: float = 1.0, space: Space = SPACE, **more: Any) -> Any:
    """A stage whose trials have finished; each seventh failed."""
    direction = "maximize" if sign > 0 else "minimize"
    plain = {"name": "s", "objective": {"function": "f", "metric": "score", "direction": direction}}
    new = NewStage("s", 1, direction, 5, space, {**plain, **more}, fingerprint="same")  # type: ignore[arg-type]
    stage = store.create_stage(new)

    def outcome(trial: Trial) -> Outcome:
        if trial.number % 7 == 6 or math.isnan(BEST[str(trial.params["optimizer"])][1]):
            return Failed(trial.number, "the loss became nan")
        return Completed(trial.number, sign * score(trial.number, trial.params))

    made_stages.finish(store, stage, trials, outcome)
    return stage


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_planted_difference_is_found_and_a_small_one_is_not_claimed(store: Store, sign: float) -> None:
    stage = searched(store, sign=sign)
    of = scientific_values(store, [stage])
    assert of is not None
    assert [value.label for value in of.compared] == ["sgd", "adam", "lion"]
    assert [value.complete + value.failed for value in of.compared] == [30, 30, 30]
    assert sum(value.failed for value in of.compared) == 12
    assert of.best is not None
    assert {of.best.label, of.others[0].value.label} == {"adam", "lion"}
    near, far = of.others
    assert (near.certain, far.certain, of.decided) == (False, True, False)
    assert far.value.label == "sgd"
    assert far.interval.low < 0.10 < far.interval.high
    assert far.interval.high - far.interval.low < 0.08
    sentence, last = map(str, of.sentences)
    assert sentence.startswith(f"{of.best.label} beats sgd by 0.")
    assert f"when each is tuned; statistically tied with it: {near.value.label} (0.0" in sentence
    assert last == f"4 times the trials would not tell {near.value.label} from {of.best.label} either: take either"
    assert of.action is None


def test_few_trials_of_each_value_are_to_become_enough(store: Store) -> None:
    stage = searched(store, trials=30)
    of = scientific_values(store, [stage])
    assert of is not None
    least = min(value.complete for value in of.compared)
    assert least < 20
    assert str(of.action) == f"start(trials={-(-30 * 20 // least)}, stage=1)"
    seen = checklist(store, [stage])
    assert seen.next.actions == (of.action,)
    words = "next: run more trials to tell the values of optimizer apart (start(trials="
    assert str(seen.next.sentence).startswith(words)


def test_as_many_trials_as_would_show_the_difference() -> None:
    value = ScientificValue({}, 30, 0, 0, None, None, None)
    half = Interval(-0.01, 0.03)
    assert _factor(Behind(value, 0.02, Interval(0.0, 0.04)), Interval(0.0, 0.04)) == pytest.approx(1)
    assert _factor(Behind(value, 0.01, half), half) == pytest.approx(4)
    # The examples' part stays, however many trials there are.
    assert _factor(Behind(value, 0.01, half), Interval(0.0, 0.02)) == math.inf


def test_trials_of_narrowed_stages_are_pooled_and_sharpen_the_answer(store: Store) -> None:
    first = searched(store)
    before = scientific_values(store, [first])
    made = narrow_stage(store, [first], top=5)
    assert made.stage is not None
    assert "lr[adam]" in made.stage.space
    made_stages.finish(
        store, made.stage, 90, lambda trial: Completed(trial.number, score(1000 + trial.number, trial.params))
    )
    after = scientific_values(store, [first, made.stage])
    assert before is not None
    assert after is not None
    assert [value.complete for value in after.compared] == [value.complete + 30 for value in before.compared]
    assert {value.best_stage for value in after.compared} <= {first.name, made.stage.name}
    width = {id(of): of.others[-1].interval.high - of.others[-1].interval.low for of in (before, after)}
    assert width[id(after)] < width[id(before)]
    assert after.others[-1].interval.low < 0.10 < after.others[-1].interval.high


def test_trials_that_a_model_placed_are_not_pooled(store: Store) -> None:
    first = searched(store, trials=45)
    rule = {"refine": {"sampler": "tpe", "batch": 4}}
    new = NewStage("s", 2, "maximize", 6, SPACE, first.study_file, parent=1, rule=rule, fingerprint="same")
    made = store.create_stage(new)
    made_stages.finish(store, made, 9, lambda trial: Completed(trial.number, score(trial.number, trial.params)))
    before, after = (scientific_values(store, stages) for stages in ([first], [first, made]))
    assert before == after is not None


def test_without_scientific_parameters_there_is_nothing_to_compare(store: Store) -> None:
    space = {name: replace(parameter, role="nuisance") for name, parameter in SPACE.items()}
    assert scientific_values(store, [searched(store, trials=9, space=space)]) is None


def test_a_value_whose_trials_all_fail_asks_for_no_more_of_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BEST, "sgd", (-1.0, math.nan))
    stage = searched(store)
    of = scientific_values(store, [stage])
    assert of is not None
    assert of.compared[0].complete == 0
    assert of.action is None or of.action.arguments["trials"] <= 4 * 90
    starts = [question.action for question in checklist(store, [stage]).questions if question.action is not None]
    assert all(action.arguments["trials"] <= 4 * 90 for action in starts if action.kind == "start")


def test_few_trials_are_said_to_be_few(store: Store) -> None:
    of = scientific_values(store, [searched(store, trials=9)])
    assert of is not None
    assert (of.best, of.others, of.decided) == (None, (), None)
    assert str(of.sentences[0]).startswith("too few trials have a score to compare the values of optimizer: sgd ")


def test_many_failed_trials_leave_enough_with_a_score(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each value the latest trials are learned from; failed ones do not push them out."""
    monkeypatch.setattr("hpsearch.search.scientific._MOST", 18)
    of = scientific_values(store, [searched(store)])
    assert of is not None
    assert len(of.others) == 2


def test_combinations_of_several_are_compared_and_no_function_of_the_users_is_run(store: Store) -> None:
    space = {
        **SPACE,
        "layers": Categorical((1, 2), role="scientific"),
        "optimizer": Categorical(("sgd", "adam"), role="scientific"),
    }
    stage = searched(store, space=space)
    told = replace(stage, study_file={**stage.study_file, "constraints": ["nowhere.py:fits", "lr < 10"]})
    of = scientific_values(store, [told])
    assert of is not None
    assert [value.label for value in of.compared] == [
        f"{optimizer}, layers = {layers}" for optimizer in ("sgd", "adam") for layers in (1, 2)
    ]
    assert len(of.others) == 3
    assert of.best is not None
    assert of.best.combination["optimizer"] == "adam"


def test_the_checklist_asks_which_value_is_best_and_the_report_shows_them_side_by_side(store: Store) -> None:
    stage = searched(store)
    question = next(of for of in checklist(store, [stage]).questions if of.key == "scientific")
    assert question.question == "Which optimizer is best when each is tuned?"
    assert question.verdict == "unknown"  # two of them are too close
    assert (str(question.figure), str(question.action)) == (
        "plot(kind='isolation', parameters=['optimizer'])",
        "None",
    )
    page = report(gather(store, "s"), figures=False)
    section = next(of for of in page.sections if of.key == "scientific")
    (table,) = section.tables
    assert table.columns["value"] == ["sgd", "adam", "lion"]
    assert table.columns["behind the best"].count("best") == 1
    answers = next(of for of in page.sections if of.key == "checklist").questions[1].answers
    assert answers[0].startswith(("adam beats sgd by ", "lion beats sgd by "))  # a choice is written as it is


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_figure_shows_the_values_as_they_are_compared(store: Store, sign: float) -> None:
    stage = searched(store, sign=sign)
    of = scientific_values(store, [stage])
    assert of is not None
    assert of.best is not None
    request = PlotRequest(PlotKind.isolation, parameters=("optimizer",))
    figure = plot(store, [stage], request, stage=stage)
    lines = next(trace for trace in figure.data if trace.name == "expected, others tuned")
    assert list(lines.y)[::3] == [value.expected for value in of.compared]
    assert sign * (of.best.expected or 0) == max(sign * (value.expected or 0) for value in of.compared)
    for behind in of.others:
        gap = sign * ((of.best.expected or 0) - (behind.value.expected or 0))
        assert behind.difference == pytest.approx(gap)
    assert str(of.sentences[0]) in describe(figure)
    page = report(gather(store, "s"))
    isolation = next(figure for part in page.sections for figure in part.figures if figure.key == "isolation")
    assert "Where bands overlap, the trials do not tell which part is better" in isolation.caption
    assert isolation.caption.endswith("The values of optimizer are compared over all stages.")
    table = isolation.table
    assert table is not None
    assert list(table.columns["parameter"])[:3] == ["optimizer"] * 3
    assert list(table.columns["expected"])[:3] == [value.expected for value in of.compared]


def test_a_parameter_with_a_range_for_each_value_is_plotted_by_its_own_name(store: Store) -> None:
    lr = Float(1e-5, 1.0, log=True)
    space = {**SPACE, **{f"lr[{name}]": replace(lr, when={"optimizer": (name,)}) for name in BEST}}
    del space["lr"]
    stage = searched(store, trials=9, space=space)
    figure = plot(store, [stage], PlotRequest(PlotKind.isolation, parameters=("lr",)), stage=stage)
    assert [f"of lr[{name}] too few trials have a score" in describe(figure) for name in BEST] == [True] * 3
    panels = {}
    for name in ("lr", "lr[sgd]"):  # all trials in one panel, or those of one value
        request = PlotRequest(PlotKind.parameters, parameters=(name,), top=1)
        rest = next(trace for trace in plot(store, [stage], request, stage=stage).data if trace.name == "trials")
        panels[name] = sum(np.isfinite(rest.x))
    assert panels["lr"] > 2 * panels["lr[sgd]"] > 0
    for name in ("lr", "lr[sgd]"):
        request = PlotRequest(PlotKind.pair, parameters=(name, "optimizer"))
        rest = next(trace for trace in plot(store, [stage], request, stage=stage).data if trace.name == "trials")
        assert sum(np.isfinite(rest.x)) >= panels[name]
    with pytest.raises(BadInput, match="has no hyperparameter 'lrr'"):
        plot(store, [stage], PlotRequest(PlotKind.isolation, parameters=("lrr",)), stage=stage)


def test_no_value_is_expected_to_be_better_than_scores_can_be(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (rate, _) in [*BEST.items()]:
        monkeypatch.setitem(BEST, name, (rate, 0.995))
    objective = {"function": "f", "metric": "accuracy", "direction": "maximize"}
    of = scientific_values(store, [searched(store, trials=45, objective=objective)])
    assert of is not None
    highest = [value.interval.high for value in of.compared if value.interval is not None]
    assert len(highest) == 3
    assert max(highest) == 1.0
