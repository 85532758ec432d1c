"""Foreign tables: a row a trial, a column a hyperparameter, and a score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadInput, HpsearchError, nearest
from hpsearch.exchange import csv_files, parquet_files
from hpsearch.exchange.columns import PARAMS, TRIALS
from hpsearch.exchange.foreign import Foreign, likely_direction, metric_name, no_points
from hpsearch.exchange.ranges import extent, parse_range
from hpsearch.records import REASON, SECONDS, VALIDATION_LOSS, Direction
from hpsearch.space import Categorical, Parameter, describe

if TYPE_CHECKING:
    from hpsearch.space import Value

_SCORES = ("score", "value", "validation_accuracy", "validation_loss")
"""Columns that are the score where --metric does not say: ours, Optuna's, and a study file's metrics."""
_OTHER = {column.name for column in TRIALS} | {"", "number", "value", "datetime_start", "datetime_complete", "duration"}
"""Columns that are no hyperparameters: ours, and those of Optuna's ``trials_dataframe``."""
_OTHER_STARTS = ("user_attrs_", "system_attrs_", "values_", "Unnamed: ")
_STATES = ("COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING")


def read(path: Path) -> dict[str, list[Any]]:
    """A table's columns, with numbers, booleans, texts and None.

    Raises:
        BadInput: It cannot be read, or has no row.
        MissingExtra: Parquet without pyarrow.
    """
    if path.suffix.lower() == ".parquet":
        with parquet_files.Opened(path) as file:
            columns = file.plain()
    else:
        with csv_files.opened(path) as (headings, rows):
            cells = list(zip(*rows, strict=True)) or [() for _ in headings]
        columns = {name: _parsed(column) for name, column in zip(headings, cells, strict=True)}
    if not any(columns.values()):
        raise BadInput(f"{path} has no row")
    return columns


def _parsed(cells: Sequence[str]) -> list[Any]:
    """The cells of a CSV column as what all of them are: whole numbers, numbers, booleans, or texts."""
    there = [cell for cell in cells if cell.strip()]
    for kind in (int, float, _boolean):
        try:
            values = {cell: kind(_number_text(cell)) for cell in dict.fromkeys(there)}
        except (ValueError, OverflowError):
            continue
        return [values[cell] if cell.strip() else None for cell in cells]
    return [cell if cell.strip() else None for cell in cells]


def _number_text(cell: str) -> str:
    """A cell that may be a number: Python would read 1_2 as one too."""
    if "_" in cell:
        raise ValueError(f"{cell!r} is no number")
    return cell


def _boolean(cell: str) -> bool:
    word = cell.strip().lower()
    if word not in ("true", "false"):
        raise ValueError(f"{cell!r} is neither true nor false")
    return word == "true"


def foreign(
    path: Path,
    columns: Mapping[str, list[Any]],
    *,
    metric: str | None = None,
    direction: Direction | None = None,
    parameters: Sequence[str] = (),
    ranges: Sequence[str] = (),
) -> Foreign:
    """A table as trials of others.

    Args:
        path: Where it comes from.
        columns: What `read` gave.
        metric: The column of the score; by default one of a usual name.
        direction: Whether a higher or a lower score is better; by default by the metric's name.
        parameters: The columns of the hyperparameters; by default all that can be.
        ranges: ``NAME=LOW:HIGH``, ``NAME=LOW:HIGH:log`` or ``NAME=one,other``; of the others as far as the data reach.

    Raises:
        BadInput: No such column, no score, or no range.
    """
    if "trial" in columns and len(set(columns.get("stage", []))) > 1:
        raise BadInput(
            f"{path} has trials of several stages and no {path.stem.removesuffix('.trials')}.stages.json beside it, so "
            "their ranges are not known; bring that file, or keep the rows of one stage"
        )
    score = _score_column(path, columns, metric)
    given = dict(_split(text) for text in ranges)
    names = _parameters(path, columns, score, parameters, given)
    notes: list[str] = []
    called = metric_name(score, [name.removeprefix(PARAMS) for name in names])
    better = direction or likely_direction(_measured(columns, score))
    if direction is None:
        how = "higher" if better == "maximize" else "lower"
        notes.append(f"the score is {score}, and {how} is taken for better; --direction says otherwise")
    drawn, by_data = _ranges(names, columns, given, [*parameters, *given], notes)
    if by_data:
        extents = ", ".join(f"{name} {describe(drawn[name])}" for name in by_data)
        notes.append(
            f"the ranges are no more than what the data reach ({extents}): give those that the values were drawn from "
            "with --range, or the edges and p-values of narrow mean little"
        )
    rows = len(columns[score])
    scores = [_as_number(value) for value in columns[score]]
    return Foreign(
        source=path.name,
        name=path.stem.removesuffix(".trials"),
        kind="table",
        metric=called,
        direction=better,
        states=_states(path, columns, rows),
        scores=scores,
        params={name: [_finite(v) for v in columns[names[name]]] for name in drawn},
        ranges=drawn,
        points=no_points(),
        attributes=_attributes(columns),
        notes=notes,
    )


