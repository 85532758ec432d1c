"""Reads: SQL into columns, DataFrames and records, never trials as Optuna objects."""

from __future__ import annotations

import heapq
import json
import math
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, and_, select

from hpsearch.records import HITS, REASON, SECONDS, VALIDATION_LOSS, Direction, Stage, Standing
from hpsearch.space import Categorical, Int, Parameter
from hpsearch.store import tables as t
from hpsearch.store.base import NOBODY, OWNER
from hpsearch.store.frames import Columns
from hpsearch.store.leases import Owner
from hpsearch.store.locking import database_now
from hpsearch.store.stages import stage_from_attributes
from hpsearch.store.statements import chunks
from hpsearch.store.tables import StudyDirection, TrialState

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy.engine import Connection, Row


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


def _number(text: str | None) -> float | None:
    """The number in a user attribute's JSON, if it is finite; read here, as SQLite rounds what it reads."""
    return None if text is None else finite(json.loads(text))


def finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def number_of(stored: float | None, kind: str | None) -> float | None:
    """A number from what Optuna stores for it: null and a type for NaN and the infinities."""
    return {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}.get(kind or "", stored)


def _select_trials(stage: Stage) -> Select[Any]:
    return (
        select(
            t.trials.c.trial_id,
            t.trials.c.number,
            t.trials.c.state,
            t.trial_values.c.value.label("score"),
            _attribute(VALIDATION_LOSS).label("validation_loss"),
            _attribute(SECONDS).label("seconds"),
            _attribute(REASON).label("reason"),
            t.trials.c.datetime_start.label("started"),
            t.trials.c.datetime_complete.label("finished"),
            t.trial_values.c.value_type.label("score_type"),
        )
        .select_from(t.trials.outerjoin(t.trial_values))
        .where(t.trials.c.study_id == stage.study_id)
    )


def columns(
    connection: Connection, stage: Stage, *, states: Collection[str] | None, top: int | None, hits: bool = False
) -> Columns:
    """Trials by column; see `hpsearch.store.base.Store.columns`."""
    query = _select_trials(stage)
    if hits:
        query = query.add_columns(_attribute(HITS).label(HITS))
    found: list[Row[Any]]
    if top is not None:
        best = _best(connection, stage, top)
        place = {trial_id: i for i, trial_id in enumerate(best)}
        found = [row for some in chunks(best) for row in connection.execute(query.where(t.trials.c.trial_id.in_(some)))]
        found.sort(key=lambda row: place[row.trial_id])
    else:
        if states is not None:
            query = query.where(t.trials.c.state.in_([TrialState[state] for state in states]))
        found = list(connection.execute(query.order_by(t.trials.c.number)))
    columns: Columns = {
        "number": [row.number for row in found],
        "state": [row.state.name for row in found],
        "score": [number_of(row.score, row.score_type) for row in found],
        "validation_loss": [_number(row.validation_loss) for row in found],
        "seconds": [_number(row.seconds) for row in found],
        "reason": [row.reason and json.loads(row.reason) for row in found],
        "started": [row.started for row in found],
        "finished": [row.finished for row in found],
    }
    if hits:
        columns[HITS] = [getattr(row, HITS) and json.loads(getattr(row, HITS)) for row in found]
    ids = [row.trial_id for row in found]
    return columns | _params(connection, stage, ids, all_trials=top is None and states is None)


_BEYOND = 1000
"""So many more trials than were asked for are looked at, so that ties with the last of them are seen at once."""


def _best(connection: Connection, stage: Stage, top: int) -> list[int]:
    """Ids of the best completed trials, best first: by score, then validation loss (none last), then number.

    Only of those that are at least as good as the last of them is more than the score looked at.
    """
    score = t.trial_values.c.value
    sign = -1.0 if stage.direction == "maximize" else 1.0
    scored = (
        select(t.trials.c.trial_id, t.trials.c.number, score)
        .select_from(t.trials.join(t.trial_values))
        .where(
            t.trials.c.study_id == stage.study_id,
            t.trials.c.state == TrialState.COMPLETE,
            t.trial_values.c.value_type == "FINITE",
        )
    )
    if top == 0:
        return []
    best_first = score.desc() if sign < 0 else score.asc()
    found = list(connection.execute(scored.order_by(best_first).limit(top + _BEYOND)))
    if len(found) > top:
        last = found[top - 1].value
        if found[-1].value == last and len(found) == top + _BEYOND:  # there may be more such ties
            found = list(connection.execute(scored.where(score >= last if sign < 0 else score <= last)))
        found = [row for row in found if sign * row.value <= sign * last]
    of_trial = t.trial_user_attributes.c
    losses: dict[int, float | None] = {}
    for some in chunks([row.trial_id for row in found]):
        texts = select(of_trial.trial_id, of_trial.value_json).where(
            of_trial.trial_id.in_(some), of_trial.key == VALIDATION_LOSS
        )
        losses |= {trial_id: _number(text) for trial_id, text in connection.execute(texts)}
    ranked = []
    for trial_id, number, value in found:
        loss = losses.get(trial_id)
        ranked.append((sign * value, loss is None, loss or 0.0, number, trial_id))
    return [row[-1] for row in heapq.nsmallest(top, ranked)]


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
            value=number_of(stored, kind),
        )
        for number, state, owner, stored, kind in rows
    ]


def attribute(connection: Connection, stage: Stage, numbers: Collection[int], key: str) -> dict[int, Any]:
    """A user attribute by trial number; see `hpsearch.store.base.Store.attribute`."""
    of_trial = t.trial_user_attributes
    rows: list[Any] = []
    for some in chunks(list(numbers)):
        rows += connection.execute(
            select(t.trials.c.number, of_trial.c.value_json)
            .join(of_trial, of_trial.c.trial_id == t.trials.c.trial_id)
            .where(t.trials.c.study_id == stage.study_id, t.trials.c.number.in_(some), of_trial.c.key == key)
            .order_by(t.trials.c.number)
        ).all()
    return {number: json.loads(text) for number, text in rows}


def study_attribute(connection: Connection, stage: Stage, key: str) -> Any | None:
    """A user attribute of a stage's study; see `hpsearch.store.base.Store.study_attribute`."""
    of_study = t.study_user_attributes
    text = connection.execute(
        select(of_study.c.value_json).where(of_study.c.study_id == stage.study_id, of_study.c.key == key)
    ).scalar()
    return None if text is None else json.loads(text)


def drawn(connection: Connection, stage: Stage) -> int:
    """How many trials were drawn so far; see `hpsearch.store.base.Store.drawn`."""
    newest = select(t.trials.c.number).where(t.trials.c.study_id == stage.study_id)
    number = connection.execute(newest.order_by(t.trials.c.trial_id.desc()).limit(1)).scalar()
    return 0 if number is None else int(number) + 1


def has_trials(connection: Connection, study_id: int) -> bool:
    """Whether a study has any trial, in whatever state."""
    return (
        connection.execute(select(t.trials.c.trial_id).where(t.trials.c.study_id == study_id).limit(1)).first()
        is not None
    )
