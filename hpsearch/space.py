"""Hyperparameters and their ranges: the search space, and its two other forms (mappings and Optuna's).

Narrowing, evidence and edges are computed on a parameter's *transformed scale*: ``log10`` of the value where ``log`` is
set, the value itself otherwise.

A parameter may be conditional: ``when = {"optimizer": ("sgd",)}`` has it sampled only in trials whose ``optimizer`` is
``sgd``; the others have no value of it. Ranges per value of another parameter are several conditional parameters
(`per_value`): ``wd[sgd]``, ``wd[adam]``. An objective gets the one that was sampled as ``wd`` (`delivered`).

A parameter's role is ``scientific`` where its values are to be compared, and otherwise ``nuisance``: see
`hpsearch.roles`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from hpsearch.errors import BadSpace, nearest
from hpsearch.text import is_missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna.distributions import BaseDistribution

Value: TypeAlias = float | int | str | bool | None  # a hyperparameter's value
When: TypeAlias = Mapping[str, tuple[Value, ...]]  # a condition: each of these parameters has one of these values
Role: TypeAlias = Literal["nuisance", "scientific"]

_MOST_CHOICES = 10_000


def _is_number(value: object) -> bool:
    """Return whether a value is a finite number that a float can hold, and no 400-digit int."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _normalise_when(parameter: Parameter) -> None:
    """Check a condition, and convert its values to tuples; a single value may stand alone."""
    if parameter.when is None:
        return
    if not isinstance(parameter.when, Mapping) or not parameter.when:
        raise BadSpace(f"when = {_short(parameter.when)}; give a parameter and its values, {{ optimizer = ['sgd'] }}")
    when = {}
    for name, values in parameter.when.items():
        several = tuple(values) if isinstance(values, list | tuple) else (values,)
        if not several or not all(isinstance(value, Value) for value in several):
            raise BadSpace(f"when = {{ {name} = {_short(values)} }}; give a list of strings, numbers or booleans")
        when[name] = several
    object.__setattr__(parameter, "when", when)


def _check_role(parameter: Parameter) -> None:
    if parameter.role not in get_args(Role):
        raise BadSpace(f"role = {_short(parameter.role)}{nearest(str(parameter.role), get_args(Role))}")
    if parameter.role == "scientific":
        if not isinstance(parameter, Categorical):
            raise BadSpace("role = 'scientific' of a range; give the values to compare as choices")
        if len(parameter.choices) < 2:
            raise BadSpace("role = 'scientific', and there is one value; give two or more to compare")
        if parameter.when is not None:
            raise BadSpace("role = 'scientific', and a condition; leave out the condition: each trial has a value")


def _normalise(parameter: Float | Int) -> None:
    """Check a range and convert its bounds to its type, as a study file may say ``low = 0`` for a float."""
    _normalise_when(parameter)
    _check_role(parameter)
    low, high, log, limit = parameter.low, parameter.high, parameter.log, parameter.limit
    if not isinstance(log, bool):
        raise BadSpace(f"log = {log!r}; give true or false")
    for side, bound in (("low", low), ("high", high)):
        if not _is_number(bound):
            raise BadSpace(f"{side} = {_short(bound)} is not a finite number; give a number")
        if isinstance(parameter, Int) and bound != int(bound):
            raise BadSpace(f"{side} = {bound!r} of an int range; give a whole number")
    if low >= high:
        raise BadSpace(f"low = {low!r} is not below high = {high!r}; a range needs low < high")
    if log and low <= 0:
        raise BadSpace(f"low = {low!r} on a log scale; a log range must lie above 0")
    if limit is not None:
        if not isinstance(limit, list | tuple) or len(limit) != 2 or not all(map(_is_number, limit)):
            raise BadSpace(f"limit = {_short(limit)}; give two finite numbers, [lowest, highest]")
        if not (limit[0] <= low and high <= limit[1]):
            raise BadSpace(
                f"limit = {list(limit)} does not contain the range [{low!r}, {high!r}]; "
                "a limit bounds how far narrowing may move the range"
            )
        object.__setattr__(parameter, "limit", tuple(limit))
    kind = int if isinstance(parameter, Int) else float
    object.__setattr__(parameter, "low", kind(low))
    object.__setattr__(parameter, "high", kind(high))


