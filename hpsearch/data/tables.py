"""Tables through pandas: a row an example or a trial, a column a feature or a hyperparameter."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpsearch.data.formats import Arrays, first_line
from hpsearch.errors import BadData, MissingExtra

_MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"]  # texts of a missing number in a CSV file


@contextmanager
def _csv_errors(path: Path) -> Iterator[None]:
    """Turn pandas' exceptions into BadData."""
    try:
        with warnings.catch_warnings():
            # A first row longer than the header is only a warning to pandas, and the surplus is dropped.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            yield
    except UnicodeDecodeError as error:
        raise BadData(f"{path} is not UTF-8 text: byte {error.start} does not decode") from error
    except pd.errors.ParserWarning as error:
        raise BadData(f"{path} is ragged: its first row has more fields than its header") from error
    except OSError as error:
        raise BadData(f"cannot read {path}: {first_line(error)}") from error
    except ValueError as error:  # pandas' ParserError is one
        raise BadData(f"{path} is no regular csv table: {first_line(error)}") from error


def csv_header(path: Path) -> list[str]:
    """Return a CSV file's column names, each once."""
    with _csv_errors(path):
        head = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    return _unique(path, [str(name) for name in head.iloc[0]])


def _unique(path: Path, names: list[str]) -> list[str]:
    """Refuse a repeated column: pandas would rename it, and a copy of the labels would pass as a feature."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        hint = "; is there a header?" if pd.to_numeric(pd.Series(names), errors="coerce").notna().all() else ""
        raise BadData(f"{path}: column {repeated[0]!r} occurs twice; rename one{hint}")
    return names


def read_csv(path: Path, **options: Any) -> pd.DataFrame:
    """Read a CSV file in UTF-8 whose header `csv_header` has checked; ``options`` go to ``pandas.read_csv``."""
    with _csv_errors(path):
        frame: pd.DataFrame = pd.read_csv(path, encoding="utf-8-sig", index_col=False, keep_default_na=False, **options)
    return frame


def arrow(path: Path) -> Any:
    """Return pyarrow with its module ``parquet``, which a file needs."""
    try:
        import pyarrow.parquet  # an extra; pandas' own message for its absence has several lines
    except ImportError as error:
        raise MissingExtra(f'{path} needs pyarrow; pip install "hpsearch[data]"') from error
    return pyarrow


def read_parquet(path: Path, *, pandas: bool = False) -> Any:
    """Read a Parquet file as one of Arrow's tables, or of pandas'."""
    parquet = arrow(path).parquet
    try:
        table = parquet.read_table(path)
        return table.to_pandas() if pandas else table
    except Exception as error:  # Arrow's exceptions derive from several built-in ones
        raise BadData(f"{path} is not a whole .parquet file: {first_line(error)}") from error


def read_table(path: Path, *, label: str | None = None, labelled: bool = True) -> Arrays:
    """Read a .csv (UTF-8, with a header) or .parquet table: a row an example, a column of labels, the others numbers.

    Args:
        path: The file.
        label: The column of the labels, in any case; ``label`` unless given.
        labelled: Refuse it where it has no labels. A column that is named must be there in any case.

    Returns:
        x (N, D) float64, NaN where a cell is empty, and labels (N,). Errors count rows from 1, without the header.
    """
    if path.suffix.lower() == ".parquet":
        frame = read_parquet(path, pandas=True)
        frame.columns = names = _unique(path, [str(column) for column in frame.columns])
        target = _label_column(path, names, label, required=labelled)
    else:
        names = csv_header(path)
        target = _label_column(path, names, label, required=labelled)
        frame = read_csv(
            path,
            low_memory=False,
            dtype={} if target is None else {target: str},
            na_values={name: ["", "NaN", "nan"] if name == target else _MISSING for name in names},
        )
    columns = tuple(column for column in frame.columns if column != target)
    if not len(frame):
        raise BadData(f"{path} has no rows")
    if not columns:
        raise BadData(f"{path} has no column of features beside its labels {target!r}")
    x = np.empty((len(frame), len(columns)), dtype=np.float64)  # (N, D)
    for i, column in enumerate(columns):
        x[:, i] = _numbers(path, frame[column])
    return Arrays(x, None if target is None else _label_values(path, frame[target]), columns=columns)


def _label_column(path: Path, columns: list[str], label: str | None, *, required: bool) -> str | None:
    """Return the column of that name, in any case; None where it has none and needs none."""
    wanted = "label" if label is None else label
    if wanted in columns:
        return wanted
    alike = [column for column in columns if column.lower() == wanted.lower()]
    if len(alike) == 1:
        return alike[0]
    if not alike and not required and label is None:
        return None
    shown = ", ".join(columns[:20]) + (f", ... ({len(columns)} in all)" if len(columns) > 20 else "")
    remedy = "say which with label" if label is None else "give one of them"
    has = f"has {len(alike)} columns" if alike else "has no column"
    raise BadData(f"{path} {has} {wanted!r}; columns: {' '.join(shown.split())}; {remedy}")


def _numbers(path: Path, column: pd.Series[Any]) -> npt.NDArray[np.float64]:
    if pd.api.types.is_numeric_dtype(column.dtype):  # booleans among them
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    texts = column.astype(object).map(str, na_action="ignore")
    numbers = pd.to_numeric(texts, errors="coerce")
    odd = (numbers.isna() & texts.notna()).to_numpy()
    if odd.any():
        row = int(odd.argmax())
        raise BadData(
            f"{path}: {texts.iloc[row][:40]!r} in row {row + 1}, column {column.name!r} is not a "
            "number; every column but the labels holds numbers"
        )
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)


def _label_values(path: Path, column: pd.Series[Any]) -> npt.NDArray[Any]:
    missing = column.isna().to_numpy()
    if count := int(np.count_nonzero(missing)):
        raise BadData(
            f"{path}: {count} labels are missing in column {column.name!r}, the first in row "
            f"{int(missing.argmax()) + 1}; every row needs a label"
        )
    for kind, dtype in (("b", np.bool_), ("iu", np.int64), ("f", np.float64)):
        if getattr(column.dtype, "kind", "O") in kind:  # pandas' nullable ones too, as a plain array
            return column.to_numpy(dtype=dtype)
    return np.array([str(value).strip() for value in column])
