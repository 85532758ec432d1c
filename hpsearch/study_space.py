"""The section ``[space]`` of a study file: which ranges make sense, each by itself and together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpsearch.errors import BadSpace, BadStudyFile, nearest
from hpsearch.objectives.base import Hyperparameter
from hpsearch.objectives.network.hyperparameters import ALSO_CALLED, HYPERPARAMETERS, LR_SCHEDULES, hidden_sizes
from hpsearch.space import Categorical, Parameter, Space, contains, parameter_from_dict
from hpsearch.text import either

_LISTED = ("bool", "categorical")
"""The types whose values are listed as choices: they have no order."""


def parse_parameter(name: str, plain: object) -> Parameter:
    """A hyperparameter's range from plain data.

    Raises:
        BadStudyFile: There is no such hyperparameter, or its values cannot be these.
    """
    if name not in HYPERPARAMETERS:
        raise BadStudyFile(
            f"[space] {name!r} is not a hyperparameter{nearest(ALSO_CALLED.get(name.lower(), name), HYPERPARAMETERS)}"
        )
    kind = HYPERPARAMETERS[name]
    if not isinstance(plain, Mapping):
        form = f"choices = [{_examples(kind)}]" if kind.type in _LISTED else "low = ..., high = ..., log = true"
        raise BadStudyFile(f"[space] {name} = {plain!r}; write {{ {form} }}")
    try:
        made = parameter_from_dict(plain, default_type="int" if kind.type == "int" else "float")
        _check_nature(name, kind, made)
    except BadSpace as error:
        raise BadStudyFile(f"[space] {name}: {error}") from error
    return made


def _examples(kind: Hyperparameter) -> str:
    return "true, false" if kind.type == "bool" else "..."


def _check_nature(name: str, kind: Hyperparameter, made: Parameter) -> None:
    if not isinstance(made, Categorical):
        if kind.type in _LISTED:
            raise BadSpace(f"a range of numbers; give choices = [{_examples(kind)}]")
        if kind.type == "int" and not isinstance(made.low, int):
            raise BadSpace("type = 'float'; its values are whole numbers, so leave type out or make it 'int'")
    values = made.choices if isinstance(made, Categorical) else (made.low, made.high, *(made.limit or ()))
    for value in values:
        _check_value(name, kind, value)


def _check_value(name: str, kind: Hyperparameter, value: object) -> None:
    if name == "hidden":
        try:
            hidden_sizes(str(value))
        except ValueError as error:
            raise BadSpace(str(error)) from None
    elif kind.type == "bool":
        if not isinstance(value, bool):
            raise BadSpace(f"choice {value!r} is neither true nor false")
    elif kind.type == "categorical":
        if not isinstance(value, str):
            raise BadSpace(f"choice {value!r} is not a string")
        if name == "lr_schedule" and value not in LR_SCHEDULES:
            raise BadSpace(f"no lr_schedule {value!r}{nearest(value, LR_SCHEDULES)}")
    else:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadSpace(f"choice {value!r} is not a number")
        if kind.type == "int" and not isinstance(value, int):
            raise BadSpace(f"{value!r} is not a whole number")
        misfit = kind.misfit(value)
        if misfit is not None:
            raise BadSpace(misfit)


def check_effects(space: Space, settings: Mapping[str, Any]) -> None:
    """Check that every drawn hyperparameter does something in some trial.

    Args:
        space: The ranges.
        settings: Values of the hyperparameters that are not drawn.

    Raises:
        BadStudyFile: One does nothing in any.
    """
    for name in space:
        used_by = HYPERPARAMETERS[name].used_by
        if used_by is None:
            continue
        decider, users = used_by
        possible = _possible(decider, space, settings)
        if not set(users) & set(possible):
            raise BadStudyFile(
                f"[space] {name} has no effect: only {decider} = {either(users)} uses it, "
                f"and this search has {either(possible)}; leave {name} out or change {decider}"
            )


def check_batch_norm(space: Space, settings: Mapping[str, Any]) -> None:
    """Check that batch normalisation has something to normalise over.

    Args:
        space: The ranges.
        settings: Values of the hyperparameters that are not drawn.

    Raises:
        BadStudyFile: A trial may have it with mini-batches of one image.
    """
    sizes = space.get("batch_size")
    single = settings["batch_size"] == 1 if sizes is None else contains(sizes, 1)
    if single and True in _possible("batch_norm", space, settings):
        where = "[training] batch_size = 1" if sizes is None else "[space] batch_size may be 1"
        raise BadStudyFile(f"{where}, and batch_norm needs mini-batches of at least 2")


def _possible(name: str, space: Space, settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values of a hyperparameter whose values are listed: its choices, or the one that is set."""
    drawn = space.get(name)
    return drawn.choices if isinstance(drawn, Categorical) else (settings[name],)
