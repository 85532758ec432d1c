"""The layout of exported files: their columns, and the header from which an import restores the stages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hpsearch.errors import BadInput, HpsearchError
from hpsearch.files import first_line
from hpsearch.objectives import kinds
from hpsearch.records import HITS, Direction, NewStage
from hpsearch.space import Categorical, Float, Space, Value, shown
from hpsearch.store.schema import ATTRIBUTE_PREFIX, stage_attributes, stage_from_attributes
from hpsearch.study_file import check_name

KEY = "hpsearch_export"  # the key of the header in a JSON file and in Parquet's schema metadata, and its own first key
LAYOUT = 1  # the number of the files' layout; a newer hpsearch may write another
DIRECTION = "direction"  # the column that says which scores are better
PARAMS = "params_"  # prefix of a hyperparameter's column, as in Optuna's ``trials_dataframe``
_LONGEST_NAME = 200
_DEEPEST = 40  # levels of nested lists and mappings

Type: TypeAlias = Literal["text", "int", "float", "time", "choice"]
TYPES = {"text": "text", "int": "whole number", "float": "number", "time": "ISO 8601", "choice": "value"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an exported table; the cells of a ``choice`` are of ``choices``."""

    name: str
    type: Type
    meaning: str
    choices: tuple[Value, ...] = ()

    @property
    def only_type(self) -> object:
        """The type of all choices where a table can hold it; object where they have several, or are whole numbers."""
        types = {type(choice) for choice in self.choices}
        return types.pop() if len(types) == 1 and types <= {str, bool, float} else object

    def choice_texts(self) -> list[str]:
        """Return a text for each choice, all different: as study files have it, or JSON where two would be the same."""
        texts = [shown(choice) if isinstance(choice, bool) else str(choice) for choice in self.choices]
        if len(set(texts)) == len(texts):
            return texts
        return [json.dumps(choice, ensure_ascii=False) for choice in self.choices]


TRIALS = (
    Column("stage", "text", "the stage: the name of its Optuna study"),
    Column("trial", "int", "the trial's number in its stage, from 0"),
    Column("state", "text", "COMPLETE, PRUNED, FAIL, RUNNING or WAITING"),
    Column("score", "float", "the score that ranks the trial; of a pruned trial, the last of its curve"),
    Column("metric", "text", "the name of the score"),
    Column(DIRECTION, "text", "which scores are better: minimize, or maximize"),
    Column("validation_loss", "float", "the validation loss at the scored epoch; it breaks ties of the score"),
    Column("seconds", "float", "the trial's share of the time of the batch that it was trained in"),
    Column("reason", "text", "the reason of a failed trial, or the epoch at which it was pruned"),
    Column("started", "time", "its start, UTC"),
    Column("finished", "time", "its end, UTC"),
    Column(
        HITS,
        "text",
        "the validation examples it got right: packed bits as text, hpsearch.statistics.hits.unpack reads them",
    ),
)
"""One row a trial. The hyperparameters' columns stand before the last one."""

POINTS = (
    Column("stage", "text", "the stage: the name of its Optuna study"),
    Column("trial", "int", "the trial's number in its stage, from 0"),
    Column("epoch", "int", "from 1"),
    Column("score", "float", "the score of the trial after this epoch: Optuna's intermediate value"),
)
"""One row a stage, trial and epoch. The curves that the kind of objective keeps follow."""


def trial_columns(stages: Sequence[NewStage]) -> tuple[Column, ...]:
    """Return the columns of the trials of stages."""
    names = dict.fromkeys(name for stage in stages for name in stage.space)
    return (*TRIALS[:-1], *(_parameter_column(name, stages) for name in names), TRIALS[-1])