def _score_column(path: Path, columns: Mapping[str, list[Any]], metric: str | None) -> str:
    if metric is None:
        found = next((name for name in _SCORES if name in columns), None)
        if found is None:
            raise BadInput(f"{path}: which column is the score? Give --metric COLUMN; there are: {_few(columns)}")
        return found
    if metric not in columns:
        raise BadInput(f"{path} has no column {metric!r}{nearest(metric, columns)}")
    if not any(_as_number(value) is not None for value in columns[metric]):
        raise BadInput(f"{path}: the column {metric} has no number, so it is no score; give another --metric")
    return metric


def _few(names: Mapping[str, Any]) -> str:
    listed = list(names)
    return ", ".join(listed[:12]) + (f" and {len(listed) - 12} more" if len(listed) > 12 else "")


def _measured(columns: Mapping[str, list[Any]], score: str) -> str:
    """What a score measures: an export of ours says it in a column of its own."""
    said = columns.get("metric") or [score]
    return str(said[0]) if score == "score" and len(set(said)) == 1 else score


def _split(text: str) -> tuple[str, str]:
    name, sign, form = text.partition("=")
    if not sign or not name:
        raise BadInput(f"--range {text}: give NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=one,other")
    return name, form


def _parameters(
    path: Path, columns: Mapping[str, list[Any]], score: str, asked: Sequence[str], given: Mapping[str, str]
) -> dict[str, str]:
    """The columns of the hyperparameters by their names."""
    by_name = {name.removeprefix(PARAMS): name for name in columns}
    for name in (*asked, *given):
        if name not in by_name:
            raise BadInput(f"{path} has no column {name!r}{nearest(name, by_name)}")
    if asked:
        return {name: by_name[name] for name in (*asked, *given)}
    if any(name.startswith(PARAMS) for name in columns):
        return {name.removeprefix(PARAMS): name for name in columns if name.startswith(PARAMS)}
    found = {
        name: name
        for name in columns
        if name in given or not (name in _OTHER or name == score or name.startswith(_OTHER_STARTS))
    }
    if not found:
        raise BadInput(f"{path} has no column of a hyperparameter; it has: {_few(columns)}")
    return found


def _ranges(
    names: Mapping[str, str],
    columns: Mapping[str, list[Any]],
    given: Mapping[str, str],
    asked: Sequence[str],
    notes: list[str],
) -> tuple[dict[str, Parameter], list[str]]:
    """The ranges by name, and which of them are the data's."""
    drawn: dict[str, Parameter] = {}
    by_data = []
    for name, column in names.items():
        try:
            values = _values(columns[column])
            found = parse_range(given[name], values) if name in given else extent(values)
            if name not in asked and values in (list(range(len(values))), list(range(1, len(values) + 1))):
                raise BadInput("it numbers the rows")
        except HpsearchError as error:
            if name not in asked:
                notes.append(f"{name} is left out: {error}")
                continue
            raise BadInput(f"{'--range ' if name in given else ''}{name}: {error}") from error
        if found is None:
            notes.append(f"{name} is left out: it has one value in all trials")
            continue
        if isinstance(found, Categorical) and (other := set(values) - {None} - set(found.choices)):
            some = ", ".join(sorted(map(str, other))[:3])
            raise BadInput(f"--range {name}={given[name]}: the column has other values too ({some}); name them all")
        drawn[name] = found
        by_data += [] if name in given else [name]
    return drawn, by_data


def _values(cells: Sequence[Any]) -> list[Value | None]:
    """The cells of a hyperparameter's column.

    Raises:
        BadInput: They are no values that one may have.
    """
    for cell in cells:
        if cell is not None and type(cell) not in (int, float, bool, str):
            raise BadInput(f"it holds {type(cell).__name__}, and a hyperparameter numbers, texts or booleans")
    return [_finite(cell) for cell in cells]


def _states(path: Path, columns: Mapping[str, list[Any]], rows: int) -> list[str]:
    said = columns.get("state")
    if said is None or not set(said) <= set(_STATES):
        return ["COMPLETE"] * rows
    return [str(state) for state in said]


def _attributes(columns: Mapping[str, list[Any]]) -> list[tuple[int, str, Any]]:
    kept = [name for name in (VALIDATION_LOSS, SECONDS, REASON) if name in columns]
    return [(row, name, value) for name in kept for row, value in enumerate(columns[name]) if value is not None]


def _as_number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= 2.0**1023 else None


def _finite(value: Any) -> Value | None:
    """A hyperparameter's value; None for NaN and infinities, which none has."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    found: Value | None = value
    return found
