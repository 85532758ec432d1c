"""Trials that were run elsewhere: tables of them, the ranges that they were sampled from, and the stage they become."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from hpsearch.data.tables import csv_header, read_csv
from hpsearch.errors import BadArgument, BadInput, BadSpace, HpsearchError, NotEnoughTrials, nearest
from hpsearch.exchange.layout import PARAMS, TRIALS, checked_space, curve_columns, iso
from hpsearch.records import (
    CURVES,
    HITS,
    REASON,
    SECONDS,
    VALIDATION_LOSS,
    Argument,
    Direction,
    NewStage,
    PastTrials,
    Sentence,
)
from hpsearch.space import Categorical, Float, Int, Parameter, Value, contains, describe, parameter_from_dict
from hpsearch.store.schema import FINISHED
from hpsearch.study_file import check_name

# A warning for everyone who narrows trials that were run elsewhere.
RANDOM = Sentence(
    "narrow's p-values take the trials for random draws from their ranges; of trials that a grid, a person or a "
    "sampler that learns has chosen they say little"
)
STATES = (*FINISHED, "RUNNING", "WAITING")
Columns: TypeAlias = Mapping[str, list[Any]]  # a table's cells by column: numbers, booleans, texts and None

_METRICS = [column.name for column in curve_columns() if column.name.startswith("validation_")]
# Columns that are the score where nobody names one: ours, Optuna's, and a study file's metrics.
_SCORES = ("score", "value", *reversed(_METRICS))
# Columns that are no hyperparameters: ours, and those of Optuna's ``trials_dataframe``.
_OTHER = {column.name for column in TRIALS} | {"", "number", "value", "datetime_start", "datetime_complete", "duration"}
_OTHER_STARTS = ("user_attrs_", "system_attrs_", "values_", "Unnamed: ")
_ESCAPE = re.compile(r"\A'(?=[=+\-@\t\r']|\Z)")  # what keeps a spreadsheet from taking a text for a formula
_LOSSES = ("loss", "error", "rmse", "mse", "mae", "perplexity")
_LOG_SPAN = 10.0
_MAX_CHOICES = 100
_FORM = "give NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=one,other"


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """A file or study to import, and how to read it."""

    source: str  # A file, or an Optuna storage URL
    name: str | None = None  # the search's name; None for its own
    study_name: str | None = None  # of a storage: the study
    # of a table: the column of the score, by default one of a usual name. Of a study: a name for its value.
    metric: str | None = None
    direction: Direction | None = None  # of a table: the better scores; by default by the metric's name
    parameters: Sequence[str] = ()  # of a table: the columns of the hyperparameters; by default all that can be
    # of a table: ``NAME=LOW:HIGH``, ``NAME=LOW:HIGH:log`` or ``NAME=one,other``; the others reach as far as the data
    ranges: Sequence[str] = ()

    def refuse(self, what: str, *arguments: str) -> None:
        """Raise BadArgument for the first of these arguments that was given."""
        for name in arguments:
            if getattr(self, name):
                raise BadArgument(name, None, f"not for {what}", "leave it out")


@dataclass(frozen=True, slots=True)
class ForeignTrials:
    """Trials that were run elsewhere."""

    source: str  # the file or the study, for messages and for the database; without folders or passwords
    name: str  # A name for the search
    kind: str  # ``table`` or ``optuna study``
    metric: str  # the name of the score
    direction: Direction  # the better scores
    trials: PastTrials  # the trials as they are there: in any state, with any scores, and times where these are known
    ranges: Mapping[str, Parameter]  # the ranges of their parameters
    notes: Sequence[Sentence] = ()  # warnings for the person who imports them

    def to_stage(self, search: str, now: datetime) -> tuple[NewStage, PastTrials, list[Sentence]]:
        """Return the trials as the first stage of a search, and warnings.

        Raises:
            BadInput: No hyperparameter is left, or their names cannot be used.
            NotEnoughTrials: No trial has a score.
        """
        trials = self.trials
        # A score that is no finite number ranks nothing.
        scores = [float(score) if score is not None and math.isfinite(score) else None for score in trials.scores]
        complete = [row for row, state in enumerate(trials.states) if state == "COMPLETE"]
        reasons = {row: "no score" for row in complete if scores[row] is None}
        space, notes = self._space([row for row in complete if row not in reasons])
        new = NewStage(
            search=check_name(search),
            number=1,
            direction=self.direction,
            seed=0,
            space=checked_space(space),
            # No study file: the score and no more, so that nothing can be run by it.
            study_file={"objective": {"metric": self.metric, "direction": self.direction}},
            imported={"from": self.source, "kind": self.kind, "imported": iso(now), "notes": list(map(str, notes))},
        )
        past = replace(
            trials,
            states=["FAIL" if row in reasons else state for row, state in enumerate(trials.states)],
            scores=scores,
            params={name: trials.params[name] for name in space},
            attributes=[
                *((row, REASON, reason) for row, reason in reasons.items()),
                *(
                    (row, key, value)
                    for row, key, value in trials.attributes
                    if _fits(key, value) and not (key == REASON and row in reasons)
                ),
            ],
        )
        return new, settled(past, now), [*notes, RANDOM]

    def _space(self, ranked: Sequence[int]) -> tuple[dict[str, Parameter], list[Sentence]]:
        """Return the parameters that can be narrowed, by the rows of the trials with a score, and warnings."""
        if not ranked:
            raise NotEnoughTrials(f"{self.source} has no trial with a score {self.metric!r}")
        notes = list(self.notes)
        space: dict[str, Parameter] = {}
        for name, parameter in self.ranges.items():
            missing = sum(self.trials.params[name][row] is None for row in ranked)
            if missing:
                notes.append(
                    Sentence(
                        f"{name} is left out: {missing} of {len(ranked)} scored trials have no value of it (it is "
                        "conditional), and narrowing needs one of each"
                    )
                )
                continue
            outside = sum(not contains(parameter, self.trials.params[name][row]) for row in ranked)
            if outside:
                text = f"{outside} of {len(ranked)} scored trials lie outside the range of {name}: not narrowed"
                notes.append(Sentence(text))
            space[name] = parameter
        if not space:
            why = "; ".join(map(str, notes)) or "none at all"
            raise BadInput(f"{self.source} has no hyperparameter that can be narrowed ({why})")
        return space, notes


def metric_name(metric: str, params: Sequence[str]) -> str:
    """Return the name of a score: its own, or ``score`` where that is another column's."""
    taken = {column.name for column in TRIALS} - {VALIDATION_LOSS}
    return "score" if metric in taken or metric in params else metric