def _parameter_column(name: str, stages: Sequence[NewStage]) -> Column:
    ranges = [stage.space[name] for stage in stages if name in stage.space]
    meaning = f"the hyperparameter {name}"
    lists = [parameter for parameter in ranges if isinstance(parameter, Categorical)]
    if not lists:
        numbers: Type = "float" if any(isinstance(parameter, Float) for parameter in ranges) else "int"
        return Column(f"{PARAMS}{name}", numbers, meaning)
    if len(lists) < len(ranges):
        raise BadInput(f"{name} is a range in one stage and a list of choices in another; export one stage at a time")
    # By type too: 1 and True are one key for a dict.
    union = {(type(choice), choice): choice for parameter in lists for choice in parameter.choices}
    return Column(f"{PARAMS}{name}", "choice", meaning, tuple(union.values()))


def curve_columns(stage: NewStage | None = None) -> tuple[Column, ...]:
    """Return the columns of the curves of a stage, or of every kind of objective."""
    every = kinds.KINDS.values() if stage is None else [kinds.kind_of(stage.study_file)]
    curves = {name: meaning for kind in every for name, meaning in kind.curves.items()}
    return (*POINTS, *(Column(name, "float", meaning) for name, meaning in curves.items()))


def all_columns() -> list[dict[str, str]]:
    """Return the column dictionary: every table's columns, with their type and meaning."""
    parameter = Column(f"{PARAMS}NAME", "choice", "the hyperparameter NAME: a number, or one of its choices")
    return [
        {"table": table, "column": column.name, "holds": TYPES[column.type], "meaning": column.meaning}
        for table, columns in (("trials", (*TRIALS[:-1], parameter, TRIALS[-1])), ("curves", curve_columns()))
        for column in columns
    ]


def iso(time: datetime) -> str:
    """Return a time in UTC as ISO 8601 with its zone."""
    return f"{time.replace(tzinfo=None).isoformat()}Z"


