"""Ranges in the forms that other libraries have for them: Optuna's and SciPy's distributions, and lists of choices."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from hpsearch.errors import BadSpace
from hpsearch.space import Categorical, Float, Int, Parameter, Value

MAX_INT = 2**53  # the whole numbers that a float can hold, as which a database keeps them
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_TAKEN = (
    "hpsearch.Float, Int or Categorical, an Optuna distribution, loguniform, uniform or randint of scipy.stats, or a "
    "list of choices"
)


def parameter_of(name: str, given: Any) -> tuple[Parameter, Mapping[Value, Any]]:
    """Return a parameter from any form that its range may be given in, and the objects that its choices stand for.

    A choice that is no string, number or boolean, such as an estimator, is kept by its ``repr``.

    Args:
        name: Of the parameter, for messages.
        given: Its range.

    Raises:
        BadSpace: It is none that is known.
    """
    if isinstance(given, Float | Int | Categorical):
        return given, {}
    if type(given).__module__ == "optuna.distributions":
        return choices_of(name, given.choices) if hasattr(given, "choices") else (numbers_of(given), {})
    if hasattr(given, "dist") and hasattr(given, "support"):
        return _of_scipy(name, given), {}
    if isinstance(given, str | bytes | Mapping) or not (hasattr(given, "__len__") and hasattr(given, "__getitem__")):
        raise BadSpace(f"{name}: {stable_repr(given)} is no range; give {_TAKEN}")
    return choices_of(name, given)


def stable_repr(value: object) -> str:
    """Return a value's ``repr`` without addresses in memory, the same in every process."""
    return _ADDRESS.sub("", repr(value))


def numbers_of(distribution: Any) -> Parameter:
    """Return the range of one of Optuna's distributions of numbers; that of a single number is a choice.

    Raises:
        BadSpace: It has whole numbers that a float cannot hold.
    """
    low, high, log, step = distribution.low, distribution.high, distribution.log, distribution.step
    if low == high:
        return Categorical((low,))
    if isinstance(low, float):
        return Float(low, high, log, step=step)
    if max(abs(low), abs(high)) > MAX_INT:
        raise BadSpace(f"{str(distribution)[:80]} has whole numbers that a float cannot hold")
    return Int(low, high, log, step)


def _of_scipy(name: str, given: Any) -> Parameter:
    """Return the range of a frozen distribution of `scipy.stats`."""
    family = given.dist.name
    low, high = (float(bound) for bound in given.support())
    if family == "randint" and high > low:
        return Int(int(low), int(high))
    if family == "uniform":
        return Float(low, high)
    # With a loc it is the logarithm of something else that is uniform.
    if family in ("loguniform", "reciprocal") and math.isclose(given.median() ** 2, low * high, rel_tol=1e-6):
        return Float(low, high, log=True)
    some, most = (float(given.ppf(share)) for share in (0.01, 0.99))
    scale = "loguniform" if some > 0 and most > 10 * some else "uniform"
    ends = f"{some:.3g}, {most if scale == 'loguniform' else most - some:.3g}"
    raise BadSpace(
        f"{name}: the scipy.stats distribution {family} cannot be narrowed; give {_TAKEN}: {scale}({ends}), say, has "
        "98 % of it"
    )


def choices_of(name: str, given: Iterable[Any]) -> tuple[Categorical, Mapping[Value, Any]]:
    """Return a list of choices as a parameter, and what those stand for that are no plain values."""
    choices: dict[Value, Any] = {}
    for each in given:
        value = each.item() if getattr(each, "shape", None) == () and hasattr(each, "item") else each  # NumPy's scalars
        # A subclass of theirs could not be read again where its module is not.
        plain = type(value) in (str, int, float, bool, type(None)) and not (
            isinstance(value, float) and not math.isfinite(value)
        )
        label = value if plain else stable_repr(value)
        if label not in choices:
            choices[label] = value
        elif type(choices[label]) is not type(value) or not plain:  # 1 and True, or two objects of one repr
            choices[f"{label!r} #{len(choices)}"] = value
    if not choices:
        raise BadSpace(f"{name}: an empty list; give at least one choice")
    return Categorical(tuple(choices)), {label: each for label, each in choices.items() if each is not label}
