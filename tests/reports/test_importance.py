"""Importance: a share of the whole, beside what chance gives, and honest about what cannot be judged."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_trials import SPACE, made_stage, made_trials

from hpsearch.errors import BadInput
from hpsearch.reports import importance as module
from hpsearch.reports.figures import describe, importances
from hpsearch.reports.importance import LEAST, importance
from hpsearch.space import Categorical, Float, Parameter


@pytest.fixture(autouse=True)
def _few_shuffles(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few as there may be for one of twenty: what does not rest on their number needs no more."""
    monkeypatch.setattr(module, "SHUFFLES", 19)


def test_what_the_score_depends_on_comes_first_and_shares_are_of_one_whole() -> None:
    result = importance(made_stage(120))
    assert next(iter(result.shares)) == "lr"
    assert sum(result.shares.values()) == pytest.approx(1)
    assert list(result.shares.values()) == sorted(result.shares.values(), reverse=True)
    assert set(result.shares) == set(result.chance) == set(SPACE)
    assert (result.trials, result.best, result.notes) == (120, 12, ())


def test_the_order_of_the_rows_does_not_matter_and_the_direction_does() -> None:
    frame = made_trials(80, pruned=9, failed=5)
    assert importance(made_stage(frame.sample(frac=1, random_state=3))) == importance(made_stage(frame))
    turned = frame.assign(score=-frame["score"])
    assert importance(made_stage(turned, direction="minimize")) == importance(made_stage(frame))


def test_failed_and_pruned_trials_rank_last() -> None:
    # Everything above 0.3 fails: nothing else distinguishes the trials.
    space: dict[str, Parameter] = {"dropout": Float(0.0, 1.0), "rho": Float(0.0, 1.0)}
    frame = made_trials(200, space)
    rng = np.random.default_rng(0)
    lost = frame["param:dropout"] > 0.3
    frame = frame.assign(score=rng.uniform(0, 1, 200).round(2), state=np.where(lost, "FAIL", "COMPLETE"))
    frame.loc[lost, "score"] = math.nan
    assert next(iter(importance(made_stage(frame, space)).shares)) == "dropout"
    worst = frame.assign(state="COMPLETE").fillna({"score": -1.0})
    assert importance(made_stage(worst, space)) == importance(made_stage(frame, space))
    stopped = frame.assign(state=np.where(lost, "PRUNED", "COMPLETE")).fillna({"score": 0.9})
    assert importance(made_stage(stopped, space)) == importance(made_stage(frame, space))


def test_shares_that_chance_gives_are_not_shown() -> None:
    few = dict(list(SPACE.items())[1:4])
    result = [
        importance(made_stage(made_trials(40, seed=seed), few)) for seed in range(6)
    ]  # the score depends on lr alone
    assert sum(bool(search.shares) for search in result) <= 1
    assert any("chance gives such shares among the best 5 trials" in note for note in result[0].notes)


def test_what_cannot_be_judged_is_left_out_with_the_reason() -> None:
    space: dict[str, Parameter] = {**SPACE, "optimizer": Categorical(("sgd",)), "momentum": Float(0.0, 0.9)}
    frame = made_trials(60, space).assign(**{"param:momentum": None})
    result = importance(made_stage(frame, space))
    assert result.left_out == {"optimizer": "only one value", "momentum": "no trial uses it"}
    assert set(result.shares) == set(SPACE)


def test_a_conditional_parameter_is_judged_by_the_trials_that_use_it() -> None:
    space: dict[str, Parameter] = {"optimizer": Categorical(("sgd", "momentum")), "momentum": Float(0.0, 0.9)}
    frame = made_trials(200, space)
    uses = frame["param:optimizer"] == "momentum"
    frame["score"] = np.where(uses, frame["param:momentum"], 0.0)
    used = frame.assign(**{"param:momentum": frame["param:momentum"].where(uses)})
    assert importance(made_stage(used, space)).shares["momentum"] > 0


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (made_trials(0), "0 finished trials"),
        (made_trials(1), "1 finished trial: too few"),
        (made_trials(LEAST - 1), "too few to say"),
        (made_trials(40, failed=40), "none of them complete: too few"),
        (made_trials(40, running=40), "0 finished trials"),
        (made_trials(40).assign(score=0.5), "all trials have the same score"),
        (made_trials(20), "only 20 trials"),
    ],
)
def test_few_trials_are_said(frame: pd.DataFrame, says: str) -> None:
    result = importance(made_stage(frame))
    assert any(says in note for note in result.notes), result.notes
    figure = importances(result)
    assert says in describe(figure).replace("Only", "only")


def test_the_figure_shows_the_shares_and_the_marks() -> None:
    result = importance(made_stage(120))
    figure = importances(result)
    bars = {y: x for trace in figure.data if trace.type == "bar" for y, x in zip(trace.y, trace.x, strict=True)}
    assert bars == {name.replace("_", " "): share for name, share in result.shares.items()}
    [marks] = [trace for trace in figure.data if trace.type == "scatter" and trace.mode == "markers"]
    assert dict(zip(marks.y, marks.x, strict=True)) == {
        name.replace("_", " "): min(mark, 1.0) for name, mark in result.chance.items()
    }
    # Which of them matter is said once, by the evidence.
    assert "chance" not in " ".join(trace.name for trace in figure.data if trace.type == "bar")


def test_rows_of_other_ranges_are_refused() -> None:
    with pytest.raises(BadInput, match="other ranges"):
        importance(made_stage(made_trials(30), {**SPACE, "hidden": Categorical(("1000", "2000"))}))


def test_notes_are_told_apart() -> None:
    figure = importances(replace(importance(made_stage(60)), notes=("only 60 trials", "nothing mattered")))
    assert any("only 60 trials; nothing mattered" in str(note.text) for note in figure.layout.annotations)
