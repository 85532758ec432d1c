"""The study file: what a search is, as TOML checked by pydantic.

Sections: ``name``, ``[data]``, ``[network]``, ``[training]``, ``[space]``, ``[trials]``, ``[objective]``,
``[pruning]``. A hyperparameter that stands in ``[space]`` is drawn; otherwise its value in ``[network]`` or
``[training]`` holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from hpsearch.errors import BadStudyFile, nearest
from hpsearch.objectives.network.hyperparameters import ALSO_CALLED
from hpsearch.space import Parameter, space_to_dict
from hpsearch.study_sections import Data, Network, Objective, Pruning, Section, Training, Trials
from hpsearch.study_space import check_batch_norm, check_effects, parse_parameter

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAY_CHANGE = {("trials", "count"), ("pruning", "rule")}
_SECTIONS: Mapping[str, type[Section]] = {
    "data": Data,
    "network": Network,
    "training": Training,
    "trials": Trials,
    "objective": Objective,
    "pruning": Pruning,
}


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


class StudyFile(Section):
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
    pruning: Pruning = Pruning()

    @field_validator("name")
    @classmethod
    def _usable_name(cls, value: str) -> str:
        return check_name(value)

    @field_validator("space", mode="after")
    @classmethod
    def _parameters(cls, value: dict[str, Any]) -> dict[str, Any]:
        if not value:
            raise BadStudyFile("[space] is empty; give at least one hyperparameter a range")
        return {name: parse_parameter(name, plain) for name, plain in value.items()}

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

    @model_validator(mode="after")
    def _makes_sense(self) -> StudyFile:
        check_effects(self.space, self.settings)
        check_batch_norm(self.space, self.settings)
        first, epochs = self.pruning.min_epochs, self.training.epochs
        if self.pruning.rule != "none" and first is not None and 2 * first > epochs:
            raise BadStudyFile(
                f"pruning.min_epochs = {first} is more than half of the {epochs} epochs, so that no trial could stop "
                f"early; give at most {epochs // 2}, or leave it out"
            )
        return self

    def with_pruning(self, rule: str) -> StudyFile:
        """The same study file with another rule of pruning.

        Raises:
            BadStudyFile: No such rule, or none that the section's other values allow.
        """
        plain = self.to_dict()
        return parse(plain | {"pruning": plain["pruning"] | {"rule": rule}}, source="--pruner")

    @property
    def settings(self) -> dict[str, Any]:
        """The values of ``[network]`` and ``[training]``: those of the hyperparameters that are not drawn."""
        return self.network.model_dump() | self.training.model_dump()

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The search space, in the order of the file."""
        return dict(self.space)

    def to_dict(self) -> dict[str, Any]:
        """The whole file with every default filled in, as plain data; `parse` reads it back."""
        plain = self.model_dump(mode="json", exclude={"space"})
        return plain | {"space": space_to_dict(self.parameters)}


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
        meant = ALSO_CALLED.get(key.lower(), key)
        for other in _SECTIONS:
            if meant in _SECTIONS[other].model_fields and meant not in model.model_fields:
                return f"{key!r} is not a key of {section}; {meant} stands in [{other}]"
        return f"{key!r} is not a key of {section}{nearest(meant, model.model_fields)}"
    if details["type"] == "missing":
        return f"{where} is missing"
    given = repr(details["input"])
    given = given if len(given) <= 60 else given[:57] + "..."
    if details["type"] == "literal_error":
        allowed = re.findall(r"'(.*?)'", details["ctx"]["expected"])
        return f"{where} = {given}{nearest(str(details['input']), allowed)}"
    message = details["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    return f"{where}: {message} (given: {given})"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Say where two resolved study files differ: ``training.epochs: 50 -> 10``.

    ``trials.count`` does not count: how many trials a stage has may change while it runs. Nor does ``pruning.rule``,
    which ``--pruner`` may have set. A key or section that one of them lacks has its default there: it was resolved
    before there was such a key.
    """
    defaults = {name: section().model_dump(mode="json") for name, section in _SECTIONS.items()}
    for section in dict.fromkeys((*old, *new)):
        default = defaults.get(section)
        before, after = old.get(section, default), new.get(section, default)
        if not isinstance(before, Mapping) or not isinstance(after, Mapping):
            if before != after:
                yield f"{section}: {before!r} -> {after!r}"
            continue
        keys = dict.fromkeys((*before, *after))
        before, after = ({**defaults.get(section, {}), **side} for side in (before, after))
        for key in keys:
            if (section, key) not in _MAY_CHANGE and before.get(key) != after.get(key):
                yield f"{section}.{key}: {before.get(key)!r} -> {after.get(key)!r}"
