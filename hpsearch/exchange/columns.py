"""The columns of exported files: one table, from which the files, ``export --columns`` and the documentation come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from hpsearch.errors import BadInput
from hpsearch.records import HITS
from hpsearch.space import Categorical, Float, Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from hpsearch.records import NewStage

Kind: TypeAlias = Literal["text", "int", "float", "time", "choice"]
Piece: TypeAlias = "Mapping[str, list[Any] | np.ma.MaskedArray[Any, Any]]"
"""Rows by column: a list in which None is missing, or an array in which what is masked is."""

PARAMS = "params_"
"""What the name of a hyperparameter's column begins with, as in Optuna's ``trials_dataframe``."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an exported table.

    Args:
        name: Its heading.
        kind: What its cells are; a ``choice`` is one of ``choices``.
        meaning: In words for people.
        choices: The values of a ``choice``.
    """

    name: str
    kind: Kind
    meaning: str
    choices: tuple[Value, ...] = ()


TRIALS = (
    Column("stage", "text", "the stage: the name of its Optuna study"),
    Column("trial", "int", "the trial's number in its stage, from 0"),
    Column("state", "text", "COMPLETE, PRUNED (stopped early), FAIL, RUNNING or WAITING"),
    Column("score", "float", "what the trial is ranked by; of a pruned trial, the last of its curve"),
    Column("metric", "text", "what the score measures"),
    Column("validation_loss", "float", "the validation loss at the scored epoch; it breaks ties of the score"),
    Column("seconds", "float", "the trial's share of the time of the batch that it was trained in"),
    Column("reason", "text", "why a trial failed, or when it was stopped early"),
    Column("started", "time", "when it began, UTC"),
    Column("finished", "time", "when it ended, UTC"),
    Column(
        HITS,
        "text",
        "which validation images it got right: packed bits as text, hpsearch.statistics.hits.unpack reads them",
    ),
)
"""One row a trial. The hyperparameters' columns stand before the last one."""

CURVES = (
    Column("stage", "text", "the stage: the name of its Optuna study"),
    Column("trial", "int", "the trial's number in its stage, from 0"),
    Column("epoch", "int", "from 1"),
    Column("score", "float", "what the trial would score after this epoch: Optuna's intermediate value"),
    Column("train_loss", "float", "mean loss over the training images while the weights moved"),
    Column("train_accuracy", "float", "share of the training images that were right then, 0 to 1"),
    Column("validation_loss", "float", "mean loss over the validation images after the epoch"),
    Column("validation_accuracy", "float", "share of the validation images that are right after it, 0 to 1"),
)
"""One row a stage, trial and epoch."""

KINDS: Mapping[str, str] = {
    "text": "text",
    "int": "whole number",
    "float": "number",
    "time": "ISO 8601",
    "choice": "value",
}
SERIES = tuple(column.name for column in CURVES[4:])
"""The learning curves that a trial's attribute `hpsearch.records.CURVES` may hold."""


def trial_columns(stages: Sequence[NewStage]) -> tuple[Column, ...]:
    """The columns of the trials of stages.

    Raises:
        BadInput: A hyperparameter is a range in one stage and a list in another.
    """
    names = dict.fromkeys(name for stage in stages for name in stage.space)
    return (*TRIALS[:-1], *(_parameter(name, stages) for name in names), TRIALS[-1])


def _parameter(name: str, stages: Sequence[NewStage]) -> Column:
    drawn = [stage.space[name] for stage in stages if name in stage.space]
    meaning = f"the hyperparameter {name}"
    lists = [parameter for parameter in drawn if isinstance(parameter, Categorical)]
    if not lists:
        kind: Kind = "float" if any(isinstance(parameter, Float) for parameter in drawn) else "int"
        return Column(f"{PARAMS}{name}", kind, meaning)
    if len(lists) < len(drawn):
        raise BadInput(f"{name} is a range in one stage and a list of choices in another; export them with --stage")
    # By type too: 1 and True are one key for a dict.
    union = {(type(choice), choice): choice for parameter in lists for choice in parameter.choices}
    return Column(f"{PARAMS}{name}", "choice", meaning, tuple(union.values()))


def all_columns() -> list[dict[str, str]]:
    """The column dictionary: every table's columns, with what they hold and mean."""
    parameter = Column(f"{PARAMS}NAME", "choice", "the hyperparameter NAME: a number, or one of its choices")
    return [
        {"table": table, "column": column.name, "holds": KINDS[column.kind], "meaning": column.meaning}
        for table, columns in (("trials", (*TRIALS[:-1], parameter, TRIALS[-1])), ("curves", CURVES))
        for column in columns
    ]


def dictionary(columns: Sequence[Column]) -> dict[str, str]:
    """What columns mean, by heading."""
    return {column.name: f"{KINDS[column.kind]}: {column.meaning}" for column in columns}
