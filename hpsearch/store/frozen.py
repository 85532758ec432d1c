"""Optuna's own trials by column: what the store through its public API reads."""

from __future__ import annotations

import json
import math
from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState

from hpsearch.records import REASON, SECONDS, VALIDATION_LOSS, Stage, Standing, rank_key, stopped_after
from hpsearch.store.base import OWNER, RELEASED, Counts, Owned
from hpsearch.store.frames import FIXED, Columns
from hpsearch.store.leases import Owner

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from optuna.trial import FrozenTrial


def scored(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Those of completed trials that have a finite score."""
    return [trial for trial in trials if trial.value is not None and math.isfinite(trial.value)]


def best_first(stage: Stage, trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Those of completed trials that have a finite score, as `hpsearch.records.rank_key` sorts them."""

    def key(trial: FrozenTrial) -> tuple[float, float, int]:
        return rank_key(stage.direction, trial.value or 0.0, _number(trial, VALIDATION_LOSS), trial.number)

    return sorted(scored(trials), key=key)


def newest(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Those that have finished, the last one first."""
    finished = [(trial.datetime_complete, trial.number, trial) for trial in trials]
    there = [(when, number, trial) for when, number, trial in finished if when is not None]
    return [trial for _, _, trial in sorted(there, key=itemgetter(0, 1), reverse=True)]


def counts(trials: Iterable[FrozenTrial], *, running: int) -> Counts:
    """How many are in which state; ``running`` are those that hpsearch's runners hold."""
    states = [trial.state for trial in trials]
    return Counts(
        complete=states.count(TrialState.COMPLETE),
        pruned=states.count(TrialState.PRUNED),
        failed=states.count(TrialState.FAIL),
        running=running,
        waiting=states.count(TrialState.WAITING),
    )


def finishers(trials: Iterable[FrozenTrial]) -> dict[Owner, int]:
    """Who finished how many; the one with the most first."""
    owners = (_owner(trial) for trial in trials if trial.state.is_finished())
    return dict(Counter(owner for owner in owners if owner is not None).most_common())


def owned(trials: Iterable[FrozenTrial], numbers: Collection[int]) -> dict[int, Owned]:
    """Who runs or finished those with these numbers, by number."""
    wanted, found = set(numbers), {}
    for trial in trials:
        owner, attempts = _owner(trial), trial.system_attrs.get(RELEASED, {}).get("times", 0)
        if trial.number in wanted and (owner is not None or attempts):
            found[trial.number] = Owned(owner, attempts + (owner is not None))
    return found


def _owner(trial: FrozenTrial) -> Owner | None:
    return Owner.from_json(json.dumps(trial.system_attrs.get(OWNER)))


def standings(trials: Iterable[FrozenTrial], held: Collection[int], step: int) -> list[Standing]:
    """Where they stand at an epoch, in the trials' order; ``held`` are the numbers of those that a runner holds."""
    return [
        Standing(trial.number, trial.state.name, trial.number in held, trial.intermediate_values.get(step))
        for trial in trials
    ]


def attribute(trials: Iterable[FrozenTrial], numbers: Collection[int], key: str) -> dict[int, Any]:
    """A user attribute of those with these numbers that have it, by number."""
    wanted = set(numbers)
    return {
        trial.number: trial.user_attrs[key] for trial in trials if trial.number in wanted and key in trial.user_attrs
    }


def points(trials: Iterable[FrozenTrial], numbers: Collection[int] | None) -> list[tuple[int, int, float]]:
    """Points of the curves of those with these numbers, or of all: (number, step, value), in the trials' order."""
    wanted = None if numbers is None else set(numbers)
    return [
        (trial.number, step, value)
        for trial in trials
        if wanted is None or trial.number in wanted
        for step, value in sorted(trial.intermediate_values.items())
    ]


def columns(stage: Stage, trials: Sequence[FrozenTrial]) -> Columns:
    """Trials by column; see `hpsearch.store.base.Store.columns`."""
    rows = [_row(trial) for trial in trials]
    fixed: Columns = {name: [row[at] for row in rows] for at, name in enumerate(FIXED)}
    return fixed | {f"param:{name}": [trial.params.get(name) for trial in trials] for name in stage.space}


def _row(trial: FrozenTrial) -> tuple[Any, ...]:
    """A trial's values of the columns `FIXED`."""
    return (
        trial.number,
        trial.state.name,
        trial.value,
        _number(trial, VALIDATION_LOSS),
        _number(trial, SECONDS),
        _reason(trial),
        trial.datetime_start,
        trial.datetime_complete,
    )


def _reason(trial: FrozenTrial) -> str | None:
    said: str | None = trial.user_attrs.get(REASON)
    if said is None and trial.state == TrialState.PRUNED and trial.last_step is not None:
        return stopped_after(trial.last_step)
    return said


def _number(trial: FrozenTrial, key: str) -> float | None:
    """A user attribute's number; None where it has none that is finite."""
    value = trial.user_attrs.get(key)
    return float(value) if value is not None and math.isfinite(value) else None
