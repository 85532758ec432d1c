"""Stages that were run elsewhere, written in bulk: as many rows as they have, in a few statements."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select

from hpsearch.space import Categorical, Parameter, Value, to_distribution
from hpsearch.store import tables as t
from hpsearch.store.statements import Statement
from hpsearch.store.writer import insert_attributes, insert_params, insert_points, insert_stage, insert_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy.engine import Connection

    from hpsearch.records import NewStage, PastTrials

_PIECE = 50_000
"""Rows that exist as Python objects at one time."""
_TRIALS = Statement.insert(t.trials, "number", "study_id", "state", "datetime_start", "datetime_complete")
_IDS = Statement(
    select(t.trials.c.trial_id).where(t.trials.c.study_id == bindparam("study_id")).order_by(t.trials.c.number),
    "study_id",
)


def insert(connection: Connection, new: NewStage, past: PastTrials) -> None:
    """Write a stage and its trials, inside the write transaction of `hpsearch.store.Store.import_stages`."""
    from optuna.distributions import distribution_to_json

    study_id = insert_stage(connection, new)
    began = zip(past.states, past.started, past.finished, strict=True)
    _TRIALS.run(connection, [(n, study_id, *of_trial) for n, of_trial in enumerate(began)])
    (ids,) = _IDS.columns(connection, (int,), study_id)
    id_of = ids.tolist()
    insert_values(connection, [(id_of[n], score) for n, score in enumerate(past.scores) if score is not None])
    for name, values in past.params.items():
        parameter = new.space[name]
        text = distribution_to_json(to_distribution(parameter))
        stored = zip(id_of, _stored(parameter, values), strict=True)
        insert_params(connection, [(at, name, value, text) for at, value in stored if value is not None])
    number, step, value = past.points
    for start in range(0, len(number), _PIECE):
        piece = slice(start, start + _PIECE)
        points = zip(ids[number[piece]].tolist(), step[piece].tolist(), value[piece].tolist(), strict=True)
        insert_points(connection, list(points))
    for some in _pieces(past.attributes):
        insert_attributes(connection, [(id_of[n], key, json.dumps(kept)) for n, key, kept in some])


def _stored(parameter: Parameter, values: Sequence[Value | None]) -> list[float | None]:
    """The numbers that Optuna stores for a parameter's values."""
    if isinstance(parameter, Categorical):
        # By type too: True == 1 for Python, and a choice is looked up by what it is.
        place = {(type(choice), choice): float(i) for i, choice in enumerate(parameter.choices)}
        return [None if value is None else place[type(value), value] for value in values]
    return [None if value is None else float(value) for value in values]


def _pieces(rows: Iterable[tuple[int, str, Any]]) -> Iterator[list[tuple[int, str, Any]]]:
    piece = []
    for row in rows:
        piece.append(row)
        if len(piece) == _PIECE // 50:  # a trial's curves are some hundred numbers
            yield piece
            piece = []
    yield piece
