"""Numbers of trials by state, without counting all of a stage again.

A finished trial never changes. So after one count of the whole stage only those trials are examined that had not
finished, and those that have come since. The cost is that of what has changed, whoever wrote it: this runner, another,
or Optuna itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.store.sql import Query
from hpsearch.store.stages import NOBODY, OWNER

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

FINISHED = ("COMPLETE", "PRUNED", "FAIL")
IS_FINISHED, _IS_UNFINISHED = "state IN ('COMPLETE', 'PRUNED', 'FAIL')", "state IN ('RUNNING', 'WAITING')"
# One statement, so that no trial finishes between the count of the finished and the list of the others.
_WHOLE = Query(
    "SELECT state, count(*), max(trial_id), max(number) FROM trials"
    f" WHERE study_id = {{study_id}} AND {IS_FINISHED} GROUP BY state"
    f" UNION ALL SELECT state, NULL, trial_id, number FROM trials WHERE study_id = {{study_id}} AND {_IS_UNFINISHED}"
)
_SINCE = Query(
    "SELECT trial_id, number FROM trials WHERE study_id = {study_id} AND trial_id >= {last} ORDER BY trial_id"
)
_STATES = Query(
    "SELECT t.trial_id, t.number, t.state, o.value_json FROM trials t"
    f" LEFT JOIN trial_system_attributes o ON o.trial_id = t.trial_id AND o.key = '{OWNER}' WHERE t.trial_id {{ids}}"
)


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of a stage's trials by state. ``running`` counts those that hpsearch's runners hold."""

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
class Snapshot:
    """A stage's trials at some moment, as the database had them committed then."""

    counts: Counts
    waiting: tuple[tuple[int, int], ...]  # number and id of those that wait, by number
    unfinished: frozenset[int]  # ids of those that run, whoever runs them, or wait
    last: int  # the id of the newest trial; 0 before the first
    highest: int  # the highest number; -1 before the first


def snapshot(connection: Connection, study_id: int, before: Snapshot | None) -> Snapshot:
    """Return a stage's snapshot, in a transaction that has not written yet; ``before`` is an earlier one of its own."""
    if before is not None and before.last:
        since = _SINCE.rows(connection, study_id, before.last)
        # Where the newest trial is gone, the study was deleted, and its id may be another trial's by now.
        if since and since[0] == (before.last, before.highest):
            finished = {
                "COMPLETE": before.counts.complete,
                "PRUNED": before.counts.pruned,
                "FAIL": before.counts.failed,
            }
            ids = before.unfinished.union(trial_id for trial_id, _ in since[1:])
            highest = max(number for _, number in since)
            after = _examined(connection, finished, ids, last=since[-1][0], highest=highest)
            if after is not None:
                return after
    rows = _WHOLE.rows(connection, study_id)
    finished = dict.fromkeys(FINISHED, 0) | {state: count for state, count, *_ in rows if state in FINISHED}
    ids = frozenset(trial_id for state, _, trial_id, _ in rows if state not in FINISHED)
    last, highest = (max((row[at] for row in rows), default=none) for at, none in ((2, 0), (3, -1)))
    whole = _examined(connection, finished, ids, last=last, highest=highest)
    assert whole is not None
    return whole


def _examined(
    connection: Connection, finished: dict[str, int], ids: frozenset[int], *, last: int, highest: int
) -> Snapshot | None:
    """Return the snapshot, from the states of the trials that may have changed; None if one of them is gone."""
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
    counts = Counts(finished["COMPLETE"], finished["PRUNED"], finished["FAIL"], running, len(waiting))
    return Snapshot(counts, tuple(sorted(waiting)), frozenset(unfinished), last, highest)
