"""Claims in bulk: trials with their values and leases for runners, and the release of trials.

Each function runs inside one write transaction in which its caller has locked the stage (`lock_studies`).

Trials are counted without counting all of a stage again: a finished trial never changes, so that after one count of the
whole only those are examined that had not finished, and those that have come since, whoever wrote them.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from hpsearch.constraints import is_function
from hpsearch.errors import StageConflict
from hpsearch.records import REASON, RESULT, ConfirmationPlan, Stage, Trial
from hpsearch.samplers import fill_in, sampler_of
from hpsearch.space import Categorical, Float, Int, Parameter, Value, external
from hpsearch.store import queries
from hpsearch.store import schema as t
from hpsearch.store.leases import Owner, Watch, database_now, running_among, utc_now
from hpsearch.store.schema import IS_FINISHED, NOBODY, OWNER, RELEASED, Query, Write
from hpsearch.store.writer import (
    FORGET_ATTRIBUTE,
    FORGET_BEATS,
    FORGET_POINTS,
    PARAMS,
    SYSTEM_ATTRIBUTES,
    distributions,
    write_study_attribute,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from optuna.distributions import BaseDistribution
    from sqlalchemy.engine import Connection

    from hpsearch.samplers import Sampler

FIXED_PARAMS = "fixed_params"  # Optuna's system attribute with the values of an enqueued trial

# One statement, so that no trial finishes between the count of the finished and the list of the others.
_WHOLE = Query(
    "SELECT state, count(*), max(trial_id), max(number) FROM trials"
    f" WHERE study_id = {{study_id}} AND {IS_FINISHED} GROUP BY state"
    f" UNION ALL SELECT state, NULL, trial_id, number FROM trials WHERE study_id = {{study_id}} AND {t.IS_UNFINISHED}"
)
# A finished trial never changes, but that failed ones may be given back; where they were, all is counted anew.
_RETRIES = Query(f"SELECT value_json FROM study_user_attributes WHERE study_id = {{study_id}} AND key = '{t.RETRIED}'")
_SINCE = Query(
    "SELECT t.trial_id, t.number, a.value_json FROM trials t LEFT JOIN study_user_attributes a"
    f" ON a.study_id = t.study_id AND a.key = '{t.RETRIED}'"
    " WHERE t.study_id = {study_id} AND t.trial_id >= {last} ORDER BY t.trial_id"
)
_STATES = Query(
    "SELECT t.trial_id, t.number, t.state, o.value_json FROM trials t"
    f" LEFT JOIN trial_system_attributes o ON o.trial_id = t.trial_id AND o.key = '{OWNER}' WHERE t.trial_id {{ids}}"
)
_DECISIVE = Query(
    "SELECT a.key, a.value_json FROM study_user_attributes a JOIN studies s ON s.study_id = a.study_id"
    " WHERE s.study_id = {study_id} AND s.study_name = {name}"
    f" AND a.key IN ({', '.join(map(repr, t.DECISIVE))})"
)
_NEW_TRIALS = Write.insert("trials", "number", "study_id", "state", "datetime_start")
NEWER = Query("SELECT number, trial_id FROM trials WHERE study_id = {study_id} AND trial_id > {last}")
_START = Write.change(
    "UPDATE trials SET state = 'RUNNING', datetime_start = {datetime_start} {rows} WHERE trials.trial_id = {trial_id}"
)
_STOP = Write.change(
    "UPDATE trials SET state = 'WAITING', datetime_start = NULL {rows}"
    " WHERE trials.trial_id = {trial_id} AND trials.state = 'RUNNING'"
)
_FAILED = Query("SELECT number, trial_id FROM trials WHERE study_id = {study_id} AND state = 'FAIL' ORDER BY number")
_REASONS = Query(f"SELECT trial_id, value_json FROM trial_user_attributes WHERE key = '{REASON}' AND trial_id {{ids}}")
_REVIVE = Write.change(
    "UPDATE trials SET state = 'WAITING', datetime_start = NULL, datetime_complete = NULL {rows}"
    " WHERE trials.trial_id = {trial_id} AND trials.state = 'FAIL'"
)
_FORGET_VALUES = Write.change("DELETE FROM trial_values {rows} WHERE trial_values.trial_id = {trial_id}")
_FORGET_SYSTEM_ATTRIBUTE = Write.change(
    "DELETE FROM trial_system_attributes {rows}"
    " WHERE trial_system_attributes.trial_id = {trial_id} AND trial_system_attributes.key = {key}"
)
_OF_OWNER = (
    "SELECT t.trial_id FROM trials t JOIN trial_system_attributes o ON o.trial_id = t.trial_id"
    f" WHERE o.key = '{OWNER}' AND o.value_json = {{owner}} AND t.trial_id {{ids}} AND "
)
_RUNNING_OF = Query(_OF_OWNER + "t.state = 'RUNNING'")
_FINISHED_OF = Query(_OF_OWNER + IS_FINISHED)
_RUNNING = Query("SELECT trial_id FROM trials WHERE state = 'RUNNING' AND trial_id {ids}")
_FIXED = Query(
    f"SELECT trial_id, value_json FROM trial_system_attributes WHERE key = '{FIXED_PARAMS}' AND trial_id {{ids}}"
)
_PARAMS_OF = Query("SELECT trial_id, param_name, param_value FROM trial_params WHERE trial_id {ids}")
_BEATS = Write.insert("trial_heartbeats", "trial_id", "heartbeat")
_HISTORY = Query(
    "SELECT trial_id, key, value_json FROM trial_system_attributes"
    f" WHERE key IN ('{OWNER}', '{RELEASED}') AND trial_id {{ids}}"
)


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of a stage's trials by state. ``running`` counts those of hpsearch's runners."""

    complete: int = 0
    pruned: int = 0
    failed: int = 0
    running: int = 0
    waiting: int = 0

    @property
    def finished(self) -> int:
        """Trials that will not be run again."""
        return self.complete + self.pruned + self.failed

    @property
    def rows(self) -> int:
        """All trials there are."""
        return self.finished + self.running + self.waiting


