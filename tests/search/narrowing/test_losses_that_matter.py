"""Narrowing finds the same without the losses that it says it has no use for."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.errors import NotEnoughTrials
from hpsearch.records import Direction
from hpsearch.search.range_analysis import Finished, narrow, narrowing_to_dict, told_apart
from hpsearch.space import Float

SPACE = {"lr": Float(1e-4, 1.0, log=True), "dropout": Float(0.0, 0.9)}


@given(
    trials=st.integers(2, 90),
    pruned=st.sampled_from([0, 40]),
    asked=st.sampled_from([{"top": 2}, {"top": 5}, {"top": 40}, {"quantile": 0.02}, {"quantile": 0.4}]),
    direction=st.sampled_from(["maximize", "minimize"]),
    scores=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_losses_of_trials_that_are_not_told_apart_make_no_difference(
    trials: int, pruned: int, asked: dict[str, Any], direction: Direction, scores: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    # Better and better up to the upper bound, where narrowing looks closest; and many tie.
    at = rng.random(trials)
    score = np.round(at * scores) / scores * (1 if direction == "maximize" else -1)
    loss = np.round(rng.random(trials), 1)
    params = {"lr": 10 ** (4 * at - 4), "dropout": rng.uniform(0, 0.9, trials)}
    apart = told_apart(trials, pruned, asked.get("top"), asked.get("quantile"))
    bad = -score if direction == "maximize" else score
    beyond = bad > np.sort(bad)[min(apart, trials) - 1]

    def narrowed(of: np.ndarray[Any, Any]) -> dict[str, Any] | str:
        found = Finished(np.arange(trials), score, of, params)
        options: dict[str, Any] = {"direction": direction, "first_space": SPACE, "expand": True, "pruned": pruned}
        try:
            return narrowing_to_dict(narrow(SPACE, found, **asked, **options))
        except NotEnoughTrials as error:
            return str(error)

    assert narrowed(np.where(beyond, np.nan, loss)) == narrowed(loss)
