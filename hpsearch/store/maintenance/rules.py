"""Rules in SQL about rows that do not fit together, or that Optuna or hpsearch cannot read."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from hpsearch.constraints import is_function
from hpsearch.errors import HpsearchError, MissingExtra
from hpsearch.objectives import kinds
from hpsearch.records import CURVES, EXPORT, HITS, OTHERS, REASON, SECONDS
from hpsearch.samplers import sampler_of
from hpsearch.space import Float, Value, external, holds
from hpsearch.statistics.hits import matching
from hpsearch.store.claims import FIXED_PARAMS, is_stored_value, planned_trial
from hpsearch.store.leases import database_now, running
from hpsearch.store.schema import IS_FINISHED, KIND, OWNER, RANGES, metadata, stage_from_attributes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy.engine import Connection, Row

    from hpsearch.records import Stage
    from hpsearch.samplers import Sampler

AGAIN = "run again with the same values (of a study that hpsearch cannot run: marked as failed)"
WAIT = "they wait, to be run with the values that their numbers give"
_BACKUP = "take the study from a backup, or delete it"
_KEYS = {table.name: next(iter(table.primary_key)).name for table in metadata.sorted_tables if table.primary_key}
TRIAL_TABLES = tuple(name for name in _KEYS if name.startswith("trial_"))  # the tables of what belongs to a trial
KEYS = {name: key for name, key in _KEYS.items() if name != "studies"}  # primary keys, by table
_SHOWN = 5  # trials that a finding names for people; it counts all of them
_MOST = "1.7976931348623157e308"
_TIME = "[0-9][0-9][0-9][0-9]-[0-1][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]*"


class Place(NamedTuple):
    """A place where something is wrong: the study's key, the trial's number, and the key that a repair goes by."""

    study: int | None
    number: int | None
    key: Any = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of damage in one study, or in the file."""

    kind: str  # a short name for programs
    what: str  # what is wrong, for people
    places: Sequence[Place] = ()
    mend: str | None = None  # what a repair does about it; None where it can do nothing
    study: str | None = None  # the name of the study, or None
    advice: str | None = None  # what to do where a repair does nothing
    total: int | None = None  # in how many places, where these are not listed

    @property
    def count(self) -> int:
        """In how many places."""
        return len(self.places) if self.total is None else self.total

    @property
    def trials(self) -> list[int]:
        """The numbers of its trials."""
        return sorted({place.number for place in self.places if place.number is not None})

    @property
    def where(self) -> str:
        """The study and the first trials, for people."""
        numbers = self.trials
        first = ", ".join(map(str, numbers[:_SHOWN])) + (" ..." if len(numbers) > _SHOWN else "")
        trials = f"trial{'s' if len(numbers) > 1 else ''} {first}" if numbers else ""
        return ": ".join(part for part in (self.study or "", trials) if part) or "the file"

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain data, with every trial."""
        return {
            "kind": self.kind,
            "what": self.what,
            "study": self.study,
            "trials": self.trials,
            "count": self.count,
            "repair": self.mend,
            "advice": self.advice,
        }


def _of_trials(table: str, condition: str) -> str:
    join = f"{table} r JOIN trials t ON t.trial_id = r.trial_id"
    return f"SELECT DISTINCT t.study_id, t.number, t.trial_id FROM {join} WHERE {condition}"


def _number(column: str, kind: str, kinds: str, *, sqlite: bool) -> str:
    """Return the SQL condition of a stored number that Optuna cannot read."""
    finite = f"{column} IS NULL OR {column} > {_MOST} OR {column} < -{_MOST}"
    typed = f" OR typeof({column}) NOT IN ('real', 'integer')" if sqlite else ""
    known = f" OR {kind} NOT IN ('FINITE', {kinds})" if sqlite else ""
    return f"(({kind} = 'FINITE' AND ({finite}{typed})) OR ({kind} <> 'FINITE' AND {column} IS NOT NULL){known})"


def bad_point(*, sqlite: bool) -> str:
    """Return the SQL condition of a learning curve's point that Optuna cannot read."""
    kinds = "'INF_POS', 'INF_NEG', 'NAN'"
    return _number("intermediate_value", "intermediate_value_type", kinds, sqlite=sqlite)


