"""Narrowing where other things than the scores say which trials are the best."""

from __future__ import annotations

import pytest
from narrowings import trials

from hpsearch.errors import BadInput, NotEnoughTrials
from hpsearch.search.range_analysis import Narrowing, narrow
from hpsearch.space import Float

SPACE = {"x": Float(0.0, 1.0)}
VALUES = [i / 20 for i in range(20)]
SCORES = [1 - abs(value - 0.5) for value in VALUES]


def narrowed(*, leaders: list[int] | None = None, top: int = 3, scores: list[float] = SCORES) -> Narrowing:
    return narrow(
        SPACE,
        trials({"x": VALUES}, scores),
        top=top,
        direction="maximize",
        first_space=SPACE,
        leaders=leaders,
    )


def test_the_leaders_are_the_best_in_their_order() -> None:
    found = narrowed(leaders=[12, 9, 14, 10], top=3)
    assert found.used == (12, 9, 14)
    by_score = narrowed(scores=[100.0 - [12, 9, 14].index(i) if i in (12, 9, 14) else 0.0 for i in range(20)])
    assert by_score.used == found.used
    assert found.space == by_score.space
    assert found.ranges["x"].evidence == by_score.ranges["x"].evidence


def test_leaders_that_are_the_best_by_score_change_nothing() -> None:
    plain = narrowed(top=3)
    assert narrowed(leaders=list(plain.used), top=3) == plain


def test_whether_the_score_rises_is_asked_of_all_trials() -> None:
    """The edge comes from all scores, whoever leads."""
    rising = [float(value) for value in VALUES]
    plain = narrowed(scores=rising, top=3)
    assert [edge.side for edge in plain.ranges["x"].edges] == ["high"]
    led = narrowed(scores=rising, leaders=[18, 19, 17], top=3)
    assert [edge.side for edge in led.ranges["x"].edges] == ["high"]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(NotEnoughTrials, match="the top 3 of 2 trials"):
        narrowed(leaders=[1, 2], top=3)
    with pytest.raises(BadInput, match="trial 77 is not among"):
        narrowed(leaders=[1, 2, 77], top=3)
