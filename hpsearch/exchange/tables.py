"""Tables of trials: a row a trial, a column a hyperparameter, and a score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from hpsearch.data.tables import csv_header, read_csv
from hpsearch.errors import BadArgument, BadInput, HpsearchError, nearest
from hpsearch.exchange.foreign import ForeignTrials, ImportRequest, extent, likely_direction, metric_name, parse_range
from hpsearch.exchange.layout import PARAMS, TRIALS, curve_columns
from hpsearch.records import REASON, SECONDS, VALIDATION_LOSS, Argument, PastTrials, Sentence
from hpsearch.space import Parameter, Value, describe

Columns: TypeAlias = Mapping[str, list[Any]]
"""A table's cells by column: numbers, booleans, texts and None."""

_METRICS = [column.name for column in curve_columns() if column.name.startswith("validation_")]
_SCORES = ("score", "value", *reversed(_METRICS))
"""Columns that are the score where nobody names one: ours, Optuna's, and a study file's metrics."""
_OTHER = {column.name for column in TRIALS} | {"", "number", "value", "datetime_start", "datetime_complete", "duration"}
"""Columns that are no hyperparameters: ours, and those of Optuna's ``trials_dataframe``."""
_OTHER_STARTS = ("user_attrs_", "system_attrs_", "values_", "Unnamed: ")
_STATES = {"COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING"}


def read_csv_columns(path: Path) -> Columns:
    """Read a CSV file's columns."""
    # As text, for pandas would round some numbers and make whole ones with gaps floats.
    csv_header(path)
    frame = read_csv(path, dtype=str)
    return {str(name): _parsed(frame[name].fillna("").tolist()) for name in frame}


def _parsed(cells: Sequence[str]) -> list[Any]:
    """Return a CSV column's cells as one type: whole numbers, numbers, booleans, or texts."""
    different = [cell for cell in dict.fromkeys(cells) if cell.strip()]
    for parse in (int, float, _boolean):
        try:
            values = {cell: parse(cell.replace("_", "?")) for cell in different}  # Python would read 1_2 as a number
        except (ValueError, KeyError, OverflowError):
            continue
        return [values.get(cell) for cell in cells]
    return [cell if cell.strip() else None for cell in cells]


def _boolean(cell: str) -> bool:
    return {"true": True, "false": False}[cell.strip().lower()]


def foreign_trials(path: Path, columns: Columns, request: ImportRequest) -> ForeignTrials:
    """Return a table's rows as trials."""
    if not any(columns.values()):
        raise BadInput(f"{path} has no row")
    if {"trial", "epoch"} <= set(columns):
        raise curves_only(path)
    if "trial" in columns and len(set(columns.get("stage", []))) > 1:
        raise BadInput(
            f"{path} has trials of several stages, whose ranges are not known; keep the rows of one stage, or import a "
            ".parquet or .json export"
        )
    score = _score_column(path, columns, request.metric)
    given: dict[str, str] = {}
    for text in request.ranges:
        name, equals, form = text.partition("=")
        if not equals or not name:
            raise BadArgument("ranges", text, "give NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=one,other")
        given[name] = form
    names = _parameter_columns(path, columns, score, request.parameters, given)
    notes: list[Sentence] = []
    # An export of ours has the score's name in a column of its own.
    metrics = set(columns.get("metric", [])) if score == "score" else set()
    better = request.direction or likely_direction(str(metrics.pop()) if len(metrics) == 1 else score)
    if request.direction is None:
        how = "higher" if better == "maximize" else "lower"
        text = f"the score is {score}, and {how} is taken for better; {{}} overrides it"
        notes.append(Sentence(text, (Argument("direction"),)))
    space, from_data = _ranges(names, columns, given, request.parameters, notes)
    if from_data:
        extents = ", ".join(f"{name} {describe(space[name])}" for name in from_data)
        text = (
            f"the ranges are no more than the data reach ({extents}): give those that the values were sampled from "
            "with {}, or the edges and p-values of narrow mean little"
        )
        notes.append(Sentence(text, (Argument("ranges"),)))
    states = columns.get("state", [])
    if not states or not set(states) <= _STATES:
        states = ["COMPLETE"] * len(columns[score])
    return ForeignTrials(
        source=path.name,
        name=path.stem.removesuffix(".trials"),
        kind="table",
        metric=metric_name(score, list(names)),
        direction=better,
        trials=PastTrials(
            states=states,
            scores=[_number(value) for value in columns[score]],
            started=[None] * len(states),
            finished=[None] * len(states),
            params={name: _values(columns[names[name]]) for name in space},
            points=(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)),
            attributes=[
                (row, name, value)
                for name in (VALIDATION_LOSS, SECONDS, REASON)
                for row, value in enumerate(columns.get(name, []))
                if value is not None
            ],
        ),
        ranges=space,
        notes=notes,
    )


