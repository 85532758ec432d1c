"""Reads: SQL into columns and records, never trials as Optuna objects. Each costs what it returns."""

from __future__ import annotations

import heapq
import json
import math
import sys
from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import Select, and_, case, func, select

from hpsearch.records import HITS, REASON, SECONDS, VALIDATION_LOSS, Direction, Stage, Standing, rank_key, stopped_after
from hpsearch.space import Value, external
from hpsearch.store import schema as t
from hpsearch.store.leases import Owned, Owner
from hpsearch.store.schema import (
    ATTRIBUTE_PREFIX,
    IS_FINISHED,
    NOBODY,
    OWNER,
    RELEASED,
    Query,
    chunks,
    stage_from_attributes,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray
    from sqlalchemy import FromClause
    from sqlalchemy.engine import Connection, Row

Columns: TypeAlias = dict[str, list[Any]]  # rows by column: lists of one length
Arrays: TypeAlias = "dict[str, NDArray[Any]]"  # rows by column: arrays of one length, where lists are too slow
LATEST_AMONG = 500  # the trials that finished last are looked for among so many that began last
_BEYOND = 1000  # so many more trials than the best are looked at, so that ties with the last are seen at once

_POINTS = Query(
    "SELECT t.number, p.step, p.intermediate_value, p.intermediate_value_type FROM trials t"
    " JOIN trial_intermediate_values p ON p.trial_id = t.trial_id WHERE t.study_id = {study_id} AND t.number {ids}"
)
_OWNERS = Query(
    "SELECT o.value_json FROM trials t JOIN trial_system_attributes o ON o.trial_id = t.trial_id"
    f" WHERE t.state = 'RUNNING' AND o.key = '{OWNER}' AND t.trial_id {{ids}}"
)
_HISTORY = Query(
    "SELECT t.number, o.key, o.value_json FROM trials t JOIN trial_system_attributes o ON o.trial_id = t.trial_id"
    f" WHERE t.study_id = {{study_id}} AND o.key IN ('{OWNER}', '{RELEASED}') AND t.number {{ids}}"
)
_FINISHERS = Query(
    "SELECT o.value_json, count(*) FROM trials t JOIN trial_system_attributes o ON o.trial_id = t.trial_id"
    f" WHERE t.study_id = {{study_id}} AND {IS_FINISHED} AND o.key = '{OWNER}' AND t.trial_id >= {{first}}"
    " GROUP BY o.value_json"
)
_FIRST_AMONG = Query(
    "SELECT trial_id FROM trials WHERE study_id = {study_id} ORDER BY trial_id DESC LIMIT 1 OFFSET {skip}"
)
_STANDINGS = Query(
    "SELECT t.number, t.state, o.value_json, p.intermediate_value, p.intermediate_value_type FROM trials t"
    f" LEFT JOIN trial_system_attributes o ON o.trial_id = t.trial_id AND o.key = '{OWNER}'"
    " LEFT JOIN trial_intermediate_values p ON p.trial_id = t.trial_id AND p.step = {step}"
    " WHERE t.study_id = {study_id} AND t.number >= {start} AND t.number < {stop} ORDER BY t.number"
)
ATTRIBUTE = Query(
    "SELECT t.number, a.value_json FROM trials t JOIN trial_user_attributes a ON a.trial_id = t.trial_id"
    " WHERE t.study_id = {study_id} AND a.key = {key} AND t.number {ids} ORDER BY t.number"
)
_ATTRIBUTES = Query(
    "SELECT t.number, a.key, a.value_json FROM trials t JOIN trial_user_attributes a ON a.trial_id = t.trial_id"
    " WHERE t.study_id = {study_id} AND t.number {ids} ORDER BY a.trial_user_attribute_id"
)
HIGHEST = Query("SELECT max(number) FROM trials WHERE study_id = {study_id}")
EPOCHS = Query(
    "SELECT count(*) FROM trials t JOIN trial_intermediate_values p ON p.trial_id = t.trial_id"
    " WHERE t.study_id = {study_id}"
)


def stages(connection: Connection, search: str | None = None) -> list[Stage]:
    """Return every stage in the database, or of one search."""
    of_study = t.study_user_attributes.c
    attributes: dict[int, dict[str, Any]] = {}
    query = select(of_study.study_id, of_study.key, of_study.value_json)
    if search is not None:
        its = select(of_study.study_id).where(of_study.key == t.SEARCH, of_study.value_json == json.dumps(search))
        query = query.where(of_study.study_id.in_(its))
    for study_id, key, text in connection.execute(query.where(of_study.key.startswith(ATTRIBUTE_PREFIX))):
        attributes.setdefault(study_id, {})[key] = json.loads(text)
    directions: dict[int, Direction] = {
        study_id: "maximize" if direction == "MAXIMIZE" else "minimize"
        for study_id, direction in connection.execute(
            select(t.study_directions.c.study_id, t.study_directions.c.direction)
        )
    }
    made = (
        stage_from_attributes(study_id, directions.get(study_id, "maximize"), of_stage)
        for study_id, of_stage in attributes.items()
    )
    return [stage for stage in made if stage is not None]


def searches(connection: Connection) -> list[str]:
    """Return the names of all searches, in alphabetical order."""
    of_study = t.study_user_attributes.c
    texts = connection.execute(select(of_study.value_json).where(of_study.key == t.SEARCH).distinct()).scalars()
    return sorted(filter(None, map(json.loads, texts)))


def has_study(connection: Connection, name: str) -> bool:
    """Return whether there is a study of that name."""
    return connection.execute(select(t.studies.c.study_id).where(t.studies.c.study_name == name)).first() is not None


def study_attribute(connection: Connection, stage: Stage, key: str) -> Any | None:
    """Return a user attribute of a stage's study; None where it has none of that key."""
    of_study = t.study_user_attributes.c
    query = select(of_study.value_json).where(of_study.study_id == stage.study_id, of_study.key == key)
    text = connection.execute(query).scalar()
    return None if text is None else json.loads(text)


def has_trials(connection: Connection, study_id: int) -> bool:
    """Return whether a study has any trial, in whatever state."""
    query = select(t.trials.c.trial_id).where(t.trials.c.study_id == study_id).limit(1)
    return connection.execute(query).first() is not None


def finite(value: Any) -> float | None:
    """Return a finite number as a float; None for anything else."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def number_of(stored: float | None, kind: str | None) -> float | None:
    """Return a number from what Optuna stores for it: null and a type for NaN and the infinities."""
    return {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}.get(kind or "", stored)


def _number(text: str | None) -> float | None:
    # Read here, as SQLite rounds what it reads from JSON.
    if text is None:
        return None
    try:
        return finite(float(text))  # a fifth of the time of the next line
    except ValueError:
        return finite(json.loads(text))


def _reason(row: Row[Any]) -> str | None:
    if row.reason is None and row.last_epoch is not None:
        return stopped_after(row.last_epoch)
    reason: str | None = row.reason and json.loads(row.reason)
    return reason


def _attribute(key: str) -> Any:
    """Return a user attribute's JSON text, as a scalar subquery of the trial at hand."""
    of_trial = t.trial_user_attributes.c
    query = select(of_trial.value_json).where(of_trial.trial_id == t.trials.c.trial_id, of_trial.key == key)
    return query.scalar_subquery().label(key)


def _select_trials(stage: Stage, *, hits: bool) -> Select[Any]:
    points = t.trial_intermediate_values.c
    # The last point of a pruned trial's curve; of others it is not looked for.
    last = select(func.max(points.step)).where(points.trial_id == t.trials.c.trial_id).scalar_subquery()
    query = (
        select(
            t.trials.c.trial_id,
            t.trials.c.number,
            t.trials.c.state,
            t.trial_values.c.value.label("score"),
            t.trial_values.c.value_type.label("score_type"),
            *map(_attribute, (VALIDATION_LOSS, SECONDS, REASON)),
            case((t.trials.c.state == "PRUNED", last)).label("last_epoch"),
            t.trials.c.datetime_start.label("started"),
            t.trials.c.datetime_complete.label("finished"),
        )
        .select_from(t.trials.outerjoin(t.trial_values))
        .where(t.trials.c.study_id == stage.study_id)
    )
    return query.add_columns(_attribute(HITS)) if hits else query


def columns(
    connection: Connection,
    stage: Stage,
    *,
    states: Collection[str] | None,
    top: int | None,
    numbers: Collection[int] | None = None,
    hits: bool = False,
) -> Columns:
    """Return trials by column; see `hpsearch.store.Store.columns`."""
    if top is not None:
        return columns_of(connection, stage, _best(connection, stage, top), hits=hits)
    query = _select_trials(stage, hits=hits)
    if states is not None:
        query = query.where(t.trials.c.state.in_(states))
    if numbers is not None:
        query = query.where(t.trials.c.number.in_(numbers))
    rows = list(connection.execute(query.order_by(t.trials.c.number)))
    return _by_column(connection, stage, rows, all_trials=states is None and numbers is None, hits=hits)


def columns_of(connection: Connection, stage: Stage, ids: Sequence[int], *, hits: bool = False) -> Columns:
    """Return some trials by column, in the order of their ids here."""
    query = _select_trials(stage, hits=hits)
    place = {trial_id: i for i, trial_id in enumerate(ids)}
    rows = [row for some in chunks(ids) for row in connection.execute(query.where(t.trials.c.trial_id.in_(some)))]
    rows.sort(key=lambda row: place[row.trial_id])
    return _by_column(connection, stage, rows, all_trials=False, hits=hits)


def _by_column(
    connection: Connection, stage: Stage, rows: Sequence[Row[Any]], *, all_trials: bool, hits: bool
) -> Columns:
    columns: Columns = {
        "number": [row.number for row in rows],
        "state": [row.state for row in rows],
        "score": [number_of(row.score, row.score_type) for row in rows],
        "validation_loss": [_number(row.validation_loss) for row in rows],
        "seconds": [_number(row.seconds) for row in rows],
        "reason": [_reason(row) for row in rows],
        "started": [row.started for row in rows],
        "finished": [row.finished for row in rows],
    }
    if hits:
        columns[HITS] = [getattr(row, HITS) and json.loads(getattr(row, HITS)) for row in rows]
    return columns | _params(connection, stage, [row.trial_id for row in rows], all_trials=all_trials)


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


def _best(connection: Connection, stage: Stage, top: int) -> list[int]:
    """Return ids of the best completed trials, best first, as `hpsearch.records.rank_key` sorts them.

    Scores are read of all candidates; losses only of those that score at least as well as the last one kept.
    """
    if top == 0:
        return []
    score = t.trial_values.c.value
    maximize = stage.direction == "maximize"
    scored = (
        select(t.trials.c.trial_id, t.trials.c.number, score)
        .select_from(t.trials.join(t.trial_values))
        .where(
            t.trials.c.study_id == stage.study_id,
            t.trials.c.state == "COMPLETE",
            t.trial_values.c.value_type == "FINITE",
            score <= sys.float_info.max,  # SQLite keeps texts too where others write them, and sorts them last
        )
    )
    best_first = scored.order_by(score.desc() if maximize else score.asc())
    rows = list(connection.execute(best_first.limit(top + _BEYOND)))
    if len(rows) >= top:
        last = rows[top - 1].value
        if rows[-1].value == last and len(rows) == top + _BEYOND:  # there may be more such ties
            rows = list(connection.execute(scored.where(score >= last if maximize else score <= last)))
        rows = [row for row in rows if (row.value >= last if maximize else row.value <= last)]
    of_trial = t.trial_user_attributes.c
    losses: dict[int, float | None] = {}
    for some in chunks([row.trial_id for row in rows]):
        texts = select(of_trial.trial_id, of_trial.value_json).where(
            of_trial.trial_id.in_(some), of_trial.key == VALIDATION_LOSS
        )
        losses |= {trial_id: _number(text) for trial_id, text in connection.execute(texts)}
    ranked = [
        (*rank_key(stage.direction, value, losses.get(trial_id), number), trial_id) for trial_id, number, value in rows
    ]
    return [row[-1] for row in heapq.nsmallest(top, ranked)]


def page(
    connection: Connection,
    stage: Stage,
    *,
    states: Collection[str] | None,
    sort: str,
    descending: bool,
    offset: int,
    limit: int,
) -> list[int]:
    """Return ids of a part of a stage's trials; see `hpsearch.store.Store.page`."""
    of, parameter = t.trials.c, sort.removeprefix("param:")
    tables: FromClause = t.trials
    if sort == "score":
        tables, key = tables.outerjoin(t.trial_values), t.trial_values.c.value
    elif sort != parameter:
        of_trial = t.trial_params.c
        named = and_(of_trial.trial_id == of.trial_id, of_trial.param_name == parameter)
        tables, key = tables.outerjoin(t.trial_params, named), of_trial.param_value
    else:
        key = {"number": of.number, "started": of.datetime_start, "finished": of.datetime_complete}[sort]
    query = select(of.trial_id).select_from(tables).where(of.study_id == stage.study_id)
    if states is not None:
        query = query.where(of.state.in_(states))
    first = (key.desc() if descending else key.asc()).nulls_last()
    return list(connection.execute(query.order_by(first, of.number).offset(offset).limit(limit)).scalars())


def latest(connection: Connection, stage: Stage, count: int) -> list[int]:
    """Return ids of the trials that finished last, newest first."""
    # From the end of the index of a stage's trials: nothing is sorted, and the others are not looked at.
    last = (
        select(t.trials.c.trial_id, t.trials.c.number, t.trials.c.datetime_complete)
        .where(t.trials.c.study_id == stage.study_id)
        .order_by(t.trials.c.trial_id.desc())
        .limit(LATEST_AMONG)
    )
    finished = [(when, number, trial_id) for trial_id, number, when in connection.execute(last) if when is not None]
    return [trial_id for _, _, trial_id in sorted(finished, reverse=True)[:count]]


def points(connection: Connection, stage: Stage, numbers: Collection[int]) -> list[tuple[int, int, float | None]]:
    """Return points of the curves of some trials, (number, step, value), by number and step."""
    wanted = sorted({int(number) for number in numbers})  # SQLite finds no NumPy integer
    rows = sorted(_POINTS.rows(connection, stage.study_id, wanted), key=itemgetter(0, 1))
    return [(number, step, number_of(stored, kind)) for number, step, stored, kind in rows]


def curves(connection: Connection, stage: Stage, numbers: Collection[int]) -> dict[int, tuple[float, ...]]:
    """Return the scores after each epoch of some trials, by number."""
    curves: dict[int, list[float]] = {}
    for number, _, value in points(connection, stage, numbers):
        curves.setdefault(number, []).append(math.nan if value is None else value)
    return {number: tuple(curve) for number, curve in curves.items()}


def runners(connection: Connection, unfinished: Collection[int]) -> dict[Owner, int]:
    """Return who holds how many of these trials; the one with the most first."""
    owners = (Owner.from_json(text) for (text,) in _OWNERS.rows(connection, sorted(unfinished)))
    return dict(Counter(owner for owner in owners if owner is not None).most_common())


def finishers(connection: Connection, stage: Stage, among: int | None) -> dict[Owner, int]:
    """Return who finished how many of a stage's newest trials, or of all; the one with the most first."""
    first = [] if among is None else _FIRST_AMONG.rows(connection, stage.study_id, among - 1)
    rows = _FINISHERS.rows(connection, stage.study_id, first[0][0] if first else 0)
    owners = {Owner.from_json(text): count for text, count in rows}
    return dict(Counter({owner: count for owner, count in owners.items() if owner is not None}).most_common())


def owned(connection: Connection, stage: Stage, numbers: Collection[int]) -> dict[int, Owned]:
    """Return who runs or finished trials, and how often each was begun, by number."""
    texts: dict[int, dict[str, str]] = {}
    for number, key, text in _HISTORY.rows(connection, stage.study_id, [int(number) for number in numbers]):
        texts.setdefault(number, {})[key] = text
    owned = {}
    for number, of_trial in texts.items():
        owner = Owner.from_json(of_trial.get(OWNER, NOBODY))
        attempts = json.loads(of_trial[RELEASED])["times"] if RELEASED in of_trial else 0
        if owner is not None or attempts:
            owned[number] = Owned(owner, attempts + (owner is not None))
    return owned


def standings(connection: Connection, stage: Stage, numbers: range, step: int) -> list[Standing]:
    """Return where the trials there are among these numbers stand at an epoch, by number."""
    rows = _STANDINGS.rows(connection, step, stage.study_id, numbers.start, numbers.stop)
    return [
        Standing(number, state, state == "RUNNING" and owner not in (None, NOBODY), number_of(stored, kind))
        for number, state, owner, stored, kind in rows
    ]


def attributes(connection: Connection, stage: Stage, key: str) -> Iterator[tuple[int, Any]]:
    """Yield a user attribute of every trial that has it, as (number, value)."""
    of_trial = t.trial_user_attributes
    query = (
        select(t.trials.c.number, of_trial.c.value_json)
        .join(of_trial, of_trial.c.trial_id == t.trials.c.trial_id)
        .where(t.trials.c.study_id == stage.study_id, of_trial.c.key == key)
        .execution_options(yield_per=1000)
    )
    for number, text in connection.execute(query):
        yield number, json.loads(text)


def attributes_of(connection: Connection, stage: Stage, numbers: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return all user attributes of some trials, by number and key."""
    attributes: dict[int, dict[str, Any]] = {}
    for number, key, text in _ATTRIBUTES.rows(connection, stage.study_id, numbers):
        attributes.setdefault(number, {})[key] = json.loads(text)
    return attributes


def frame(columns: Mapping[str, Any], types: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Return columns as a DataFrame, some of them with types that do not depend on which values are missing."""
    import pandas as pd  # 0.3 s to load; commands that show a few rows do without it

    return pd.DataFrame(columns).astype(types or {})


def html(columns: Mapping[str, Any]) -> str:
    """Return columns as a table in HTML, for notebooks; of many rows the first and the last."""
    table = frame(columns)
    return str(table.to_html(index=False, border=0, max_rows=20, na_rep="", float_format="{:.4g}".format))


def trials_frame(columns: Columns) -> pd.DataFrame:
    """Return trials' columns as a DataFrame."""
    times = dict.fromkeys(("started", "finished"), "datetime64[us]")
    return frame(columns, dict.fromkeys(("score", "validation_loss", "seconds"), "float64") | times)
