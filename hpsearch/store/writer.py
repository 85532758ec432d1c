"""Records in bulk: lists of rows into Optuna's tables.

Each function runs inside one write transaction that its caller opens. What one trial costs through Optuna's ``ask``,
``report`` and ``tell`` (11 transactions, 44 statements) is a few statements for a whole batch here. The rows are the
same: ``tests/store/test_rows.py`` compares them.
"""

from __future__ import annotations

import json
import math
from itertools import islice
from math import isfinite
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert

from hpsearch.errors import BadSpace
from hpsearch.records import REASON, Completed, Failed, NewStage, Outcome, Pruned, Stage
from hpsearch.space import (
    Categorical,
    Parameter,
    Space,
    has_none,
    hull,
    present,
    space_from_dict,
    space_to_dict,
    to_distribution,
)
from hpsearch.store import queries
from hpsearch.store import schema as t
from hpsearch.store.leases import utc_now
from hpsearch.store.schema import DECLARED, Query, Write, stage_attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from optuna.distributions import BaseDistribution
    from sqlalchemy.engine import Connection

    from hpsearch.records import PastTrials

METRIC_NAMES = "study:metric_names"  # Optuna's system attribute of a study: what its dashboard calls the score
_PIECE = 50_000  # rows of an import that are Python objects at one time
_STATES = {Completed: "COMPLETE", Pruned: "PRUNED", Failed: "FAIL"}
PARAMS = Write.insert("trial_params", "trial_id", "param_name", "param_value", "distribution_json")
VALUES = Write.insert("trial_values", "trial_id", "objective", "value", "value_type")
ATTRIBUTES = Write.insert("trial_user_attributes", "trial_id", "key", "value_json")
SYSTEM_ATTRIBUTES = Write.insert("trial_system_attributes", "trial_id", "key", "value_json")
FORGET_BEATS = Write.change("DELETE FROM trial_heartbeats {rows} WHERE trial_heartbeats.trial_id = {trial_id}")
FORGET_POINTS = Write.change(
    "DELETE FROM trial_intermediate_values {rows} WHERE trial_intermediate_values.trial_id = {trial_id}"
)
FORGET_ATTRIBUTE = Write.change(
    "DELETE FROM trial_user_attributes {rows}"
    " WHERE trial_user_attributes.trial_id = {trial_id} AND trial_user_attributes.key = {key}"
)
_FORGET_POINT = Write.change(
    "DELETE FROM trial_intermediate_values {rows}"
    " WHERE trial_intermediate_values.trial_id = {trial_id} AND trial_intermediate_values.step = {step}"
)
_FORGET_PARAM = Write.change(
    "DELETE FROM trial_params {rows}"
    " WHERE trial_params.trial_id = {trial_id} AND trial_params.param_name = {param_name}"
)
_POINTS = Write.insert("trial_intermediate_values", "trial_id", "step", "intermediate_value", "intermediate_value_type")
_FINISH = Write.change(
    "UPDATE trials SET state = {state}, datetime_complete = {datetime_complete} {rows}"
    " WHERE trials.trial_id = {trial_id}"
)
_PAST = Write.insert("trials", "number", "study_id", "state", "datetime_start", "datetime_complete")
_IDS = Query("SELECT trial_id FROM trials WHERE study_id = {study_id} ORDER BY number")


def insert_stage(connection: Connection, new: NewStage) -> int:
    """Write a stage's study, direction and attributes; return the study's id."""
    key = connection.execute(insert(t.studies).values(study_name=new.name)).inserted_primary_key
    assert key is not None
    study_id: int = key[0]
    direction = new.direction.upper()
    connection.execute(insert(t.study_directions).values(study_id=study_id, direction=direction, objective=0))
    rows = [
        {"study_id": study_id, "key": key, "value_json": json.dumps(value)}
        for key, value in stage_attributes(new).items()
    ]
    connection.execute(insert(t.study_user_attributes), rows)
    named = {"study_id": study_id, "key": METRIC_NAMES, "value_json": json.dumps([new.metric])}
    connection.execute(insert(t.study_system_attributes).values(named))
    return study_id


