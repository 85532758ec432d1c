"""Results held against each other: SQLite has no checksums, so a flipped bit in a number is a number like any other.

hpsearch writes most of what a trial found twice over: the score is a point of its curve, and the share of the
validation images that are marked as hits; the validation loss is one of the learning curves'; and the hyperparameters
are what the stage's seed and the trial's number give. What is off in one of these is damaged.

Only trials that a runner of hpsearch's held are looked at: others may be anybody's.
"""

from __future__ import annotations

import json
import math
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from hpsearch.errors import HpsearchError
from hpsearch.records import CURVES, HITS, REASON, SECONDS, VALIDATION_LOSS
from hpsearch.statistics.hits import as_number, hits_match_score
from hpsearch.store.care.drawn import HELD, asked, param_findings
from hpsearch.store.care.findings import Finding, Place
from hpsearch.store.care.rows import AGAIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy.engine import Connection

    from hpsearch.records import Stage

_ENDED = (
    "SELECT t.number, t.trial_id, t.state, v.value, c.points, c.first, c.last, c.top, c.low, e.intermediate_value"
    " FROM trials t LEFT JOIN trial_values v ON v.trial_id = t.trial_id AND v.value_type = 'FINITE'"
    " LEFT JOIN (SELECT i.trial_id, count(*) AS points, min(i.step) AS first, max(i.step) AS last,"
    " max(i.intermediate_value) AS top, min(i.intermediate_value) AS low FROM trial_intermediate_values i"
    " JOIN trials s ON s.trial_id = i.trial_id WHERE s.study_id = :study GROUP BY i.trial_id) c"
    " ON c.trial_id = t.trial_id"
    " LEFT JOIN trial_intermediate_values e ON e.trial_id = t.trial_id AND e.step = c.last"
    f" WHERE t.study_id = :study AND t.state IN ('COMPLETE', 'PRUNED', 'FAIL') AND {HELD}"
)
_SHARES = (
    "SELECT DISTINCT t.number, t.trial_id FROM trials t JOIN trial_intermediate_values i ON i.trial_id = t.trial_id"
    " WHERE t.study_id = :study AND (i.intermediate_value < 0 OR i.intermediate_value > 1"
    " OR i.intermediate_value <> round(i.intermediate_value * :images) / :images)"
    f" AND t.state IN ('COMPLETE', 'PRUNED', 'FAIL') AND {HELD}"
)
_ATTRIBUTES = (
    "SELECT a.trial_id, a.key, a.value_json FROM trials t JOIN trial_user_attributes a ON a.trial_id = t.trial_id"
    " WHERE t.study_id = :study"
    f" AND a.key IN ('{HITS}', '{VALIDATION_LOSS}', '{CURVES}', '{SECONDS}', '{REASON}')"
    " AND t.state IN ('COMPLETE', 'PRUNED', 'FAIL') ORDER BY a.trial_id"
)
_KEPT = (
    "SELECT a.key, count(*) FROM trials t JOIN trial_user_attributes a ON a.trial_id = t.trial_id"
    f" WHERE t.study_id = :study AND t.state = 'COMPLETE' AND a.key IN ('{HITS}', '{VALIDATION_LOSS}', '{CURVES}',"
    f" '{SECONDS}') GROUP BY a.key"
)
_COMPLETED = "SELECT count(*) FROM trials WHERE study_id = :study AND state = 'COMPLETE'"


class _Ended(NamedTuple):
    """A trial that has ended, and what its curve comes to."""

    number: int
    trial_id: int
    state: str
    value: float | None
    points: int | None
    first: int | None
    last: int | None
    top: float | None
    low: float | None
    end: float | None


def _ended(number: int, trial_id: int, state: str, *stored: Any) -> _Ended:
    # What is no number is a finding already.
    numbers: list[Any] = [one if isinstance(one, int | float) else None for one in stored]
    return _Ended(number, trial_id, state, *numbers)


def result_findings(connection: Connection, stage: Stage, *, everyone: bool = False) -> list[Finding]:
    """What does not fit in the trials of one stage, or confirmation.

    Args:
        connection: A transaction.
        stage: The stage. Of one whose trials were run elsewhere nothing is known.
        everyone: Whether trials count that no runner of hpsearch's is said to have held.
    """
    if stage.imported or not stage.trainable:
        return []
    ended = [_ended(*row) for row in connection.execute(asked(_ENDED, everyone), {"study": stage.study_id})]
    places: dict[tuple[str, str], list[Place]] = {}
    doubted = set()
    for trial, kind, what in _doubts(connection, stage, ended, everyone=everyone):
        if trial.trial_id in doubted:  # one reason is enough, and the others follow from it
            continue
        doubted.add(trial.trial_id)
        places.setdefault((kind, what), []).append(Place(stage.study_id, trial.number, trial.trial_id))
    found = [Finding(kind, what, some, AGAIN, stage.name) for (kind, what), some in places.items()]
    return found + param_findings(connection, stage, everyone=everyone)