def curves_only(path: Path) -> BadInput:
    """Return the error of a file with an export's curves and no trials."""
    return BadInput(
        f"{path} has curves only; export the trials too ({{}}), and give the file with them", Argument("what", "all")
    )


def _score_column(path: Path, columns: Columns, metric: str | None) -> str:
    if metric is None:
        for name in _SCORES:
            if name in columns:
                return name
        raise BadInput(
            f"{path}: which column is the score? Give {{}}; there are: {_some(columns)}", Argument("metric", "COLUMN")
        )
    if metric not in columns:
        raise BadInput(f"{path} has no column {metric!r}{nearest(metric, columns)}")
    if not any(_number(value) is not None for value in columns[metric]):
        raise BadInput(
            f"{path}: the column {metric} has no number, so it is no score; give another {{}}", Argument("metric")
        )
    return metric


def _some(columns: Columns) -> str:
    names = list(columns)
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _parameter_columns(
    path: Path, columns: Columns, score: str, parameters: Sequence[str], ranges: Mapping[str, str]
) -> dict[str, str]:
    """Return the columns of the hyperparameters by their names."""
    by_name = {name.removeprefix(PARAMS): name for name in columns}
    for name in (*parameters, *ranges):
        if name not in by_name:
            raise BadInput(f"{path} has no column {name!r}{nearest(name, by_name)}")
    if parameters:
        return {name: by_name[name] for name in (*parameters, *ranges)}
    prefixed = {name.removeprefix(PARAMS): name for name in columns if name.startswith(PARAMS)}
    if prefixed:
        return prefixed
    others = {
        name: name
        for name in columns
        if name in ranges or not (name in _OTHER or name == score or name.startswith(_OTHER_STARTS))
    }
    if not others:
        raise BadInput(f"{path} has no column of a hyperparameter; it has: {_some(columns)}")
    return others


def _ranges(
    names: Mapping[str, str],
    columns: Columns,
    given: Mapping[str, str],
    parameters: Sequence[str],
    notes: list[Sentence],
) -> tuple[dict[str, Parameter], list[str]]:
    """Return the ranges by name, and the names of those that only the data say."""
    space: dict[str, Parameter] = {}
    for name, column in names.items():
        try:
            values = _values(columns[column])
            parameter = parse_range(given[name], values) if name in given else extent(values)
            rows = len(values)
            if name not in (*parameters, *given) and values in (list(range(rows)), list(range(1, rows + 1))):
                raise BadInput("it numbers the rows")
        except HpsearchError as error:
            if name in given:
                raise BadArgument("ranges", f"{name}={given[name]}", str(error)) from error
            if name in parameters:
                raise BadArgument("parameter", name, str(error)) from error
            notes.append(Sentence(f"{name} is left out: {error}"))
            continue
        if parameter is None:
            notes.append(Sentence(f"{name} is left out: it has one value in all trials"))
            continue
        space[name] = parameter
    return space, [name for name in space if name not in given]


def _values(cells: Sequence[Any]) -> list[Value | None]:
    """Return the cells of a hyperparameter's column, None for NaN and infinities."""
    for cell in cells:
        if cell is not None and type(cell) not in (int, float, bool, str):
            raise BadInput(f"it holds {type(cell).__name__}, and a hyperparameter numbers, texts or booleans")
    return [None if isinstance(cell, float) and not math.isfinite(cell) else cell for cell in cells]


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= 2.0**1023 else None
