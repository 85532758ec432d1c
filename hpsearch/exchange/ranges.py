"""Ranges of trials that were run elsewhere: as given on the command line, or as far as the data reach."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadInput, BadSpace
from hpsearch.space import Categorical, Float, Int, Parameter, Value, describe, parameter_from_dict

if TYPE_CHECKING:
    from collections.abc import Sequence

_DECADE = 10.0
_MOST_CHOICES = 100
_FORM = "give NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=one,other"


def parse_range(text: str, values: Sequence[Any]) -> Parameter:
    """A range from what follows ``NAME=`` in ``--range``.

    Args:
        text: ``1e-6:1e-2:log``, ``16:512``, or ``relu,tanh``.
        values: What its column holds: where all are whole, so is the range.

    Raises:
        BadInput: It is none.
    """
    if ":" not in text:
        return _listed(text, values)
    low, high, *words = text.split(":")
    unknown = [word for word in words if word not in ("log", "int", "float")]
    if unknown or len(words) > 2:
        raise BadInput(f"{text!r}: {_FORM}; and :int or :float where the data do not say it")
    whole = "int" in words or ("float" not in words and _whole(values) and _is_int(low) and _is_int(high))
    try:
        bounds = {"low": int(low), "high": int(high)} if whole else {"low": float(low), "high": float(high)}
        return parameter_from_dict({"type": "int" if whole else "float", **bounds, "log": "log" in words})
    except ValueError as error:
        raise BadInput(f"{text!r}: {low!r} or {high!r} is no number; {_FORM}") from error


def _listed(text: str, values: Sequence[Any]) -> Categorical:
    known = {_text(value): value for value in values if value is not None}
    choices = [known.get(word.strip(), word.strip()) for word in text.split(",")]
    if "" in choices:
        raise BadInput(f"{text!r}: {_FORM}")
    return Categorical(tuple(choices))


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_int(text: str) -> bool:
    return text.strip().lstrip("+-").isdigit()


def _whole(values: Sequence[Any]) -> bool:
    return all(value is None or type(value) is int for value in values)


def extent(values: Sequence[Value | None]) -> Parameter | None:
    """How far a column's values reach: a range, logarithmic where it spans more than a decade above 0, or choices.

    Args:
        values: Its cells.

    Returns:
        The range; None where all values are one.

    Raises:
        BadInput: Too many different texts, or numbers and texts together.
    """
    there = [value for value in values if value is not None]
    kinds = {type(value) for value in there}
    if kinds <= {int, float}:
        numbers = [value for value in there if math.isfinite(float(value))]
        if not numbers or min(numbers) == max(numbers):
            return None
        low, high = min(numbers), max(numbers)
        log = float(low) > 0 and float(high) / float(low) > _DECADE
        if kinds == {int}:
            return Int(int(low), int(high), log)
        return Float(float(low), float(high), log)
    different = list(dict.fromkeys(there))
    if len(kinds) > 1:
        raise BadInput("it holds numbers and texts; give its choices with --range")
    if len(different) > _MOST_CHOICES:
        raise BadInput(f"it holds {len(different)} different texts, too many for choices")
    return Categorical(tuple(sorted(different, key=str))) if len(different) > 1 else None


def union(first: Parameter, second: Parameter) -> Parameter:
    """The range that holds both, of two that a study drew one hyperparameter from.

    Raises:
        BadSpace: They are of different kinds.
    """
    match first, second:
        case Float(), Float() if first.log == second.log:
            return Float(min(first.low, second.low), max(first.high, second.high), first.log)
        case Int(), Int() if first.log == second.log:
            return Int(min(first.low, second.low), max(first.high, second.high), first.log)
        case _ if first == second:
            return first
    raise BadSpace(f"is drawn from {describe(first)} and from {describe(second)}")
