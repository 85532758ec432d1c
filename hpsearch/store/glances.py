"""Small reads of some of a stage's trials: each costs what it gives, however many trials there are."""

from __future__ import annotations

import json
from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import String, and_, bindparam, func, select, type_coerce

from hpsearch.records import Standing
from hpsearch.store import tables as t
from hpsearch.store.base import NOBODY, OWNER, RELEASED, Owned
from hpsearch.store.leases import Owner
from hpsearch.store.queries import number_of
from hpsearch.store.statements import Statement, chunks, constant
from hpsearch.store.tables import TrialState

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.engine import Connection

    from hpsearch.records import Stage

LATEST_AMONG = 500
"""The trials that finished last are looked for among so many that began last."""

_points = t.trial_intermediate_values
_POINTS = Statement(
    select(
        t.trials.c.number,
        _points.c.step,
        _points.c.intermediate_value,
        type_coerce(_points.c.intermediate_value_type, String),
    )
    .select_from(t.trials.join(_points))
    .where(t.trials.c.study_id == bindparam("study_id"), t.trials.c.number.in_(bindparam("ids", expanding=True))),
    "study_id",
    "ids",
)
_OWNERS = Statement(
    select(t.trial_system_attributes.c.value_json)
    .select_from(t.trials.join(t.trial_system_attributes))
    .where(
        t.trials.c.state == constant("RUNNING"),
        t.trial_system_attributes.c.key == constant(OWNER),
        t.trials.c.trial_id.in_(bindparam("ids", expanding=True)),
    ),
    "ids",
)

_HISTORY = Statement(
    select(t.trials.c.number, t.trial_system_attributes.c.key, t.trial_system_attributes.c.value_json)
    .select_from(t.trials.join(t.trial_system_attributes))
    .where(
        t.trials.c.study_id == bindparam("study_id"),
        t.trial_system_attributes.c.key.in_([constant(OWNER), constant(RELEASED)]),
        t.trials.c.number.in_(bindparam("ids", expanding=True)),
    ),
    "study_id",
    "ids",
)


def points(connection: Connection, stage: Stage, numbers: Collection[int]) -> list[tuple[int, int, float | None]]:
    """Points of the curves of some trials, (number, step, value), by number and step."""
    asked = sorted({int(number) for number in numbers})  # SQLite finds no NumPy integer
    rows = _POINTS.rows(connection, stage.study_id, asked)
    rows.sort(key=itemgetter(0, 1))
    return [(number, step, number_of(stored, kind)) for number, step, stored, kind in rows]


def epochs(connection: Connection, stage: Stage) -> int:
    """How many points the curves of a stage's trials have together."""
    query = select(func.count()).select_from(t.trials.join(_points)).where(t.trials.c.study_id == stage.study_id)
    return int(connection.execute(query).scalar_one())


def latest(connection: Connection, stage: Stage, many: int) -> list[int]:
    """Ids of the trials that finished last, newest first; see `hpsearch.store.base.Store.latest`."""
    # From the end of the index of a stage's trials: nothing is sorted, and the others are not looked at.
    last = (
        select(t.trials.c.trial_id, t.trials.c.number, t.trials.c.datetime_complete)
        .where(t.trials.c.study_id == stage.study_id)
        .order_by(t.trials.c.trial_id.desc())
        .limit(LATEST_AMONG)
    )
    finished = [(when, number, trial_id) for trial_id, number, when in connection.execute(last) if when is not None]
    return [trial_id for _, _, trial_id in sorted(finished, reverse=True)[:many]]


def runners(connection: Connection, unfinished: Collection[int]) -> dict[Owner, int]:
    """Who holds how many of these trials; the one with the most first."""
    owners = (Owner.from_json(text) for (text,) in _OWNERS.rows(connection, sorted(unfinished)))
    return dict(Counter(owner for owner in owners if owner is not None).most_common())


def finishers(connection: Connection, stage: Stage, among: int | None) -> dict[Owner, int]:
    """Who finished how many of a stage's newest trials, or of all; the one with the most first."""
    owners, trials = t.trial_system_attributes, t.trials.c
    query = (
        select(owners.c.value_json, func.count())
        .select_from(t.trials.join(owners))
        .where(
            trials.study_id == stage.study_id,
            trials.state.in_([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]),
            owners.c.key == OWNER,
        )
        .group_by(owners.c.value_json)
    )
    if among is not None:
        of_stage = select(trials.trial_id).where(trials.study_id == stage.study_id)
        first = connection.execute(of_stage.order_by(trials.trial_id.desc()).offset(among - 1).limit(1)).scalar()
        query = query.where(trials.trial_id >= first) if first is not None else query
    found = {owner: many for text, many in connection.execute(query) if (owner := Owner.from_json(text)) is not None}
    return dict(Counter(found).most_common())


def owned(connection: Connection, stage: Stage, numbers: Collection[int]) -> dict[int, Owned]:
    """Who runs or finished trials; see `hpsearch.store.base.Store.owned`."""
    texts: dict[int, dict[str, str]] = {}
    for number, key, text in _HISTORY.rows(connection, stage.study_id, [int(number) for number in numbers]):
        texts.setdefault(number, {})[key] = text
    found = {}
    for number, of_trial in texts.items():
        owner = Owner.from_json(of_trial.get(OWNER, NOBODY))
        attempts = json.loads(of_trial[RELEASED])["times"] if RELEASED in of_trial else 0
        if owner is not None or attempts:
            found[number] = Owned(owner, attempts + (owner is not None))
    return found


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
    for some in chunks([int(number) for number in numbers]):  # SQLite finds no NumPy integer
        rows += connection.execute(
            select(t.trials.c.number, of_trial.c.value_json)
            .join(of_trial, of_trial.c.trial_id == t.trials.c.trial_id)
            .where(t.trials.c.study_id == stage.study_id, t.trials.c.number.in_(some), of_trial.c.key == key)
            .order_by(t.trials.c.number)
        ).all()
    return {number: json.loads(text) for number, text in rows}
