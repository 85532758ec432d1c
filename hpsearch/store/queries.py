"""Reads: SQL into columns, DataFrames and records, never trials as Optuna objects."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from sqlalchemy import Float, Select, and_, case, cast, func, select

from hpsearch.records import REASON, SECONDS, VALIDATION_LOSS, Direction, Stage, Standing
from hpsearch.space import Categorical, Int, Parameter
from hpsearch.store import tables as t
from hpsearch.store.base import OWNER
from hpsearch.store.claims import NOBODY, chunks
from hpsearch.store.frames import Columns
from hpsearch.store.leases import Owner
from hpsearch.store.locking import database_now
from hpsearch.store.stages import stage_from_attributes
from hpsearch.store.tables import StudyDirection, TrialState

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pandas as pd
    from sqlalchemy.engine import Connection


def stages(connection: Connection) -> list[Stage]:
    """Every stage in the database."""
    attributes: dict[int, dict[str, Any]] = {}
    for study_id, key, text in connection.execute(
        select(
            t.study_user_attributes.c.study_id,
            t.study_user_attributes.c.key,
            t.study_user_attributes.c.value_json,
        ).where(t.study_user_attributes.c.key.startswith("hpsearch:", autoescape=True))
    ):
        attributes.setdefault(study_id, {})[key] = json.loads(text)
    directions: dict[int, Direction] = {
        study_id: "maximize" if direction == StudyDirection.MAXIMIZE else "minimize"
        for study_id, direction in connection.execute(
            select(t.study_directions.c.study_id, t.study_directions.c.direction)
        )
    }
    found = (
        stage_from_attributes(study_id, directions.get(study_id, "maximize"), of_study)
        for study_id, of_study in attributes.items()
    )
    return [stage for stage in found if stage is not None]


def dead_trials(connection: Connection, study_id: int, me: Owner) -> list[int]:
    """Ids of running trials whose owner is gone."""
    rows = connection.execute(
        select(
            t.trials.c.trial_id,
            t.trial_system_attributes.c.value_json,
            t.trial_heartbeats.c.heartbeat,
        )
        .select_from(t.trials.join(t.trial_system_attributes).outerjoin(t.trial_heartbeats))
        .where(
            t.trials.c.study_id == study_id,
            t.trials.c.state == TrialState.RUNNING,
            t.trial_system_attributes.c.key == OWNER,
        )
    )
    now = database_now(connection)
    dead = []
    for trial_id, text, beat in rows:
        owner = Owner.from_json(text)
        if owner is not None and owner.run != me.run and owner.is_gone(beat=beat, now=now):
            dead.append(trial_id)
    return dead


def _attribute(key: str) -> Any:
    """A user attribute's JSON text, as a scalar subquery of the trial at hand."""
    of_trial = t.trial_user_attributes
    return (
        select(of_trial.c.value_json)
        .where(of_trial.c.trial_id == t.trials.c.trial_id, of_trial.c.key == key)
        .scalar_subquery()
    )


def _number(key: str) -> Any:
    """A user attribute's number; null for what JSON has no number for (SQLite would make 0 of it)."""
    text = _attribute(key)
    return cast(case((text.in_(["NaN", "Infinity", "-Infinity"]), None), else_=text), Float)


def _number_of(stored: float | None, kind: str | None) -> float | None:
    """A number from what Optuna stores for it: null and a type for NaN and the infinities."""
    return {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}.get(kind or "", stored)


def _select_trials(stage: Stage) -> Select[Any]:
    return (
        select(
            t.trials.c.trial_id,
            t.trials.c.number,
            t.trials.c.state,
            t.trial_values.c.value.label("score"),
            _number(VALIDATION_LOSS).label("validation_loss"),
            _number(SECONDS).label("seconds"),
            _attribute(REASON).label("reason"),
            t.trials.c.datetime_start.label("started"),
            t.trials.c.datetime_complete.label("finished"),
            t.trial_values.c.value_type.label("score_type"),
        )
        .select_from(t.trials.outerjoin(t.trial_values))
        .where(t.trials.c.study_id == stage.study_id)
    )


def columns(connection: Connection, stage: Stage, *, states: Collection[str] | None, top: int | None) -> Columns:
    """Trials by column; see `hpsearch.store.base.Store.columns`."""
    query = _select_trials(stage)
    if top is not None:
        score = t.trial_values.c.value
        loss = _number(VALIDATION_LOSS)
        query = (
            query.where(t.trials.c.state == TrialState.COMPLETE, score.is_not(None))
            .order_by(
                score.desc() if stage.direction == "maximize" else score.asc(),
                loss.is_(None),
                loss,
                t.trials.c.number,
            )
            .limit(top)
        )
    else:
        if states is not None:
            query = query.where(t.trials.c.state.in_([TrialState[state] for state in states]))
        query = query.order_by(t.trials.c.number)
    rows = connection.execute(query).all()
    found: Columns = {
        "number": [row.number for row in rows],
        "state": [row.state.name for row in rows],
        "score": [_number_of(row.score, row.score_type) for row in rows],
        "validation_loss": [row.validation_loss for row in rows],
        "seconds": [row.seconds for row in rows],
        "reason": [row.reason and json.loads(row.reason) for row in rows],
        "started": [row.started for row in rows],
        "finished": [row.finished for row in rows],
    }
    ids = [row.trial_id for row in rows]
    return found | _params(connection, stage, ids, all_trials=top is None and states is None)