def settled(trials: PastTrials, now: datetime) -> PastTrials:
    """Return trials as they can be written: those that had not ended wait, the others ended ``now`` or earlier."""
    ended = [state in FINISHED for state in trials.states]

    def times(known: Sequence[datetime | None]) -> list[datetime | None]:
        return [(time or now) if over else None for time, over in zip(known, ended, strict=True)]

    return replace(
        trials,
        states=[state if over else "WAITING" for state, over in zip(trials.states, ended, strict=True)],
        scores=[
            score if state in ("COMPLETE", "PRUNED") else None
            for score, state in zip(trials.scores, trials.states, strict=True)
        ],
        started=times(trials.started),
        finished=times(trials.finished),
    )


def _fits(key: str, value: Any) -> bool:
    """Return whether an attribute has the type of hpsearch's own of that name; other names are free."""
    if key in (VALIDATION_LOSS, SECONDS):
        return type(value) in (int, float)
    return key not in (CURVES, HITS) and (key != REASON or isinstance(value, str))


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
    return [_ESCAPE.sub("", cell) if cell.strip() else None for cell in cells]


def _boolean(cell: str) -> bool:
    return {"true": True, "false": False}[cell.strip().lower()]


def foreign_trials(path: Path, columns: Columns, request: ImportRequest) -> ForeignTrials:
    """Return a table's rows as trials."""
    request.refuse("a table", "study_name")
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
    better = request.direction
    if better is None:
        name = str(metrics.pop() if len(metrics) == 1 else score).lower()
        better, how = ("minimize", "lower") if any(word in name for word in _LOSSES) else ("maximize", "higher")
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
    if not states or not set(states) <= set(STATES):
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
            parameter = _parse_range(given[name], values) if name in given else _extent(values)
            rows = len(values)
            if name not in (*parameters, *given) and values in (list(range(rows)), list(range(1, rows + 1))):
                raise BadInput("it numbers the rows")
        except HpsearchError as error:
            if name in given:
                raise BadArgument("ranges", f"{name}={given[name]}", str(error)) from error
            if name in parameters:
                raise BadArgument("parameters", name, str(error)) from error
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


