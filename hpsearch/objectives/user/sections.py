"""The sections of a study file that the user's kinds of objectives have, as pydantic models."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from hpsearch.errors import BadStudyFile, nearest
from hpsearch.objectives.network.sections import Data, Size
from hpsearch.objectives.sections import Count, Section
from hpsearch.objectives.user.placeholders import OWN, names, variable
from hpsearch.records import Direction
from hpsearch.space import Space, delivered_as
from hpsearch.text import span


def _time(value: str | float) -> str | float:
    span(value)
    return value


Time = Annotated[str | int | float, AfterValidator(_time)]


def _importable(value: str) -> str:
    module, _, name = value.rpartition(":")
    if not (module and name):
        raise ValueError("give a file and a name, train.py:objective, or a module and a name, sklearn.svm:SVC")
    return value


Importable = Annotated[str, AfterValidator(_importable)]
FixedValue = str | int | float | bool | None


class UserObjective(Section):
    """The keys under ``[objective]`` that the user's kinds share."""

    metric: str = "score"
    direction: Literal["maximize", "minimize"] | None = Field(default=None, validate_default=True)
    epochs: Count | None = None
    trial_timeout: Time | None = None
    retries: Annotated[int, Field(ge=0, le=100)] = 0
    repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    devices: Annotated[tuple[int | str, ...], Field(strict=False)] = ()  # TOML's lists are not tuples
    folder: str = Field(default="", validate_default=True)  # where its files are; that of the study file

    @field_validator("direction")
    @classmethod
    def _given(cls, value: str | None) -> str | None:
        if value is None:
            raise ValueError('missing; add direction = "maximize" or "minimize"')
        return value

    @field_validator("folder")
    @classmethod
    def _of_the_study_file(cls, value: str, info: ValidationInfo) -> str:
        context = cast("dict[str, Any]", info.context or {})
        folder: Path | None = context.get("folder")
        if folder is not None:
            return str((folder / value).resolve())
        return value

    @property
    def seconds(self) -> float | None:
        """Return how many seconds a trial may take; None: any number."""
        return None if self.trial_timeout is None else span(self.trial_timeout)


class UserSections(Section):
    """The sections of a user's kind; see `hpsearch.objectives.base.Kind.sections`. A subclass has ``objective``."""

    fixed: dict[str, FixedValue] = Field(default_factory=dict)

    @property
    def _objective(self) -> UserObjective:
        return cast("UserObjective", vars(self)["objective"])

    @property
    def settings(self) -> dict[str, Any]:
        """Return the values of ``[fixed]``."""
        return dict(self.fixed)

    @property
    def metric(self) -> str:
        """Return the name of the score."""
        return self._objective.metric

    @property
    def direction(self) -> Direction:
        """Return whether a higher or a lower score is better."""
        assert self._objective.direction is not None
        return self._objective.direction

    @property
    def epochs(self) -> int | None:
        """Return how many points a whole learning curve has; None: trials have none."""
        return self._objective.epochs

    def check(self, space: Space) -> None:
        """Check nothing: any parameter may be sampled."""

    def check_sent(self, space: Space) -> None:
        """Refuse it: an objective of the user's own is code.

        Raises:
            BadStudyFile: Always.
        """
        raise BadStudyFile("a study file that names code or a command cannot be sent; put it into the server's folder")


class Function(UserObjective):
    """A Python function as the objective: ``"train.py:objective"`` or ``"package.module:name"``."""

    function: Importable


class FunctionSections(UserSections):
    """The sections of a function's study file."""

    objective: Function


class Command(UserObjective):
    """A command as the objective: a program and its arguments, with ``{name}`` for values; no shell reads it."""

    command: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    score_pattern: str | None = None  # a regular expression, whose group is the score
    workdir: str | None = None  # the folder that the command runs in, which is made: ``"{search}/{trial}"``

    @field_validator("command", mode="before")
    @classmethod
    def _no_shell(cls, value: object) -> object:
        if isinstance(value, str):
            raise ValueError(f"command must be a list, as it runs without a shell: {json.dumps(value.split())}")
        return value

    @field_validator("command")
    @classmethod
    def _fixed_program(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value[0] or names(value[0]):
            raise ValueError('the program must be a fixed name; begin with "env" for another one in each trial')
        return value

    @field_validator("score_pattern")
    @classmethod
    def _one_group(cls, value: str | None) -> str | None:
        try:
            groups = 1 if value is None else re.compile(value).groups
        except re.error as error:
            raise ValueError(f"not a regular expression ({error})") from None
        if groups != 1:
            raise ValueError(f"it has {groups} groups; put the score, and only it, between ( and ): 'acc=([-+.\\w]+)'")
        return value


class CommandSections(UserSections):
    """The sections of a command's study file."""

    objective: Command

    def check(self, space: Space) -> None:
        """Check that all that the command names has a value.

        Raises:
            BadStudyFile: It has not, or two parameters have one environment variable.
        """
        parameters = list(dict.fromkeys([*self.fixed, *(delivered_as(name, each) for name, each in space.items())]))
        for name in parameters:
            if name in OWN:
                raise BadStudyFile(f"{name} cannot name a parameter: {{{name}}} is the trial's own value")
        for text in (*self.objective.command, self.objective.workdir or ""):
            for name in sorted(names(text) - {*OWN, *parameters}):
                raise BadStudyFile(
                    f"[objective] {text!r}: {name} is neither sampled nor fixed{nearest(name, {*OWN, *parameters})}; "
                    f"for braces as they stand, write {{{{{name}}}}}"
                )
        if self.objective.workdir is not None and "params_file" in names(self.objective.workdir):
            raise BadStudyFile("[objective] workdir: {params_file} is a file; leave it out")
        by_variable: dict[str, str] = {}
        for name in parameters:
            if (other := by_variable.setdefault(variable(name), name)) != name:
                raise BadStudyFile(f"{other} and {name} have one environment variable, {variable(name)}; rename one")


class Estimator(UserObjective):
    """A scikit-learn estimator as the objective: its class, or a function that makes one; its score is to be high."""

    estimator: Importable
    cv: Annotated[int, Field(ge=2)] = 5
    scoring: Annotated[tuple[str, ...], Field(strict=False)] | str | None = None  # the first one ranks the trials
    direction: Literal["maximize"] = "maximize"
    epochs: None = None


class EstimatorData(Data):
    """As of the built-in kind; the folds are cut from the training and validation examples together."""

    train: Size = 0.8
    validation: Size = 0.2


class EstimatorSections(UserSections):
    """The sections of an estimator's study file."""

    data: EstimatorData = EstimatorData()
    objective: Estimator

    @property
    def metric(self) -> str:
        """Return the name of the score: that of the scorer, unless it has one of its own."""
        scoring = self.objective.scoring or "score"
        first = scoring if isinstance(scoring, str) else scoring[0]
        return first if self.objective.metric == "score" else self.objective.metric


SECTIONS: Mapping[str, type[UserSections]] = {
    "command": CommandSections,
    "estimator": EstimatorSections,
    "function": FunctionSections,
}
"""By the name of the kind."""