def write_study_attribute(connection: Connection, stage: Stage, key: str, value: Any) -> None:
    """Write a user attribute of a stage's study, in place of the one that is there."""
    of_study = t.study_user_attributes
    connection.execute(delete(of_study).where(of_study.c.study_id == stage.study_id, of_study.c.key == key))
    connection.execute(insert(of_study).values(study_id=stage.study_id, key=key, value_json=json.dumps(value)))


def delete_study(connection: Connection, study_id: int) -> None:
    """Remove a study that has no trials."""
    for table in (t.study_user_attributes, t.study_system_attributes, t.study_directions, t.studies):
        connection.execute(delete(table).where(table.c.study_id == study_id))


def _typed(value: float) -> tuple[float | None, str]:
    # As Optuna stores them: databases differ in what they do with infinities and NaN.
    if isfinite(value):
        return value, "FINITE"
    return None, "NAN" if math.isnan(value) else "INF_POS" if value > 0 else "INF_NEG"


def write_points(connection: Connection, points: Sequence[tuple[int, int, float]]) -> None:
    """Write points of curves, (trial id, step, value), in place of those that are there."""
    _FORGET_POINT.run(connection, [(trial_id, step) for trial_id, step, _ in points])
    _insert_points(connection, points)


def _insert_points(connection: Connection, points: Sequence[tuple[int, int, float]]) -> None:
    rows = [
        (trial_id, step, value, "FINITE") if isfinite(value) else (trial_id, step, *_typed(value))
        for trial_id, step, value in points
    ]
    _POINTS.run(connection, rows)


def record(connection: Connection, stage: Stage, outcomes: Sequence[tuple[int, Outcome]]) -> list[Outcome]:
    """Write the outcomes of a stage's trials that the caller has claimed, (trial id, outcome), and finish them.

    Returns:
        The outcomes as written: a trial whose ranges conflict with those of others has failed.
    """
    if any(outcome.suggested for _, outcome in outcomes):
        outcomes = _declare(connection, stage, outcomes)
    ids = [(trial_id,) for trial_id, _ in outcomes]
    now = utc_now()
    FORGET_POINTS.run(connection, ids)
    FORGET_BEATS.run(connection, ids)
    _FINISH.run(connection, [(_STATES[type(outcome)], now, trial_id) for trial_id, outcome in outcomes])
    values = [(trial_id, _value(outcome)) for trial_id, outcome in outcomes]
    VALUES.run(connection, [(trial_id, 0, *_typed(value)) for trial_id, value in values if value is not None])
    curves = [(trial_id, point) for trial_id, outcome in outcomes for point in enumerate(outcome.intermediate, start=1)]
    _insert_points(connection, [(trial_id, *point) for trial_id, point in curves])
    attributes = []
    for trial_id, outcome in outcomes:
        reason = {REASON: outcome.reason} if isinstance(outcome, Failed) else {}
        attributes += [(trial_id, key, json.dumps(value)) for key, value in {**outcome.attributes, **reason}.items()]
    # Attributes of other keys are not hpsearch's, and stay.
    FORGET_ATTRIBUTE.run(connection, [(trial_id, key) for trial_id, key, _ in attributes])
    ATTRIBUTES.run(connection, attributes)
    return [outcome for _, outcome in outcomes]