def _parse_range(text: str, values: Sequence[Any]) -> Parameter:
    """Return the range that a person gives for a column with these values: ``1e-6:1e-2:log``, ``16:512``, ``a,b``."""
    if ":" not in text:
        return _choices(text, values)
    low, high, *words = text.split(":")
    if not set(words) <= {"log", "int", "float"}:
        raise BadInput(f"{text!r}: {_FORM}; and :int or :float where the data do not say it")
    try:
        bounds = float(low), float(high)
    except ValueError as error:
        raise BadInput(f"{text!r}: {low!r} or {high!r} is no number; {_FORM}") from error
    whole = all(value is None or type(value) is int for value in values) and all(map(float.is_integer, bounds))
    kind = "int" if "int" in words or (whole and "float" not in words) else "float"
    return parameter_from_dict({"type": kind, "low": bounds[0], "high": bounds[1], "log": "log" in words})


def _choices(text: str, values: Sequence[Any]) -> Categorical:
    known = [value for value in values if value is not None]
    by_text = {str(value).lower() if isinstance(value, bool) else str(value): value for value in known}
    choices = tuple(by_text.get(word.strip(), word.strip()) for word in text.split(","))
    if "" in choices:
        raise BadInput(f"{text!r}: {_FORM}")
    if other := set(by_text.values()) - set(choices):
        raise BadInput(f"the column has other values too ({', '.join(sorted(map(str, other))[:3])}); name them all")
    return Categorical(choices)


def _extent(values: Sequence[Value | None]) -> Parameter | None:
    """Return the extent of a column's values: choices, or a range, logarithmic where it spans more than a decade.

    It is None where all values are one.
    """
    different = {value for value in values if value is not None}
    types = {type(value) for value in different}
    if len(different) < 2:
        return None
    if types <= {int, float}:
        low, high = min(different), max(different)
        log = float(low) > 0 and float(high) / float(low) > _LOG_SPAN
        return Int(int(low), int(high), log) if types == {int} else Float(float(low), float(high), log)
    if len(types) > 1:
        raise BadInput("it holds numbers and texts; give its choices with {}", Argument("ranges"))
    if len(different) > _MAX_CHOICES:
        raise BadInput(f"it holds {len(different)} different texts, too many for choices")
    return Categorical(tuple(sorted(different, key=str)))


def union(first: Parameter, second: Parameter) -> Parameter:
    """Return the range that holds both, of two that a study sampled one hyperparameter from."""
    match first, second:
        case Float(), Float() if first.log == second.log:
            return Float(min(first.low, second.low), max(first.high, second.high), first.log)
        case Int(), Int() if first.log == second.log:
            return Int(min(first.low, second.low), max(first.high, second.high), first.log)
        case _ if first == second:
            return first
    raise BadSpace(f"is sampled from {describe(first)} and from {describe(second)}")