def _params(connection: Connection, stage: Stage, ids: Sequence[int], *, all_trials: bool) -> Columns:
    query = select(t.trial_params.c.trial_id, t.trial_params.c.param_name, t.trial_params.c.param_value)
    values: dict[str, dict[int, float]] = {name: {} for name in stage.space}
    if all_trials:
        # One join over the study beats an IN list of every trial.
        queries = [query.join(t.trials).where(t.trials.c.study_id == stage.study_id)]
    else:
        queries = [query.where(t.trial_params.c.trial_id.in_(some)) for some in chunks(ids)]
    for part in queries:
        for trial_id, name, value in connection.execute(part):
            if name in values:
                values[name][trial_id] = value
    return {
        f"param:{name}": [external(parameter, values[name].get(trial_id)) for trial_id in ids]
        for name, parameter in stage.space.items()
    }


def external(parameter: Parameter, stored: float | None) -> Any:
    """A parameter's value from the number that Optuna stores for it."""
    if stored is None:
        return None
    if isinstance(parameter, Categorical):
        return parameter.choices[int(stored)]
    return int(stored) if isinstance(parameter, Int) else stored


def curves(connection: Connection, stage: Stage, numbers: Collection[int]) -> pd.DataFrame:
    """Scores after each epoch as rows; see `hpsearch.store.base.Store.curves`."""
    import pandas as pd

    points = t.trial_intermediate_values
    rows: list[Any] = []
    for some in chunks(numbers):
        rows += connection.execute(
            select(t.trials.c.number, points.c.step, points.c.intermediate_value, points.c.intermediate_value_type)
            .join(points, points.c.trial_id == t.trials.c.trial_id)
            .where(t.trials.c.study_id == stage.study_id, t.trials.c.number.in_(some))
            .order_by(t.trials.c.number, points.c.step)
        ).all()
    curves = [(number, step, _number_of(stored, kind)) for number, step, stored, kind in rows]
    return pd.DataFrame(curves, columns=["number", "step", "value"])


def standings(connection: Connection, stage: Stage, numbers: range, step: int) -> list[Standing]:
    """Where trials stand at an epoch; see `hpsearch.store.base.Store.standings`."""
    points, owners = t.trial_intermediate_values, t.trial_system_attributes
    rows = connection.execute(
        select(
            t.trials.c.number,
            t.trials.c.state,
            owners.c.value_json,
            points.c.intermediate_value,
            points.c.intermediate_value_type,
        )
        .select_from(
            t.trials.outerjoin(owners, and_(owners.c.trial_id == t.trials.c.trial_id, owners.c.key == OWNER)).outerjoin(
                points, and_(points.c.trial_id == t.trials.c.trial_id, points.c.step == step)
            )
        )
        .where(
            t.trials.c.study_id == stage.study_id,
            t.trials.c.number >= numbers.start,
            t.trials.c.number < numbers.stop,
        )
        .order_by(t.trials.c.number)
    )
    return [
        Standing(
            number,
            state.name,
            held=state == TrialState.RUNNING and owner not in (None, NOBODY),
            value=_number_of(stored, kind),
        )
        for number, state, owner, stored, kind in rows
    ]


def attribute(connection: Connection, stage: Stage, numbers: Collection[int], key: str) -> dict[int, Any]:
    """A user attribute by trial number; see `hpsearch.store.base.Store.attribute`."""
    of_trial = t.trial_user_attributes
    rows: list[Any] = []
    for some in chunks(numbers):
        rows += connection.execute(
            select(t.trials.c.number, of_trial.c.value_json)
            .join(of_trial, of_trial.c.trial_id == t.trials.c.trial_id)
            .where(t.trials.c.study_id == stage.study_id, t.trials.c.number.in_(some), of_trial.c.key == key)
            .order_by(t.trials.c.number)
        ).all()
    return {number: json.loads(text) for number, text in rows}


def has_trials(connection: Connection, study_id: int) -> bool:
    """Whether a study has any trial, in whatever state."""
    return bool(
        connection.execute(
            select(func.count()).select_from(t.trials).where(t.trials.c.study_id == study_id).limit(1)
        ).scalar()
    )