def bad_time(column: str) -> str:
    """Return the SQL condition of a time in SQLite that Optuna cannot read."""
    return f"{column} IS NOT NULL AND ({column} NOT GLOB '{_TIME}' OR julianday({column}) IS NULL)"


def _rules(*, sqlite: bool) -> Iterator[tuple[str, str, str | None, str]]:
    """Yield a finding's kind, what it is, its repair, and SQL that selects (study, trial number, key) of each place."""
    for table, key in KEYS.items():
        parent, parents, of = (
            ("trial", "trials", "trial_id") if table in TRIAL_TABLES else ("study", "studies", "study_id")
        )
        where = f"NOT EXISTS (SELECT 1 FROM {parents} p WHERE p.{of} = c.{of})"
        sql = f"SELECT NULL, NULL, c.{key} FROM {table} c WHERE {where}"
        yield f"orphan:{table}", f"rows of {table} that belong to no {parent}", "they are removed", sql
    missing = "NOT EXISTS (SELECT 1 FROM trial_values v WHERE v.trial_id = trials.trial_id)"
    trials = "SELECT study_id, number, trial_id FROM trials WHERE "
    yield "no-value", "complete, without a value", AGAIN, f"{trials} state = 'COMPLETE' AND {missing}"
    bad = _number("r.value", "r.value_type", "'INF_POS', 'INF_NEG'", sqlite=sqlite)
    what = "a value that is no number: it makes every read of the study raise"
    yield "value", what, AGAIN, _of_trials("trial_values", f"t.{IS_FINISHED} AND {bad}")
    early = _of_trials("trial_values", "t.state IN ('RUNNING', 'WAITING')")
    early = early.replace("t.trial_id FROM", "r.trial_value_id FROM")
    yield "early-value", "a value before the trial has ended", "the value is removed", early
    sql = _of_trials("trial_intermediate_values", bad_point(sqlite=sqlite))
    yield "point", "a point of the curve that is no number", AGAIN, sql
    sql = f"param_value IS NULL OR param_value > {_MOST} OR param_value < -{_MOST}"
    sql += " OR typeof(param_value) NOT IN ('real', 'integer')" if sqlite else ""
    yield "param", "a parameter whose value is no number", AGAIN, _of_trials("trial_params", sql)
    if not sqlite:  # a server holds columns to their types
        return
    states = "('RUNNING', 'COMPLETE', 'PRUNED', 'FAIL', 'WAITING')"
    sql = f"{trials} state IS NULL OR state NOT IN {states}"
    yield "state", "a state that Optuna does not know", AGAIN, sql
    sql = "SELECT study_id, NULL, study_direction_id FROM study_directions WHERE direction IS NULL"
    sql += " OR direction NOT IN ('NOT_SET', 'MINIMIZE', 'MAXIMIZE')"
    yield "direction", "a direction that Optuna does not know", None, sql
    sql = f"{trials} ({bad_time('datetime_start')}) OR ({bad_time('datetime_complete')})"
    yield "time", "a time that is none", "the time is left empty", sql


def row_findings(connection: Connection, names: Mapping[int, str]) -> list[Finding]:
    """Return what every rule finds, over all studies; ``names`` are theirs by key."""
    findings = []
    for kind, what, mend, sql in _rules(sqlite=connection.dialect.name == "sqlite"):
        places = [Place(*row) for row in connection.execute(text(sql))]
        findings += _by_study(kind, what, places, names, mend=mend)
    findings += _gaps(connection, names)
    now = database_now(connection)
    stuck = [
        Place(trial.study_id, trial.number, trial.trial_id)
        for trial in running(connection)
        if trial.is_abandoned(now=now)
    ]
    mend = "given back: they run again with the same values"
    findings += _by_study("stuck", "running, but its runner is gone", stuck, names, mend=mend)
    return findings + _distributions(connection, names) + _attributes(connection, names)