@dataclass(frozen=True, slots=True)
class Totals:
    """A study's trials in sum."""

    counts: Counts
    ends: tuple[float, float] | None  # the lowest and the highest score; None before there is one
    finished: datetime | None  # when the last one did (UTC)


def totals(connection: Connection) -> dict[int, Totals]:
    """Return of every study that has trials their sum: a few queries for the whole database."""
    of, score = t.trials.c, t.trial_values.c.value
    states: dict[int, dict[str, int]] = {}
    finished: dict[int, datetime] = {}
    grouped = select(of.study_id, of.state, func.count(), func.max(of.datetime_complete))
    for study_id, state, count, last in connection.execute(grouped.group_by(of.study_id, of.state)):
        states.setdefault(study_id, {})[state] = count
        if last is not None:
            finished[study_id] = max(finished.get(study_id, last), last)
    lowest_highest = (
        select(of.study_id, func.min(score), func.max(score))
        .select_from(t.trials.join(t.trial_values))
        .where(of.state == "COMPLETE", t.trial_values.c.value_type == "FINITE", score <= sys.float_info.max)
        .group_by(of.study_id)
    )
    ends = {study_id: (low, high) for study_id, low, high in connection.execute(lowest_highest)}
    return {
        study_id: Totals(
            Counts(*(of_study.get(state, 0) for state in (*t.FINISHED, "RUNNING", "WAITING"))),
            ends.get(study_id),
            finished.get(study_id),
        )
        for study_id, of_study in states.items()
    }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stage's trials at some moment, as the database had them committed then."""

    counts: Counts
    finished: Mapping[str, int]  # how many have ended, by state
    waiting: tuple[tuple[int, int], ...]  # number and id of those that wait, by number
    unfinished: frozenset[int]  # ids of those that run, whoever runs them, or wait
    last: int  # the id of the newest trial; 0 before the first
    highest: int  # the highest number; -1 before the first
    retries: str | None  # how often failed trials were given back, as stored