def _declare(
    connection: Connection, stage: Stage, outcomes: Sequence[tuple[int, Outcome]]
) -> list[tuple[int, Outcome]]:
    """Write the parameters that trials declared themselves, and add their ranges to the stage's; see `record`."""
    before = space_from_dict(queries.study_attribute(connection, stage, DECLARED) or {})
    ranges, declared = stage.ranges, dict(before)
    checked: list[tuple[int, Outcome]] = []
    rows: list[tuple[int, str, float, str]] = []
    for trial_id, outcome in outcomes:
        conflict = ""
        for name, (parameter, value) in outcome.suggested.items():
            if name in ranges and not stage.defined_by_run:
                continue  # sampled when the trial was claimed
            try:
                if name in ranges:
                    parameter = ranges[name]
                elif declared.get(name) != parameter:
                    declared[name] = hull(declared.get(name, parameter), parameter)
            except BadSpace as error:
                conflict = f"{name!r} is suggested with another type, scale or choices than in earlier trials: {error}"
                continue
            distribution, text = _distribution(parameter)
            rows.append((trial_id, name, distribution.to_internal_repr(value), text))
        if conflict:
            outcome = Failed(outcome.number, conflict, outcome.intermediate, outcome.attributes)
        checked.append((trial_id, outcome))
    if declared != before:
        write_study_attribute(connection, stage, DECLARED, space_to_dict(declared))
    _FORGET_PARAM.run(connection, [(trial_id, name) for trial_id, name, _, _ in rows])
    PARAMS.run(connection, rows)
    return checked


def _value(outcome: Outcome) -> float | None:
    """Return a trial's value: its score, or the last point of its curve where it was pruned, as Optuna's ``tell`` does.

    A point that is NaN is no value: one NaN in a study makes every later read of it raise in Optuna.
    """
    if isinstance(outcome, Completed):
        return outcome.score
    last = outcome.intermediate[-1] if isinstance(outcome, Pruned) and outcome.intermediate else math.nan
    return None if math.isnan(last) else last


def distributions(space: Space) -> dict[str, tuple[BaseDistribution, str]]:
    """Return Optuna's distributions by parameter name, each also as the database keeps it."""
    return {name: _distribution(parameter) for name, parameter in space.items()}


def _distribution(parameter: Parameter) -> tuple[BaseDistribution, str]:
    from optuna.distributions import distribution_to_json  # 0.3 s to load; reading does without it

    distribution = to_distribution(parameter)
    return distribution, distribution_to_json(distribution)


def import_stage(connection: Connection, new: NewStage, past: PastTrials) -> None:
    """Write a stage that was run elsewhere, with its trials."""
    study_id = insert_stage(connection, new)
    trials = zip(past.states, past.started, past.finished, strict=True)
    _PAST.run(connection, [(number, study_id, *of_trial) for number, of_trial in enumerate(trials)])
    id_of = [trial_id for (trial_id,) in _IDS.rows(connection, study_id)]
    scores = [(id_of[number], score) for number, score in enumerate(past.scores) if score is not None]
    VALUES.run(connection, [(trial_id, 0, *_typed(score)) for trial_id, score in scores])
    known = distributions(new.space)
    has: Iterable[Collection[str]] = [()] * len(id_of)
    if any(map(has_none, new.space.values())):
        # A None is a value or a missing one, as the conditions say; a trial that waits may have none of all.
        each = zip(*past.params.values(), strict=True)
        has = [
            present(new.space, dict(zip(past.params, values, strict=True))) if {*values} != {None} else ()
            for values in each
        ]
    for name, values in past.params.items():
        _, text = known[name]
        to_number: Callable[[Any], float] = float
        if isinstance(parameter := new.space[name], Categorical):
            to_number = {choice: float(i) for i, choice in enumerate(parameter.choices)}.__getitem__
        stored = zip(id_of, values, strict=True)
        rows = [
            (trial_id, name, to_number(value), text)
            for (trial_id, value), of_trial in zip(stored, has, strict=True)
            if value is not None or name in of_trial
        ]
        PARAMS.run(connection, rows)
    number, step, value = past.points
    for start in range(0, len(number), _PIECE):
        piece = slice(start, start + _PIECE)
        points = zip(number[piece].tolist(), step[piece].tolist(), value[piece].tolist(), strict=True)
        _insert_points(connection, [(id_of[trial], *point) for trial, *point in points])
    attributes = iter(past.attributes)
    while some := list(islice(attributes, _PIECE // 50)):  # a trial's curves are some hundred numbers
        ATTRIBUTES.run(connection, [(id_of[number], key, json.dumps(value)) for number, key, value in some])