class _Model(BaseModel):
    # A key that a later version adds is no reason to refuse a file.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class StageHeader(_Model):
    """The header of an exported stage; see `hpsearch.records.NewStage`."""

    number: Annotated[int, Field(ge=1, le=100_000)]
    direction: Direction
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    ranges: dict[str, dict[str, Any]]
    declared: dict[str, dict[str, Any]] = {}
    study_file: Mapping[str, Mapping[str, Any] | list[str] | str] = {}
    parent: Annotated[int, Field(ge=1)] | None = None
    rule: Mapping[str, Any] = {}
    trials_used: Sequence[int] = ()
    data_fingerprint: str = ""
    data_sizes: Mapping[str, Annotated[int, Field(ge=0)]] = {}
    preprocessing: Mapping[str, Any] = {}
    versions: Mapping[str, str] = {}
    imported: Mapping[str, Any] = {}
    # number of its trials in the table; None where only the stage itself is, for its descendants' sake
    trials: Annotated[int, Field(ge=0)] | None = None
    # the trials that no runner of hpsearch's held, or whose values are not its sampler's; None: not known
    others: list[int] | None = None
    series: list[str] = []  # the learning curves that its trials keep beside their score's

    @classmethod
    def of(cls, stage: NewStage, trials: Sized | None, series: Sequence[str], others: list[int] | None) -> StageHeader:
        """Return the header of a stage: what the database keeps of it, and what is in the file."""
        count = None if trials is None else len(trials)
        try:
            plain = {key.removeprefix(ATTRIBUTE_PREFIX): value for key, value in stage_attributes(stage).items()}
            return cls(direction=stage.direction, trials=count, others=others, series=list(series), **plain)
        except (TypeError, ValueError) as error:
            raise BadInput(f"{stage.name} has damaged attributes: {first_line(error)}") from error

    @field_validator("study_file")
    @classmethod
    def _sections(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        if any(isinstance(section, str) for name, section in value.items() if name != "name"):
            raise ValueError("a section of the study file is a text")
        return value

    def new_stage(self, search: str) -> NewStage:
        """Return the stage, to be created under a search's name."""
        plain = {**self.model_dump(), "search": search}
        if self.study_file:
            plain["study_file"] = {**self.study_file, "name": search}
        attributes = {f"{ATTRIBUTE_PREFIX}{key}": value for key, value in plain.items()}
        stage = stage_from_attributes(0, self.direction, attributes)
        assert stage is not None
        if stage.space or not stage.defined_by_run:  # one that has no trial yet
            checked_space(stage.space)
        return stage


class Header(_Model):
    """The header of an export: its search, the stages that are exported and their ancestors, the columns' meanings."""

    hpsearch_export: int
    search: str
    exported: str = ""
    version: str = ""
    stages: Annotated[list[StageHeader], Field(min_length=1)]
    columns: dict[str, dict[str, str]] = {}

    def new_stages(self, name: str | None = None) -> list[NewStage]:
        """Return the stages that it describes, under the search's name or another."""
        return [stage.new_stage(check_name(name or self.search)) for stage in self.stages]

    def trial_columns(self) -> tuple[Column, ...]:
        """Return the columns of the trials in the file."""
        full = {stage.number for stage in self.stages if stage.trials is not None}
        columns = trial_columns([stage for stage in self.new_stages() if stage.number in full])
        return tuple(column for column in columns if column.name != DIRECTION)  # the header has it, too


def parse_header(plain: Any, *, source: str) -> Header:
    """Return a header from its JSON, parsed or as text; BadInput where it is none, or inconsistent."""
    try:
        plain = json.loads(plain) if isinstance(plain, str | bytes) else plain
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{source} is damaged: its header is no JSON") from error
    layout = plain.get(KEY) if isinstance(plain, Mapping) else None
    if not isinstance(layout, int):
        raise BadInput(f"{source} is no export of hpsearch: it has no key {KEY!r}")
    if layout != LAYOUT:
        raise BadInput(f"{source} has the layout {layout}, and this hpsearch reads {LAYOUT}; another version wrote it")
    if not is_plain({key: value for key, value in plain.items() if key not in ("trials", "curves")}):
        raise BadInput(f"{source} is damaged: its header is nested too deeply, or has a text that is no Unicode")
    try:
        header = Header.model_validate(plain)
        numbers = [stage.number for stage in header.stages]
        if numbers != sorted(set(numbers)) or all(stage.trials is None for stage in header.stages):
            raise BadInput("its stages are not in order, or have no trials")
        for of_header, stage in zip(header.stages, header.new_stages(), strict=True):
            if of_header.parent is not None and of_header.parent >= of_header.number:
                raise BadInput(f"stage {of_header.number} is narrowed from stage {of_header.parent}")
            if not set(of_header.series) <= set(kinds.kind_of(stage.study_file).curves):
                raise BadInput(f"it has unknown curves: {', '.join(of_header.series)[:80]}")
        return header
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{source} is damaged: {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from error
    except (HpsearchError, TypeError, OverflowError, RecursionError) as error:
        raise BadInput(f"{source} is damaged: {error}") from error


def checked_space(space: Space) -> Space:
    """Return a space whose parameters may have columns of their own; BadInput for any other."""
    if not space:
        raise BadInput("there is no hyperparameter")
    reserved = {column.name for column in (*TRIALS, *curve_columns())}
    for name in space:
        if not is_name(name):
            raise BadInput(f"{name[:40]!r} is no name for a hyperparameter; give it 1 to {_LONGEST_NAME} characters")
        if name in reserved:
            raise BadInput(
                f"a hyperparameter has the name {name!r}, which is that of another column; rename it, or leave it out"
            )
    return space


def is_name(name: str) -> bool:
    """Return whether a hyperparameter or a score may have a name."""
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable()


def is_plain(value: Any) -> bool:
    """Return whether JSON can be stored and read again anywhere: not deeply nested, and its texts are Unicode."""
    level = [value]
    for _ in range(_DEEPEST):
        texts = [of for of in level if isinstance(of, str)]
        texts += [key for of in level if isinstance(of, Mapping) for key in of]
        try:
            "".join(texts).encode()
        except (UnicodeEncodeError, TypeError):
            return False
        nested = [of for of in level if isinstance(of, Mapping | list | tuple)]
        inner = (of.values() if isinstance(of, Mapping) else of for of in nested)
        level = list(chain.from_iterable(inner))
        if not level:
            return True
    return False
