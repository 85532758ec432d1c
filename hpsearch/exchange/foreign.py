"""Trials that were run elsewhere: tables of them, the ranges that they were sampled from, and the stage they become."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch.errors import BadArgument, BadInput, HpsearchError, NotEnoughTrials, nearest
from hpsearch.exchange.drafts import FORMS, parse_range
from hpsearch.exchange.layout import DIRECTION, TRIALS, checked_space, is_name, iso
from hpsearch.exchange.tools import (
    PLAIN,
    Columns,
    Tool,
    better,
    ended,
    recognise,
    state_column,
    states,
    text,
    typed,
    utc,
)
from hpsearch.exchange.tools import value as parsed
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
from hpsearch.space import Categorical, Float, Int, Parameter, Value, contains, describe, has_none, parameter_from_dict
from hpsearch.store.schema import FINISHED
from hpsearch.study_file import check_name
from hpsearch.text import listed

# A warning for everyone who narrows trials that were run elsewhere.
RANDOM = Sentence(
    "narrow's p-values take the trials for random draws from their ranges; of trials that a grid, a person or a "
    "sampler that learns has chosen they say little"
)
STATES = (*FINISHED, "RUNNING", "WAITING")
_TIMES = (("started", "datetime_start"), ("finished", "datetime_complete"))
_LOG_SPAN = 10.0
_MAX_CHOICES = 100
_FEWEST_TRIALS = 10  # texts of fewer may be all different by chance


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """A file or study to import, and how to read it."""

    source: str  # A file, or an Optuna storage URL
    name: str | None = None  # the search's name; None for its own
    study_name: str | None = None  # of a storage: the study
    # of a table: the column of the score, by default one of a usual name. Of a study: a name for its value.
    metric: str | None = None
    direction: Direction | None = None  # of a table: the better scores; by default by the metric's name
    parameters: Sequence[str] = ()  # of a table: the columns of the hyperparameters; by default as its tool calls them
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
    of_ranges: Mapping[str, Sequence[str]] = field(default_factory=dict)  # more of them, on ranges that are kept
    from_data: Sequence[str] = ()  # the parameters whose ranges are no more than their values' extent
    failures: Mapping[int, str] = field(default_factory=dict)  # why trials failed, by row, where that is known

    def to_stage(self, search: str, now: datetime) -> tuple[NewStage, PastTrials, list[Sentence]]:
        """Return the trials as the first stage of a search, and warnings.

        Raises:
            BadInput: No hyperparameter is left, or their names cannot be used.
            NotEnoughTrials: No trial has a score.
        """
        trials = self.trials
        # A score that is no finite number ranks nothing.
        scores = [float(score) if score is not None and math.isfinite(score) else None for score in trials.scores]
        known = {row for row, key, reason in trials.attributes if key == REASON and isinstance(reason, str)}
        reasons = {row: reason for row, reason in self.failures.items() if trials.states[row] in FINISHED}
        for row, state in enumerate(trials.states):
            if state == "COMPLETE" and scores[row] is None:
                score = trials.scores[row]
                reasons.setdefault(row, "no score" if score is None else f"the score is {score}")
            elif state == "FAIL" and row not in known:
                reasons.setdefault(row, "it failed where it was run")
        complete = [row for row, state in enumerate(trials.states) if state == "COMPLETE"]
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
            values = [self.trials.params[name][row] for row in ranked]
            values = [value for value in values if value is not None or has_none(parameter)]
            if len(values) < len(ranked):
                lack = f"{len(ranked) - len(values)} of {len(ranked)} scored trials have no value of {name}"
                if not values:
                    notes.append(Sentence(f"{name} is left out: {lack}"))
                    continue
                notes.append(Sentence(f"{lack} (it is conditional, or None): it is narrowed by the others"))
            outside = sum(not contains(parameter, value) for value in values)
            if outside:
                text = f"{outside} of {len(ranked)} scored trials lie outside the range of {name}: not narrowed"
                notes.append(Sentence(text))
            space[name] = parameter
        notes += [Sentence(note) for name in space for note in self.of_ranges.get(name, ())]
        if extents := ", ".join(f"{name} {describe(space[name])}" for name in self.from_data if name in space):
            sentence = (
                f"the ranges are no more than the data reach ({extents}): give those that the values were sampled from "
                "with {}, or the edges and p-values of narrow mean little"
            )
            notes.append(Sentence(sentence, (Argument("ranges"),)))
        if not space:
            why = "; ".join(str(note) for note in notes if "left out" in note.text) or "none at all"
            raise BadInput(f"{self.source} has no hyperparameter that can be narrowed ({why})")
        return space, notes


def metric_name(metric: str, params: Sequence[str]) -> str:
    """Return the name of a score: its own, or ``score`` where that is another column's, or none that can be shown."""
    taken = {column.name for column in TRIALS} - {VALIDATION_LOSS}
    return "score" if metric in taken or metric in params or not is_name(metric) else metric


