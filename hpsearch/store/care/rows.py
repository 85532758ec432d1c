"""Rows that do not fit together, or hold what Optuna cannot read: rules in SQL, whatever the number of trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from hpsearch.store.care.findings import Finding, Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy.engine import Connection

AGAIN = "run again with the same values (of a study that hpsearch cannot run: marked as failed)"
"""What becomes of a trial whose result is damaged."""
STUDY_TABLES = ("study_directions", "study_user_attributes", "study_system_attributes")
TRIAL_TABLES = (
    "trial_params",
    "trial_values",
    "trial_intermediate_values",
    "trial_user_attributes",
    "trial_system_attributes",
    "trial_heartbeats",
)
KEYS = {
    "study_directions": "study_direction_id",
    "study_user_attributes": "study_user_attribute_id",
    "study_system_attributes": "study_system_attribute_id",
    "trials": "trial_id",
    "trial_params": "param_id",
    "trial_values": "trial_value_id",
    "trial_intermediate_values": "trial_intermediate_value_id",
    "trial_user_attributes": "trial_user_attribute_id",
    "trial_system_attributes": "trial_system_attribute_id",
    "trial_heartbeats": "trial_heartbeat_id",
}
"""The primary key of each table."""
_FINISHED = "('COMPLETE', 'PRUNED', 'FAIL')"
_MOST = "1.7976931348623157e308"
_DAY = "[0-9][0-9][0-9][0-9]-[0-1][0-9]-[0-3][0-9]"
_TIME = f"{_DAY} [0-2][0-9]:[0-5][0-9]:[0-5][0-9]*"


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of damage.

    Args:
        kind: A short name for programs, and for `hpsearch.store.care.mending`.
        what: What is wrong, for people.
        mend: What a repair does about it, or None.
        sql: Selects (study, trial number, key) of each place.
        sqlite: What SQLite alone can get wrong: a server holds columns to their types.
    """

    kind: str
    what: str
    mend: str | None
    sql: str
    sqlite: bool = False


def _orphans() -> Iterator[Rule]:
    gone = "NOT EXISTS (SELECT 1 FROM {parent} p WHERE p.{key} = c.{key})"
    for table in ("trials", *STUDY_TABLES):
        where = gone.format(parent="studies", key="study_id")
        sql = f"SELECT NULL, NULL, c.{KEYS[table]} FROM {table} c WHERE {where}"
        yield Rule(f"orphan:{table}", f"rows of {table} that belong to no study", "they are removed", sql)
    for table in TRIAL_TABLES:
        where = gone.format(parent="trials", key="trial_id")
        sql = f"SELECT NULL, NULL, c.{KEYS[table]} FROM {table} c WHERE {where}"
        yield Rule(f"orphan:{table}", f"rows of {table} that belong to no trial", "they are removed", sql)


def _number(column: str, kind: str, *, null_kinds: str, sqlite: bool) -> str:
    """Whether a stored number is none that Optuna reads: what holds of it where something is wrong."""
    finite = f"{column} IS NULL OR {column} > {_MOST} OR {column} < -{_MOST}"
    typed = f" OR typeof({column}) NOT IN ('real', 'integer')" if sqlite else ""
    known = f" OR {kind} NOT IN ('FINITE', {null_kinds})" if sqlite else ""
    return f"({kind} = 'FINITE' AND ({finite}{typed})) OR ({kind} <> 'FINITE' AND {column} IS NOT NULL){known}"


def bad_point(row: str, *, sqlite: bool) -> str:
    """What holds of a row of trial_intermediate_values whose value is none that Optuna reads.

    Args:
        row: What goes before its columns: a name with a dot, or nothing.
        sqlite: Whether the columns' types may have been broken.
    """
    return _number(
        f"{row}intermediate_value",
        f"{row}intermediate_value_type",
        null_kinds="'INF_POS', 'INF_NEG', 'NAN'",
        sqlite=sqlite,
    )


