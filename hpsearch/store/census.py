"""How many trials a stage has in which state, without counting them all again.

A trial that has finished never changes. So after one count of the whole stage only two kinds of trial have to be
looked at: those that had not finished, and those that have come since. That costs what has changed, not what there
is, and holds whoever wrote meanwhile: other runners, or Optuna itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import String, bindparam, func, null, select, type_coerce

from hpsearch.store import tables as t
from hpsearch.store.base import NOBODY, OWNER, Counts
from hpsearch.store.statements import Statement, constant

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_FINISHED, _OTHERS = ("COMPLETE", "PRUNED", "FAIL"), ("RUNNING", "WAITING")
_trials, _owner = t.trials.c, t.trial_system_attributes
_STATE = type_coerce(_trials.state, String)
_OF_STAGE = _trials.study_id == bindparam("study_id")

# One statement, so that no trial finishes between the count of the finished and the list of the others.
_WHOLE = Statement(
    select(_STATE, func.count(), func.max(_trials.trial_id), func.max(_trials.number))
    .where(_OF_STAGE, _trials.state.in_(map(constant, _FINISHED)))
    .group_by(_trials.state)
    .union_all(
        select(_STATE, null(), _trials.trial_id, _trials.number).where(
            _OF_STAGE, _trials.state.in_(map(constant, _OTHERS))
        )
    ),
    "study_id",
)
_SINCE = Statement(
    select(_trials.trial_id, _trials.number)
    .where(_OF_STAGE, _trials.trial_id >= bindparam("last"))
    .order_by(_trials.trial_id),
    "study_id",
    "last",
)
_STATES = Statement(
    select(_trials.trial_id, _trials.number, _STATE, _owner.c.value_json)
    .select_from(
        t.trials.outerjoin(_owner, (_owner.c.trial_id == _trials.trial_id) & (_owner.c.key == constant(OWNER)))
    )
    .where(_trials.trial_id.in_(bindparam("ids", expanding=True))),
    "ids",
)


@dataclass(frozen=True, slots=True)
class Census:
    """A stage's trials at some moment, as the database had them committed then.

    Args:
        counts: How many are in which state.
        waiting: Number and id of those that wait, by number.
        unfinished: Ids of those that run, whoever runs them, or wait.
        last: The id of the newest trial; 0 before the first.
        highest: That trial's number; -1 before the first.
    """

    counts: Counts
    waiting: tuple[tuple[int, int], ...]
    unfinished: frozenset[int]
    last: int
    highest: int


def take(connection: Connection, study_id: int, before: Census | None) -> Census:
    """A stage's census.

    Args:
        connection: A transaction that has not written yet.
        study_id: The stage's study.
        before: An earlier one of the same stage, or None for none.
    """
    if before is not None and before.last:
        since = _SINCE.rows(connection, study_id, before.last)
        # Where the newest trial is no more, somebody deleted the study, and its id may be another one's by now.
        if since and since[0] == (before.last, before.highest):
            finished = {"COMPLETE": before.counts.complete, "PRUNED": before.counts.pruned}
            finished["FAIL"] = before.counts.failed
            unfinished = before.unfinished.union(trial_id for trial_id, _ in since[1:])
            found = _examine(connection, finished, unfinished, last=since[-1][0], highest=max(row[1] for row in since))
            if found is not None:
                return found
    rows = _WHOLE.rows(connection, study_id)
    finished = dict.fromkeys(_FINISHED, 0) | {state: many for state, many, *_ in rows if state in _FINISHED}
    unfinished = frozenset(trial_id for state, _, trial_id, _ in rows if state in _OTHERS)
    last = max((row[2] for row in rows), default=0)
    highest = max((row[3] for row in rows), default=-1)
    whole = _examine(connection, finished, unfinished, last=last, highest=highest)
    assert whole is not None
    return whole


def _examine(
    connection: Connection, finished: dict[str, int], ids: frozenset[int], *, last: int, highest: int
) -> Census | None:
    """The census, from the states of the trials that may have changed; None if one of them is gone."""
    rows = _STATES.rows(connection, sorted(ids))
    if len(rows) < len(ids):
        return None
    finished = dict(finished)
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
    counts = Counts(
        complete=finished["COMPLETE"],
        pruned=finished["PRUNED"],
        failed=finished["FAIL"],
        running=running,
        waiting=len(waiting),
    )
    return Census(counts, tuple(sorted(waiting)), frozenset(unfinished), last, highest)
