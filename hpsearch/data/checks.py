"""What arrays must satisfy to be a data set: finite features, and labels that name two classes or more."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch.errors import BadData
from hpsearch.text import counted

FLOAT32_MAX = np.float64(np.finfo(np.float32).max)
"""Features are trained on as float32, so a larger one would turn into infinity there."""


def unusable(x: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which numbers are NaN, infinite or too large for float32, in the shape of ``x``."""
    # A comparison with NaN is False, so one comparison finds all three. The bound is a NumPy float64, not
    # a Python float, which would be cast to the type of x and overflow in float16.
    return np.asarray(~(np.abs(x) <= FLOAT32_MAX))


def features(x: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    """Features as a data set holds them: uint8 as they are, other numbers as floats.

    Args:
        x: (N, ...) numbers.
        where: What is read, for the message.

    Raises:
        BadData: Not numbers, no rows, no features, or numbers that float32 cannot hold.
    """
    if x.dtype.kind not in "buif":
        raise BadData(f"{where}: x holds {x.dtype}; features are numbers")
    if x.ndim < 2:
        raise BadData(f"{where}: x has shape {x.shape}; one row of features per example is needed, (N, D)")
    if x.size == 0:
        raise BadData(f"{where}: x has shape {x.shape}, so there is nothing in it")
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind != "f":
        return x.astype(np.float64)
    bad = unusable(x)
    if count := int(np.count_nonzero(bad)):
        place = np.unravel_index(int(bad.argmax()), x.shape)
        index = ", ".join(str(int(i)) for i in place)
        raise BadData(
            f"{where}: {count} of {x.size} features are NaN, infinite or too large for float32, "
            f"the first is x[{index}] = {x[place]}; clean the data first"
        )
    return x


def labels(values: npt.NDArray[Any], where: str, *, examples: int) -> npt.NDArray[Any]:
    """Label values that can name classes: whole numbers as int64 (or uint64), strings as strings.

    Args:
        values: (N,) integers, whole floats, booleans or strings.
        where: What is read, for the message.
        examples: How many rows x has.

    Raises:
        BadData: Of the wrong length or shape, missing, fractional, or neither numbers nor strings.
    """
    if values.ndim != 1:
        raise BadData(
            f"{where}: labels have shape {values.shape}; one label per example is needed, shape ({examples},)"
        )
    if len(values) != examples:
        raise BadData(
            f"{where}: {counted(len(values), 'label')} for {counted(examples, 'example')}; the counts must agree"
        )
    match values.dtype.kind:
        case "b" | "i" | "u" | "U":
            return values
        case "S":
            return np.char.decode(values, "utf-8", "backslashreplace")
        case "f":
            missing = np.isnan(values)
            if count := int(np.count_nonzero(missing)):
                raise BadData(
                    f"{where}: {count} labels are NaN, the first at position {int(missing.argmax())}; "
                    "every example needs a label"
                )
            fits = (np.abs(values) < 2.0**53) & (values == np.floor(values))
            if not fits.all():
                first = int((~fits).argmax())
                raise BadData(
                    f"{where}: label {values[first]} at position {first} names no class; "
                    "labels are whole numbers or strings"
                )
            return values.astype(np.int64)
    raise BadData(f"{where}: labels hold {values.dtype}; labels are whole numbers or strings")


def class_names(values: npt.NDArray[Any], where: str) -> tuple[str, ...]:
    """The different labels as strings, sorted as numbers where all of them are numbers.

    Args:
        values: (N,) checked labels.
        where: What is read, for the message.

    Raises:
        BadData: Fewer than two classes.
    """
    names = [str(value) for value in np.unique(values)]
    if len(names) < 2:
        raise BadData(f"{where}: every label is {names[0]!r}; a data set needs at least two classes to tell apart")
    numbers = [_number(name) for name in names]
    if all(math.isfinite(number) for number in numbers):
        names = [name for _, name in sorted(zip(numbers, names, strict=True))]
    return tuple(names)


def _number(name: str) -> float:
    try:
        return float(name)
    except ValueError:
        return math.nan


def encode(values: npt.NDArray[Any], names: tuple[str, ...], where: str) -> npt.NDArray[np.int64]:
    """Labels as positions in the list of classes.

    Args:
        values: (N,) checked labels.
        names: The classes.
        where: What is read, for the message.

    Returns:
        (N,) int64 in 0..C-1.

    Raises:
        BadData: A label that is none of the classes (only a test part can have one).
    """
    code = {name: i for i, name in enumerate(names)}
    different, inverse = np.unique(values, return_inverse=True)
    for value in different:
        if str(value) not in code:
            raise BadData(
                f"{where}: the test part has a label {str(value)!r} that no training example has; "
                f"known: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"
            )
    codes = np.array([code[str(value)] for value in different], dtype=np.int64)
    return codes[inverse]
