"""Claims in bulk: who gets which trial, with which values, and for how long.

Optuna, slow to import, draws and writes down the values: it is loaded by the functions that do so.

Each function runs inside one write transaction that its caller opens and in which it holds the stage
(`hpsearch.store.locking.lock_stage`).
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from sqlalchemy import BindParameter, bindparam, delete, select, update

from hpsearch.errors import StageConflict
from hpsearch.records import ConfirmationPlan, Stage, Trial
from hpsearch.space import Value, external, to_distribution
from hpsearch.store import census, queries
from hpsearch.store import tables as t
from hpsearch.store.base import OWNER, Counts
from hpsearch.store.leases import Owner, Watch, utc_now
from hpsearch.store.locking import UnchangedStage, database_now
from hpsearch.store.stages import ROSTER
from hpsearch.store.statements import Statement, constant

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from optuna.distributions import BaseDistribution
    from sqlalchemy.engine import Connection

    from hpsearch.samplers import Draws
    from hpsearch.store.census import Census

FIXED_PARAMS = "fixed_params"
"""Optuna's system attribute with the values of an enqueued trial."""

_owners = t.trial_system_attributes
_is_owner = _owners.c.key == constant(OWNER)
_of_trial: BindParameter[int] = bindparam("of_trial")
_ids: BindParameter[int] = bindparam("ids", expanding=True)
_NEW_TRIALS = Statement.insert(t.trials, "number", "study_id", "state", "datetime_start")
_NEWER = Statement(
    select(t.trials.c.number, t.trials.c.trial_id).where(
        t.trials.c.study_id == bindparam("study_id"), t.trials.c.trial_id > bindparam("last")
    ),
    "study_id",
    "last",
)
_START = Statement(
    update(t.trials)
    .where(t.trials.c.trial_id == _of_trial)
    .values(state=constant("RUNNING"), datetime_start=bindparam("start")),
    "start",
    "of_trial",
)
_OWN = Statement.insert(_owners, "trial_id", "key", "value_json")
_DISOWN = Statement(delete(_owners).where(_owners.c.trial_id == _of_trial, _is_owner), "of_trial")
_HELD = Statement(
    select(t.trials.c.trial_id)
    .join(_owners)
    .where(
        t.trials.c.state == constant("RUNNING"),
        _is_owner,
        _owners.c.value_json == bindparam("owner"),
        t.trials.c.trial_id.in_(_ids),
    ),
    "owner",
    "ids",
)
_ENDED = Statement(
    select(t.trials.c.trial_id)
    .join(_owners)
    .where(
        t.trials.c.state.in_([constant("COMPLETE"), constant("PRUNED"), constant("FAIL")]),
        _is_owner,
        _owners.c.value_json == bindparam("owner"),
        t.trials.c.trial_id.in_(_ids),
    ),
    "owner",
    "ids",
)
_FIXED = Statement(
    select(_owners.c.trial_id, _owners.c.value_json).where(
        _owners.c.key == constant(FIXED_PARAMS), _owners.c.trial_id.in_(_ids)
    ),
    "ids",
)
PARAMS = Statement.insert(t.trial_params, "trial_id", "param_name", "param_value", "distribution_json")
_PARAMS_OF = Statement(
    select(t.trial_params.c.trial_id, t.trial_params.c.param_name, t.trial_params.c.param_value).where(
        t.trial_params.c.trial_id.in_(_ids)
    ),
    "ids",
)
_BEATS = Statement.insert(t.trial_heartbeats, "trial_id", "heartbeat")
FORGET_BEATS = Statement(delete(t.trial_heartbeats).where(t.trial_heartbeats.c.trial_id == _of_trial), "of_trial")
_points = t.trial_intermediate_values
FORGET_POINTS = Statement(delete(_points).where(_points.c.trial_id == _of_trial), "of_trial")


class Kept:
    """What a store keeps of a stage between its calls.

    Args:
        stage: The stage.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.plan = stage.plan
        self.census: Census | None = None
        self.unchanged = UnchangedStage(stage)
        self.watch = Watch()

    @cached_property
    def distributions(self) -> Mapping[str, BaseDistribution]:
        """Optuna's distributions by parameter name."""
        return {name: to_distribution(parameter) for name, parameter in self.stage.space.items()}

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """The distributions as the database keeps them."""
        from optuna.distributions import distribution_to_json

        return {name: distribution_to_json(drawn) for name, drawn in self.distributions.items()}

    @cached_property
    def draws(self) -> Draws:
        """Where trials' values come from."""
        from hpsearch.samplers import Draws

        return Draws(self.stage.space, seed=self.stage.seed)

    def follow(self, connection: Connection) -> None:
        """Read how far a confirmation has grown: another runner may have given its trials' numbers a meaning."""
        if self.stage.plan is not None:
            self.plan = ConfirmationPlan.from_dict(queries.study_attribute(connection, self.stage, ROSTER) or {})

    def trial(self, trial_id: int, number: int, *, fixed: Mapping[str, Value], stored: Mapping[str, Value]) -> Trial:
        """A trial that is claimed, with its values; see `trial_values`."""
        if self.plan is not None:
            return roster_trial(self.stage, self.plan, trial_id, number)
        params = trial_values(self.stage, number, fixed=fixed, stored=stored) if fixed or stored else None
        return Trial(trial_id, number, self.draws.values(number) if params is None else params)

    def count(self, connection: Connection) -> Census:
        """How many trials are in which state; at the beginning of a transaction."""
        self.census = census.take(connection, self.stage.study_id, self.census)
        return self.census