def _by_study(
    kind: str, what: str, places: list[Place], names: Mapping[int, str], *, mend: str | None = None
) -> list[Finding]:
    """Return one finding for each study that has such places."""
    of_study: dict[Any, list[Place]] = {}
    for place in places:
        of_study.setdefault(place.study, []).append(place)
    advice = None if mend else _BACKUP
    return [Finding(kind, what, some, mend, names.get(study), advice) for study, some in of_study.items()]


def _gaps(connection: Connection, names: Mapping[int, str]) -> list[Finding]:
    """Return numbers below a study's highest that no trial has."""
    findings = []
    gaps = (
        "SELECT study_id, max(number) FROM trials WHERE number >= 0 GROUP BY study_id"
        " HAVING max(number) + 1 <> count(DISTINCT number)"
    )
    for study, highest in list(connection.execute(text(gaps))):
        query = text("SELECT DISTINCT number FROM trials WHERE study_id = :study AND number >= 0")
        there = {row[0] for row in connection.execute(query, {"study": study})}
        name = names.get(study)
        if highest > 10 * len(there) + 1000:  # a number that was damaged itself
            what = f"numbers up to {highest}, and {len(there)} trials"
            findings.append(Finding("gap", what, study=name, total=1, advice="take the study from a backup"))
        else:
            places = [Place(study, number) for number in range(highest + 1) if number not in there]
            findings.append(Finding("gap", "a number that no trial has", places, WAIT, name))
    return findings


def _distributions(connection: Connection, names: Mapping[int, str]) -> list[Finding]:
    """Return parameters whose distribution Optuna cannot read, or that are no choice of theirs."""
    # 0.3 s to load; deleting, which imports this module, does without it
    from optuna.distributions import CategoricalDistribution, json_to_distribution

    @cache
    def bounds(stored: str) -> tuple[float, float]:
        try:
            distribution = json_to_distribution(stored)
        except (ValueError, KeyError, TypeError, AttributeError):
            return 1, 0
        choices = isinstance(distribution, CategoricalDistribution) and len(distribution.choices)
        return (0, choices - 1) if choices else (-math.inf, math.inf)

    places = set()
    columns = "t.study_id, t.number, t.trial_id, r.param_value, r.distribution_json"
    join = "trial_params r JOIN trials t ON t.trial_id = r.trial_id"
    rows = text(f"SELECT {columns} FROM {join} WHERE r.param_value IS NOT NULL").execution_options(yield_per=1000)
    for *place, value, stored in connection.execute(rows):
        low, high = bounds(stored)
        if not isinstance(value, str | bytes) and not low <= value <= high:
            places.add(Place(*place))
    return _by_study("distribution", "a parameter that Optuna cannot read", sorted(places), names, mend=AGAIN)


def _attributes(connection: Connection, names: Mapping[int, str]) -> list[Finding]:
    """Return attributes of studies and trials that nobody can read."""
    findings = []
    for table in ("trial_user_attributes", "trial_system_attributes"):
        query = f"SELECT t.study_id, t.number, t.trial_id, a.key, a.value_json FROM {table} a"
        rows = _doubtful(connection, f"{query} JOIN trials t ON t.trial_id = a.trial_id")
        places = [Place(*place) for *place, key, value in rows if not is_readable(key, value)]
        findings += _by_study("attribute", f"an attribute ({table}) that does not parse", places, names, mend=AGAIN)
    for table in ("study_user_attributes", "study_system_attributes"):
        query = f"SELECT a.study_id, a.{KEYS[table]}, a.key, a.value_json FROM {table} a"
        for study, row, key, value in _doubtful(connection, query):
            if is_readable(key, value):
                continue
            what, place = f"the attribute {key!r} of the study does not parse", Place(study, None, (table, row))
            ours = isinstance(key, str) and key.startswith("hpsearch:") and key.isascii()
            mend, advice = (None, _BACKUP) if ours else ("the attribute is removed", None)
            findings.append(Finding("study-attribute", what, [place], mend, names.get(study), advice))
    return findings