def bad_time(column: str) -> str:
    """What holds of a column of SQLite's whose text is no time that Optuna reads."""
    return f"{column} IS NOT NULL AND ({column} NOT GLOB '{_TIME}' OR julianday({column}) IS NULL)"


def _rules(*, sqlite: bool) -> Iterator[Rule]:
    yield from _orphans()
    yield Rule(
        "state",
        "a state that Optuna does not know",
        AGAIN,
        "SELECT study_id, number, trial_id FROM trials"
        " WHERE state IS NULL OR state NOT IN ('RUNNING', 'COMPLETE', 'PRUNED', 'FAIL', 'WAITING')",
        sqlite=True,
    )
    yield Rule(
        "no-value",
        "complete, without a value",
        AGAIN,
        "SELECT t.study_id, t.number, t.trial_id FROM trials t WHERE t.state = 'COMPLETE'"
        " AND NOT EXISTS (SELECT 1 FROM trial_values v WHERE v.trial_id = t.trial_id)",
    )
    bad = _number("v.value", "v.value_type", null_kinds="'INF_POS', 'INF_NEG'", sqlite=sqlite)
    yield Rule(
        "value",
        "a value that is no number: it makes every read of the study raise",
        AGAIN,
        "SELECT t.study_id, t.number, t.trial_id FROM trial_values v JOIN trials t ON t.trial_id = v.trial_id"
        f" WHERE t.state IN {_FINISHED} AND ({bad})",
    )
    yield Rule(
        "early-value",
        "a value before the trial has ended",
        "the value is removed",
        "SELECT t.study_id, t.number, v.trial_value_id FROM trial_values v JOIN trials t ON t.trial_id = v.trial_id"
        " WHERE t.state IN ('RUNNING', 'WAITING')",
    )
    bad = bad_point("i.", sqlite=sqlite)
    yield Rule(
        "point",
        "a point of the curve that is no number",
        AGAIN,
        "SELECT DISTINCT t.study_id, t.number, t.trial_id FROM trial_intermediate_values i"
        f" JOIN trials t ON t.trial_id = i.trial_id WHERE {bad}",
    )
    yield Rule(
        "no-number",
        "a trial without a number",
        None,
        "SELECT study_id, NULL, trial_id FROM trials WHERE number IS NULL OR number < 0",
    )
    yield Rule(
        "time",
        "a time that is none",
        "the time is left empty",
        "SELECT study_id, number, trial_id FROM trials WHERE "
        + f"({bad_time('datetime_start')}) OR ({bad_time('datetime_complete')})",
        sqlite=True,
    )
    yield Rule(
        "param",
        "a hyperparameter whose value is no number",
        AGAIN,
        "SELECT DISTINCT t.study_id, t.number, t.trial_id FROM trial_params p JOIN trials t ON t.trial_id = p.trial_id"
        f" WHERE p.param_value IS NULL OR p.param_value > {_MOST} OR p.param_value < -{_MOST}"
        + (" OR typeof(p.param_value) NOT IN ('real', 'integer')" if sqlite else ""),
    )


def row_findings(connection: Connection, names: Mapping[int, str]) -> list[Finding]:
    """Every rule, over every study at once.

    Args:
        connection: A transaction.
        names: The studies' names by their keys.
    """
    sqlite = connection.dialect.name == "sqlite"
    found = []
    for rule in _rules(sqlite=sqlite):
        if rule.sqlite and not sqlite:
            continue
        places = [Place(*row) for row in connection.execute(text(rule.sql))]
        found += by_study(rule.kind, rule.what, places, names, mend=rule.mend)
    return found


def by_study(
    kind: str,
    what: str,
    places: list[Place],
    names: Mapping[int, str],
    *,
    mend: str | None = None,
    advice: str | None = None,
) -> list[Finding]:
    """One finding for each study that has such places."""
    of_study: dict[int | None, list[Place]] = {}
    for place in places:
        of_study.setdefault(place.study, []).append(place)
    return [
        Finding(kind, what, some, mend, names.get(study) if study is not None else None, advice)
        for study, some in of_study.items()
    ]
