"""Claims in bulk: who gets which trial, with which values, and for how long.

Optuna, slow to import, draws and writes down the values: it is loaded by the functions that do so.

Each function runs inside one write transaction that its caller opens and in which it holds the stage
(`hpsearch.store.locking.lock_stage`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import delete, func, insert, select, update

from hpsearch.records import Stage, Trial
from hpsearch.space import Value, to_distribution
from hpsearch.store import tables as t
from hpsearch.store.base import OWNER, Counts
from hpsearch.store.leases import Owner, utc_now
from hpsearch.store.locking import check_unchanged, database_now
from hpsearch.store.tables import TrialState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.engine import Connection

FIXED_PARAMS = "fixed_params"
"""Optuna's system attribute with the values of an enqueued trial."""
NOBODY = "null"
"""The owner of a released trial, as JSON."""
_CHUNK = 500
"""Ids in one IN list: databases bound the number of variables in a statement."""
T = TypeVar("T")


def chunks(items: Collection[T]) -> Iterator[list[T]]:
    """The items in lists short enough for one statement."""
    listed = list(items)
    for start in range(0, len(listed), _CHUNK):
        yield listed[start : start + _CHUNK]


def count(connection: Connection, study_id: int) -> Counts:
    """How many trials are in which state; running ones count if an owner of ours holds them."""
    states = connection.execute(
        select(t.trials.c.state, func.count()).where(t.trials.c.study_id == study_id).group_by(t.trials.c.state)
    )
    by_state: dict[TrialState, int] = dict(map(tuple, states))
    ours = 0
    if by_state.get(TrialState.RUNNING):
        ours = connection.execute(
            select(func.count())
            .select_from(t.trials.join(t.trial_system_attributes))
            .where(
                t.trials.c.study_id == study_id,
                t.trials.c.state == TrialState.RUNNING,
                t.trial_system_attributes.c.key == OWNER,
                t.trial_system_attributes.c.value_json != NOBODY,
            )
        ).scalar_one()
    return Counts(
        complete=by_state.get(TrialState.COMPLETE, 0),
        pruned=by_state.get(TrialState.PRUNED, 0),
        failed=by_state.get(TrialState.FAIL, 0),
        running=ours,
        waiting=by_state.get(TrialState.WAITING, 0),
    )


def claim(connection: Connection, stage: Stage, *, until: int, most: int, owner: Owner) -> tuple[list[Trial], Counts]:
    """Take trials: released ones first, then new numbers. See `hpsearch.store.base.Store.claim`."""
    check_unchanged(connection, stage)
    counts = count(connection, stage.study_id)
    take = min(most, until - counts.finished - counts.running)
    if take <= 0:
        return [], counts
    now = utc_now()
    trials = _take_waiting(connection, stage, take, now)
    waited = len(trials)
    trials += _take_new(connection, stage, take - waited, now)
    # A trial that was waiting has an owner already: nobody.
    ids = [trial.trial_id for trial in trials]
    for some in chunks(ids):
        connection.execute(
            delete(t.trial_system_attributes).where(
                t.trial_system_attributes.c.trial_id.in_(some), t.trial_system_attributes.c.key == OWNER
            )
        )
    me = owner.to_json()
    connection.execute(
        insert(t.trial_system_attributes),
        [{"trial_id": trial_id, "key": OWNER, "value_json": me} for trial_id in ids],
    )
    beat(connection, ids)
    after = Counts(
        complete=counts.complete,
        pruned=counts.pruned,
        failed=counts.failed,
        running=counts.running + len(trials),
        waiting=counts.waiting - waited,
    )
    return trials, after


def _take_new(connection: Connection, stage: Stage, take: int, now: datetime) -> list[Trial]:
    if take <= 0:
        return []
    from hpsearch import sampling

    highest = connection.execute(
        select(func.max(t.trials.c.number)).where(t.trials.c.study_id == stage.study_id)
    ).scalar()
    first = 0 if highest is None else highest + 1
    numbers = range(first, first + take)
    connection.execute(
        insert(t.trials),
        [
            {"number": n, "study_id": stage.study_id, "state": TrialState.RUNNING, "datetime_start": now}
            for n in numbers
        ],
    )
    ids = connection.execute(
        select(t.trials.c.number, t.trials.c.trial_id).where(
            t.trials.c.study_id == stage.study_id, t.trials.c.number >= first
        )
    )
    id_of: dict[int, int] = dict(map(tuple, ids))
    trials = [Trial(id_of[n], n, sampling.values(stage.space, seed=stage.seed, number=n)) for n in numbers]
    _insert_params(connection, stage, [(trial.trial_id, trial.params) for trial in trials])
    return trials


