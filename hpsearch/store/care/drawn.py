"""Hyperparameters held against what the stage's seed and the trial's number give: a flipped bit in one is seen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sqlalchemy import text

from hpsearch.errors import HpsearchError
from hpsearch.space import Float, external
from hpsearch.store.base import OWNER
from hpsearch.store.care.findings import Finding, Place
from hpsearch.store.care.rows import AGAIN
from hpsearch.store.claims import roster_trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sqlalchemy import TextClause
    from sqlalchemy.engine import Connection

    from hpsearch.records import Stage
    from hpsearch.space import Value

HELD = f"EXISTS (SELECT 1 FROM trial_system_attributes o WHERE o.trial_id = t.trial_id AND o.key = '{OWNER}')"
"""What holds of a trial that a runner of hpsearch's has held."""
_FEW = 300
"""Numbers without a trial that are tried for a trial whose values are those of another number."""
_COLUMNS = (
    "SELECT t.number, t.trial_id, t.state, p.param_name, p.param_value, p.distribution_json,"
    " (SELECT count(*) FROM trial_system_attributes f WHERE f.trial_id = t.trial_id AND f.key = 'fixed_params')"
    " FROM trials t"
    " LEFT JOIN trial_params p ON p.trial_id = t.trial_id"
)
_PARAMS = f"{_COLUMNS} WHERE t.study_id = :study AND t.state IN ('COMPLETE', 'PRUNED', 'FAIL', 'RUNNING') AND {HELD}"


def asked(sql: str, everyone: bool) -> TextClause:
    """A statement, of all trials or of those that a runner of hpsearch's held."""
    return text(sql.replace(HELD, "1 = 1") if everyone else sql)


def param_findings(connection: Connection, stage: Stage, *, everyone: bool) -> list[Finding]:
    """Hyperparameters that are missing, or not those that the seed and the trial's number give."""
    numbers: dict[int, tuple[int, str]] = {}
    stored: dict[int, dict[str, Value | None]] = {}
    given: set[int] = set()  # somebody enqueued values of his own for these
    texts: dict[str, dict[str, list[int]]] = {name: {} for name in stage.space}
    for number, trial_id, state, name, value, said, fixed in connection.execute(
        asked(_PARAMS, everyone), {"study": stage.study_id}
    ):
        if number is None:
            continue
        numbers[trial_id] = number, state
        of_trial = stored.setdefault(trial_id, {})
        if fixed:
            given.add(trial_id)
        if name in stage.space and isinstance(value, int | float):
            of_trial[name] = _external(stage, name, value)
            texts[name].setdefault(said, []).append(trial_id)
    missing: list[Place] = []
    other: list[Place] = []
    unlike: list[Place] = []
    drawn = drawing(stage)
    for trial_id, of_trial in stored.items():
        number, state = numbers[trial_id]
        place = Place(stage.study_id, number, trial_id)
        if len(of_trial) < len(stage.space):
            if state != "RUNNING":
                missing.append(place)
            continue
        if trial_id in given:
            continue
        right, sure = _agreeing(stage, drawn(number), of_trial)
        if right < len(of_trial):
            (other if sure else unlike).append(place)
    found = []
    if missing:
        found.append(Finding("no-param", "hyperparameters are missing", missing, AGAIN, stage.name))
    if other:
        what = "hyperparameters that the seed and the trial's number do not give"
        found.append(Finding("drawn", what, other, AGAIN, stage.name))
    moved = [
        Place(place.study, place.number, (place.key, number))
        for place in unlike
        for number in _absent(numbers.values())
        if _agreeing(stage, drawn(number), stored[place.key]) == (len(stage.space), True)
    ]
    if moved:
        what = "the hyperparameters are those of a number that no trial has"
        found.append(Finding("renumber", what, moved, "the trial gets that number", stage.name))
    strange = _strange(stage, texts)
    if strange:
        places = [Place(stage.study_id, numbers[trial_id][0], trial_id) for trial_id in sorted(strange)]
        found.append(Finding("range", "a range that is not the stage's", places, AGAIN, stage.name))
    return found


def is_as_drawn(connection: Connection, stage: Stage, trial_id: int) -> bool | None:
    """Whether a trial has the values that its number gives.

    Returns:
        None where somebody gave it values of his own, or nobody can know.
    """
    rows = connection.execute(text(f"{_COLUMNS} WHERE t.trial_id = :id"), {"id": trial_id}).all()
    stored = {
        name: _external(stage, name, value)
        for _, _, _, name, value, *_ in rows
        if name in stage.space and isinstance(value, int | float)
    }
    values = drawing(stage)(rows[0][0]) if rows and rows[0][0] is not None else None
    if values is None or rows[0][6]:
        return None
    return _agreeing(stage, values, stored)[0] == len(stage.space)


def _strange(stage: Stage, texts: Mapping[str, Mapping[str, list[int]]]) -> set[int]:
    """Trials whose distributions are not the stage's."""
    from optuna.distributions import distribution_to_json

    from hpsearch.space import to_distribution

    strange: set[int] = set()
    for name, of_name in texts.items():
        ours = json.loads(distribution_to_json(to_distribution(stage.space[name])))
        for said, ids in of_name.items():
            try:
                same = json.loads(said) == ours
            except (ValueError, TypeError):
                continue  # which is a finding already
            if not same:
                strange.update(ids)
    return strange


def _external(stage: Stage, name: str, value: float) -> Value | None:
    try:
        return external(stage.space[name], value)
    except (IndexError, ValueError, OverflowError):
        return None


def _agreeing(stage: Stage, drawn: Mapping[str, Value] | None, stored: Mapping[str, Value | None]) -> tuple[int, bool]:
    """How many values are the drawn ones, and whether that cannot be chance: a real number is among them.

    Somebody may have added a trial with values of his own: then none of the real ones is as drawn.
    """
    if drawn is None:
        return len(stored), False
    same = {name for name, value in stored.items() if drawn.get(name) == value}
    return len(same), any(isinstance(stage.space[name], Float) for name in same)


def _absent(known: Iterable[tuple[int, str]]) -> list[int]:
    """Numbers that no trial has, if they are few."""
    there = {number for number, _ in known}
    return [number for number in range(min(max(there, default=-1), 10 * len(there))) if number not in there][:_FEW]


def drawing(stage: Stage) -> Callable[[int], Mapping[str, Value] | None]:
    """What gives the values of a stage's trial from its number; None for one that has no place."""
    from hpsearch.samplers import Draws

    if (roster := stage.plan) is None:
        return Draws(stage.space, seed=stage.seed).values

    def of_roster(number: int) -> Mapping[str, Value] | None:
        try:
            return roster_trial(stage, roster, 0, number).params
        except HpsearchError:
            return None

    return of_roster