def _doubtful(connection: Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows that may not parse."""
    if connection.dialect.name == "sqlite":
        # SQLite looks first, at many times the speed. It refuses NaN, which Python reads; Python has the last word.
        query += (
            " WHERE a.key IS NULL OR typeof(a.key) <> 'text' OR a.key = '' OR a.value_json IS NULL"
            " OR typeof(a.value_json) <> 'text' OR NOT json_valid(a.value_json)"
            " OR a.value_json GLOB '*[^ -~]*' OR instr(a.value_json, char(0)) > 0 OR a.key GLOB '*[^ -~]*'"
        )
    yield from map(tuple, connection.execute(text(query).execution_options(yield_per=1000)))


def is_readable(key: object, value: object) -> bool:
    """Return whether an attribute's key is text and its JSON parses."""
    if not isinstance(key, str) or not isinstance(value, str) or not key:
        return False
    try:
        (key + value).encode()  # bytes that are no UTF-8 cannot be encoded again
        json.loads(value)
    except (ValueError, RecursionError):  # nested without end
        return False
    return True


def read_stages(connection: Connection, names: Mapping[int, str]) -> tuple[list[Stage], list[Finding]]:
    """Return the stages that can be read, and findings of the studies that ought to be stages and cannot."""
    attributes: dict[int, dict[str, Any]] = {}
    unreadable: set[int] = set()
    query = text("SELECT study_id, key, value_json FROM study_user_attributes WHERE key LIKE 'hpsearch:%'")
    for study, key, value in connection.execute(query):
        try:
            attributes.setdefault(study, {})[key] = json.loads(value)
        except (TypeError, ValueError, RecursionError):
            unreadable.add(study)  # which is a finding already
    directions = dict(map(tuple, connection.execute(text("SELECT study_id, direction FROM study_directions"))))
    stages, findings = [], []
    for study, of_study in attributes.items():
        if study in unreadable or study not in names:
            continue
        try:
            stage = _stage(study, of_study, directions.get(study), names[study])
        except Exception as error:  # whatever reads a half dictionary raises
            what = f"its attributes do not make a stage ({type(error).__name__}: {error})"
            findings.append(Finding("stage", what, [Place(study, None)], study=names[study], advice=_BACKUP))
        else:
            stages += [stage] if stage else []
    return stages, findings


def _stage(study: int, of_study: dict[str, Any], direction: Any, name: str) -> Stage | None:
    stage = stage_from_attributes(study, "minimize" if direction == "MINIMIZE" else "maximize", of_study)
    if stage is None and (RANGES in of_study or KIND in of_study):
        raise ValueError("some are missing")
    if stage is not None and stage.name != name:
        raise ValueError(f"they are those of {stage.name}")
    if stage is not None:
        _ = stage.metric, stage.pruning_rule  # raise where the study file in it lacks them
    return stage


# Results held against each other: SQLite has no checksums, so a flipped bit in a number is a number like any other.
# Only trials that a runner of hpsearch's held are looked at: others may be anybody's. An export says which these are.
_OWNED = f"EXISTS (SELECT 1 FROM trial_system_attributes o WHERE o.trial_id = t.trial_id AND o.key = '{OWNER}')"
_FIXED = f"EXISTS (SELECT 1 FROM trial_system_attributes f WHERE f.trial_id = t.trial_id AND f.key = '{FIXED_PARAMS}')"
_HELD = f"(:imported = 1 OR {_OWNED})"
_OTHERS = text(
    f"SELECT t.number FROM trials t WHERE t.study_id = :study AND t.{IS_FINISHED} AND (NOT {_HELD} OR {_FIXED})"
)
_CURVES = text(
    "SELECT t.number, t.trial_id, t.state, v.value, c.points, c.first, c.last, c.top, c.low, e.intermediate_value"
    " FROM trials t LEFT JOIN trial_values v ON v.trial_id = t.trial_id AND v.value_type = 'FINITE'"
    " LEFT JOIN (SELECT i.trial_id, count(*) AS points, min(i.step) AS first, max(i.step) AS last,"
    " max(i.intermediate_value) AS top, min(i.intermediate_value) AS low FROM trial_intermediate_values i"
    " JOIN trials s ON s.trial_id = i.trial_id WHERE s.study_id = :study GROUP BY i.trial_id) c"
    " ON c.trial_id = t.trial_id"
    " LEFT JOIN trial_intermediate_values e ON e.trial_id = t.trial_id AND e.step = c.last"
    f" WHERE t.study_id = :study AND t.{IS_FINISHED} AND {_HELD}"
)
_PARAMS = text(
    f"SELECT t.number, t.trial_id, t.state, p.param_name, p.param_value, {_FIXED}"
    " FROM trials t LEFT JOIN trial_params p ON p.trial_id = t.trial_id"
    f" WHERE t.study_id = :study AND t.number IS NOT NULL AND (t.{IS_FINISHED} OR t.state = 'RUNNING') AND {_HELD}"
)
_KEPT = text(
    "SELECT a.key, count(*) FROM trials t JOIN trial_user_attributes a ON a.trial_id = t.trial_id"
    f" WHERE t.study_id = :study AND t.state = 'COMPLETE' AND {_HELD} GROUP BY a.key"
)
_HITS = text(
    "SELECT t.number, t.trial_id, v.value, a.value_json FROM trials t JOIN trial_values v ON v.trial_id = t.trial_id"
    " JOIN trial_user_attributes a ON a.trial_id = t.trial_id"
    f" WHERE t.study_id = :study AND t.state = 'COMPLETE' AND v.value_type = 'FINITE' AND a.key = '{HITS}' AND {_HELD}"
)
_LOST = text(
    "SELECT t.number, t.trial_id FROM trials t WHERE t.study_id = :study AND t.state = :state"
    f" AND {_HELD}"
    " AND NOT EXISTS (SELECT 1 FROM trial_user_attributes a WHERE a.trial_id = t.trial_id AND a.key = :key)"
)


def others(connection: Connection, stage: Stage) -> list[int] | None:
    """Return the trials of a stage that no runner of hpsearch's held, or with values of somebody's; None: unknown."""
    known = stage.imported.get(OTHERS) if stage.imported else ()
    study = {"study": stage.study_id, "imported": int(bool(stage.imported))}
    return None if known is None else sorted({*known, *connection.execute(_OTHERS, study).scalars()})


def result_findings(connection: Connection, stage: Stage, sampler: Sampler | None) -> list[Finding]:
    """Return what does not fit in the trials of one stage, or confirmation; of those run elsewhere nothing is known."""
    places: dict[tuple[str, str], list[Place]] = {}
    origin = stage.imported
    while origin.get("before"):
        origin = origin["before"]
    ours = not origin or origin.get("kind") == EXPORT
    doubted: set[int] = set()
    strangers = set(stage.imported.get(OTHERS) or ())
    for kind, what, number, trial_id in _doubts(connection, stage, sampler) if ours else ():
        if trial_id not in doubted and number not in strangers:  # one reason is enough, and the others follow from it
            doubted.add(trial_id)
            places.setdefault((kind, what), []).append(Place(stage.study_id, number, trial_id))
    return [Finding(kind, what, some, AGAIN, stage.name) for (kind, what), some in places.items()]


def _doubts(connection: Connection, stage: Stage, sampler: Sampler | None) -> Iterator[tuple[str, str, int, int]]:
    """Yield what is wrong with a trial: a finding's kind, what it is, the trial's number and key."""
    study = {"study": stage.study_id, "imported": int(bool(stage.imported))}
    curves = list(connection.execute(_CURVES, study))
    epochs = kinds.epochs(stage)
    free = kinds.is_users(stage)  # which points and attributes a trial has is its own business
    if stage.imported or free:  # an export may be without curves
        curves = [curve for curve in curves if curve.points]
    if epochs is not None or any(curve.points for curve in curves):
        for curve in curves:
            if (off := _curve_off(stage, curve, None if free else epochs)) is not None:
                yield "score" if "score" in off else "curve", off, curve.number, curve.trial_id
    if (examples := kinds.examples(stage)) is not None:
        for number, trial_id, score, hits in connection.execute(_HITS, study):
            readable = isinstance(score, int | float) and is_readable(HITS, hits)  # else it is a finding already
            if readable and matching(json.loads(hits), examples, score) is None:
                yield "hits", "the score is not that of its hits", number, trial_id
    kept = {key: int(count) for key, count in connection.execute(_KEPT, study)}
    most = max(kept.values(), default=0)
    # Some objectives keep fewer attributes, but all their trials the same.
    expected = {key for key, count in kept.items() if 2 * count > most}
    expected |= {CURVES, SECONDS} if epochs is not None else set()
    expected -= {CURVES} if stage.imported else set()
    expected &= {SECONDS} if free else expected
    for key, state in [*((key, state) for key in expected for state in ("COMPLETE", "PRUNED")), (REASON, "FAIL")]:
        for number, trial_id in connection.execute(_LOST, {**study, "key": key, "state": state}):
            yield "no-attribute", f"no attribute {key}, which such trials have", number, trial_id
    yield from _params_off(connection, stage, sampler)


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
    point, at = trial.intermediate_value, kinds.scored_at(stage)
    if trial.state == "COMPLETE" and at == "best":
        point = trial.top if stage.direction == "maximize" else trial.low
    return None if at is None or point == trial.value else "the score is not that of its curve"


def _params_off(connection: Connection, stage: Stage, sampler: Sampler | None) -> Iterator[tuple[str, str, int, int]]:
    """Yield the trials whose parameters are missing, or not those that the sampler gives for their numbers."""
    if stage.defined_by_run or kinds.foreign(stage):  # nothing is known of which a trial must have
        return
    stage = stage.as_begun()
    try:
        # The values of a refinement follow from other trials' scores.
        sampler = None if stage.refinement else sampler or sampler_of(stage)
    except MissingExtra:  # which values belong to a number cannot be said here
        sampler = None
    if any(map(is_function, stage.study_file.get("constraints", ()))):  # nor without running what a database names
        sampler = None
    study = {"study": stage.study_id, "imported": int(bool(stage.imported))}
    trials: dict[int, tuple[int, str, bool]] = {}
    stored: dict[int, dict[str, Value]] = {}
    for number, trial_id, state, name, value, fixed in connection.execute(_PARAMS, study):
        trials[trial_id] = number, state, bool(fixed)
        params = stored.setdefault(trial_id, {})
        if name in stage.space and isinstance(value, int | float) and is_stored_value(stage.space[name], value):
            params[name] = external(stage.space[name], value)
    for trial_id, (number, state, fixed) in trials.items():
        params = stored[trial_id]
        if any(name not in params and holds(stage.space[name], params) for name in stage.space):
            if state != "RUNNING":
                yield "no-param", "parameters are missing, or outside their ranges", number, trial_id
            continue
        sampled = _expected(stage, number, sampler)
        if fixed or sampled is None:  # somebody enqueued values of his own
            continue
        same = [name for name, value in params.items() if name in sampled and sampled[name] == value]
        # Somebody may have added a trial with values of his own: then none of the real ones is as sampled.
        listed = stage.imported.get(OTHERS) is not None
        if len(same) < len(params) and (listed or any(isinstance(stage.space[name], Float) for name in same)):
            yield "sampled", "parameters that the seed and the trial's number do not give", number, trial_id


def _expected(stage: Stage, number: int, sampler: Sampler | None) -> Mapping[str, Value] | None:
    """Return the values of a stage's trial; None where they are not known, as of one without a place in a plan."""
    try:
        if stage.plan is not None:
            return planned_trial(stage, stage.plan, 0, number).params
        return None if sampler is None else sampler.params(stage, number)
    except HpsearchError:
        return None
