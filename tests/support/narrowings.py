"""Narrowing one parameter, as the tests of narrowing do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hpsearch.search.range_analysis import Finished, Narrowing, narrow
from hpsearch.space import Categorical, Float, Int, Parameter, Space, Value


def trials(
    columns: Mapping[str, Sequence[Value]],
    scores: Sequence[float],
    losses: Sequence[float | None] | None = None,
    order: Sequence[int] | None = None,
) -> Finished:
    """Trials 0, 1, ... with these values and scores, in an order."""
    which = np.array(range(len(scores)) if order is None else order, dtype=np.int64)
    params = {}
    for name, column in columns.items():
        params[name] = np.empty(len(scores), dtype=object)  # an array that keeps each value's type
        params[name][:] = list(column)
    loss = np.array([None] * len(scores) if losses is None else losses, dtype=float)
    score = np.array(scores, dtype=float)
    return Finished(which, score[which], loss[which], {name: column[which] for name, column in params.items()})


def best_first(
    space: Space, columns: Mapping[str, Sequence[Value]], *, top: int | None = 5, **options: Any
) -> Narrowing:
    """Narrow trials of which the earlier ones are the better ones."""
    count = len(next(iter(columns.values())))
    scored = trials(columns, [-float(i) for i in range(count)])
    return narrow(space, scored, **{"top": top, "direction": "maximize", "first_space": space, **options})


def one(
    parameter: Parameter,
    values: Sequence[Value],
    *,
    top: int = 5,
    first: Parameter | None = None,
    natural: tuple[float | None, float | None] = (None, None),
    scores: Sequence[float] | None = None,
    **options: Any,
) -> Narrowing:
    """Narrow a single parameter x; without scores, the earlier values are the better ones."""
    scored = trials({"x": values}, [-float(i) for i in range(len(values))] if scores is None else scores)
    chosen = {"top": top, "direction": "maximize", "first_space": {"x": first or parameter}, **options}
    return narrow({"x": parameter}, scored, natural={"x": natural}, **chosen)


def numeric(narrowing: Narrowing) -> Float | Int:
    new = narrowing.space["x"]
    assert not isinstance(new, Categorical)
    return new


def sentences(narrowing: Narrowing, name: str = "x") -> list[str]:
    return list(map(str, narrowing.ranges[name].sentences))
