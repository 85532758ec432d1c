"""The rows of Optuna's tables in a damaged file: those that the tables' trees lead to, and those that none leads to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hpsearch.records import CURVES, HITS, REASON, SECONDS, VALIDATION_LOSS
from hpsearch.store import tables as t
from hpsearch.store.base import ATTRIBUTE_PREFIX, OWNER, RELEASED
from hpsearch.store.care.pages import Image, Read
from hpsearch.store.claims import FIXED_PARAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hpsearch.store.care.pages import Row

_STATES = tuple(state.name for state in t.TrialState)
_DIRECTIONS = tuple(direction.name for direction in t.StudyDirection)
_FINITE = ("FINITE", "INF_POS", "INF_NEG")


def _key(value: object) -> bool:
    return value is None  # the primary key is the rowid, and is not stored again


def _whole(value: object) -> bool:
    return isinstance(value, int) and -1 <= value < 2**40


def _text(value: object) -> bool:
    return isinstance(value, str)


def _number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not math.isnan(value))


def _one_of(*labels: str) -> Callable[[object], bool]:
    return lambda value: value in labels


def _time(value: object) -> bool:
    return value is None or isinstance(value, str)


_ATTRIBUTE = (_key, _whole, _text, _text)
_COLUMNS: Mapping[str, tuple[Callable[[object], bool], ...]] = {
    "studies": (_key, _text),
    "study_directions": (_key, _one_of(*_DIRECTIONS), _whole, _whole),
    "study_user_attributes": _ATTRIBUTE,
    "study_system_attributes": _ATTRIBUTE,
    "trials": (_key, _whole, _whole, _one_of(*_STATES), _time, _time),
    "trial_params": (_key, _whole, _text, _number, _text),
    "trial_values": (_key, _whole, _whole, _number, _one_of(*_FINITE)),
    "trial_intermediate_values": (_key, _whole, _whole, _number, _one_of(*_FINITE, "NAN")),
    "trial_user_attributes": _ATTRIBUTE,
    "trial_system_attributes": _ATTRIBUTE,
}
"""What the columns of a row may hold, for each table that is worth keeping. Heartbeats are not."""
_OF_TRIALS = {OWNER, RELEASED, FIXED_PARAMS, f"{ATTRIBUTE_PREFIX}heartbeat"}
_RESULTS = {CURVES, HITS, REASON, SECONDS, VALIDATION_LOSS}


def fits(table: str, row: Row) -> bool:
    """Whether a row may be one of a table."""
    columns = _COLUMNS[table]
    return len(row) == len(columns) and all(fit(value) for fit, value in zip(columns, row, strict=True))


def read_tables(file: Path) -> tuple[dict[str, Read], str | None]:
    """What can be read of Optuna's tables, and the revision of the schema where that can be.

    A page that no tree leads to may be one whose parent is damaged. Its rows count where no row of that key was found
    otherwise, unless the list of free pages has it. Two such rows that differ are both left out.
    """
    image = Image(file)
    visited: set[int] = set()
    schema = image.table(1, visited)
    roots = {row[1]: row[3] for row in schema.rows.values() if len(row) == 5 and row[0] == "table"}
    read = {name: Read() for name in _COLUMNS}
    revision = None
    for name, root in roots.items():
        if not isinstance(root, int):
            continue
        found = image.table(root, visited)
        if name == "alembic_version":
            revision = next((row[0] for row in found.rows.values() if row and isinstance(row[0], str)), None)
        if name in read:
            kept = {rowid: row for rowid, row in found.rows.items() if fits(name, row)}
            read[name] = Read(kept, found.lost + len(found.rows) - len(kept))
    for name in read.keys() - roots.keys():
        read[name].lost += 1
    _add_astray(image, visited | image.free(), read)
    return read, revision


def anything(file: Path) -> bool:
    """Whether a file holds any row of Optuna's tables."""
    return any(table.rows for table in read_tables(file)[0].values())


def _add_astray(image: Image, known: set[int], read: dict[str, Read]) -> None:
    astray: dict[str, dict[int, set[Row]]] = {name: {} for name in read}
    for number in image.leaves():
        if number in known:
            continue
        rows = image.leaf(number, Read())
        table = _table_of(list(rows.values()))
        if table is None:
            continue
        for rowid, row in rows.items():
            if fits(table, row):
                astray[table].setdefault(rowid, set()).add(row)
    for table, found in astray.items():
        for rowid, versions in found.items():
            if rowid not in read[table].rows and len(versions) == 1:
                (read[table].rows[rowid],) = versions


def _table_of(rows: list[Row]) -> str | None:
    """Which table a page's rows are of; None where that is not sure."""
    could = [table for table in _COLUMNS if rows and all(fits(table, row) for row in rows)]
    if len(could) == 1:
        return could[0]
    if "trial_values" in could:
        # A value a trial and objective 0; a curve has several points of one trial.
        trials = [row[1] for row in rows]
        lone = len(set(trials)) == len(trials) and not any(row[2] for row in rows)
        return "trial_values" if lone else "trial_intermediate_values"
    return _table_of_attributes({row[2] for row in rows}) if could else None


def _table_of_attributes(keys: set[str]) -> str | None:
    """Which table of attributes has such keys."""
    if keys & _OF_TRIALS:
        return "trial_system_attributes"
    if any(key.startswith(ATTRIBUTE_PREFIX) for key in keys):
        return "study_user_attributes"
    return "trial_user_attributes" if keys & _RESULTS else None
