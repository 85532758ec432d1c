"""Reads: SQL into columns, DataFrames and records, never trials as Optuna objects."""

from __future__ import annotations

import heapq
import json
import math
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, case, func, select

from hpsearch.records import HITS, REASON, SECONDS, VALIDATION_LOSS, Direction, NewStage, Stage, rank_key, stopped_after
from hpsearch.space import Value, external
from hpsearch.store import tables as t
from hpsearch.store.frames import Columns
from hpsearch.store.stages import stage_attributes, stage_from_attributes
from hpsearch.store.statements import chunks
from hpsearch.store.tables import StudyDirection, TrialState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

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


def _attribute(key: str) -> Any:
    """A user attribute's JSON text, as a scalar subquery of the trial at hand."""
    of_trial = t.trial_user_attributes
    return (
        select(of_trial.c.value_json)
        .where(of_trial.c.trial_id == t.trials.c.trial_id, of_trial.c.key == key)
        .scalar_subquery()
    )


def _last_epoch() -> Any:
    """The last point of the trial at hand's curve, if it was stopped early; of others it is not looked for."""
    points = t.trial_intermediate_values.c
    last = select(func.max(points.step)).where(points.trial_id == t.trials.c.trial_id).scalar_subquery()
    return case((t.trials.c.state == TrialState.PRUNED, last))


def _reason(row: Row[Any]) -> str | None:
    if row.reason is None:
        return None if row.last_epoch is None else stopped_after(row.last_epoch)
    said: str | None = json.loads(row.reason)
    return said


def _number(text: str | None) -> float | None:
    """The number in a user attribute's JSON, if it is finite; read here, as SQLite rounds what it reads."""
    return None if text is None else finite(json.loads(text))


def finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def number_of(stored: float | None, kind: str | None) -> float | None:
    """A number from what Optuna stores for it: null and a type for NaN and the infinities."""
    return {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}.get(kind or "", stored)


def _select_trials(stage: Stage, *, hits: bool) -> Select[Any]:
    query = (
        select(
            t.trials.c.trial_id,
            t.trials.c.number,
            t.trials.c.state,
            t.trial_values.c.value.label("score"),
            _attribute(VALIDATION_LOSS).label("validation_loss"),
            _attribute(SECONDS).label("seconds"),
            _attribute(REASON).label("reason"),
            _last_epoch().label("last_epoch"),
            t.trials.c.datetime_start.label("started"),
            t.trials.c.datetime_complete.label("finished"),
            t.trial_values.c.value_type.label("score_type"),
        )
        .select_from(t.trials.outerjoin(t.trial_values))
        .where(t.trials.c.study_id == stage.study_id)
    )
    return query.add_columns(_attribute(HITS).label(HITS)) if hits else query


def columns(
    connection: Connection,
    stage: Stage,
    *,
    states: Collection[str] | None,
    top: int | None,
    numbers: Collection[int] | None = None,
    hits: bool = False,
) -> Columns:
    """Trials by column; see `hpsearch.store.base.Store.columns`."""
    if top is not None:
        return columns_of(connection, stage, _best(connection, stage, top), hits=hits)
    query = _select_trials(stage, hits=hits)
    if states is not None:
        query = query.where(t.trials.c.state.in_([TrialState[state] for state in states]))
    if numbers is not None:
        query = query.where(t.trials.c.number.in_(numbers))
    found = list(connection.execute(query.order_by(t.trials.c.number)))
    return _by_column(connection, stage, found, all_trials=states is None and numbers is None, hits=hits)


def columns_of(connection: Connection, stage: Stage, ids: Sequence[int], *, hits: bool = False) -> Columns:
    """Some trials by column, in the order of their ids here."""
    query = _select_trials(stage, hits=hits)
    place = {trial_id: i for i, trial_id in enumerate(ids)}
    found = [row for some in chunks(ids) for row in connection.execute(query.where(t.trials.c.trial_id.in_(some)))]
    found.sort(key=lambda row: place[row.trial_id])
    return _by_column(connection, stage, found, all_trials=False, hits=hits)


def _by_column(
    connection: Connection, stage: Stage, found: Sequence[Row[Any]], *, all_trials: bool, hits: bool
) -> Columns:
    columns: Columns = {
        "number": [row.number for row in found],
        "state": [row.state.name for row in found],
        "score": [number_of(row.score, row.score_type) for row in found],
        "validation_loss": [_number(row.validation_loss) for row in found],
        "seconds": [_number(row.seconds) for row in found],
        "reason": [_reason(row) for row in found],
        "started": [row.started for row in found],
        "finished": [row.finished for row in found],
    }
    if hits:
        columns[HITS] = [getattr(row, HITS) and json.loads(getattr(row, HITS)) for row in found]
    ids = [row.trial_id for row in found]
    return columns | _params(connection, stage, ids, all_trials=all_trials)