def claim(connection: Connection, kept: Kept, *, until: int, most: int, owner: Owner) -> tuple[list[Trial], Counts]:
    """Take trials: released ones first, then new numbers. See `hpsearch.store.base.Store.claim`."""
    kept.unchanged.check(connection)
    kept.follow(connection)
    before = kept.count(connection)
    counts = before.counts
    take = min(most, until - counts.finished - counts.running)
    if take <= 0:
        return [], counts
    now = utc_now()
    trials = _take_waiting(connection, kept, dict(before.waiting[:take]), now)
    waited = [trial.trial_id for trial in trials]
    trials += _take_new(connection, kept, before, take - len(waited), now)
    # A trial that was waiting has an owner already: nobody.
    _DISOWN.run(connection, [(trial_id,) for trial_id in waited])
    me = owner.to_json()
    _OWN.run(connection, [(trial.trial_id, OWNER, me) for trial in trials])
    beat(connection, waited)
    _start_beating(connection, [trial.trial_id for trial in trials[len(waited) :]])
    after = replace(counts, running=counts.running + len(trials), waiting=counts.waiting - len(waited))
    return trials, after


def _take_new(connection: Connection, kept: Kept, before: Census, take: int, now: datetime) -> list[Trial]:
    if take <= 0:
        return []
    study_id = kept.stage.study_id
    numbers = range(before.highest + 1, before.highest + 1 + take)
    _NEW_TRIALS.run(connection, [(n, study_id, "RUNNING", now) for n in numbers])
    id_of = dict(_NEWER.rows(connection, study_id, before.last))
    trials = [kept.trial(id_of[n], n, fixed={}, stored={}) for n in numbers]
    _insert_params(connection, kept, [(trial.trial_id, trial.params) for trial in trials])
    return trials


def _take_waiting(connection: Connection, kept: Kept, id_of: Mapping[int, int], now: datetime) -> list[Trial]:
    if not id_of:
        return []
    ids = list(id_of.values())
    given: dict[int, dict[str, Value]] = {trial_id: {} for trial_id in ids}
    stored: dict[int, dict[str, Value]] = {trial_id: {} for trial_id in ids}
    _START.run(connection, [(now, trial_id) for trial_id in ids])
    # Somebody may have enqueued values of his own with study.enqueue_trial, or added a trial to be run again.
    for trial_id, values in _FIXED.rows(connection, ids):
        given[trial_id] = json.loads(values)
    for trial_id, name, value in _PARAMS_OF.rows(connection, ids):
        if name in kept.stage.space:
            stored[trial_id][name] = external(kept.stage.space[name], value)
    trials = [
        kept.trial(trial_id, number, fixed=given[trial_id], stored=stored[trial_id])
        for number, trial_id in id_of.items()
    ]
    missing = [
        (trial.trial_id, {k: v for k, v in trial.params.items() if k not in stored[trial.trial_id]}) for trial in trials
    ]
    _insert_params(connection, kept, missing)
    return trials


def roster_trial(stage: Stage, roster: ConfirmationPlan, trial_id: int, number: int) -> Trial:
    """A confirmation's trial: the values and the repeat are those of its place.

    Raises:
        StageConflict: It has no place, as others began trials in this study.
    """
    try:
        setting, repeat = roster.place(number)
    except IndexError:
        raise StageConflict(
            f"{stage.name} has trials that hpsearch did not begin, and no values are left for trial {number}; delete "
            f"that study (`optuna delete-study`) and confirm again"
        ) from None
    return Trial(trial_id, number, roster.settings[setting].params, repeat)


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
    from hpsearch import samplers as sampling

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
                found[name] = external(parameter, internal)
    return found


def _insert_params(connection: Connection, kept: Kept, params: Sequence[tuple[int, Mapping[str, Value]]]) -> None:
    rows = [
        (trial_id, name, kept.distributions[name].to_internal_repr(value), kept.texts[name])
        for trial_id, values in params
        for name, value in values.items()
    ]
    PARAMS.run(connection, rows)


def beat(connection: Connection, trial_ids: Collection[int]) -> None:
    """Renew the leases of trials, whether or not they have one yet."""
    FORGET_BEATS.run(connection, [(trial_id,) for trial_id in trial_ids])
    _start_beating(connection, trial_ids)


def _start_beating(connection: Connection, trial_ids: Collection[int]) -> None:
    if trial_ids:
        now = database_now(connection)
        _BEATS.run(connection, [(trial_id, now) for trial_id in trial_ids])


def held(connection: Connection, trial_ids: Collection[int], owner: Owner) -> set[int]:
    """Those of the trials that are running and belong to ``owner``."""
    return {row[0] for row in _HELD.rows(connection, owner.to_json(), list(trial_ids))}


def finished(connection: Connection, trial_ids: Collection[int], owner: Owner) -> set[int]:
    """Those of the trials that ``owner`` has finished."""
    return {row[0] for row in _ENDED.rows(connection, owner.to_json(), list(trial_ids))}