def _take_waiting(connection: Connection, stage: Stage, take: int, now: datetime) -> list[Trial]:
    found = connection.execute(
        select(t.trials.c.trial_id, t.trials.c.number)
        .where(t.trials.c.study_id == stage.study_id, t.trials.c.state == TrialState.WAITING)
        .order_by(t.trials.c.number)
        .limit(take)
    ).all()
    number_of: dict[int, int] = dict(map(tuple, found))
    if not number_of:
        return []
    given: dict[int, dict[str, Value]] = {trial_id: {} for trial_id in number_of}
    stored: dict[int, dict[str, Value]] = {trial_id: {} for trial_id in number_of}
    distributions = {name: to_distribution(parameter) for name, parameter in stage.space.items()}
    for some in chunks(number_of):
        connection.execute(
            update(t.trials).where(t.trials.c.trial_id.in_(some)).values(state=TrialState.RUNNING, datetime_start=now)
        )
        # Somebody may have enqueued values of his own with study.enqueue_trial, or added a trial to be run again.
        enqueued = connection.execute(
            select(t.trial_system_attributes.c.trial_id, t.trial_system_attributes.c.value_json).where(
                t.trial_system_attributes.c.trial_id.in_(some),
                t.trial_system_attributes.c.key == FIXED_PARAMS,
            )
        )
        for trial_id, values in enqueued:
            given[trial_id] = json.loads(values)
        rows = connection.execute(
            select(t.trial_params.c.trial_id, t.trial_params.c.param_name, t.trial_params.c.param_value).where(
                t.trial_params.c.trial_id.in_(some)
            )
        )
        for trial_id, name, value in rows:
            if name in distributions:
                stored[trial_id][name] = distributions[name].to_external_repr(value)
    trials = [
        Trial(trial_id, number, trial_values(stage, number, fixed=given[trial_id], stored=stored[trial_id]))
        for trial_id, number in number_of.items()
    ]
    missing = [
        (trial.trial_id, {k: v for k, v in trial.params.items() if k not in stored[trial.trial_id]}) for trial in trials
    ]
    _insert_params(connection, stage, missing)
    return trials


def trial_values(
    stage: Stage, number: int, *, fixed: Mapping[str, Value], stored: Mapping[str, Value]
) -> dict[str, Value]:
    """The values of a trial that was waiting: those that it has, those that somebody enqueued, drawn ones.

    Enqueued values hold where they are hyperparameters of the stage and lie in their ranges. (Optuna takes a number
    from outside its range too, and breaks on an unknown choice.)

    Args:
        stage: The stage.
        number: The trial's number.
        fixed: The values that ``study.enqueue_trial`` was given.
        stored: The values that the trial has already.
    """
    from hpsearch import sampling

    found = sampling.values(stage.space, seed=stage.seed, number=number)
    for name, parameter in stage.space.items():
        if name in stored:
            found[name] = stored[name]
        elif name in fixed:
            distribution = to_distribution(parameter)
            try:
                internal = distribution.to_internal_repr(fixed[name])
            except ValueError:
                continue
            if distribution._contains(internal):
                found[name] = distribution.to_external_repr(internal)
    return found


def _insert_params(connection: Connection, stage: Stage, params: Sequence[tuple[int, Mapping[str, Value]]]) -> None:
    from optuna.distributions import distribution_to_json

    distributions = {name: to_distribution(parameter) for name, parameter in stage.space.items()}
    texts = {name: distribution_to_json(distribution) for name, distribution in distributions.items()}
    rows = [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": distributions[name].to_internal_repr(value),
            "distribution_json": texts[name],
        }
        for trial_id, values in params
        for name, value in values.items()
    ]
    if rows:
        connection.execute(insert(t.trial_params), rows)


def beat(connection: Connection, trial_ids: Collection[int]) -> None:
    """Renew the leases of trials, whether or not they have one yet."""
    now = database_now(connection)
    for some in chunks(trial_ids):
        connection.execute(delete(t.trial_heartbeats).where(t.trial_heartbeats.c.trial_id.in_(some)))
        connection.execute(insert(t.trial_heartbeats), [{"trial_id": trial_id, "heartbeat": now} for trial_id in some])


def held(connection: Connection, trial_ids: Collection[int], owner: Owner) -> set[int]:
    """Those of the trials that are running and belong to ``owner``."""
    found: set[int] = set()
    for some in chunks(trial_ids):
        rows = connection.execute(
            select(t.trials.c.trial_id)
            .join(t.trial_system_attributes)
            .where(
                t.trials.c.trial_id.in_(some),
                t.trials.c.state == TrialState.RUNNING,
                t.trial_system_attributes.c.key == OWNER,
                t.trial_system_attributes.c.value_json == owner.to_json(),
            )
        )
        found.update(rows.scalars())
    return found


def release(connection: Connection, trial_ids: Collection[int]) -> None:
    """Make running trials waiting again, without their half curves, and nobody's."""
    for some in chunks(trial_ids):
        connection.execute(
            update(t.trials)
            .where(t.trials.c.trial_id.in_(some), t.trials.c.state == TrialState.RUNNING)
            .values(state=TrialState.WAITING, datetime_start=None)
        )
        # Whoever takes it next need not be one of ours: Optuna's own `ask` takes waiting trials too.
        owners = t.trial_system_attributes
        connection.execute(
            update(owners).where(owners.c.trial_id.in_(some), owners.c.key == OWNER).values(value_json=NOBODY)
        )
        for table in (t.trial_intermediate_values, t.trial_heartbeats):
            connection.execute(delete(table).where(table.c.trial_id.in_(some)))
