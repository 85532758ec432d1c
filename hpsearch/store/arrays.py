"""Whole stages as arrays: all scores and values for narrowing, all curves.

A stage may have 100,000 trials and millions of points, so nothing here is done for each of them in Python, but for
what is rare.
"""

from __future__ import annotations

import json
import math
from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import String, bindparam, select, type_coerce

from hpsearch.records import VALIDATION_LOSS, Stage
from hpsearch.space import Categorical, Int, Parameter
from hpsearch.store import tables as t
from hpsearch.store.queries import finite, number_of
from hpsearch.store.statements import CHUNK, Statement, constant

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import pandas as pd
    from numpy.typing import NDArray
    from sqlalchemy.engine import Connection

    from hpsearch.store.frames import Arrays

_of_stage = t.trials.c.study_id == bindparam("study_id")
_scored = (_of_stage, t.trials.c.state == constant("COMPLETE"), t.trial_values.c.value_type == constant("FINITE"))
_losses = select(t.trials.c.trial_id, t.trial_user_attributes.c.value_json).where(
    _of_stage, t.trial_user_attributes.c.key == constant(VALIDATION_LOSS)
)
_LOSSES = Statement(
    _losses.select_from(t.trials.join(t.trial_user_attributes)).order_by(t.trials.c.trial_id), "study_id"
)
_SOME_LOSSES = Statement(
    _losses.select_from(t.trials.join(t.trial_user_attributes))
    .where(t.trials.c.trial_id.in_(bindparam("ids", expanding=True)))
    .order_by(t.trials.c.trial_id),
    "study_id",
    "ids",
)
_AT_ONCE = 16
"""Parameters that are joined in one statement: SQLite joins 64 tables at most."""

_points = t.trial_intermediate_values
_all_points = select(t.trials.c.number, _points.c.step).select_from(t.trials.join(_points)).where(_of_stage)
_CURVES = Statement(
    # In the order of the index on which they are found: nothing is sorted.
    _all_points.add_columns(_points.c.intermediate_value).order_by(t.trials.c.trial_id, _points.c.step),
    "study_id",
)
_kind = type_coerce(_points.c.intermediate_value_type, String)
_SOME_CURVES = Statement(
    _all_points.add_columns(_points.c.intermediate_value, _kind).where(
        t.trials.c.number.in_(bindparam("ids", expanding=True))
    ),
    "study_id",
    "ids",
)
_INFINITE = Statement(
    _all_points.add_columns(_kind).where(_kind.in_([constant("INF_POS"), constant("INF_NEG")])), "study_id"
)


def scores(connection: Connection, stage: Stage, ranked: Callable[[int], int] | None) -> Arrays:
    """What narrowing needs of the completed trials; see `hpsearch.store.base.Store.scores`."""
    columns: Arrays = {}
    names = list(stage.space)
    for first in range(0, max(len(names), 1), _AT_ONCE):
        some = names[first : first + _AT_ONCE]
        types = (int, int, float, *[float] * len(some))
        # The same trials in the same order each time: it is one transaction.
        ids, numbers, score, *stored = _with_parameters(len(some)).columns(connection, types, stage.study_id, *some)
        columns |= {"number": numbers, "score": score, "validation_loss": np.empty(0)}
        for name, values in zip(some, stored, strict=True):
            columns[f"param:{name}"] = _external(stage.space[name], values)
    wanted = len(ids) if ranked is None else ranked(len(ids))
    if 2 * wanted > len(ids):
        with_loss, texts = _LOSSES.columns(connection, (int, object), stage.study_id)
    else:
        best = ids[_among_best(score if stage.direction == "minimize" else -score, wanted)]
        rows = _SOME_LOSSES.rows(connection, stage.study_id, best.tolist())
        with_loss, texts = np.array([one for one, _ in rows], dtype=int), np.array([text for _, text in rows], object)
    columns["validation_loss"] = _at(ids, with_loss, _numbers(json.loads(f"[{','.join(texts)}]")))
    if np.all(numbers[1:] >= numbers[:-1]):
        return columns
    order = np.argsort(numbers, kind="stable")
    return {name: column[order] for name, column in columns.items()}


@cache
def _with_parameters(count: int) -> Statement:
    """The completed trials with a score, and so many parameters of each; null for one that it does not have."""
    trials, columns = t.trials.join(t.trial_values), []
    for place in range(count):
        of = t.trial_params.alias(f"p{place}")
        mine = (of.c.trial_id == t.trials.c.trial_id) & (of.c.param_name == bindparam(f"name{place}"))
        trials = trials.outerjoin(of, mine)
        columns.append(of.c.param_value)
    return Statement(
        select(t.trials.c.trial_id, t.trials.c.number, t.trial_values.c.value, *columns)
        .select_from(trials)
        .where(*_scored)
        .order_by(t.trials.c.trial_id),
        "study_id",
        *(f"name{place}" for place in range(count)),
    )


def _among_best(score: NDArray[Any], wanted: int) -> NDArray[np.bool_]:
    """Which are among so many of the lowest, or tie with the last of them."""
    if wanted < 1:
        return np.zeros(len(score), dtype=bool)
    return np.asarray(score <= np.partition(score, wanted - 1)[wanted - 1])


def _numbers(values: list[Any]) -> NDArray[Any]:
    """Floats, NaN for what is not a finite number."""
    if set(map(type, values)) <= {int, float}:
        numbers = np.array(values, dtype=float)
        return np.where(np.isfinite(numbers), numbers, np.nan)
    return np.array([finite(value) for value in values], dtype=float)


def _at(ids: NDArray[Any], of: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """The values that belong to ids, NaN where there is none; ``ids`` and ``of`` grow."""
    found = np.full(len(ids), np.nan)
    places = np.searchsorted(ids, of)
    there = places < len(ids)
    there[there] = ids[places[there]] == of[there]
    found[places[there]] = values[there]
    return found


def _external(parameter: Parameter, stored: NDArray[Any]) -> NDArray[Any]:
    """`hpsearch.store.queries.external` of many."""
    missing = np.isnan(stored)
    if isinstance(parameter, Categorical):
        choices = np.array([*parameter.choices, None], dtype=object)
        found: NDArray[Any] = choices[np.where(missing, len(parameter.choices), stored).astype(int)]
        return found
    return stored.astype(int) if isinstance(parameter, Int) and not missing.any() else stored


def curves(connection: Connection, stage: Stage, numbers: Collection[int] | None) -> pd.DataFrame:
    """Scores after each epoch as rows; see `hpsearch.store.base.Store.curves`."""
    import pandas as pd

    if numbers is None or len(numbers) > CHUNK:
        number, step, value = _CURVES.columns(connection, (int, int, float), stage.study_id)
        if np.isnan(value).any():
            at = {(n, s): number_of(None, kind) for n, s, kind in _INFINITE.rows(connection, stage.study_id)}
            for i in np.flatnonzero(np.isnan(value)):
                value[i] = at.get((number[i], step[i]), math.nan)
        if numbers is not None:
            wanted = np.isin(number, list(numbers))
            number, step, value = number[wanted], step[wanted], value[wanted]
        frame = pd.DataFrame({"number": number, "step": step, "value": value})
        if np.all(number[1:] >= number[:-1]):
            return frame
        return frame.sort_values(["number", "step"], ignore_index=True)
    rows = _SOME_CURVES.rows(connection, stage.study_id, sorted(set(numbers)))
    rows.sort(key=itemgetter(0, 1))
    some = [(number, step, number_of(stored, kind)) for number, step, stored, kind in rows]
    return pd.DataFrame(some, columns=["number", "step", "value"])