def snapshot(connection: Connection, study_id: int, before: Snapshot | None) -> Snapshot:
    """Return a stage's snapshot, in a transaction that has not written yet; ``before`` is an earlier one of its own."""
    if before is not None and before.last:
        since = _SINCE.rows(connection, study_id, before.last)
        # Without the newest trial the study was deleted, and the id may be another trial's by now.
        if since and since[0] == (before.last, before.highest, before.retries):
            ids = before.unfinished.union(trial_id for trial_id, *_ in since[1:])
            highest = max(number for _, number, _ in since)
            last = since[-1][0]
            after = _examined(connection, before.finished, ids, last=last, highest=highest, retries=before.retries)
            if after is not None:
                return after
    # First: whoever gives trials back between the two reads is noticed next time.
    retries = _retries(connection, study_id)
    rows = _WHOLE.rows(connection, study_id)
    finished = {state: count for state, count, *_ in rows if state in t.FINISHED}
    ids = frozenset(trial_id for state, _, trial_id, _ in rows if state not in t.FINISHED)
    last, highest = (max((row[at] for row in rows), default=none) for at, none in ((2, 0), (3, -1)))
    whole = _examined(connection, finished, ids, last=last, highest=highest, retries=retries)
    assert whole is not None
    return whole


def _retries(connection: Connection, study_id: int) -> str | None:
    return next((text for (text,) in _RETRIES.rows(connection, study_id)), None)


def _examined(
    connection: Connection,
    before: Mapping[str, int],
    ids: frozenset[int],
    *,
    last: int,
    highest: int,
    retries: str | None,
) -> Snapshot | None:
    """Return the snapshot, from the states of the trials that may have changed; None if one of them is gone."""
    rows = _STATES.rows(connection, sorted(ids))
    if len(rows) < len(ids):
        return None
    finished = {**dict.fromkeys(t.FINISHED, 0), **before}
    running, waiting, unfinished = 0, [], set()
    for trial_id, number, state, owner in rows:
        if state in finished:
            finished[state] += 1
            continue
        unfinished.add(trial_id)
        if state == "WAITING":
            waiting.append((number, trial_id))
        elif owner not in (None, NOBODY):
            running += 1
    complete, pruned, failed = (finished[state] for state in t.FINISHED)
    counts = Counts(complete, pruned, failed, running, len(waiting))
    return Snapshot(counts, finished, tuple(sorted(waiting)), frozenset(unfinished), last, highest, retries)


@dataclass(frozen=True, slots=True)
class Claimed:
    """The trials of a claim, and the stage's counts after it."""

    trials: tuple[Trial, ...]
    counts: Counts


class Unsampled(Exception):
    """Trials whose values must be sampled before a claim, by number: constraints call functions of the user's."""

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__(numbers)
        self.numbers = numbers