def _check_step(parameter: Float | Int) -> None:
    """Check that the values go from the low to the high in whole steps."""
    assert parameter.step is not None
    if parameter.step <= 0:
        raise BadSpace(f"step = {parameter.step}; a step is at least 1, or of a float above 0")
    steps = (Fraction(str(parameter.high)) - Fraction(str(parameter.low))) / Fraction(str(parameter.step))
    if steps.denominator != 1:
        raise BadSpace(
            f"step = {parameter.step} does not divide high - low = {parameter.high - parameter.low:.6g}; "
            f"make high {stepped(parameter, max(int(steps), 1))}"
        )


def stepped(parameter: Float | Int, steps: int) -> float:
    """Return the value of a range so many steps above its low, as people write it: 3 * 0.1 is 0.30000000000000004."""
    value = Fraction(str(parameter.low)) + Fraction(str(parameter.step)) * steps
    return int(value) if isinstance(parameter, Int) else float(value)


@dataclass(frozen=True, slots=True)
class Float:
    """A real-valued hyperparameter.

    Raises:
        BadSpace: The bounds do not make a range.
    """

    low: float  # lower bound
    high: float  # upper bound, above ``low``
    log: bool = False  # sample uniformly in ``log10`` of the value
    limit: tuple[float, float] | None = None  # how far ``narrow --expand`` may move the bounds, as (lowest, highest)
    step: float | None = None  # distance of neighbouring values; None: any value of the range
    when: When | None = field(default=None, hash=False)  # the condition under which it is sampled; None: always
    role: Role = "nuisance"  # whether its values are to be compared, or it is tuned for each of them

    def __post_init__(self) -> None:
        _normalise(self)
        if self.step is not None:
            if not _is_number(self.step):
                raise BadSpace(f"step = {_short(self.step)}; give a number")
            if self.log:
                raise BadSpace(f"step = {self.step} on a log scale; leave out one of them")
            _check_step(self)


@dataclass(frozen=True, slots=True)
class Int:
    """A whole-numbered hyperparameter.

    Raises:
        BadSpace: The bounds do not make a range, or the step does not fit it.
    """

    low: int  # lower bound, included
    high: int  # upper bound, included
    log: bool = False  # sample uniformly in ``log10`` of the value
    step: int = 1  # distance of neighbouring values; 1 on a log scale
    limit: tuple[int, int] | None = None  # how far ``narrow --expand`` may move the bounds, as (lowest, highest)
    when: When | None = field(default=None, hash=False)  # the condition under which it is sampled; None: always
    role: Role = "nuisance"  # whether its values are to be compared, or it is tuned for each of them

    def __post_init__(self) -> None:
        _normalise(self)
        if isinstance(self.step, bool) or not isinstance(self.step, int):
            raise BadSpace(f"step = {self.step!r}; give a whole number")
        if self.log and self.step != 1:
            raise BadSpace(f"step = {self.step} on a log scale; a log range of ints has step 1")
        _check_step(self)


