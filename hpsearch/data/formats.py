"""Data from files (.npz, .csv, .parquet, folders of IDX files), as arrays before any check of content."""

from __future__ import annotations

import warnings
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpsearch.data.checks import unusable
from hpsearch.data.idx import find_idx, read_idx_part
from hpsearch.errors import BadData, MissingExtra

if TYPE_CHECKING:
    import pandas as pd

_MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"]
"""What counts as a missing number in a csv file."""


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """Arrays as they were read.

    Args:
        x: (N, ...) features.
        labels: (N,) label values.
        x_test: (M, ...) features of a test part of its own, or None.
        labels_test: (M,) its label values, or None.
    """

    x: npt.NDArray[Any]
    labels: npt.NDArray[Any]
    x_test: npt.NDArray[Any] | None = None
    labels_test: npt.NDArray[Any] | None = None


def read(path: Path, *, label: str | None = None) -> Raw:
    """What a path holds, read by its ending: .npz, .csv, .parquet, or a folder of IDX files.

    Args:
        path: A file or a folder.
        label: The column of the labels in a .csv or .parquet file; without it, the one called ``label``.

    Raises:
        BadData: Not there, of another kind, or damaged.
        MissingExtra: A .parquet file without pyarrow installed.
    """
    try:
        is_folder = path.is_dir()
        if not is_folder and not path.exists():
            raise BadData(f"no file or folder {path}; give a .npz, .csv or .parquet file or a folder of IDX files")
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise BadData(f"cannot read {path}: {error.strerror}") from error
    kind = "folder" if is_folder else path.suffix.lower()
    if kind not in ("folder", ".npz", ".csv", ".parquet"):
        raise BadData(f"{path} is no data that can be read; allowed: .npz, .csv, .parquet, a folder of IDX files")
    if label is not None and kind not in (".csv", ".parquet"):
        raise BadData(f"label = {label!r} names a column, and {path} has none; leave label out")
    match kind:
        case "folder":
            return read_idx_folder(path)
        case ".npz":
            return read_npz(path)
        case _:
            return read_table(path, label=label)


def read_idx_folder(folder: Path, found: dict[str, Path] | None = None) -> Raw:
    """A folder with MNIST's file names: train-images and train-labels, and the t10k pair where it is there.

    Args:
        folder: The folder.
        found: What `find_idx` found in it, where that is known already.

    Raises:
        BadData: No training part, or a damaged file.
    """
    files = find_idx(folder) if found is None else found
    train = read_idx_part(files, "train")
    if train is None:
        raise BadData(
            f"{folder} holds no train-images-idx3-ubyte and train-labels-idx1-ubyte (plain or .gz); "
            "a folder of data is a folder of IDX files"
        )
    return Raw(*train, *(read_idx_part(files, "t10k") or (None, None)))


def read_npz(path: Path) -> Raw:
    """A NumPy archive with ``x`` and ``y``, or ``images`` and ``labels``.

    Raises:
        BadData: Damaged, without these arrays, or with arrays of Python objects.
    """
    _refuse_empty(path)
    if not zipfile.is_zipfile(path):
        raise BadData(f"{path} is not a whole .npz file: NumPy's archives are zip files, this is none or cut off")
    try:
        # Opened here, because np.load leaves its own file open where the archive is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            x_name = _pick(path, archive.files, "x", "images")
            y_name = _pick(path, archive.files, "y", "labels")
            return Raw(_array(path, archive, x_name), _array(path, archive, y_name))
    except BadData:
        raise
    # zipfile, zlib and NumPy's header parser raise some ten kinds of exception for a damaged file.
    except Exception as error:
        raise BadData(f"{path} is damaged: {first_line(error)}") from error


def _pick(path: Path, names: list[str], *wanted: str) -> str:
    for name in wanted:
        if name in names:
            return name
    raise BadData(f"{path} has no array {' or '.join(map(repr, wanted))}; it has: {', '.join(names) or '(none)'}")


def _array(path: Path, archive: Any, name: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(archive[name])
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise BadData(
                f"{path}: {name} is an array of Python objects, which is never loaded (that could run code); "
                "save numbers or strings"
            ) from error
        raise


def read_table(path: Path, *, label: str | None = None) -> Raw:
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
    _refuse_empty(path)
    frame = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path, label)
    target = _label_column(path, [str(column) for column in frame.columns], label)
    frame.columns = [str(column) for column in frame.columns]
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
    return Raw(x, _label_values(path, frame[target]))


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
                dtype={target: str},
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


def _label_column(path: Path, columns: list[str], label: str | None) -> str:
    repeated = [column for column, count in Counter(columns).items() if count > 1]
    if repeated:
        # pandas would rename the second one, and a copy of the labels would pass as a feature.
        raise BadData(f"{path}: column {repeated[0]!r} stands twice; each column may stand once")
    wanted = "label" if label is None else label
    if wanted in columns:
        return wanted
    alike = [column for column in columns if column.lower() == wanted.lower()]
    if len(alike) == 1:
        return alike[0]
    shown = ", ".join(columns[:20]) + (f", ... ({len(columns)} in all)" if len(columns) > 20 else "")
    how = "say which with label (--label)" if label is None else "give one of them"
    found = f"has {len(alike)} columns" if alike else "has no column"
    raise BadData(f"{path} {found} {wanted!r}; columns: {' '.join(shown.split())}; {how}")


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


def _refuse_empty(path: Path) -> None:
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise BadData(f"{path} is empty")
    except OSError as error:
        raise BadData(f"cannot read {path}: {error.strerror}") from error


def first_line(error: Exception) -> str:
    """The beginning of a lower library's message, as one line of at most 160 characters."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip()[:160]
