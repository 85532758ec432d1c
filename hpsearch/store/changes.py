"""Changes of a stage since somebody last looked: trials that began or ended, new points of curves."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from hpsearch.store import claims, queries
from hpsearch.store.schema import Query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.engine import Connection

    from hpsearch.records import Stage
    from hpsearch.store.claims import Counts, Snapshot, StageCache
    from hpsearch.store.queries import Columns

MANY = 500  # with more trials that changed at once, the stage is to be read anew

_POINTS = Query(
    "SELECT p.trial_id, t.number, p.step, p.intermediate_value, p.intermediate_value_type FROM trials t"
    " JOIN trial_intermediate_values p ON p.trial_id = t.trial_id WHERE p.step > {least} AND p.trial_id {ids}"
)


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of a stage between two looks."""

    counts: Counts | None  # its trials by state; None: the same as before
    # those that began, were given back or ended, as `hpsearch.store.Store.columns` has them; None: more than `MANY`
    trials: Columns | None
    # the new points of the curves of running trials: (number, last epoch, scores up to that one)
    points: Sequence[tuple[int, int, Sequence[float | None]]]

    def __bool__(self) -> bool:
        return bool(self.counts or self.trials is None or self.trials["number"] or self.points)


@dataclass(eq=False)
class ChangeTracker:
    """A memory of what was seen of a stage; at the first look everything is new."""

    stage: Stage
    _before: Snapshot | None = None
    _seen: dict[int, int] = field(default_factory=dict)  # the last epoch that was seen of running trials, by id

    def changes(self, connection: Connection, cache: StageCache) -> Changes:
        """Return what has changed since the last look."""
        before, now = self._before, cache.count(connection)
        last, rows = (0, 0) if before is None else (before.last, before.counts.rows)
        known, states = {} if before is None else _unfinished(before), _unfinished(now)
        changed = {trial_id for trial_id, _ in known.items() ^ states.items()}
        trials = None
        if now.counts.rows - rows <= MANY:
            changed |= {trial_id for _, trial_id in claims.NEWER.rows(connection, self.stage.study_id, last)}
            trials = queries.columns_of(connection, self.stage, sorted(changed)) if len(changed) <= MANY else None
        seen = {trial_id: self._seen.get(trial_id, 0) for trial_id, state in states.items() if state == "RUNNING"}
        points = _new_points(connection, seen)
        self._before, self._seen = now, seen  # last: where the connection is lost before, they are read again
        return Changes(None if before and before.counts == now.counts else now.counts, trials, points)


def _new_points(connection: Connection, seen: dict[int, int]) -> list[tuple[int, int, list[float | None]]]:
    """Return the points of running trials beyond the last epochs that were ``seen``, by id; and note them there."""
    rows = _POINTS.rows(connection, min(seen.values()), sorted(seen)) if seen else []
    points = []
    for (trial_id, number), curve in groupby(sorted(rows, key=itemgetter(0, 2)), key=itemgetter(0, 1)):
        if new := [row[2:] for row in curve if row[2] > seen[trial_id]]:
            seen[trial_id] = new[-1][0]
            points.append((number, new[-1][0], [queries.number_of(stored, kind) for _, stored, kind in new]))
    return points


def _unfinished(at: Snapshot) -> Mapping[int, str]:
    """Return the states of the trials that have not finished, by id."""
    return dict.fromkeys(at.unfinished, "RUNNING") | {trial_id: "WAITING" for _, trial_id in at.waiting}
