"""Records in bulk: lists of rows into Optuna's tables with SQLAlchemy Core.

Each function runs inside one write transaction that its caller opens. What one trial costs through ``ask``,
``report`` and ``tell`` (11 transactions, 44 statements) is a few statements for a whole batch here. The rows are the
same: ``tests/store/test_rows.py`` compares them.
"""

from __future__ import annotations

import json
import math
from math import isfinite
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, insert, update

from hpsearch.records import REASON, Completed, Failed, NewStage, Outcome, Pruned, Stage
from hpsearch.store import tables as t
from hpsearch.store.claims import FORGET_BEATS, FORGET_POINTS
from hpsearch.store.leases import utc_now
from hpsearch.store.stages import stage_attributes
from hpsearch.store.statements import Statement
from hpsearch.store.tables import StudyDirection, TrialState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection


_points, _attributes = t.trial_intermediate_values, t.trial_user_attributes
_POINTS = Statement.insert(_points, "trial_id", "step", "intermediate_value", "intermediate_value_type")
_FORGET_POINT = Statement(
    delete(_points).where(_points.c.trial_id == bindparam("of_trial"), _points.c.step == bindparam("at_step")),
    "of_trial",
    "at_step",
)
_FINISH = Statement(
    update(t.trials)
    .where(t.trials.c.trial_id == bindparam("of_trial"))
    .values(state=bindparam("new_state"), datetime_complete=bindparam("now")),
    "new_state",
    "now",
    "of_trial",
)
_VALUES = Statement.insert(t.trial_values, "trial_id", "objective", "value", "value_type")
_ATTRIBUTES = Statement.insert(_attributes, "trial_id", "key", "value_json")
_FORGET_ATTRIBUTE = Statement(
    delete(_attributes).where(
        _attributes.c.trial_id == bindparam("of_trial"), _attributes.c.key == bindparam("of_key")
    ),
    "of_trial",
    "of_key",
)


def insert_stage(connection: Connection, new: NewStage) -> int:
    """Write a stage's study, direction and attributes; returns the study's id."""
    made = connection.execute(insert(t.studies).values(study_name=new.name)).inserted_primary_key
    assert made is not None
    study_id: int = made[0]
    direction = StudyDirection.MAXIMIZE if new.direction == "maximize" else StudyDirection.MINIMIZE
    connection.execute(insert(t.study_directions).values(study_id=study_id, direction=direction, objective=0))
    rows = [
        {"study_id": study_id, "key": key, "value_json": json.dumps(value)}
        for key, value in stage_attributes(new).items()
    ]
    connection.execute(insert(t.study_user_attributes), rows)
    return study_id


def write_study_attribute(connection: Connection, stage: Stage, key: str, value: Any) -> None:
    """Write a user attribute of a stage's study, in place of the one that is there."""
    of_study = t.study_user_attributes
    connection.execute(delete(of_study).where(of_study.c.study_id == stage.study_id, of_study.c.key == key))
    connection.execute(insert(of_study).values(study_id=stage.study_id, key=key, value_json=json.dumps(value)))


def delete_stage(connection: Connection, study_id: int) -> None:
    """Remove a study that has no trials."""
    for table in (t.study_user_attributes, t.study_system_attributes, t.study_directions, t.studies):
        connection.execute(delete(table).where(table.c.study_id == study_id))


def _typed(value: float) -> tuple[float | None, str]:
    # As Optuna stores them: databases differ in what they do with infinities and NaN.
    if math.isnan(value):
        return None, "NAN"
    if math.isinf(value):
        return None, "INF_POS" if value > 0 else "INF_NEG"
    return value, "FINITE"


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


def record(connection: Connection, outcomes: Sequence[tuple[int, Outcome]]) -> None:
    """Finish trials that `held` has found to be the caller's; (trial id, outcome)."""
    ids = [(trial_id,) for trial_id, _ in outcomes]
    now = utc_now()
    FORGET_POINTS.run(connection, ids)
    FORGET_BEATS.run(connection, ids)
    _FINISH.run(connection, [(outcome_state(outcome).name, now, trial_id) for trial_id, outcome in outcomes])
    values = [(trial_id, outcome_value(outcome)) for trial_id, outcome in outcomes]
    _VALUES.run(connection, [(trial_id, 0, *_typed(value)) for trial_id, value in values if value is not None])
    _insert_points(
        connection,
        [
            (trial_id, step, value)
            for trial_id, outcome in outcomes
            for step, value in enumerate(outcome.intermediate, start=1)
        ],
    )
    attributes = [
        (trial_id, key, json.dumps(value))
        for trial_id, outcome in outcomes
        for key, value in outcome_attributes(outcome).items()
    ]
    # Other keys are somebody's own.
    _FORGET_ATTRIBUTE.run(connection, [(trial_id, key) for trial_id, key, _ in attributes])
    _ATTRIBUTES.run(connection, attributes)


def outcome_state(outcome: Outcome) -> TrialState:
    """The state that an outcome leaves its trial in."""
    match outcome:
        case Completed():
            return TrialState.COMPLETE
        case Pruned():
            return TrialState.PRUNED
        case Failed():
            return TrialState.FAIL


def outcome_value(outcome: Outcome) -> float | None:
    """The value of a trial: its score, or the last point of its curve where it was stopped, as Optuna's ``tell`` does.

    A point that is NaN is no value: one of those among a study's makes every later read of it raise in Optuna.
    """
    match outcome:
        case Completed(score=score):
            return score
        case Pruned(intermediate=(*_, last)) if not math.isnan(last):
            return last
        case _:
            return None


def outcome_attributes(outcome: Outcome) -> dict[str, Any]:
    """The user attributes that an outcome leaves on its trial."""
    reason = {REASON: outcome.reason} if isinstance(outcome, Failed) else {}
    return dict(outcome.attributes) | reason
