"""Narrowing one parameter, as the tests of narrowing do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hpsearch.search.range_analysis import Narrowing, Scored, narrow
from hpsearch.space import Categorical, Float, Int, Parameter, Value


def trials(columns: Mapping[str, Sequence[Value]], scores: Sequence[float]) -> list[Scored]:
    return [
        Scored(number, float(score), None, {name: column[number] for name, column in columns.items()})
        for number, score in enumerate(scores)
    ]


def one(
    parameter: Parameter,
    values: Sequence[Value],
    *,
    top: int = 5,
    first: Parameter | None = None,
    expand: bool = False,
    natural: tuple[float | None, float | None] = (None, None),
    scores: Sequence[float] | None = None,
) -> Narrowing:
    """Narrow a single parameter x; without scores, the earlier values are the better ones."""
    return narrow(
        {"x": parameter},
        trials({"x": values}, [-float(i) for i in range(len(values))] if scores is None else scores),
        top=top,
        direction="maximize",
        first_space={"x": first or parameter},
        expand=expand,
        natural={"x": natural},
    )


def numeric(narrowing: Narrowing) -> Float | Int:
    new = narrowing.space["x"]
    assert not isinstance(new, Categorical)
    return new