class StageCache:
    """A stage as a store keeps it between calls.

    Args:
        stage: The stage.
        sampler: Samples its trials' values. None: the study file's.
        snapshots: The last snapshots of studies, by key.
    """

    def __init__(self, stage: Stage, sampler: Sampler | None, snapshots: dict[int, Snapshot]) -> None:
        self.stage = stage
        self._snapshots = snapshots
        self._begun = stage.as_begun()
        self.watch = Watch()
        self._sampler = sampler
        # A function of the user's may take long, or hang: none is called while the stage is locked.
        samples = stage.plan is None and not stage.defined_by_run
        called = any(map(is_function, stage.study_file.get("constraints", ())))
        self._beforehand = samples and (called or stage.refinement is not None)  # whose sampler reads the database
        self._sampled: dict[int, dict[str, Value]] = {}  # by number, where the values are sampled beforehand
        self._plan = stage.plan
        self._decisive: list[tuple[str, str]] | None = None  # as stored when they matched the stage's

    @cached_property
    def distributions(self) -> Mapping[str, tuple[BaseDistribution, str]]:
        """Optuna's distributions by parameter name, each also as the database keeps it."""
        return distributions(self.stage.space)

    def count(self, connection: Connection) -> Snapshot:
        """Return the stage's snapshot; at the beginning of a transaction."""
        study_id = self.stage.study_id
        now = self._snapshots[study_id] = snapshot(connection, study_id, self._snapshots.get(study_id))
        return now

    def follow(self, connection: Connection) -> None:
        """Check that the study is still the stage, and read the current plan of a confirmation.

        Narrowing again replaces an empty stage; and one that is begun anew after it was deleted may get the same id.
        """
        stored = sorted(_DECISIVE.rows(connection, self.stage.study_id, self.stage.name))
        if stored != self._decisive:
            if not t.is_same(self.stage, {key: json.loads(text) for key, text in stored}):
                raise t.replaced(self.stage)
            self._decisive = stored
        if self.stage.plan is not None:
            # Another runner may have added places to the plan.
            self._plan = ConfirmationPlan.from_dict(queries.study_attribute(connection, self.stage, t.PLAN_KEY) or {})

    def sample(self, numbers: Sequence[int]) -> None:
        """Sample the values of trials that may be claimed; outside of a transaction."""
        self._sampled = {number: self._sampled.get(number) or self._params(number) for number in numbers}

    def check_sampled(self, numbers: Sequence[int]) -> None:
        """Check that `trial` calls no function of the user's for these trials.

        Raises:
            Unsampled: It would.
        """
        if self._beforehand and not self._sampled.keys() >= set(numbers):
            raise Unsampled(numbers)

    def _params(self, number: int) -> dict[str, Value]:
        if self._sampler is None:
            self._sampler = sampler_of(self.stage)
        return self._sampler.params(self._begun, number)

    def trial(self, trial_id: int, number: int, *, fixed: Mapping[str, Value], stored: Mapping[str, Value]) -> Trial:
        """Return a claimed trial with its values: those that it has, enqueued ones, sampled ones.

        Enqueued values hold where they are parameters of the stage, lie in their ranges and meet their conditions.
        (Optuna takes a number from outside its range too, and breaks on an unknown choice.)
        """

        if self._plan is not None:
            return planned_trial(self.stage, self._plan, trial_id, number)
        if self.stage.defined_by_run:  # its function samples what it suggests, and its outcome brings that here
            return Trial(trial_id, number, {**fixed, **stored})
        sampled = self._sampled[number] if self._beforehand else self._params(number)
        if not fixed and not stored:
            return Trial(trial_id, number, sampled)
        params = {**sampled, **stored}
        for name in fixed.keys() & (self._begun.space.keys() - stored.keys()):
            parameter, (distribution, _) = self._begun.space[name], self.distributions[name]
            try:
                number_stored = distribution.to_internal_repr(fixed[name])
            except ValueError:
                continue
            if is_stored_value(parameter, number_stored):
                params[name] = external(parameter, number_stored)
        return Trial(trial_id, number, fill_in(self._begun, number, params))


def is_stored_value(parameter: Parameter, stored: float) -> bool:
    """Return whether a number stands for one of a parameter's values in the database."""
    match parameter:
        case Categorical(choices):
            return stored in range(len(choices))
        case Int(low, high, _, step):
            return low <= stored <= high and (stored - low) % step == 0
        case Float(low, high, step=step):
            steps = 0.0 if step is None else (stored - low) / step
            return low <= stored <= high and abs(steps - round(steps)) < 1e-8  # as Optuna does


def lock_studies(connection: Connection, study_ids: Collection[int] | None = None) -> None:
    """Lock studies until the transaction ends, so that writers to their trials take turns.

    SQLite's single writer has locked everything already. Optuna locks the same row when it numbers a trial.
    """
    if connection.dialect.name != "sqlite":
        # In one order, so that two transactions cannot deadlock.
        rows = select(t.studies.c.study_id).order_by(t.studies.c.study_id).with_for_update()
        connection.execute(rows if study_ids is None else rows.where(t.studies.c.study_id.in_(study_ids))).all()