def settled(trials: PastTrials, now: datetime) -> PastTrials:
    """Return trials as they can be written: those that had not ended wait, the others ended ``now`` or earlier."""
    ended, ranked = [state in FINISHED for state in trials.states], (trials.scores, trials.states)

    def times(known: Sequence[datetime | None]) -> list[datetime | None]:
        return [(time or now) if over else None for time, over in zip(known, ended, strict=True)]

    return replace(
        trials,
        states=[state if over else "WAITING" for state, over in zip(trials.states, ended, strict=True)],
        scores=[score if state in ("COMPLETE", "PRUNED") else None for score, state in zip(*ranked, strict=True)],
        started=times(trials.started),
        finished=times(trials.finished),
    )


def _fits(key: str, value: Any) -> bool:
    """Return whether an attribute has the type of hpsearch's own of that name; other names are free."""
    if key in (VALIDATION_LOSS, SECONDS):
        return type(value) in (int, float) and (value != value or abs(value) <= 2.0**1023)
    return key not in (CURVES, HITS) and (key != REASON or isinstance(value, str))


def foreign_trials(
    path: Path,
    columns: Columns,
    request: ImportRequest,
    tool: Tool | None = None,
    known_ranges: Mapping[str, Parameter] | None = None,
) -> ForeignTrials:
    """Return a table's rows as trials.

    Args:
        path: The file, or folder.
        columns: Its columns.
        request: How to read them.
        tool: The tool that wrote them; None: as its columns say.
        known_ranges: The ranges that it says hyperparameters were sampled from.
    """
    request.refuse("a table", "study_name")
    if not any(columns.values()):
        raise BadInput(f"{path} has no row")
    if {"trial", "epoch"} <= set(columns):
        raise curves_only(path)
    if "trial" in columns and len(set(map(str, columns.get("stage", [])))) > 1:
        raise BadInput(
            f"{path} has trials of several stages, whose ranges are not known; keep the rows of one stage, or import a "
            ".parquet or .json export"
        )
    tool = tool or recognise(columns)
    score = _score_column(path, columns, tool, request.metric)
    given: dict[str, str] = {}
    for argument in request.ranges:
        name, equals, form = argument.partition("=")
        if not equals or not name:
            raise BadArgument("ranges", argument, f"give {FORMS}")
        given[name.removeprefix(tool.prefix)] = form
    names = _parameter_columns(path, columns, tool, score, request.parameters, given)
    named = [name.removeprefix(tool.prefix) for name in request.parameters]
    notes: list[Sentence] = []
    if tool is not PLAIN:
        which = "those with a range" if known_ranges else f"its columns {tool.prefix}..."
        notes.append(Sentence(f"read as {tool.name}: {which} are the hyperparameters"))
    # An export of ours has the score's name, and which scores are better, in columns of their own.
    metric, better_scores = (_only(columns.get(name, ())) if score == "score" else "" for name in ("metric", DIRECTION))
    metric = metric or score
    direction = request.direction or _direction(path, tool, score, metric, better_scores, notes)
    known_states, failures = states(columns, tool)
    if (
        tool.prefix.startswith("config")
        and state_column(columns) is None
        and not any(map(ended, columns.get("done", ())))
    ):
        notes.append(Sentence("the table does not say which trials failed or are unfinished: all count as complete"))
    scores = [parsed(cell) for cell in columns[score]]
    cells: dict[str, list[Value | None]] = {}
    odd = {score: [row for row, value in enumerate(scores) if isinstance(value, str | bool)]}
    for name, column in names.items():
        cells[name], odd[name] = typed(columns[column])
        if odd[name] and ":" not in given.get(name, ":"):  # texts that are choices
            cells[name], odd[name] = [cell and text(cell) for cell in columns[column]], []
    for name, rows in odd.items():
        texts = {row: repr(str(columns[names.get(name, name)][row])[:40]) for row in rows}
        failures = {row: f"{name} = {cell} is no number" for row, cell in texts.items()} | failures
        for row in rows[:1]:
            failed = "that trial" if len(rows) == 1 else f"{len(rows)} such trials"
            notes.append(Sentence(f"{name}: {texts[row]} in row {row + 1} is no number; {failed} failed"))
    space, from_data = _ranges(cells, given, named, known_ranges or {}, notes)
    started, finished = (
        [utc(cell) for cell in next((columns[name] for name in either if name in columns), [None] * len(scores))]
        for either in _TIMES
    )
    return ForeignTrials(
        source=path.name,
        name=Path(path.name.removesuffix(".gz")).stem.removesuffix(".trials"),
        kind="table",
        metric=metric_name(metric, list(names)),
        direction=direction,
        trials=PastTrials(
            states=[
                "FAIL" if row in failures and state in FINISHED else state for row, state in enumerate(known_states)
            ],
            scores=[None if isinstance(value, str | bool | None) else float(value) for value in scores],
            started=started,
            finished=finished,
            params={name: cells[name] for name in space},
            points=(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)),
            attributes=[
                (row, name, cell if name == REASON else parsed(cell))
                for name in (VALIDATION_LOSS, SECONDS, REASON)
                for row, cell in enumerate(columns.get(name, []))
                if cell is not None
            ],
        ),
        ranges=space,
        notes=notes,
        from_data=from_data,
        failures=failures,
    )