def _doubts(
    connection: Connection, stage: Stage, ended: list[_Ended], *, everyone: bool
) -> Iterator[tuple[_Ended, str, str]]:
    if stage.images is not None:
        of_id = {trial.trial_id: trial for trial in ended}
        for _, trial_id in connection.execute(
            asked(_SHARES, everyone), {"study": stage.study_id, "images": float(stage.images)}
        ):
            if trial_id in of_id:
                yield of_id[trial_id], "curve", f"a point of the curve is no share of {stage.images} images"
    expected = _expected(connection, stage)
    for trial, kept in _with_attributes(connection, stage, ended, everyone=everyone):
        lost = sorted((expected if trial.state != "FAIL" else {REASON}) - kept.keys())
        if lost:
            yield trial, "no-attribute", f"no attribute {', '.join(lost)}, which such trials have"
        if (off := _curve_off(stage, trial)) is not None:
            yield trial, "score" if "score" in off else "curve", off
        if (off := _attributes_off(stage, trial, kept)) is not None:
            yield trial, "result", off


def _expected(connection: Connection, stage: Stage) -> set[str]:
    """Attributes that every completed trial ought to have: some objectives keep fewer, but all trials the same."""
    kept = {key: int(many) for key, many in connection.execute(text(_KEPT), {"study": stage.study_id})}
    if stage.images is None:
        of = int(connection.execute(text(_COMPLETED), {"study": stage.study_id}).scalar_one())
        return {key for key, many in kept.items() if 2 * many > of}
    # A network's trial has its attributes all or none, and where most trials have lost theirs the others still tell.
    return {SECONDS} | {key for key, many in kept.items() if 2 * many > max(kept.values())}


def _with_attributes(
    connection: Connection, stage: Stage, ended: list[_Ended], *, everyone: bool
) -> Iterator[tuple[_Ended, dict[str, str]]]:
    """Each trial with its attributes, one after the other: those of a whole stage may be more than memory holds."""
    left = {trial.trial_id: trial for trial in ended}
    statement = asked(_ATTRIBUTES, everyone).execution_options(yield_per=1000)
    rows = connection.execute(statement, {"study": stage.study_id})
    for trial_id, some in groupby(rows, key=itemgetter(0)):
        of_trial = {key: said for _, key, said in some}
        if trial_id in left:
            yield left.pop(trial_id), of_trial
    yield from ((trial, {}) for trial in left.values())


def _curve_off(stage: Stage, trial: _Ended) -> str | None:
    if trial.points is None:
        return None if trial.state == "FAIL" else "it has a score and no curve"
    if trial.first != 1 or trial.last != trial.points:
        return "the curve has gaps"
    if trial.value is None or trial.state == "FAIL":
        return None
    epochs = stage.settings.get("epochs")
    if trial.state == "COMPLETE" and isinstance(epochs, int) and trial.points != epochs:
        return f"the curve does not end at epoch {epochs}"
    objective: Mapping[str, Any] = stage.study_file.get("objective", {})
    point = trial.end
    if trial.state == "COMPLETE" and objective.get("at", "last") == "best":
        point = trial.top if stage.direction == "maximize" else trial.low
    return None if point == trial.value else "the score is not that of its curve"


def _attributes_off(stage: Stage, trial: _Ended, kept: Mapping[str, str]) -> str | None:
    try:
        plain = {key: json.loads(said) for key, said in kept.items()}
    except (ValueError, TypeError):
        return None  # which is a finding already
    for key, said in kept.items():
        if said != json.dumps(plain[key]):  # which is how hpsearch wrote it
            return f"the attribute {key} is not as it was written"
    images, score = stage.images, trial.value
    if HITS in plain and images is not None and score is not None:
        try:
            right = as_number(plain[HITS], images).bit_count()
        except HpsearchError:
            return "hits that cannot be read"
        if not hits_match_score(right, score, images):
            return "the hits are not those of the score"
    curves = plain.get(CURVES)
    if curves is None:
        return None
    if not isinstance(curves, dict):
        return "learning curves that cannot be read"
    from hpsearch.nn import CURVE_NAMES

    if stage.metric in CURVE_NAMES and set(curves) != set(CURVE_NAMES) - {stage.metric}:
        return "learning curves of other names"
    for name, series in curves.items():
        if not isinstance(series, list) or not all(isinstance(value, int | float) for value in series):
            return "learning curves that cannot be read"
        if trial.points is not None and len(series) != trial.points:
            return f"the learning curve {name} is not as long as the score's"
        if name.endswith("accuracy") and not all(0 <= value <= 1 for value in series):
            return f"the learning curve {name} leaves 0 to 1"
    return _loss_off(stage, trial, plain.get(VALIDATION_LOSS), curves)


def _loss_off(stage: Stage, trial: _Ended, loss: Any, curves: Mapping[str, list[float]]) -> str | None:
    if loss is None:
        return None
    if not isinstance(loss, int | float):
        return "a validation loss that is no number"
    if stage.metric == VALIDATION_LOSS:
        same = trial.value is None or loss == trial.value
    else:
        series = curves.get(VALIDATION_LOSS)
        if not series:
            return None
        at_best = stage.study_file.get("objective", {}).get("at", "last") == "best" and trial.state == "COMPLETE"
        same = loss in series if at_best else loss == series[-1]
    return None if same or math.isnan(loss) else "the validation loss is not that of its curve"
