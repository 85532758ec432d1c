"""Trials given back, in bulk, and what stays on record of an attempt that came to nothing."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import BindParameter, bindparam, delete, null, select, update

from hpsearch.store import tables as t
from hpsearch.store.base import NOBODY, OWNER, RELEASED
from hpsearch.store.claims import FORGET_BEATS, FORGET_POINTS
from hpsearch.store.held import running_among
from hpsearch.store.leases import utc_now
from hpsearch.store.locking import database_now
from hpsearch.store.statements import Statement, constant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.engine import Connection

    from hpsearch.store.claims import Kept
    from hpsearch.store.leases import Owner

_attributes = t.trial_system_attributes
_is_owner = _attributes.c.key == constant(OWNER)
_of_trial: BindParameter[int] = bindparam("of_trial")
_ids: BindParameter[int] = bindparam("ids", expanding=True)
_RUNNING = Statement(
    select(t.trials.c.trial_id).where(t.trials.c.state == constant("RUNNING"), t.trials.c.trial_id.in_(_ids)), "ids"
)
_STOP = Statement(
    update(t.trials)
    .where(t.trials.c.trial_id == _of_trial, t.trials.c.state == constant("RUNNING"))
    .values(state=constant("WAITING"), datetime_start=null()),
    "of_trial",
)
_LEAVE = Statement(
    update(_attributes).where(_attributes.c.trial_id == _of_trial, _is_owner).values(value_json=constant(NOBODY)),
    "of_trial",
)
_REMEMBERED = Statement(
    select(_attributes.c.trial_id, _attributes.c.key, _attributes.c.value_json).where(
        _attributes.c.key.in_([constant(OWNER), constant(RELEASED)]), _attributes.c.trial_id.in_(_ids)
    ),
    "ids",
)
_FORGET_RELEASE = Statement(
    delete(_attributes).where(_attributes.c.trial_id == _of_trial, _attributes.c.key == constant(RELEASED)), "of_trial"
)
_REMEMBER = Statement.insert(_attributes, "trial_id", "key", "value_json")


def dead(connection: Connection, kept: Kept, *, me: Owner) -> dict[int, str]:
    """A stage's running trials whose owner is gone: the reason by id."""
    running = running_among(connection, kept.stage.study_id, kept.count(connection).unfinished)
    owned = [(trial.trial_id, trial.owner, trial.beat) for trial in running if trial.owner is not None]
    return kept.watch.gone(owned, me=me, now=database_now(connection))


def release(connection: Connection, why: Mapping[int, str], *, by: Owner) -> None:
    """Make running trials waiting again, without their half curves, and nobody's. Others stay as they are.

    Args:
        connection: The transaction, which holds the stage.
        why: The reason for each trial, by id.
        by: Who does it.
    """
    # One that has finished meanwhile has a curve to keep.
    why = {trial_id: why[trial_id] for (trial_id,) in _RUNNING.rows(connection, list(why))}
    rows = [(trial_id,) for trial_id in why]
    kept: dict[str, dict[int, str]] = {OWNER: {}, RELEASED: {}}
    for trial_id, key, text in _REMEMBERED.rows(connection, list(why)):
        kept[key][trial_id] = text
    _FORGET_RELEASE.run(connection, rows)
    records = [
        (trial_id, RELEASED, record(text, kept[RELEASED].get(trial_id), by=by, why=why[trial_id]))
        for trial_id, text in kept[OWNER].items()
    ]
    _REMEMBER.run(connection, records)
    _STOP.run(connection, rows)
    # Whoever takes it next need not be one of ours: Optuna's own `ask` takes waiting trials too.
    _LEAVE.run(connection, rows)
    FORGET_POINTS.run(connection, rows)
    FORGET_BEATS.run(connection, rows)


def record(owner: str, before: str | None, *, by: Owner, why: str) -> str:
    """What stays on record when a trial is given back, as JSON.

    Args:
        owner: Whose attempt it was, as JSON.
        before: What was on record so far, as this function gave it; None for nothing.
        by: Who gives it back.
        why: One of the reasons of `hpsearch.store.leases`.
    """
    times = json.loads(before)["times"] if before else 0
    kept = {"times": times + 1, "owner": json.loads(owner), "by": asdict(by), "why": why}
    return json.dumps({**kept, "at": f"{utc_now().isoformat()}Z"})