def curves_only(path: Path) -> BadInput:
    """Return the error of a file with an export's curves and no trials."""
    return BadInput(
        f"{path} has curves only; export the trials too ({{}}), and give the file with them", Argument("what", "all")
    )


def _score_column(path: Path, columns: Columns, tool: Tool, metric: str | None) -> str:
    if metric is not None:
        if metric not in columns:
            raise BadInput(f"{path} has no column {metric!r}{nearest(metric, columns)}")
        return metric
    usual = [name for name in (tool.score, "score", "value") if name in columns]
    left = [name for name in columns if not name.startswith(tool.others)] if tool.others else []
    if usual or len(left) == 1:
        return str((usual or left)[0])
    numbers = [
        name
        for name, cells in columns.items()
        if not (tool.prefix and name.startswith(tool.prefix))
        and any(type(parsed(cell)) in (int, float) for cell in cells[:100])
    ]
    raise BadInput(
        f"{path}: which column is the score? Give {{}}; there are: {_some(numbers)}", Argument("metric", "COLUMN")
    )


def _only(cells: Iterable[Any]) -> str:
    """Return the only text in a column; an empty one where there are several, or none."""
    texts = {str(cell) for cell in cells if cell is not None}
    return texts.pop() if len(texts) == 1 else ""


def _direction(path: Path, tool: Tool, score: str, metric: str, own: str, notes: list[Sentence]) -> Direction:
    """Return which scores are better: as the table says, as the tool has them, or by the metric's name."""
    match own:
        case "minimize" | "maximize":
            return own
    if tool.direction is not None and score.startswith(str(tool.score).removesuffix("score")):
        return tool.direction
    direction = better(metric)
    if direction is None:
        either = Argument("direction", "maximize"), Argument("direction", "minimize")
        raise BadInput(f"{path}: is a higher or a lower {metric!r} better? Give {{}} or {{}}", *either)
    how = "lower" if direction == "minimize" else "higher"
    notes.append(
        Sentence(f"the score is {metric}, and {how} is taken for better; {{}} overrides it", (Argument("direction"),))
    )
    return direction


