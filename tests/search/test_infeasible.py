"""Infeasible trials in words: how many, where, why."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_search import stage
from made_trials import SPACE, made_trials

from hpsearch.search.infeasible import infeasible_of
from hpsearch.space import Categorical, Float, Int, Space


def columns(space: Space, fails: str, *, trials: int = 100) -> dict[str, list[object]]:
    """Trials that fail where an expression of their values says so."""
    frame = made_trials(trials, space)
    values = {name: frame[f"param:{name}"].to_numpy() for name in space}
    failed = np.asarray(eval(fails, {}, values), dtype=bool)
    reasons = [f"the loss became nan in epoch {number}" if of else None for number, of in enumerate(failed)]
    frame = frame.assign(state=np.where(failed, "FAIL", "COMPLETE"), reason=pd.Series(reasons, dtype=object))
    return {str(name): cells.tolist() for name, cells in frame.items()}


def test_the_share_the_place_and_the_reason_are_said() -> None:
    of = infeasible_of(stage(space=SPACE), columns(SPACE, "lr > 2e-3"))
    assert of is not None
    assert of.place == "lr above 0.002"
    assert str(of.sentence) == (
        f"{of.failed} of 100 trials of made/stage-01 failed ({of.failed}%): {of.failed} of {of.failed} with lr above "
        f"0.002, 0 of the other {100 - of.failed}; most often: the loss became nan in epoch …"
    )


def test_a_choice_is_named() -> None:
    of = infeasible_of(stage(space=SPACE), columns(SPACE, "hidden == '100x2'"))
    assert of is not None
    assert of.place == "hidden = 100x2"
    assert of.many


@pytest.mark.parametrize(
    ("fails", "place"), [("n <= 2", "n below 2.5"), ("n > 2", "n above 2"), ("n < 2", "n below 2")]
)
def test_of_whole_numbers_those_that_fail_lie_beyond_the_place(fails: str, place: str) -> None:
    space: Space = {"n": Int(1, 4)}
    of = infeasible_of(stage(space=space), columns(space, fails))
    assert of is not None
    assert of.place == place


def test_ranges_for_each_value_of_another_parameter_are_one() -> None:
    rates = np.geomspace(1e-4, 1, 60)
    first = np.arange(60) % 2 == 0
    space: Space = {
        "opt": Categorical(("a", "b")),
        "lr[a]": Float(1e-4, 1, log=True, when={"opt": ("a",)}),
        "lr[b]": Float(1e-4, 1, log=True, when={"opt": ("b",)}),
    }
    rows: dict[str, list[object]] = {
        "state": ["FAIL" if rate > 0.3 else "COMPLETE" for rate in rates],
        "param:opt": ["a" if of else "b" for of in first],
        "param:lr[a]": [rate if of else None for rate, of in zip(rates, first, strict=True)],
        "param:lr[b]": [None if of else rate for rate, of in zip(rates, first, strict=True)],
    }
    of = infeasible_of(stage(space=space), rows)
    assert of is not None
    failed = sum(rates > 0.3)
    assert of.place_words == f"{failed} of {failed} with lr above 0.3, 0 of the other {60 - failed}"


def test_no_place_is_named_where_failures_have_none() -> None:
    rows = columns(SPACE, "lr > 1") | {"state": ["FAIL" if number % 10 == 3 else "COMPLETE" for number in range(100)]}
    of = infeasible_of(stage(space=SPACE), rows)
    assert of is not None
    assert (of.failed, of.place, of.many) == (10, None, False)
    assert str(of.sentence).endswith("of made/stage-01 failed (10%); most often: no reason was recorded")


def test_nothing_is_said_where_none_failed_or_there_is_one_choice() -> None:
    assert infeasible_of(stage(space=SPACE), columns(SPACE, "lr > 1")) is None
    space: Space = {"hidden": Categorical(("50",))}
    of = infeasible_of(stage(space=space), columns(space, "hidden == '50'", trials=3))
    assert of is not None
    assert of.place is None