def claim(connection: Connection, cache: StageCache, *, until: int, most: int, owner: Owner) -> Claimed:
    """Claim trials: released ones first, then new numbers. See `hpsearch.store.Store.claim`.

    Raises:
        Unsampled: See `StageCache.check_sampled`; nothing is written yet.
    """
    cache.follow(connection)
    before = cache.count(connection)
    counts = before.counts
    take = min(most, until - counts.finished - counts.running)
    if take <= 0:
        return Claimed((), counts)
    waiting = dict(before.waiting[:take])
    first = before.highest + 1
    cache.check_sampled([*waiting, *range(first, first + take - len(waiting))])
    now = utc_now()
    waited = _take_waiting(connection, cache, waiting, now)
    trials = waited + _take_new(connection, cache, before, take - len(waited), now)
    # A trial that was waiting has the owner `NOBODY` already.
    _FORGET_SYSTEM_ATTRIBUTE.run(connection, [(trial.trial_id, OWNER) for trial in waited])
    me = owner.to_json()
    SYSTEM_ATTRIBUTES.run(connection, [(trial.trial_id, OWNER, me) for trial in trials])
    FORGET_BEATS.run(connection, [(trial.trial_id,) for trial in waited])
    _start_beating(connection, [trial.trial_id for trial in trials])
    after = replace(counts, running=counts.running + len(trials), waiting=counts.waiting - len(waited))
    return Claimed(tuple(trials), after)


def _take_new(connection: Connection, cache: StageCache, before: Snapshot, take: int, now: datetime) -> list[Trial]:
    if take <= 0:
        return []
    study_id = cache.stage.study_id
    numbers = range(before.highest + 1, before.highest + 1 + take)
    _NEW_TRIALS.run(connection, [(number, study_id, "RUNNING", now) for number in numbers])
    id_of = dict(NEWER.rows(connection, study_id, before.last))
    trials = [cache.trial(id_of[number], number, fixed={}, stored={}) for number in numbers]
    _insert_params(connection, cache, [(trial.trial_id, trial.params) for trial in trials])
    return trials


def _take_waiting(connection: Connection, cache: StageCache, id_of: Mapping[int, int], now: datetime) -> list[Trial]:
    if not id_of:
        return []
    ids = list(id_of.values())
    space = cache.stage.space
    fixed: dict[int, dict[str, Value]] = defaultdict(dict)
    stored: dict[int, dict[str, Value]] = defaultdict(dict)
    _START.run(connection, [(now, trial_id) for trial_id in ids])
    # A user may have enqueued values with study.enqueue_trial, or added a trial to be run again.
    for trial_id, text in _FIXED.rows(connection, ids):
        fixed[trial_id] = json.loads(text)
    for trial_id, name, value in _PARAMS_OF.rows(connection, ids):
        if name in space:
            stored[trial_id][name] = external(space[name], value)
    trials = [
        cache.trial(trial_id, number, fixed=fixed[trial_id], stored=stored[trial_id])
        for number, trial_id in id_of.items()
    ]
    missing = [
        (trial.trial_id, {k: v for k, v in trial.params.items() if k not in stored[trial.trial_id]}) for trial in trials
    ]
    _insert_params(connection, cache, missing)
    return trials


def planned_trial(stage: Stage, plan: ConfirmationPlan, trial_id: int, number: int) -> Trial:
    """Return a confirmation's trial: the values and the repeat are those of its place."""
    try:
        setting, repeat = plan.place(number)
    except IndexError:
        raise StageConflict(
            f"{stage.name} has trials that hpsearch did not begin, and no values are left for trial {number}; delete "
            "that study and confirm again"
        ) from None
    return Trial(trial_id, number, plan.settings[setting].params, repeat)