def _some(columns: Iterable[str]) -> str:
    names = [name for name in columns if name and not name.startswith("Unnamed: ")]
    return listed(names, 12) or "none"


def _parameter_columns(
    path: Path, columns: Columns, tool: Tool, score: str, parameters: Sequence[str], ranges: Mapping[str, str]
) -> dict[str, str]:
    """Return the columns of the hyperparameters by their names: those that are named, or those of the tool's prefix."""
    by_name = {name.removeprefix(tool.prefix): name for name in columns if name.startswith(tool.prefix)}
    every = {name: name for name in columns if name not in by_name.values()} | by_name
    names = {}
    for name in (short.removeprefix(tool.prefix) for short in (*parameters, *ranges)):
        if name not in every:
            raise BadInput(f"{path} has no column {name!r}{nearest(name, every)}")
        names[name] = every[name]
    if tool is not PLAIN and not parameters:
        names = by_name | names
    if not names:
        others = [name for name in columns if name not in (score, state_column(columns))]
        raise BadInput(
            f"{path}: which columns are hyperparameters? Give {{}} for each; there are: {_some(others)}",
            Argument("parameters", "COLUMN"),
        )
    return names


def _ranges(
    cells: Mapping[str, list[Value | None]],
    given: Mapping[str, str],
    parameters: Sequence[str],
    known: Mapping[str, Parameter],
    notes: list[Sentence],
) -> tuple[dict[str, Parameter], list[str]]:
    """Return the ranges by name, and the names of those that only the data say."""
    space: dict[str, Parameter] = {}
    for name, values in cells.items():
        try:
            parameter = _parse_range(given[name], values) if name in given else known.get(name) or _extent(values)
            numbers = [list(range(first, first + len(values))) for first in (0, 1)]
            own = isinstance(values[0], str) and len({*values}) == len(values) >= _FEWEST_TRIALS
            if name not in (*parameters, *given, *known) and (own or values in numbers):
                raise BadInput("its texts are different in every trial" if own else "it numbers the rows")
        except HpsearchError as error:
            if name in given:
                raise BadArgument("ranges", f"{name}={given[name]}", str(error)) from error
            if name in parameters:
                raise BadArgument("parameters", name, str(error)) from error
            notes.append(Sentence(f"{name} is left out: {error}"))
            continue
        if parameter is None:
            notes.append(Sentence(f"{name} is left out: it has one value in all trials that have any"))
            continue
        space[name] = parameter
    return space, [name for name in space if name not in given and name not in known]


def _parse_range(text: str, values: Sequence[Any]) -> Parameter:
    """Return the range that a person gives for a column with these values: ``1e-6:1e-2:log``, ``16:512``, ``a,b``."""
    if ":" not in text:
        return _choices(text, values)
    kinds = [word for word in text.split(":") if word in ("int", "float")]  # where the data do not say it
    plain = parse_range(":".join(word for word in text.split(":") if word not in kinds))
    bounds_whole = all(float(plain[key]).is_integer() for key in ("low", "high"))
    whole = bounds_whole and all(value is None or type(value) is int for value in values)
    return parameter_from_dict({**plain, "type": kinds[0] if kinds else "int" if whole else "float"})


def _choices(text: str, values: Sequence[Any]) -> Categorical:
    known = [value for value in values if value is not None]
    by_text = {str(value).lower() if isinstance(value, bool) else str(value): value for value in known}
    choices = tuple(by_text.get(word.strip(), word.strip()) for word in text.split(","))
    if "" in choices:
        raise BadInput(f"give {FORMS}")
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
    if len(different) > _MAX_CHOICES:
        raise BadInput(f"it holds {len(different)} different texts, too many for choices")
    return Categorical(tuple(sorted(different, key=str)))
