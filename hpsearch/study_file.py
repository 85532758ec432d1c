"""The study file: what a search is, as TOML checked by pydantic.

Sections: ``name``, ``[data]``, ``[network]``, ``[training]``, ``[space]``, ``[trials]``, ``[objective]``. A
hyperparameter that stands in ``[space]`` is drawn; otherwise its value in ``[network]`` or ``[training]`` holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from hpsearch.errors import BadSpace, BadStudyFile, nearest
from hpsearch.hyperparameters import ALSO_CALLED, HYPERPARAMETERS, Hyperparameter, hidden_sizes
from hpsearch.records import Direction
from hpsearch.space import (
    Categorical,
    Parameter,
    parameter_from_dict,
    space_to_dict,
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str) -> str:
    """A search's name, if it can be one.

    Raises:
        BadStudyFile: The name is empty, too long, or holds anything but letters, digits, ``.``, ``_`` and ``-``.
    """
    if not _NAME.fullmatch(name):
        shown = repr(name if len(name) <= 40 else f"{name[:37]}...")
        raise BadStudyFile(
            f"{shown} ({len(name)} characters) is not a name for a search; "
            "use 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit"
        )
    return name


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


def _size(value: object) -> object:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or (not 0 < value < 1 and not (isinstance(value, int) and value >= 1))
    ):
        raise ValueError("give a count (1 or more) or a fraction (between 0 and 1)")
    return value


def _size_or_zero(value: object) -> object:
    return value if type(value) is int and value == 0 else _size(value)


Count = Annotated[int, Field(ge=1, strict=True)]
Size = Annotated[int | float, BeforeValidator(_size)]
SizeOrZero = Annotated[int | float, BeforeValidator(_size_or_zero)]


class Data(_Section):
    """Which images, and how many for what; a whole number is a count, a number below 1 a fraction."""

    name: str | None = None
    path: str | None = None
    label: str | None = None
    train: Size = 400
    validation: Size = 100
    test: SizeOrZero | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    stratify: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> Data:
        if self.name is not None and self.path is not None:
            raise ValueError("both name and path are given; give one")
        return self


class Network(_Section):
    """The architecture: ``hidden`` (sizes), or ``hidden_layers`` layers of ``hidden_units`` units."""

    hidden: Annotated[tuple[Count, ...] | None, Field(strict=False)] = None  # TOML's lists are not tuples
    hidden_layers: Annotated[int, Field(ge=0)] | None = None
    hidden_units: Count | None = None
    activation: str = "relu"
    initializer: str = "he"

    @field_validator("hidden", mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return hidden_sizes(value) if isinstance(value, str) else value


class Training(_Section):
    """How a network is trained; every value here may be searched over instead."""

    optimizer: str = "sgd"
    lr: Annotated[float, Field(gt=0)] = 0.01
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    batch_size: Count = 100
    epochs: Count = 50


class Trials(_Section):
    """How many trials a stage has unless ``--trials`` says otherwise, and the seed of every draw."""

    count: Count = 100
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


class Objective(_Section):
    """What a trial's score is: a validation metric, at the last epoch or at its best one."""

    metric: Literal["validation_accuracy", "validation_loss"] = "validation_accuracy"
    at: Literal["last", "best"] = "last"

    @property
    def direction(self) -> Direction:
        """Accuracy is maximised, loss minimised."""
        return "maximize" if self.metric == "validation_accuracy" else "minimize"