_BEYOND = 1000
"""So many more trials than were asked for are looked at, at least 1, so that ties with the last are seen at once."""


def _best(connection: Connection, stage: Stage, top: int) -> list[int]:
    """Ids of the best completed trials, best first, as `hpsearch.records.rank_key` sorts them.

    Only of those that are at least as good as the last of them is more than the score looked at.
    """
    score = t.trial_values.c.value
    maximize = stage.direction == "maximize"
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
    best_first = score.desc() if maximize else score.asc()
    found = list(connection.execute(scored.order_by(best_first).limit(top + _BEYOND)))
    if len(found) >= top:
        last = found[top - 1].value
        if found[-1].value == last and len(found) == top + _BEYOND:  # there may be more such ties
            found = list(connection.execute(scored.where(score >= last if maximize else score <= last)))
        found = [row for row in found if (row.value >= last if maximize else row.value <= last)]
    of_trial = t.trial_user_attributes.c
    losses: dict[int, float | None] = {}
    for some in chunks([row.trial_id for row in found]):
        texts = select(of_trial.trial_id, of_trial.value_json).where(
            of_trial.trial_id.in_(some), of_trial.key == VALIDATION_LOSS
        )
        losses |= {trial_id: _number(text) for trial_id, text in connection.execute(texts)}
    ranked = [
        (*rank_key(stage.direction, value, losses.get(trial_id), number), trial_id) for trial_id, number, value in found
    ]
    return [row[-1] for row in heapq.nsmallest(top, ranked)]


def _params(connection: Connection, stage: Stage, ids: Sequence[int], *, all_trials: bool) -> Columns:
    query = select(t.trial_params.c.trial_id, t.trial_params.c.param_name, t.trial_params.c.param_value)
    values: dict[str, dict[int, Value]] = {name: {} for name in stage.space}
    if all_trials:
        # One join over the study beats an IN list of every trial.
        queries = [query.join(t.trials).where(t.trials.c.study_id == stage.study_id)]
    else:
        queries = [query.where(t.trial_params.c.trial_id.in_(some)) for some in chunks(ids)]
    for part in queries:
        for trial_id, name, value in connection.execute(part):
            if name in values:
                values[name][trial_id] = external(stage.space[name], value)
    return {f"param:{name}": [of_name.get(trial_id) for trial_id in ids] for name, of_name in values.items()}


def drawn(connection: Connection, stage: Stage) -> int:
    """How many trials were drawn so far; see `hpsearch.store.base.Store.drawn`."""
    # Not the newest key's: a trial that a repair has put in again is newer than those after it.
    highest = select(func.max(t.trials.c.number)).where(t.trials.c.study_id == stage.study_id)
    number = connection.execute(highest).scalar()
    return 0 if number is None else int(number) + 1


def study_attribute(connection: Connection, stage: Stage, key: str) -> Any | None:
    """A user attribute of a stage's study; see `hpsearch.store.base.Store.study_attribute`."""
    of_study = t.study_user_attributes
    text = connection.execute(
        select(of_study.c.value_json).where(of_study.c.study_id == stage.study_id, of_study.c.key == key)
    ).scalar()
    return None if text is None else json.loads(text)


def attributes(connection: Connection, stage: Stage, key: str) -> Iterator[tuple[int, Any]]:
    """A user attribute of every trial; see `hpsearch.store.base.Store.attributes`."""
    of_trial = t.trial_user_attributes
    asked = (
        select(t.trials.c.number, of_trial.c.value_json)
        .join(of_trial, of_trial.c.trial_id == t.trials.c.trial_id)
        .where(t.trials.c.study_id == stage.study_id, of_trial.c.key == key)
        .execution_options(yield_per=1000)
    )
    for number, text in connection.execute(asked):
        yield number, json.loads(text)


def is_stage(connection: Connection, study_id: int, new: NewStage) -> bool:
    """Whether a study is just what `hpsearch.store.writer.insert_stage` makes of a stage."""
    of_study = t.study_user_attributes.c
    rows = connection.execute(select(of_study.key, of_study.value_json).where(of_study.study_id == study_id)).all()
    texts = {key: json.dumps(value) for key, value in stage_attributes(new).items()}
    return sorted(map(tuple, rows)) == sorted(texts.items())


def has_trials(connection: Connection, study_id: int) -> bool:
    """Whether a study has any trial, in whatever state."""
    return (
        connection.execute(select(t.trials.c.trial_id).where(t.trials.c.study_id == study_id).limit(1)).first()
        is not None
    )