@dataclass(frozen=True, slots=True)
class Categorical:
    """A hyperparameter with a list of choices.

    Raises:
        BadSpace: No choices, or a choice given twice.
    """

    choices: tuple[Value, ...]  # two or more different values (one is allowed once narrowing has left one)
    when: When | None = field(default=None, hash=False)  # the condition under which it is sampled; None: always
    role: Role = "nuisance"  # whether its values are to be compared, or it is tuned for each of them

    def __post_init__(self) -> None:
        _normalise_when(self)
        if not isinstance(self.choices, list | tuple):
            raise BadSpace(f"choices = {self.choices!r}; give a list")
        object.__setattr__(self, "choices", tuple(self.choices))
        if not self.choices:
            raise BadSpace("choices = []; give at least one choice")
        if len(self.choices) > _MOST_CHOICES:
            raise BadSpace(f"choices = [...] lists {len(self.choices):,}; give at most {_MOST_CHOICES:,}")
        seen: set[Value] = set()
        for choice in self.choices:
            if not isinstance(choice, Value):
                raise BadSpace(f"choice {_short(choice)} is not a string, number or boolean")
            if isinstance(choice, float) and not math.isfinite(choice):
                raise BadSpace(f"choice {choice!r} is not a finite number")
            # 1 == True and 1 == 1.0 in Python and in Optuna's index look-up, so they count as one choice.
            if choice in seen:
                raise BadSpace(f"choice {choice!r} is repeated; each choice may stand once")
            seen.add(choice)
        _check_role(self)


Parameter: TypeAlias = Float | Int | Categorical
Space: TypeAlias = Mapping[str, Parameter]  # parameters by name, in the order of the study file

_KINDS: dict[str, type[Parameter]] = {"float": Float, "int": Int, "categorical": Categorical}


def to_scale(parameter: Float | Int, value: float) -> float:
    """Return a value on its parameter's transformed scale."""
    return math.log10(value) if parameter.log else float(value)


def from_scale(parameter: Float | Int, position: float) -> float:
    """Return the value at a position of the transformed scale; the inverse of `to_scale`."""
    return float(10.0**position) if parameter.log else position


def external(parameter: Parameter, stored: float) -> Value:
    """Return a value from the number that Optuna stores for it: of a choice that is its place."""
    if isinstance(parameter, Categorical):
        return parameter.choices[int(stored)]
    return int(stored) if isinstance(parameter, Int) else stored


def contains(parameter: Parameter, value: object) -> bool:
    """Return whether the parameter may have a value."""
    if isinstance(parameter, Categorical):
        return value in parameter.choices
    # NaN is outside: every comparison with it is false.
    return isinstance(value, int | float) and parameter.low <= value <= parameter.high


def hull(first: Parameter, second: Parameter) -> Parameter:
    """Return the least range that contains both.

    Raises:
        BadSpace: They are of different types, scales or choices.
    """
    if isinstance(first, Categorical) or isinstance(second, Categorical):
        if repr(first) != repr(second):  # 1 == True
            raise BadSpace(f"{describe(first)} and {describe(second)} are different choices")
        return first
    if type(first) is not type(second) or first.log != second.log:
        raise BadSpace(f"{_form(first)} and {_form(second)} are different scales")
    bounds: dict[str, Any] = {"low": min(first.low, second.low), "high": max(first.high, second.high)}
    if isinstance(first, Float) and first.step != second.step:
        bounds["step"] = None
    if isinstance(first, Int) and isinstance(second, Int):
        bounds["step"] = math.gcd(first.step, second.step, first.low - second.low)
    try:
        return replace(first, **bounds)
    except BadSpace:  # the steps of the two do not meet
        return replace(first, **(bounds | {"step": None}))


def _form(parameter: Float | Int) -> str:
    return f"{type(parameter).__name__.lower()} {describe(parameter)}"


