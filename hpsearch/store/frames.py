"""Trials by column, as lists or as a DataFrame: lists where a command shows a few, for pandas takes 0.3 s to load."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

from hpsearch.space import Categorical, Int

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from numpy.typing import NDArray

    from hpsearch.space import Parameter, Space

Columns: TypeAlias = dict[str, list[Any]]
"""Rows by column: lists of one length."""

Arrays: TypeAlias = "dict[str, NDArray[Any]]"
"""Rows by column, as arrays of one length: where there are too many for lists."""

FIXED = ("number", "state", "score", "validation_loss", "seconds", "reason", "started", "finished")
"""The columns before those of the parameters."""


def by_number(points: Iterable[tuple[int, int, float | None]]) -> dict[int, tuple[float, ...]]:
    """Points of curves, (number, step, value) by number and step, as a curve for each number."""
    curves: dict[int, list[float]] = {}
    for number, _, value in points:
        curves.setdefault(number, []).append(math.nan if value is None else value)
    return {number: tuple(curve) for number, curve in curves.items()}


def to_frame(columns: Columns) -> pd.DataFrame:
    """Trials' columns as a DataFrame, with types that do not depend on which values are missing."""
    import pandas as pd

    frame = pd.DataFrame(columns)
    for column in ("score", "validation_loss", "seconds"):
        frame[column] = frame[column].astype(float)
    for column in ("started", "finished"):
        frame[column] = pd.to_datetime(frame[column])
    return frame


def to_arrays(columns: Columns, space: Space) -> Arrays:
    """What `hpsearch.store.Store.scores` gives, from trials' columns."""
    import numpy as np

    arrays: Arrays = {"number": np.array(columns["number"], dtype=np.int64)}
    for name in ("score", "validation_loss"):
        arrays[name] = np.array(columns[name], dtype=float)  # None becomes NaN
    for name, parameter in space.items():
        arrays[f"param:{name}"] = _values(parameter, columns[f"param:{name}"])
    return arrays


def _values(parameter: Parameter, values: list[Any]) -> NDArray[Any]:
    import numpy as np

    if isinstance(parameter, Categorical):
        found = np.empty(len(values), dtype=object)
        found[:] = values
        return found
    whole = isinstance(parameter, Int) and None not in values
    return np.array(values, dtype=np.int64 if whole else float)
