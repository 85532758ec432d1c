"""Columns of tables: which of them are no features, and their cells as numbers or texts. Loads no pandas."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from hpsearch.errors import BadData, nearest
from hpsearch.text import listed

if TYPE_CHECKING:
    import pandas as pd

Raw: TypeAlias = "npt.NDArray[Any] | pd.DataFrame"  # (N, ...) examples; (N, D) of a table
Cells: TypeAlias = "npt.NDArray[Any] | pd.Series[Any]"  # (N,) one column

MOST_CATEGORIES = 50  # different texts of a column that become a 0/1 input each
_FEWEST_ROWS = 10  # fewer may be in order, or all different, by chance
_UNNAMED = re.compile(r"(unnamed: \d+(\.\d+)*(_level_\d+)?|__index_level_\d+__|)", re.IGNORECASE)
_DATE = re.compile(r"\d{1,2}([/. -])(\d{1,2}|[A-Za-z]{3})\1\d{2,4}( .*)?")  # beside ISO's
_ID = re.compile(r"(?:.*[\W_])?(?:id|ids|index|idx|uuid|guid|key|nr|no|row|rownames?)|.*[a-z](?:Id|ID)")


def is_text(column: Cells) -> bool:
    """Return whether a column holds texts, not numbers or booleans."""
    return getattr(column.dtype, "kind", "O") not in "buif"


def column_of(x: Raw, position: int) -> Cells:
    """Return a column of a table."""
    return x[:, position] if isinstance(x, np.ndarray) else x.iloc[:, position]


def numbers_of(column: Cells) -> npt.NDArray[np.float64]:
    """Return the cells of a column of numbers, NaN where one is missing."""
    if isinstance(column, np.ndarray):
        return column.astype(np.float64)
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def to_numbers(x: Raw, names: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the cells of columns as numbers (N, K), NaN where one is missing; BadData for a column of texts."""
    if isinstance(x, np.ndarray):
        return x.astype(np.float64)
    for k, name in enumerate(names):
        if is_text(column := column_of(x, k)) and (different := texts(column)[1]):
            raise BadData(f"column {name!r} holds texts such as {different[0][:40]!r}; numbers are needed there")
    return x.to_numpy(dtype=np.float64, na_value=np.nan)


def texts(column: Cells) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Return codes (N,), -1 where a cell is missing, and the texts that they stand for, without a whole number's .0."""
    if isinstance(column, np.ndarray):
        unique, codes = np.unique(column, return_inverse=True)
        values = unique.tolist()
    else:
        codes, index = column.factorize()
        values = index.tolist()
    return codes, [str(int(of) if isinstance(of, float) and of.is_integer() else of) for of in values]


def _numbers_rows(name: str, column: Cells) -> bool:
    """Whole numbers that rise or fall from row to row, or are consecutive in any order."""
    if is_text(column):
        return False
    cells = numbers_of(column)
    low, high = cells.min(), cells.max()
    if not high - low >= len(cells) - 1 or not (cells == np.floor(cells)).all():  # NaN too
        return False
    steps = np.diff(cells)
    consecutive = high - low == len(cells) - 1 and bool((np.diff(np.sort(cells)) == 1).all())
    return bool((steps > 0).all() or (steps < 0).all()) or consecutive


def _unique(column: Cells) -> bool:
    codes, different = texts(column)
    return len(different) == int(np.count_nonzero(codes >= 0)) > 0


def _identifies(name: str, column: Cells) -> bool:
    return bool(_ID.fullmatch(name) or _ID.fullmatch(name.lower())) and _unique(column)


def _dates(name: str, column: Cells) -> bool:
    return column.dtype.kind in "mM" or (is_text(column) and all(map(_is_date, texts(column)[1])))


def _is_date(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(_DATE.fullmatch(text) or datetime.fromisoformat(text))
    return False


RULES: dict[str, Callable[[str, Cells], bool]] = {
    "it has no name, as an index that was saved with the table": lambda name, _: bool(_UNNAMED.fullmatch(name.strip())),
    "it numbers the rows": _numbers_rows,
    "it identifies the rows": _identifies,
    "it holds dates": _dates,
    "its texts are different in every row": lambda _, column: is_text(column) and _unique(column),
}
"""Columns that are no features, and why; the first rule that holds counts."""


def _is_label(column: Cells, labels: npt.NDArray[np.int64]) -> bool:
    """A value for each class: the label in other words. Numbers of two values may be a feature that happens to fit."""
    classes = int(labels.max()) + 1
    if (classes == 2 and not is_text(column)) or len(texts(column[:1000])[1]) > classes:
        return False
    codes, different = texts(column)
    pairs = np.unique(codes * classes + labels)
    one_each = len(pairs) == len(different) == classes == len(set((pairs % classes).tolist()))
    return one_each and bool((codes >= 0).all())


def left_out(
    x: Raw,
    names: Sequence[str],
    labels: npt.NDArray[np.int64],
    *,
    drop: Collection[str] = (),
    keep: Collection[str] = (),
) -> dict[int, str]:
    """Return the positions of a table's columns that are not trained on, and why.

    Those are what ``drop`` names and, unless ``keep`` names the columns to train on, what the rules find in all
    examples x (N, D). BadData is raised for a name that no column has, and where no column is left.
    """
    names = names or [str(position) for position in range(x.shape[1])]
    for key, given in (("drop", drop), ("columns", keep)):
        for name in given:
            if name not in names:
                raise BadData(f"{key}: no column {name!r}{nearest(name, names)}")
    why: dict[int, str] = {}
    for position, name in enumerate(names):
        column = column_of(x, position)
        if name in drop:
            why[position] = "drop names it"
        elif keep and name not in keep:
            why[position] = "columns does not name it"
        elif not keep and len(x) >= _FEWEST_ROWS:
            reason = next((words for words, rule in RULES.items() if rule(name, column)), None)
            if reason or _is_label(column, labels):
                why[position] = reason or "it is the label in other words"
    if len(why) == x.shape[1]:
        raise BadData(f"no column is left to train on: {'; '.join(reasons(why, names))}; name some under columns")
    return why


def reasons(why: Mapping[int, str], names: Sequence[str]) -> list[str]:
    """Return why columns are left out, each reason with the columns that it is of, for people."""
    of: dict[str, list[str]] = {}
    for position, reason in sorted(why.items()):
        of.setdefault(reason, []).append(repr(names[position] if names else str(position)))
    return [f"{reason}: {listed(columns)}" for reason, columns in of.items()]
