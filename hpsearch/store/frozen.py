"""Optuna's own trials by column: what the store through its public API reads."""

from __future__ import annotations

import math
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState

from hpsearch.records import REASON, SECONDS, VALIDATION_LOSS, Stage, rank_key, stopped_after
from hpsearch.store.frames import FIXED, Columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
