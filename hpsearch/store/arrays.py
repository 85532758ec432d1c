"""Whole stages as arrays: all scores and values for narrowing, all curves.

A stage may have 100,000 trials and millions of points, so Python loops here only over rare rows.
"""

from __future__ import annotations

import json
import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.records import VALIDATION_LOSS, Stage
from hpsearch.space import Categorical, Int, Parameter
from hpsearch.store.queries import Arrays, finite, frame, number_of, points
from hpsearch.store.schema import CHUNK, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    import pandas as pd
    from numpy.typing import NDArray
    from sqlalchemy.engine import Connection

_FETCH = 2000  # rows that are fetched before they become arrays: few enough to stay in the processor's cache
_AT_ONCE = 16  # parameters that are joined in one statement: SQLite joins 64 tables at most
_OF_LOSSES = (
    "SELECT t.trial_id, a.value_json FROM trials t JOIN trial_user_attributes a ON a.trial_id = t.trial_id"
    f" WHERE t.study_id = {{study_id}} AND a.key = '{VALIDATION_LOSS}'"
)
_LOSSES = Query(f"{_OF_LOSSES} ORDER BY t.trial_id")
_SOME_LOSSES = Query(f"{_OF_LOSSES} AND t.trial_id {{ids}} ORDER BY t.trial_id")
_OF_POINTS = "FROM trials t JOIN trial_intermediate_values p ON p.trial_id = t.trial_id WHERE t.study_id = {study_id}"
# In the order of the index on which they are found: nothing is sorted.
_CURVES = Query(f"SELECT t.number, p.step, p.intermediate_value {_OF_POINTS} ORDER BY t.trial_id, p.step")
_INFINITE = Query(
    f"SELECT t.number, p.step, p.intermediate_value_type {_OF_POINTS}"
    " AND p.intermediate_value_type IN ('INF_POS', 'INF_NEG')"
)


def _columns(connection: Connection, query: Query, types: Sequence[type], *values: Any) -> list[NDArray[Any]]:
    """Return an array for each column of a query (``int``, ``float`` or ``object``); a null among floats is NaN."""
    cursor = query.cursor(connection, *values)
    pieces: list[list[NDArray[Any]]] = [[np.empty(0, kind)] for kind in types]
    while rows := cursor.fetchmany(_FETCH):
        for piece, column, kind in zip(pieces, zip(*rows, strict=True), types, strict=True):
            piece.append(np.array(column, dtype=kind))
    return [np.concatenate(piece) for piece in pieces]


@cache
def _scored(parameters: int) -> Query:
    """Return the query of the completed trials with a score and so many parameters, null for one that is missing."""
    columns = "".join(f", p{place}.param_value" for place in range(parameters))
    joins = "".join(
        f" LEFT JOIN trial_params p{place} ON p{place}.trial_id = t.trial_id AND p{place}.param_name = {{name{place}}}"
        for place in range(parameters)
    )
    return Query(
        f"SELECT t.trial_id, t.number, v.value{columns} FROM trials t JOIN trial_values v ON v.trial_id = t.trial_id"
        f"{joins} WHERE t.study_id = {{study_id}} AND t.state = 'COMPLETE' AND v.value_type = 'FINITE'"
        " ORDER BY t.trial_id"
    )


def scores(connection: Connection, stage: Stage, ranked: Callable[[int], int] | None) -> Arrays:
    """Return what narrowing needs of the completed trials; see `hpsearch.store.Store.scores`."""
    columns: Arrays = {}
    names = list(stage.space)
    for first in range(0, max(len(names), 1), _AT_ONCE):
        some = names[first : first + _AT_ONCE]
        types = (int, int, float, *[float] * len(some))
        # The same trials in the same order each time: it is one transaction.
        ids, numbers, score, *stored = _columns(connection, _scored(len(some)), types, *some, stage.study_id)
        columns |= {"number": numbers, "score": score, "validation_loss": np.empty(0)}
        for name, values in zip(some, stored, strict=True):
            columns[f"param:{name}"] = _external(stage.space[name], values)
    wanted = len(ids) if ranked is None else ranked(len(ids))
    if 2 * wanted > len(ids):
        with_loss, texts = _columns(connection, _LOSSES, (int, object), stage.study_id)
    else:
        best = ids[_among_best(score if stage.direction == "minimize" else -score, wanted)]
        rows = _SOME_LOSSES.rows(connection, stage.study_id, best.tolist())
        with_loss, texts = np.array([row[0] for row in rows], dtype=int), np.array([row[1] for row in rows], object)
    columns["validation_loss"] = _at(ids, with_loss, _numbers(json.loads(f"[{','.join(texts)}]")))
    if np.all(numbers[1:] >= numbers[:-1]):
        return columns
    order = np.argsort(numbers, kind="stable")
    return {name: column[order] for name, column in columns.items()}


def _among_best(score: NDArray[Any], wanted: int) -> NDArray[np.bool_]:
    """Return a mask, (N,), of the ``wanted`` lowest scores and those tied with the last of them."""
    if wanted < 1:
        return np.zeros(len(score), dtype=bool)
    return np.asarray(score <= np.partition(score, wanted - 1)[wanted - 1])


def _numbers(values: list[Any]) -> NDArray[Any]:
    """Return floats, NaN for what is not a finite number."""
    if set(map(type, values)) <= {int, float}:
        numbers = np.array(values, dtype=float)
        return np.where(np.isfinite(numbers), numbers, np.nan)
    return np.array([finite(value) for value in values], dtype=float)


def _at(ids: NDArray[Any], of: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Return the values that belong to ids, NaN where there is none; ``ids`` and ``of`` ascend."""
    belonging = np.full(len(ids), np.nan)
    places = np.searchsorted(ids, of)
    there = places < len(ids)
    there[there] = ids[places[there]] == of[there]
    belonging[places[there]] = values[there]
    return belonging


def _external(parameter: Parameter, stored: NDArray[Any]) -> NDArray[Any]:
    """Return values from the numbers that Optuna stores for them, NaN for a missing one: None may be a choice."""
    if isinstance(parameter, Categorical):
        choices = np.array([*parameter.choices, math.nan], dtype=object)
        values: NDArray[Any] = choices[np.where(np.isnan(stored), len(parameter.choices), stored).astype(int)]
        return values
    return stored.astype(int) if isinstance(parameter, Int) and (np.abs(stored) < 2**63).all() else stored


def curves(connection: Connection, stage: Stage, numbers: Collection[int] | None) -> pd.DataFrame:
    """Return scores after each epoch as rows; see `hpsearch.store.Store.curves`."""
    if numbers is not None and len(numbers) <= CHUNK:
        rows = points(connection, stage, numbers)
        return frame({name: [row[at] for row in rows] for at, name in enumerate(("number", "step", "value"))})
    number, step, value = _columns(connection, _CURVES, (int, int, float), stage.study_id)
    if np.isnan(value).any():
        at = {(n, s): number_of(None, kind) for n, s, kind in _INFINITE.rows(connection, stage.study_id)}
        for i in np.flatnonzero(np.isnan(value)):
            value[i] = at.get((number[i], step[i]), math.nan)
    if numbers is not None:
        wanted = np.isin(number, list(numbers))
        number, step, value = number[wanted], step[wanted], value[wanted]
    curves = frame({"number": number, "step": step, "value": value})
    return curves if np.all(number[1:] >= number[:-1]) else curves.sort_values(["number", "step"], ignore_index=True)
