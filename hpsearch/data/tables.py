"""Tables of examples (.csv, .parquet): a row an example, a column a feature, and a column of labels."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpsearch.data.checks import unusable
from hpsearch.data.files import first_line, refuse_empty
from hpsearch.errors import BadData, MissingExtra

if TYPE_CHECKING:
    import pandas as pd

_MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"]
"""What counts as a missing number in a csv file."""


def read_table(path: Path, *, label: str | None = None) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]:
    """A table with one row per example: a column of labels, every other column a number.

    Args:
        path: A .csv (UTF-8, with a header) or .parquet file.
        label: The column of the labels, in any case; ``label`` unless given.

    Returns:
        x (N, D) float64 and labels (N,).

    Raises:
        BadData: Damaged, ragged or empty, no such label column, or a cell that is no number. Rows are
            counted from 1, without the header.
        MissingExtra: A .parquet file without pyarrow installed.
    """
    frame = _read(path, label)
    target = _label_column(path, list(frame.columns), label)
    if target is None:
        raise BadData(_no_label(path, list(frame.columns), label))
    return _features(path, frame, target), _label_values(path, frame[target])


def read_table_examples(
    path: Path, *, label: str | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any] | None]:
    """A table that may be without labels.

    Args:
        path: As for `read_table`.
        label: Likewise; a column that is named must be there.

    Returns:
        x (N, D) float64, and labels (N,) where there is a column of them.

    Raises:
        BadData: As for `read_table`.
        MissingExtra: As for `read_table`.
    """
    frame = _read(path, label)
    target = _label_column(path, list(frame.columns), label)
    if target is None and label is not None:
        raise BadData(_no_label(path, list(frame.columns), label))
    return _features(path, frame, target), None if target is None else _label_values(path, frame[target])


def _read(path: Path, label: str | None) -> pd.DataFrame:
    refuse_empty(path)
    frame = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path, label)
    frame.columns = [str(column) for column in frame.columns]
    return frame


def _features(path: Path, frame: pd.DataFrame, target: str | None) -> npt.NDArray[np.float64]:
    """All columns but that of the labels, (N, D)."""
    columns = [column for column in frame.columns if column != target]
    if not len(frame):
        raise BadData(f"{path} has no rows")
    if not columns:
        raise BadData(f"{path} has no column of features beside its labels {target!r}")
    x = np.empty((len(frame), len(columns)), dtype=np.float64)  # (N, D)
    for i, column in enumerate(columns):
        x[:, i] = _numbers(path, frame[column])
    bad = unusable(x)
    if count := int(np.count_nonzero(bad)):
        row, i = divmod(int(bad.argmax()), len(columns))
        raise BadData(
            f"{path}: {count} of {x.size} features are missing, infinite or too large for float32, "
            f"the first in row {row + 1}, column {columns[i]!r}; clean the data first"
        )
    return x


def _read_csv(path: Path, label: str | None) -> pd.DataFrame:
    import pandas as pd

    try:
        head = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        names = [str(name) for name in head.iloc[0]]
        target = _label_column(path, names, label)
        with warnings.catch_warnings():
            # A first row longer than the header is only a warning to pandas, and the surplus is dropped.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                path,
                encoding="utf-8-sig",
                index_col=False,
                low_memory=False,
                dtype={} if target is None else {target: str},
                keep_default_na=False,
                na_values={name: ["", "NaN", "nan"] if name == target else _MISSING for name in names},
            )
    except pd.errors.EmptyDataError as error:
        raise BadData(f"{path} is empty") from error
    except UnicodeDecodeError as error:
        raise BadData(f"{path} is not UTF-8 text: byte {error.start} does not decode") from error
    except pd.errors.ParserWarning as error:
        raise BadData(f"{path} is ragged: its first row has more fields than its header") from error
    except OSError as error:
        raise BadData(f"cannot read {path}: {error.strerror or first_line(error)}") from error
    except ValueError as error:  # pandas' ParserError is one
        raise BadData(f"{path} is no regular csv table: {first_line(error)}") from error


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        import pyarrow.parquet  # noqa: F401 - pandas' own message for its absence has several lines
    except ImportError as error:
        raise MissingExtra(f'reading {path} needs pyarrow; pip install "hpsearch[data]"') from error
    import pandas as pd

    try:
        return pd.read_parquet(path, engine="pyarrow")
    except Exception as error:  # Arrow's exceptions derive from several built-in ones
        raise BadData(f"{path} is not a whole .parquet file: {first_line(error)}") from error


def _label_column(path: Path, columns: list[str], label: str | None) -> str | None:
    """The column of that name, in any case; None where there is none, or more than one."""
    repeated = [column for column, count in Counter(columns).items() if count > 1]
    if repeated:
        # pandas would rename the second one, and a copy of the labels would pass as a feature.
        raise BadData(f"{path}: column {repeated[0]!r} stands twice; each column may stand once")
    wanted = "label" if label is None else label
    if wanted in columns:
        return wanted
    alike = [column for column in columns if column.lower() == wanted.lower()]
    if len(alike) > 1:
        raise BadData(_no_label(path, columns, label, alike=len(alike)))
    return alike[0] if alike else None


def _no_label(path: Path, columns: list[str], label: str | None, *, alike: int = 0) -> str:
    shown = ", ".join(columns[:20]) + (f", ... ({len(columns)} in all)" if len(columns) > 20 else "")
    how = "say which with label (--label)" if label is None else "give one of them"
    found = f"has {alike} columns" if alike else "has no column"
    return f"{path} {found} {'label' if label is None else label!r}; columns: {' '.join(shown.split())}; {how}"


def _numbers(path: Path, column: pd.Series[Any]) -> npt.NDArray[np.float64]:
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    if pd.api.types.is_numeric_dtype(column.dtype):  # booleans among them
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    if not (pd.api.types.is_object_dtype(column.dtype) or pd.api.types.is_string_dtype(column.dtype)):
        raise BadData(f"{path}: column {column.name!r} holds {column.dtype}; every column but the labels holds numbers")
    try:
        numbers = pd.to_numeric(column, errors="coerce")
    except (TypeError, ValueError) as error:  # cells that are lists, say
        raise BadData(f"{path}: column {column.name!r} holds no numbers ({first_line(error)})") from error
    text = (numbers.isna() & column.notna()).to_numpy()
    if text.any():
        row = int(text.argmax())
        raise BadData(
            f"{path}: {str(column.iloc[row])[:40]!r} in row {row + 1}, column {column.name!r} is not a "
            "number; every column but the labels holds numbers"
        )
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)


def _label_values(path: Path, column: pd.Series[Any]) -> npt.NDArray[Any]:
    import pandas as pd

    missing = column.isna().to_numpy()
    if count := int(np.count_nonzero(missing)):
        raise BadData(
            f"{path}: {count} labels are missing in column {column.name!r}, the first in row "
            f"{int(missing.argmax()) + 1}; every row needs a label"
        )
    if pd.api.types.is_bool_dtype(column.dtype):
        return column.to_numpy(dtype=np.bool_)
    if pd.api.types.is_integer_dtype(column.dtype):  # pandas' nullable ones too, as a plain array
        return column.to_numpy(dtype=np.int64)
    if pd.api.types.is_float_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64)
    return np.array([str(value).strip() for value in column])