def possible(name: str, space: Space, settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the values that a parameter with listed values may have: its choices, or the one that is fixed."""
    sampled = space.get(name)
    return sampled.choices if isinstance(sampled, Categorical) else (settings[name],)


def parameter_to_dict(parameter: Parameter) -> dict[str, Any]:
    """Return a parameter as plain data, as it stands in a study file and in a stage's attributes."""
    plain: dict[str, Any] = {"type": type(parameter).__name__.lower()}
    for key in (each.name for each in fields(parameter)):
        match getattr(parameter, key):
            case None | "nuisance":  # the default, and unknown to earlier versions
                pass
            case tuple() as several:
                plain[key] = list(several)
            case Mapping() as when:
                plain[key] = {name: list(values) for name, values in when.items()}
            case value:
                plain[key] = value
    return plain


def parameter_from_dict(plain: Mapping[str, Any], *, default_type: str | None = None) -> Parameter:
    """Return a parameter from plain data; the inverse of `parameter_to_dict`.

    Args:
        plain: ``type`` (float, int or categorical) and the keys of that type. Without ``type``, a mapping
            with ``choices`` is categorical and any other is of ``default_type``. ``none = true`` adds None to the
            choices, for TOML has no word for it.
        default_type: ``"float"`` or ``"int"``: the type of the hyperparameter that the range is for. None: ``"int"``
            where the bounds and the step are whole numbers, ``2`` and not ``2.0``.

    Raises:
        BadSpace: An unknown type or key, a missing key, or values that make no range.
    """
    given = dict(plain)
    whole = all(type(given.get(key, 1)) is int for key in ("low", "high", "step"))
    default_type = default_type or ("int" if whole else "float")
    kind = given.pop("type", "categorical" if "choices" in given else default_type)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise BadSpace(f"type = {_short(kind)}{nearest(str(kind), _KINDS)}")
    if kind == "categorical" and isinstance(given.get("choices"), list | tuple) and given.pop("none", False) is True:
        given["choices"] = [*given["choices"], None]
    keys = [each.name for each in fields(_KINDS[kind])]
    for key in given:
        if key not in keys:
            raise BadSpace(f"{key!r} is not a key of a parameter of type {kind}{nearest(key, keys)}")
    required = ("choices",) if kind == "categorical" else ("low", "high")
    for key in required:
        if key not in given:
            raise BadSpace(f"{key!r} is missing; a parameter of type {kind} needs {' and '.join(required)}")
    return _KINDS[kind](**given)


def space_to_dict(space: Space) -> dict[str, dict[str, Any]]:
    """Return a space as plain data."""
    return {name: parameter_to_dict(parameter) for name, parameter in space.items()}


def space_from_dict(plain: Mapping[str, Mapping[str, Any]]) -> dict[str, Parameter]:
    """Return a space from plain data; the inverse of `space_to_dict`."""
    return {name: parameter_from_dict(parameter) for name, parameter in plain.items()}


def holds(parameter: Parameter, params: Mapping[str, Value]) -> bool:
    """Return whether a parameter's condition holds in a trial with these values."""
    return all(name in params and params[name] in values for name, values in (parameter.when or {}).items())


def in_order(space: Space) -> list[str]:
    """Return the names of a space, each after those that its condition names.

    Raises:
        BadSpace: A cycle of conditions.
    """
    if all(parameter.when is None for parameter in space.values()):
        return list(space)
    graph = {name: [other for other in parameter.when or () if other in space] for name, parameter in space.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        cycle = " -> ".join(reversed(error.args[1]))
        raise BadSpace(f"the conditions form a cycle: {cycle}; leave out one of them") from None


def has_none(parameter: Parameter) -> bool:
    """Return whether None is one of its choices."""
    return isinstance(parameter, Categorical) and None in parameter.choices


def present(space: Space, row: Mapping[str, Value]) -> dict[str, Value]:
    """Return the values that a trial has, of those whose conditions hold, in the order of the space.

    Args:
        space: The parameters.
        row: Values; None or NaN of a parameter that the trial lacks. None may be a choice too: then the conditions
            decide.
    """
    given: dict[str, Value] = {}
    for name in in_order(space):
        value = row.get(name)
        if (not is_missing(value) or (name in row and has_none(space[name]))) and holds(space[name], given):
            given[name] = None if is_missing(value) else value
    return {name: given[name] for name in space if name in given}


def without_none(space: Space) -> Space:
    """Return a space for tables and figures, where None is no value: the choice None is the text ``none``."""
    if not any(map(has_none, space.values())):
        return space

    def texts(values: tuple[Value, ...]) -> tuple[Value, ...]:
        return tuple(shown(value) if value is None else value for value in values)

    named: dict[str, Parameter] = {}
    for name, parameter in space.items():
        when = {other: texts(values) for other, values in (parameter.when or {}).items()} or None
        if isinstance(parameter, Categorical):
            named[name] = replace(parameter, choices=texts(parameter.choices), when=when)
        else:
            named[name] = replace(parameter, when=when)
    return named


def check_conditions(space: Space) -> None:
    """Check that every condition is on sampled values.

    Raises:
        BadSpace: A condition on an unknown parameter or value, or a cycle of them.
    """
    for name, parameter in space.items():
        for other, values in (parameter.when or {}).items():
            if other not in space:
                raise BadSpace(f"{name}: when = {{ {other} = ... }}: {other!r} is not sampled{nearest(other, space)}")
            parent = space[other]
            if isinstance(parent, Float):
                raise BadSpace(f"{name}: when = {{ {other} = ... }}: {other} is a float; give it choices")
            for value in values:
                if not contains(parent, value):
                    allowed = describe(parent)
                    raise BadSpace(f"{name}: when = {{ {other} = {_short(value)} }}: {other} is one of {allowed}")
    in_order(space)


def value_name(name: str, value: Value) -> str:
    """Return the name of a parameter's range for one value of another: ``wd[sgd]``."""
    return f"{name}[{shown(value)}]"


def per_value(name: str, other: str, ranges: Mapping[Value, Parameter]) -> dict[str, Parameter]:
    """Return the conditional parameters that stand for a parameter with a range for each value of another one."""
    return {
        value_name(name, value): replace(parameter, when={**(parameter.when or {}), other: (value,)})
        for value, parameter in ranges.items()
    }


def delivered_as(name: str, parameter: Parameter) -> str:
    """Return the name by which an objective gets a parameter: ``wd`` for ``wd[sgd]`` and ``wd[sgd][relu]``."""
    labels = [value_name("", values[0]) for values in (parameter.when or {}).values() if len(values) == 1]
    while label := next((label for label in labels if name.endswith(label) and name != label), None):
        labels.remove(label)
        name = name.removesuffix(label)
    return name


def without_range(space: Space) -> Iterator[tuple[str, str, list[Value]]]:
    """Yield the parameters with ranges per choice of another one that lack some: name, other, the choices without."""
    per_choice: dict[tuple[str, str], list[Value]] = {}
    for name, parameter in space.items():
        base = delivered_as(name, parameter)
        for other, condition in (parameter.when or {}).items():
            if name == value_name(base, condition[0]):
                per_choice.setdefault((base, other), []).append(condition[0])
    for (base, other), values in per_choice.items():
        parent = space.get(other)
        choices = parent.choices if isinstance(parent, Categorical) else ()
        if missing := [choice for choice in choices if choice not in values]:
            yield base, other, missing


def delivered(space: Space, params: Mapping[str, Value]) -> dict[str, Value]:
    """Return a trial's values by the names that its objective knows."""
    return {delivered_as(name, space[name]) if name in space else name: value for name, value in params.items()}


def to_distribution(parameter: Parameter) -> BaseDistribution:
    """Return the same range as one of Optuna's distributions."""
    # Workers have spaces and must start without Optuna.
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match parameter:
        case Float(low, high, log, step=step):
            return FloatDistribution(low, high, log=log, step=step)
        case Int(low, high, log, step):
            return IntDistribution(low, high, log=log, step=step)
        case Categorical(choices):
            return CategoricalDistribution(choices)


def shown(value: Value) -> str:
    """Return a value in words, as a study file would have it: six digits of a number, ``true`` and ``false``."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def describe(parameter: Parameter) -> str:
    """Return a range in words: ``0.002 .. 0.01 (log)`` or ``{relu, tanh}``."""
    match parameter:
        case Categorical(choices):
            return "{" + ", ".join(map(shown, choices)) + "}"
        case Float(low, high, log, step=step):
            note = " (log)" if log else "" if step is None else f" (step {step:.4g})"
            return f"{low:.4g} .. {high:.4g}{note}"
        case Int(low, high, log, step):
            note = " (log)" if log else f" (step {step})" if step > 1 else ""
            return f"{low} .. {high}{note}"