def _insert_params(
    connection: Connection, cache: StageCache, params: Sequence[tuple[int, Mapping[str, Value]]]
) -> None:
    if cache.stage.defined_by_run and cache.stage.plan is None:
        return
    known = cache.distributions
    rows = [
        (trial_id, name, known[name][0].to_internal_repr(value), known[name][1])
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


def owned_by(owner: Owner, connection: Connection, trial_ids: Collection[int], *, finished: bool = False) -> set[int]:
    """Return those of the trials that ``owner`` runs, or has ``finished``."""
    query = _FINISHED_OF if finished else _RUNNING_OF
    return {trial_id for (trial_id,) in query.rows(connection, owner.to_json(), list(trial_ids))}


def dead(connection: Connection, cache: StageCache, *, me: Owner) -> dict[int, str]:
    """Return a stage's running trials whose owner is gone: the reason by id."""
    running = running_among(connection, cache.stage.study_id, cache.count(connection).unfinished)
    owned = [(trial.trial_id, trial.owner, trial.beat) for trial in running if trial.owner is not None]
    return cache.watch.gone(owned, me=me, now=database_now(connection))


def release(connection: Connection, reasons: Mapping[int, str], *, by: Owner) -> None:
    """Set running trials to waiting, without their partial curves and owner; ``reasons`` are by trial id."""
    # A trial that has finished meanwhile keeps its curve.
    running = {trial_id: reasons[trial_id] for (trial_id,) in _RUNNING.rows(connection, list(reasons))}
    _STOP.run(connection, [(trial_id,) for trial_id in running])
    _give_back(connection, running, by=by)


def failed(connection: Connection, stage: Stage) -> dict[int, int]:
    """Return the ids of a stage's failed trials by number."""
    return dict(_FAILED.rows(connection, stage.study_id))


def retry(connection: Connection, stage: Stage, ids: Collection[int], *, by: Owner) -> None:
    """Set failed trials to waiting: their values stay, what came of them goes, and the database keeps the reason."""
    known = {trial_id: json.loads(text) for trial_id, text in _REASONS.rows(connection, list(ids))}
    FORGET_ATTRIBUTE.run(connection, [(trial_id, key) for trial_id in ids for key in RESULT])
    for statement in (_REVIVE, _FORGET_VALUES):
        statement.run(connection, [(trial_id,) for trial_id in ids])
    reasons = {trial_id: f"it failed: {known.get(trial_id, 'no reason is known')}" for trial_id in ids}
    _give_back(connection, reasons, by=by)
    write_study_attribute(connection, stage, t.RETRIED, int(_retries(connection, stage.study_id) or 0) + 1)


def _give_back(connection: Connection, reasons: Mapping[int, str], *, by: Owner) -> None:
    """Remove the owner and the partial curve of trials that wait from now on, and write down why, by trial id."""
    history: dict[str, dict[int, str]] = {OWNER: {}, RELEASED: {}}
    for trial_id, key, text in _HISTORY.rows(connection, list(reasons)):
        history[key][trial_id] = text
    _FORGET_SYSTEM_ATTRIBUTE.run(connection, [(trial_id, key) for trial_id in reasons for key in (OWNER, RELEASED)])
    attempts = [
        (id_, RELEASED, _attempt(history[OWNER].get(id_, NOBODY), history[RELEASED].get(id_), by=by, reason=reason))
        for id_, reason in reasons.items()
    ]
    # The next owner may be no runner of hpsearch: Optuna's own `ask` takes waiting trials too.
    SYSTEM_ATTRIBUTES.run(connection, attempts + [(trial_id, OWNER, NOBODY) for trial_id in reasons])
    for statement in (FORGET_POINTS, FORGET_BEATS):
        statement.run(connection, [(trial_id,) for trial_id in reasons])


def _attempt(owner: str, before: str | None, *, by: Owner, reason: str) -> str:
    """Return the record of the release of an ``owner``'s trial as JSON, from the one ``before``."""
    times = json.loads(before)["times"] if before else 0
    record = {"times": times + 1, "owner": json.loads(owner), "by": asdict(by), "why": reason}
    return json.dumps({**record, "at": f"{utc_now().isoformat()}Z"})