class StudyFile(_Section):
    """A whole study file.

    Raises:
        pydantic.ValidationError: Through `parse`, which turns it into one line.
    """

    name: str
    data: Data = Data()
    network: Network = Network()
    training: Training = Training()
    space: dict[str, Any]
    trials: Trials = Trials()
    objective: Objective = Objective()

    @field_validator("name")
    @classmethod
    def _usable_name(cls, value: str) -> str:
        return check_name(value)

    @field_validator("space", mode="after")
    @classmethod
    def _parameters(cls, value: dict[str, Any]) -> dict[str, Any]:
        if not value:
            raise BadStudyFile("[space] is empty; give at least one hyperparameter a range")
        return {name: _parameter(name, plain) for name, plain in value.items()}

    @model_validator(mode="after")
    def _one_architecture(self) -> StudyFile:
        searched = set(self.space)
        by_width = {"hidden_layers", "hidden_units"}
        given = {key for key in (*by_width, "hidden") if getattr(self.network, key) is not None} | (
            searched & (by_width | {"hidden"})
        )
        if "hidden" in given and given & by_width:
            raise BadStudyFile("the hidden layers are given twice; give hidden, or hidden_layers and hidden_units")
        if len(given & by_width) == 1:
            missing = (by_width - given).pop()
            raise BadStudyFile(f"{missing} is missing; hidden_layers and hidden_units go together")
        return self

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The search space, in the order of the file."""
        return dict(self.space)

    def to_dict(self) -> dict[str, Any]:
        """The whole file with every default filled in, as plain data; `parse` reads it back."""
        plain = self.model_dump(mode="json", exclude={"space"})
        return plain | {"space": space_to_dict(self.parameters)}


def _parameter(name: str, plain: object) -> Parameter:
    if name not in HYPERPARAMETERS:
        raise BadStudyFile(
            f"[space] {name!r} is not a hyperparameter{nearest(ALSO_CALLED.get(name.lower(), name), HYPERPARAMETERS)}"
        )
    if not isinstance(plain, Mapping):
        raise BadStudyFile(f"[space] {name} = {plain!r}; write {{ low = ..., high = ..., log = true }}")
    kind = HYPERPARAMETERS[name]
    try:
        parameter = parameter_from_dict(plain, default_type="float" if kind.type == "categorical" else kind.type)
        _check_nature(name, kind, parameter)
    except BadSpace as error:
        raise BadStudyFile(f"[space] {name}: {error}") from error
    return parameter


def _check_nature(name: str, kind: Hyperparameter, parameter: Parameter) -> None:
    if isinstance(parameter, Categorical):
        values: tuple[Any, ...] = parameter.choices
        if name == "hidden":
            for choice in values:
                try:
                    hidden_sizes(str(choice))
                except ValueError as error:
                    raise BadSpace(str(error)) from None
    else:
        if kind.type == "categorical":
            raise BadSpace("a range of numbers; give choices = [...]")
        values = (parameter.low, parameter.high, *(parameter.limit or ()))
        if kind.type == "int" and not isinstance(parameter.low, int):
            raise BadSpace("type = 'float'; its values are whole numbers, so leave type out or make it 'int'")
    if kind.type == "categorical":
        for value in values:
            if not isinstance(value, str) and name != "hidden":
                raise BadSpace(f"choice {value!r} is not a string")
        return
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadSpace(f"choice {value!r} is not a number")
        if kind.type == "int" and not isinstance(value, int):
            raise BadSpace(f"{value!r} is not a whole number")
        if kind.low is not None and value < kind.low:
            raise BadSpace(f"{value!r} lies below {kind.low:g}, the least that it can be")


def parse(plain: Mapping[str, Any], *, source: str) -> StudyFile:
    """A study file from plain data.

    Args:
        plain: What TOML or `StudyFile.to_dict` gives.
        source: Where it comes from, for messages.

    Raises:
        BadStudyFile: Something in it is unknown, missing or out of range; the message is one line.
    """
    try:
        return StudyFile.model_validate(plain)
    except ValidationError as error:
        first = "; ".join(dict.fromkeys(_explain(details) for details in error.errors()[:3]))
        raise BadStudyFile(f"{source}: {first}") from error
    except BadStudyFile as error:
        raise BadStudyFile(f"{source}: {error}") from error


def _explain(details: ErrorDetails) -> str:
    # A union's branches (count or fraction) append their names to the location; only keys are for people.
    path = [part for part in details["loc"] if isinstance(part, str) and part.isidentifier()]
    where = ".".join(path) or str(details["loc"][0] if details["loc"] else "file")
    if details["type"] == "extra_forbidden":
        model: Any = StudyFile
        for part in details["loc"][:-1]:
            model = model.model_fields[part].annotation
        section = f"[{details['loc'][0]}]" if len(details["loc"]) > 1 else "the file"
        key = str(details["loc"][-1])
        key_meant = ALSO_CALLED.get(key.lower(), key)
        return f"{key!r} is not a key of {section}{nearest(key_meant, model.model_fields)}"
    if details["type"] == "missing":
        return f"{where} is missing"
    message = details["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    given = repr(details["input"])
    return f"{where}: {message} (given: {given if len(given) <= 60 else given[:57] + '...'})"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Say where two resolved study files differ: ``training.epochs: 50 -> 10``.

    ``trials.count`` does not count: how many trials a stage has may change while it runs.
    """
    for section in dict.fromkeys((*old, *new)):
        before, after = old.get(section), new.get(section)
        if not isinstance(before, Mapping) or not isinstance(after, Mapping):
            if before != after:
                yield f"{section}: {before!r} -> {after!r}"
            continue
        for key in dict.fromkeys((*before, *after)):
            if (section, key) != ("trials", "count") and before.get(key) != after.get(key):
                yield f"{section}.{key}: {before.get(key)!r} -> {after.get(key)!r}"
