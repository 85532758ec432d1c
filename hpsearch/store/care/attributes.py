"""Attributes and distributions whose JSON does not parse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from hpsearch.store.care.findings import Finding, Place
from hpsearch.store.care.rows import AGAIN, KEYS, by_study

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy.engine import Connection

_OF_TRIALS = ("trial_user_attributes", "trial_system_attributes")
_OF_STUDIES = ("study_user_attributes", "study_system_attributes")
_KINDS = ("FloatDistribution", "IntDistribution", "CategoricalDistribution", "UniformDistribution")


def attribute_findings(connection: Connection, names: Mapping[int, str]) -> list[Finding]:
    """Attributes of studies and trials that nobody can read."""
    found = []
    for table in _OF_TRIALS:
        places = []
        for study, number, trial_id, key, kept in _doubtful(connection, table, of_trial=True):
            if not is_readable(key, kept):
                places.append(Place(study, number, trial_id))
        found += by_study("attribute", f"an attribute ({table}) that does not parse", places, names, mend=AGAIN)
    for table in _OF_STUDIES:
        for study, _, row, key, kept in _doubtful(connection, table, of_trial=False):
            if is_readable(key, kept):
                continue
            what = f"the attribute {key!r} of the study does not parse"
            place = Place(study, None, (table, row))
            found.append(_of_study(key, what, place, names.get(study)))
    return found


def _of_study(key: object, what: str, place: Place, name: str | None) -> Finding:
    if isinstance(key, str) and key.startswith("hpsearch:") and key.isascii():
        advice = "take it from a backup, or delete the study with `hpsearch delete`"
        return Finding("study-attribute", what, [place], study=name, advice=advice)
    return Finding("study-attribute", what, [place], "the attribute is removed", name)


def _doubtful(connection: Connection, table: str, *, of_trial: bool) -> Iterator[tuple[Any, ...]]:
    """(study, number, key of the trial or row, attribute's key, text) of all that may not parse."""
    owner = (
        f"SELECT t.study_id, t.number, t.trial_id, a.key, a.value_json FROM {table} a "
        "JOIN trials t ON t.trial_id = a.trial_id"
        if of_trial
        else f"SELECT a.study_id, NULL, a.{KEYS[table]}, a.key, a.value_json FROM {table} a"
    )
    if connection.dialect.name == "sqlite":
        # SQLite looks first, at many times the speed. It refuses NaN, which Python reads; Python has the last word.
        owner += (
            " WHERE a.key IS NULL OR typeof(a.key) <> 'text' OR a.key = '' OR a.value_json IS NULL"
            " OR typeof(a.value_json) <> 'text' OR NOT json_valid(a.value_json)"
            " OR a.value_json GLOB '*[^ -~]*' OR instr(a.value_json, char(0)) > 0 OR a.key GLOB '*[^ -~]*'"
        )
    yield from map(tuple, connection.execute(text(owner).execution_options(yield_per=1000)))


def is_readable(key: object, kept: object) -> bool:
    """Whether an attribute's key is text and its JSON parses."""
    if not isinstance(key, str) or not isinstance(kept, str) or not key or not _is_text(key):
        return False
    try:
        json.loads(kept)
    except ValueError:
        return False
    # Optuna and hpsearch write ASCII.
    return _is_text(kept)


def _is_text(said: str) -> bool:
    try:
        said.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8
        return False
    return True


def distribution_findings(connection: Connection, names: Mapping[int, str]) -> list[Finding]:
    """Hyperparameters whose distribution does not parse, or that lie outside it."""
    broken: list[Place] = []
    outside: list[Place] = []
    select = (
        "SELECT DISTINCT t.study_id, t.number, t.trial_id FROM trial_params p JOIN trials t ON t.trial_id = p.trial_id"
    )
    kinds = list(connection.execute(text("SELECT DISTINCT distribution_json FROM trial_params")))
    for (said,) in kinds:
        condition = None if not isinstance(said, str) or not _is_text(said) else _outside(said)
        if condition is None:
            test = "p.distribution_json IS NULL" if said is None else "p.distribution_json = :said"
            broken += [
                Place(*row) for row in connection.execute(text(f"{select} WHERE {test}"), {"said": _bindable(said)})
            ]
            continue
        # Somebody who enqueues a value may choose it from outside its range.
        enqueued = (
            "NOT EXISTS (SELECT 1 FROM trial_system_attributes s WHERE s.trial_id = p.trial_id"
            " AND s.key = 'fixed_params')"
        )
        rows = connection.execute(
            text(f"{select} WHERE p.distribution_json = :said AND ({condition}) AND {enqueued}"), {"said": said}
        )
        outside += [Place(*row) for row in rows]
    return by_study(
        "distribution", "a hyperparameter whose distribution does not parse", broken, names, mend=AGAIN
    ) + by_study("outside", "a hyperparameter outside its distribution", outside, names, mend=AGAIN)


def _bindable(said: object) -> object:
    return said.encode("utf-8", "surrogateescape") if isinstance(said, str) and not _is_text(said) else said


def _outside(said: str) -> str | None:
    """What holds of ``p.param_value`` outside a distribution, as SQL; None for what is no distribution."""
    try:
        plain = json.loads(said)
        kind, about = plain["name"], plain["attributes"]
        if kind not in _KINDS and not str(kind).endswith("Distribution"):
            return None
        if "choices" in about:
            last = len(about["choices"]) - 1
            return f"p.param_value NOT BETWEEN 0 AND {last} OR p.param_value <> round(p.param_value)"
        low, high = float(about["low"]), float(about["high"])
        if not low <= high:
            return None
        condition = f"p.param_value NOT BETWEEN {low!r} AND {high!r}"
        if kind.startswith("Int"):
            step = int(about.get("step") or 1)
            condition += (
                f" OR abs((p.param_value - {low!r}) / {step} - round((p.param_value - {low!r}) / {step})) > 1e-9"
            )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return condition
