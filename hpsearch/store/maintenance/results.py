"""Results held against each other: SQLite has no checksums, so a flipped bit in a number is a number like any other.

A trial's parameters are what the stage's sampler and the trial's number give, and its score is a point of its curve.
Only trials that a runner of hpsearch's held are looked at: others may be anybody's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from hpsearch.errors import HpsearchError
from hpsearch.objectives import kinds
from hpsearch.records import REASON, SECONDS
from hpsearch.space import Float, Value, external
from hpsearch.store.claims import FIXED_PARAMS, default_sampler, is_stored_value, planned_trial
from hpsearch.store.maintenance.rules import AGAIN, Finding, Place
from hpsearch.store.stages import OWNER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy.engine import Connection, Row

    from hpsearch.records import Stage
    from hpsearch.samplers import Sampler

_HELD = f"EXISTS (SELECT 1 FROM trial_system_attributes o WHERE o.trial_id = t.trial_id AND o.key = '{OWNER}')"
_ENDED = "t.state IN ('COMPLETE', 'PRUNED', 'FAIL')"
_CURVES = text(
    "SELECT t.number, t.trial_id, t.state, v.value, c.points, c.first, c.last, c.top, c.low, e.intermediate_value"
    " FROM trials t LEFT JOIN trial_values v ON v.trial_id = t.trial_id AND v.value_type = 'FINITE'"
    " LEFT JOIN (SELECT i.trial_id, count(*) AS points, min(i.step) AS first, max(i.step) AS last,"
    " max(i.intermediate_value) AS top, min(i.intermediate_value) AS low FROM trial_intermediate_values i"
    " JOIN trials s ON s.trial_id = i.trial_id WHERE s.study_id = :study GROUP BY i.trial_id) c"
    " ON c.trial_id = t.trial_id"
    " LEFT JOIN trial_intermediate_values e ON e.trial_id = t.trial_id AND e.step = c.last"
    f" WHERE t.study_id = :study AND {_ENDED} AND {_HELD}"
)
_PARAMS = text(
    "SELECT t.number, t.trial_id, t.state, p.param_name, p.param_value, EXISTS (SELECT 1 FROM trial_system_attributes f"
    f" WHERE f.trial_id = t.trial_id AND f.key = '{FIXED_PARAMS}')"
    " FROM trials t LEFT JOIN trial_params p ON p.trial_id = t.trial_id"
    f" WHERE t.study_id = :study AND t.number IS NOT NULL AND ({_ENDED} OR t.state = 'RUNNING') AND {_HELD}"
)
_KEPT = text(
    "SELECT a.key, count(*) FROM trials t JOIN trial_user_attributes a ON a.trial_id = t.trial_id"
    f" WHERE t.study_id = :study AND t.state = 'COMPLETE' AND {_HELD} GROUP BY a.key"
)
_LOST = text(
    "SELECT t.number, t.trial_id FROM trials t WHERE t.study_id = :study AND t.state = :state"
    f" AND {_HELD}"
    " AND NOT EXISTS (SELECT 1 FROM trial_user_attributes a WHERE a.trial_id = t.trial_id AND a.key = :key)"
)


def result_findings(connection: Connection, stage: Stage, sampler: Sampler | None) -> list[Finding]:
    """Return what does not fit in the trials of one stage, or confirmation; of imported ones nothing is known."""
    if stage.imported:
        return []
    places: dict[tuple[str, str], list[Place]] = {}
    study = {"study": stage.study_id}
    doubted: set[int] = set()

    def doubt(kind: str, what: str, number: int, trial_id: int) -> None:
        if trial_id not in doubted:  # one reason is enough, and the others follow from it
            doubted.add(trial_id)
            places.setdefault((kind, what), []).append(Place(stage.study_id, number, trial_id))

    curves = list(connection.execute(_CURVES, study))
    epochs = kinds.epochs(stage)
    if epochs is not None or any(curve.points for curve in curves):
        for curve in curves:
            if (off := _curve_off(stage, curve, epochs)) is not None:
                doubt("score" if "score" in off else "curve", off, curve.number, curve.trial_id)
    kept = {key: int(count) for key, count in connection.execute(_KEPT, study)}
    most = max(kept.values(), default=0)
    # Some objectives keep fewer attributes, but all their trials the same.
    expected = {key for key, count in kept.items() if 2 * count > most} | ({SECONDS} if epochs is not None else set())
    for key, state in [*((key, state) for key in expected for state in ("COMPLETE", "PRUNED")), (REASON, "FAIL")]:
        for number, trial_id in connection.execute(_LOST, {**study, "key": key, "state": state}):
            doubt("no-attribute", f"no attribute {key}, which such trials have", number, trial_id)
    for kind, what, number, trial_id in _params_off(connection, stage, sampler):
        doubt(kind, what, number, trial_id)
    return [Finding(kind, what, some, AGAIN, stage.name) for (kind, what), some in places.items()]


def _curve_off(stage: Stage, trial: Row[Any], epochs: int | None) -> str | None:
    # What is no number is a finding already.
    if not all(isinstance(value, int | float | None) for value in (trial.value, trial.top, trial.low, trial[-1])):
        return None
    if trial.points is None:
        return None if trial.state == "FAIL" else "it has a score and no curve"
    if trial.first != 1 or trial.last != trial.points:
        return "the curve has gaps"
    if trial.value is None or trial.state == "FAIL":
        return None
    if trial.state == "COMPLETE" and epochs not in (None, trial.points):
        return f"the curve does not end at epoch {epochs}"
    point = trial.intermediate_value
    if trial.state == "COMPLETE" and stage.study_file.get("objective", {}).get("at", "last") == "best":
        point = trial.top if stage.direction == "maximize" else trial.low
    return None if point == trial.value else "the score is not that of its curve"


def _params_off(connection: Connection, stage: Stage, sampler: Sampler | None) -> Iterator[tuple[str, str, int, int]]:
    """Yield the trials whose parameters are missing, or not those that the sampler gives for their numbers."""
    trials: dict[int, tuple[int, str, bool]] = {}
    stored: dict[int, dict[str, Value]] = {}
    for number, trial_id, state, name, value, fixed in connection.execute(_PARAMS, {"study": stage.study_id}):
        trials[trial_id] = number, state, bool(fixed)
        params = stored.setdefault(trial_id, {})
        if name in stage.space and isinstance(value, int | float) and is_stored_value(stage.space[name], value):
            params[name] = external(stage.space[name], value)
    params_of = _params_of(stage, sampler)
    for trial_id, (number, state, fixed) in trials.items():
        params = stored[trial_id]
        if len(params) < len(stage.space):
            if state != "RUNNING":
                yield "no-param", "parameters are missing, or outside their ranges", number, trial_id
            continue
        sampled = params_of(number)
        if fixed or sampled is None:  # somebody enqueued values of his own
            continue
        same = [name for name, value in params.items() if sampled[name] == value]
        # Somebody may have added a trial with values of his own: then none of the real ones is as sampled.
        if len(same) < len(params) and any(isinstance(stage.space[name], Float) for name in same):
            yield "sampled", "parameters that the seed and the trial's number do not give", number, trial_id


def _params_of(stage: Stage, sampler: Sampler | None) -> Callable[[int], Mapping[str, Value] | None]:
    """Return what gives the values of a stage's trial from its number; None for one that has no place."""
    sampler = sampler or default_sampler()

    def params(number: int) -> Mapping[str, Value] | None:
        if stage.plan is None:
            return sampler.params(stage, number)
        try:
            return planned_trial(stage, stage.plan, 0, number).params
        except HpsearchError:
            return None

    return params
