"""Narrowing a stage some of whose trials were stopped early: they are beaten, and nothing more."""

from __future__ import annotations

import pytest
from narrowings import trials

from hpsearch.errors import NotEnoughTrials
from hpsearch.search.range_analysis import Narrowing, narrow, narrowing_to_dict
from hpsearch.space import Categorical, Float, Space, Value

SPACE: Space = {"lr": Float(0.0, 1.0), "kind": Categorical(("a", "b"))}


def narrowed(complete: int, pruned: int, *, top: int | None = 5, quantile: float | None = None) -> Narrowing:
    """The higher lr, the better; all of it presses against the upper bound."""
    values = [1 - 0.001 * n for n in range(complete)]
    columns: dict[str, list[Value]] = {"lr": list(values), "kind": ["a"] * complete}
    return narrow(
        SPACE,
        trials(columns, values),
        top=top,
        quantile=quantile,
        direction="maximize",
        first_space=SPACE,
        expand=True,
        pruned=pruned,
    )


def test_ranges_and_evidence_rest_on_the_best_alone() -> None:
    alone, others = narrowed(9, 0), narrowed(9, 91)
    assert others.used == alone.used
    for name in SPACE:
        assert others.ranges[name].evidence == alone.ranges[name].evidence
    assert alone.rule == {"top": 5, "quantile": None, "used": 5, "finished": 9, "expand": True, "direction": "maximize"}
    assert others.rule == {**alone.rule, "finished": 100, "pruned": 91}


def test_too_few_that_ran_to_the_end_say_nothing_of_a_bound() -> None:
    few, enough = narrowed(9, 91).ranges["lr"], narrowed(10, 90).ranges["lr"]
    assert few.edges == ()
    assert few.after == Float(few.after.low, 1.0) if isinstance(few.after, Float) else False
    assert few.sentences()[-1] == "9 trials that ran to the end are too few to say whether a bound was cut too low"
    assert [edge.side for edge in enough.edges] == ["high"]
    assert enough.expanded
    assert len(enough.sentences()) == 2
    assert len(narrowed(9, 91).ranges["kind"].sentences()) == 1  # a list of choices has no bounds
    assert "few" not in narrowing_to_dict(narrowed(9, 91))["ranges"]["lr"]


def test_a_quantile_is_of_all_trials() -> None:
    assert len(narrowed(9, 91, top=None, quantile=0.05).used) == 5
    assert len(narrowed(9, 0, top=None, quantile=0.5).used) == 5
    with pytest.raises(NotEnoughTrials, match=r"needs 20 trials that .* there are 9 \(91 more were stopped early\)"):
        narrowed(9, 91, top=None, quantile=0.2)


def test_a_top_that_pruning_did_not_leave() -> None:
    says = r"the top 5 needs 5 trials .* there are 3 \(97 more were stopped early\); run more trials or ask for top 3"
    with pytest.raises(NotEnoughTrials, match=says):
        narrowed(3, 97)
