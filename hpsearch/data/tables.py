"""Tables through pandas: a row an example or a trial, a column a feature or a hyperparameter."""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpsearch import files
from hpsearch.data import datasets, formats
from hpsearch.data.columns import is_text
from hpsearch.data.formats import Arrays
from hpsearch.data.pictures import stacked
from hpsearch.errors import BadData, MissingExtra
from hpsearch.files import first_line
from hpsearch.records import Sentence
from hpsearch.text import listed

_NO_NUMBERS = ("#DIV/0!", "#VALUE!", "-1.#IND", "-1.#QNAN", "1.#IND", "1.#QNAN", "-NaN", "-nan", "NAN", "NaN", "nan")
_NOT_THERE = ("?", "-", "--", ".", "NA", "#NA", "<NA>", "N/A", "n/a", "n.a.", "#N/A", "NULL", "null", "None", "NaT")
MISSING = ("", *_NO_NUMBERS, *_NOT_THERE)  # texts of a missing cell: pandas' and a few others
_MISSING_LABEL = ("", "?", "#N/A", "<NA>", "NULL", "NaN", "nan")  # NA and None may be names
# Usual names of the column of labels, in any case; the first that is there counts. Without one it is the last column,
# or the first where the last is constant, or continuous in a table without a header.
LABELS = ("label", "labels", "target", "class", "y", "species", "diagnosis", "survived", "outcome")
UNITS = "%$€£¥"  # marks that may stand in every cell of a column of numbers
DELIMITERS = "\t;|,"  # the first that cuts every row into equally many cells; else any white space
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_SAMPLE, _ROWS = 2**20, 100  # bytes and rows at the beginning that are looked at
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", re.IGNORECASE)
_OTHERS = {  # what no table begins with, or holds: the way to one
    r"[^\0]*\0": "UTF-16 needs its byte order mark; a workbook is saved as CSV UTF-8",
    r"<([!?]|(html|head|body|table|div|script)\b)": "it looks like a web page",
    r"\[?{\s*[\"\[{]": "it looks like JSON: convert it with pandas' read_json and to_csv",
    r"(%.*\n|\s)*@relation": "it looks like ARFF: keep the lines below @data",
    r"\S+( \d+:[-+.\de]+){2}": "it looks like LIBSVM's format: save what scikit-learn's load_svmlight_file reads",
}
_END = "\0"  # the name of the empty column behind the last delimiter
_TYPO = 0.1  # a column with a smaller share of texts among its numbers has errors, not categories


@contextmanager
def _csv_errors(path: Path) -> Iterator[None]:
    """Turn the exceptions of pandas and the standard library into BadData."""
    try:
        with warnings.catch_warnings():
            # A first row longer than the header is only a warning to pandas, and the surplus is dropped.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            yield
    except UnicodeError as error:
        where = f"byte {error.start} does not decode" if isinstance(error, UnicodeDecodeError) else first_line(error)
        encoding = getattr(error, "encoding", "utf-8").upper()
        raise BadData(
            f'{path} is not {encoding} text: {where}; name its encoding (encoding = "cp949", "latin-1", ...), or save '
            "it as CSV UTF-8"
        ) from error
    except pd.errors.ParserWarning as error:
        raise BadData(f"{path} is ragged: its first row has more fields than its header; remove a title") from error
    except OSError as error:
        raise BadData(f"cannot read {path}: {first_line(error)}") from error
    except (ValueError, csv.Error) as error:  # pandas' ParserError is a ValueError
        raise BadData(f"{path} is no regular csv table: {first_line(error)}") from error


def _look_at(path: Path, header: bool | None, encoding: str | None) -> dict[str, Any]:
    """Return a table of text, plain or gzipped, and how it is written, as arguments of ``pandas.read_csv``."""
    content = files.content(path)
    while content.startswith(b"#"):  # NumPy's line of names, or a remark
        remark, _, rest = content.partition(b"\n")
        following = rest.partition(b"\n")[0]
        marks = [mark.encode() for mark in f"{DELIMITERS} "]
        of_names = any(remark.strip(b"# \r").count(mark) == following.count(mark) > 0 for mark in marks)
        content = remark[1:] + b"\n" + rest if of_names else rest
    noticed = next((name for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark)), "utf-8")
    encoding = encoding or noticed
    with _csv_errors(path):
        try:
            b"    ".decode(encoding, "ignore")  # refuses what is no encoding of text, as base64
            sample = codecs.getincrementaldecoder(encoding)().decode(content[:_SAMPLE])
        except LookupError as error:
            raise BadData(
                f"there is no encoding {encoding!r}; UTF-8 is utf-8, Windows' are cp1252, cp949, ..."
            ) from error
        if sample.lower().startswith("sep="):  # Excel's
            content = content[content.index(b"\n") + 1 :] if b"\n" in content else b""
            sample = sample[sample.find("\n") + 1 :]
        beginning = sample.lstrip()
        for pattern, remedy in _OTHERS.items():
            if re.match(pattern, beginning, re.IGNORECASE):
                raise BadData(f"{path} is no table of text: it begins with {sample[:20]!r}; {remedy}")
        start = re.split(r"[\r\n]", sample.lstrip(), maxsplit=1)[0]
        check_columns(path, 1 + max(start.count(mark) for mark in DELIMITERS))
        cut = len(content) > _SAMPLE
        if cut and "\n" in sample:
            sample = sample[: sample.rindex("\n") + 1]
        cells = {mark: _cells(sample, mark) for mark in DELIMITERS}
        cells[r"\s+"] = _cells("\n".join(map(str.strip, sample.splitlines())).replace("\t", " "), " ")
        if not cells[","]:
            raise BadData(f"{path} is no regular csv table: it has no rows")
        regular = (mark for mark, rows in cells.items() if _width(rows))
        delimiter = next(regular, max(DELIMITERS, key=lambda mark: (len(cells[mark][0]), mark == ",")))
    rows = cells[delimiter]
    check_columns(path, len(rows[0]))
    flat = [cell.strip(UNITS).strip() for row in rows for cell in row]
    commas = delimiter != "," and any(re.fullmatch(r"[-+]?\d[\d.]*,\d+", cell) for cell in flat)
    decimal = "," if commas and not any(re.fullmatch(r"[-+]?\d+\.\d+", cell) for cell in flat) else "."
    if index := _width(rows) == len(rows[0]) + 1:  # R's header says nothing of the names of the rows
        rows[0] = ["", *rows[0]]
    named = not _is_data(rows, decimal) if header is None else header or index
    names = [(name or f"Unnamed: {i}") if named else str(i + 1) for i, name in enumerate(rows[0])]
    width = len(names) - (rows[0][-1] == "")
    ends = len(rows) > 1 and all(len(row) == width + 1 and not row[-1] for row in rows[named:])
    return {
        "filepath_or_buffer": io.BytesIO(content),
        "sep": delimiter,
        "decimal": decimal,
        "encoding": encoding,
        "header": 0 if named else None,
        "names": _unique(path, names[:width] if ends else names),
        "ends": ends,  # each row with a delimiter, after which nothing comes
    }


def _width(rows: Sequence[Sequence[str]]) -> int:
    """Return how many cells every row has, but a header without a name for those of the rows; 0 where they differ."""
    header, *others = rows or [[]]
    width = len(others[0] if others else header)
    named = len(header) == width - 1 and others[0][-1] and len({row[0] for row in others}) == len(others)
    return width if width > 1 and {*map(len, others)} <= {width} and (len(header) == width or named) else 0


def _cells(sample: str, delimiter: str) -> list[list[str]]:
    """Return the cells of the first rows, without empty rows."""
    rows = csv.reader(io.StringIO(sample, newline=None), delimiter=delimiter, skipinitialspace=True)
    return [[cell.strip() for cell in row] for row in islice(rows, _ROWS) if row]


def _is_data(rows: Sequence[Sequence[str]], decimal: str) -> bool:
    """Return whether the first row looks like data: it has a number, or a text that stands again in its column.

    It has names if one of them stands over numbers, or if its numbers count up by one, or as pandas counts copies of a
    name (``0``, ``0.1``, ``0.2``).
    """

    def number(cell: str) -> bool:
        try:
            float(cell.replace(decimal, "."))
        except ValueError:
            return False
        return True

    first, others = rows[0], [row for row in rows if row != rows[0]]  # a header may stand twice
    numbers = [cell for cell in first if number(cell) and cell not in MISSING]
    again = False
    for i, name in enumerate(first):
        column = [row[i] for row in others if i < len(row) and row[i] not in MISSING]
        if name not in MISSING and not number(name):
            if column and all(map(number, column)):
                return False
            again = again or name in column
    if numbers and numbers[0].isdecimal() and (len(numbers) > 1 or numbers == ["0"]):
        start = int(numbers[0])
        if numbers == [str(start + i) for i in range(len(numbers))]:
            return again
        if numbers[1:] == [f"{start}.{i}" for i in range(1, len(numbers))]:
            return False
    return bool(numbers) or again


def check_columns(path: Path, columns: int) -> None:
    """Refuse a table of too many columns."""
    if columns > formats.MAX_COLUMNS:
        raise BadData(f"{path} has {columns:,} columns or more; at most {formats.MAX_COLUMNS:,} are read")


def _unique(path: Path, names: list[str]) -> list[str]:
    """Refuse a repeated column: pandas would rename it, and a copy of the labels would pass as a feature."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise BadData(
            f"{path}: column {repeated[0]!r} occurs twice; rename one, or say header = false where it has none"
        )
    return names


def _pandas(path: Path, look: dict[str, Any], **options: Any) -> pd.DataFrame:
    options |= {name: value for name, value in look.items() if name != "ends"}
    if look["ends"]:
        options["names"] = [*look["names"], _END]
    with _csv_errors(path):
        frame: pd.DataFrame = pd.read_csv(**options, index_col=False, keep_default_na=False, skipinitialspace=True)
        if look["ends"] and not frame.pop(_END).isin([np.nan, ""]).all():
            raise BadData(f"{path} is ragged: some rows have more fields than its header")
        texts = look["header"] == 0 and all(
            is_text(frame[name]) for name in frame
        )  # a second header makes texts of numbers
        if texts and (again := (frame == look["names"]).all(axis=1).to_numpy()).any():
            raise BadData(f"{path}: row {int(again.argmax()) + 1} repeats the header; take it out of the table")
        frame.attrs["decimal"] = look["decimal"]  # for cells that are read as text
        if look["sep"] in DELIMITERS and frame.iloc[:, -1].isna().any():  # also where the row ended before
            look["filepath_or_buffer"].seek(0)
            text = io.TextIOWrapper(look["filepath_or_buffer"], look["encoding"], newline="")
            rows = (row for row in csv.reader(text, delimiter=look["sep"], skipinitialspace=True) if row)
            for number, row in enumerate(rows, 1 if look["header"] is None else 0):
                if number and len(row) < frame.shape[1]:
                    raise BadData(f"{path} is ragged: row {number} has {len(row)} fields of {frame.shape[1]}")
    return frame


def csv_header(path: Path) -> list[str]:
    """Return the column names of a table of text, each once."""
    return list(_look_at(path, True, None)["names"])


def read_csv(path: Path, *, header: bool = True, **options: Any) -> pd.DataFrame:
    """Read a table of text, delimited as it is; ``options`` go to ``pandas.read_csv``."""
    return _pandas(path, _look_at(path, header, None), **options)


def arrow(path: Path) -> Any:
    """Return pyarrow with its module ``parquet``, which a file needs."""
    try:
        import pyarrow.compute  # both of an extra
        import pyarrow.parquet  # an extra; pandas' own message for its absence has several lines
    except ImportError as error:
        raise MissingExtra(f'{path} needs pyarrow; pip install "hpsearch[data]"') from error
    return pyarrow


def read_parquet(path: Path) -> Any:
    """Read a Parquet file as one of Arrow's tables."""
    parquet = arrow(path).parquet
    try:
        with parquet.ParquetFile(path) as file:
            about = file.metadata
            check_columns(path, about.num_columns)
            groups = (about.row_group(i).total_byte_size for i in range(about.num_row_groups))
            files.check_size(path, max(sum(groups), 8 * about.num_rows * about.num_columns))
            types = {
                field.name: field.type.value_type if arrow(path).types.is_dictionary(field.type) else field.type
                for field in file.schema_arrow
            }
            texts = {name: kind for name, kind in types.items() if str(kind) in ("string", "large_string")}
        # A text that many rows share is stored once, and its size counts as often as it stands in the table.
        with parquet.ParquetFile(path, read_dictionary=list(texts), metadata=about) as file:
            table = file.read()
        size = 0
        for name, kind in texts.items():
            for part in table.column(name).chunks:
                sizes = arrow(path).compute.binary_length(part.dictionary).take(part.indices)
                size += arrow(path).compute.sum(sizes).as_py() or 0
                files.check_size(path, size)
            place = table.schema.get_field_index(name)
            table = table.set_column(place, name, table.column(name).cast(kind))
        return table
    except BadData:
        raise
    except Exception as error:  # Arrow's exceptions derive from several built-in ones
        raise BadData(f"{path} is not a whole .parquet file: {first_line(error)}") from error


def read_table(
    path: Path,
    kind: str,
    *,
    label: str | None = None,
    labelled: bool = True,
    header: bool | None = None,
    encoding: str | None = None,
    columns: Collection[str] = (),
    drop: Collection[str] = (),
    resize: int | None = None,
) -> Arrays:
    """Read a table: a row an example, a column of labels, the others features.

    Args:
        path: The file; the arguments that are not named here are those of `datasets.load`.
        kind: Its ending, one of `formats.TABLES`.
        labelled: Refuse it where it has no labels. A column that is named must be there in any case.
        columns: Those that are used; none of them is guessed to hold the labels. The cells of others are not checked.

    Returns:
        x, a frame of numbers, booleans and texts, NaN where one is missing, and labels (N,). Where a Parquet file has a
        column of encoded pictures, x is (N, H, W[, 3]). Errors count rows from 1, without the header.
    """
    notes: list[str] = []
    decimal, named, reason, pictures, left = ".", True, "", None, list[str]()
    if kind == ".parquet":
        table = read_parquet(path)
        pictures = _pictures_of(path, table)
        if left := [f.name for f in table.schema if arrow(path).types.is_nested(f.type) and f.name != pictures]:
            notes.append(f"left out, as they hold lists or records: {listed([*map(repr, left)], 10)}")
        names = _unique(path, [str(name) for name in table.column_names if name not in left])
        candidates = _label_columns(path, [n for n in names if n != pictures], label, columns, required=labelled)
        frame = table.drop_columns(left).to_pandas(ignore_metadata=True)
    else:
        look = _look_at(path, header, encoding)
        names, decimal, named = look["names"], look["decimal"], look["header"] == 0
        candidates = _label_columns(path, names, label, columns, required=labelled)
        frame = _pandas(
            path,
            look,
            low_memory=False,
            dtype=dict.fromkeys(candidates, str),
            na_values={name: _MISSING_LABEL if name in candidates else MISSING for name in names},
        )
        if len(names) > 1 and len(frame) and frame.iloc[-1].isna().all():  # Excel's rows of delimiters
            frame = frame.iloc[: len(frame) - int(frame.notna().any(axis=1).to_numpy()[::-1].argmax())]
        if not named and header is None:
            notes.append(
                "its first row looks like data: the columns are called 1, 2, ...; header = true takes it for names"
            )
    if not len(frame):
        raise BadData(f"{path} has no rows")
    target, labels = None, None
    for target in candidates:
        guess = " (a guess)" if named or header is False else " (a guess: no header was found)"
        guess = "" if label is not None or target.lower() in LABELS else guess
        labels = _label_values(path, frame[target], decimal, guess)
        reason = datasets.no_classes(labels)
        if not reason or (named and not (labels == labels[0]).all()):
            break
    if labelled and reason:
        raise BadData(f"{path}: column {target!r} as labels: {reason}")
    by_place = target is not None and label is None and target.lower() not in LABELS
    if labelled and by_place and target == names[-1] and (classes := _one_hot(frame)):
        raise BadData(f"{path}: {listed(classes)} have one 1 in every row together: classes; make one column of them")
    if target is not None and label is None and target != LABELS[0]:
        which = f", the {'last' if target == names[-1] else 'first'} one" if by_place else ""
        notes.append(f"labels: column {target!r}{which}; label names another")
    if len(names) == 1 and target is not None:
        raise BadData(f"{path} has no column of features beside its labels {target!r}")
    features = [name for name in names if name != target]
    if pictures is not None:
        if others := [name for name in features if name != pictures]:
            notes.append(f"left out, beside the pictures in {pictures!r}: {listed([*map(repr, others)], 10)}")
        return Arrays(stacked(_encoded(path, frame[pictures]), resize), labels, notes=tuple(map(Sentence, notes)))
    if resize is not None:
        raise BadData(f"resize = {resize} is for pictures, and {path} holds none; leave it out")
    x = frame[features]
    for name in features:
        plain = isinstance(x[name].dtype, np.dtype) and x[name].dtype.kind in "biufMm"
        if name not in drop and (not columns or name in columns) and not plain:
            x[name] = _typed(path, x[name], decimal)
            breaks = x[name].str.count("\n").fillna(0) if kind != ".parquet" and is_text(x[name]) else x[name][:0]
            if (breaks > 1).any():  # a quote takes all rows up to the next one
                where = f"row {int(breaks.argmax()) + 1}, column {name!r}"
                notes.append(f"{where} has a text of several lines: rows are lost there if a quote is not closed")
    return Arrays(x, labels, columns=tuple(features), notes=tuple(map(Sentence, notes)))


def _label_columns(
    path: Path, names: list[str], label: str | None, columns: Collection[str], *, required: bool
) -> list[str]:
    """Return the columns that may be the labels, best first; none where it has none and needs none."""
    usual = [name for name in LABELS if not (name == "y" and "x" in map(str.lower, names))]
    free = [name for name in names if name not in columns] if label is None else names
    for wanted in usual if label is None else [label]:
        if wanted in free:
            return [wanted]
        alike = [name for name in free if name.lower() == wanted.lower()]
        if len(alike) == 1:
            return alike
        if alike or label is not None:
            shown = ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
            has = f"has {len(alike)} columns" if alike else "has no column"
            raise BadData(f"{path} {has} {wanted!r}; columns: {' '.join(shown.split())}; give one of them with label")
    return list(dict.fromkeys((free[-1], free[0]))) if required and free else []


def _one_hot(frame: pd.DataFrame) -> list[str]:
    """Return the last columns that have one 1 in every row together and 0 elsewhere, if any."""
    ones = np.zeros(len(frame))
    for k in range(1, frame.shape[1] + 1):
        cells = frame.iloc[:, -k].astype(str).str.lower()
        if not cells.isin(["0", "1", "0.0", "1.0", "false", "true"]).all():
            break
        ones += cells.isin(["1", "1.0", "true"])
        if k > 1 and (ones == 1).all():
            return [*frame.columns[-k:]]
    return []


def _typed(path: Path, column: pd.Series[Any], decimal: str = ".") -> pd.Series[Any]:
    """Return a column as numbers, NaN where it has none, or as texts; booleans as numbers where some are missing."""
    if pd.api.types.is_numeric_dtype(column.dtype):  # pandas' nullable ones
        return column.astype(np.float64)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return column
    texts = column.astype(object).map(lambda value: str(value).strip(), na_action="ignore")
    texts = texts.mask(texts.isin(MISSING))
    present = texts.dropna()
    if len(present) and present.str.lower().isin(["true", "false"]).all():
        return texts.str.lower().map({"true": 1.0, "false": 0.0}).astype(np.float64)
    present = present.str.replace("\u2212", "-", regex=False)  # a typographic minus
    for unit in UNITS:
        if present.str.contains(unit, regex=False).all():
            present = present.str.replace(unit, "", regex=False).str.strip()
    mark = r"[.'\u2019\s]" if decimal == "," else r"[,'\u2019\s]"  # of thousands
    grouped = present.str.fullmatch(rf"[-+]?\d{{1,3}}({mark}\d{{3}})+(\{decimal}\d+)?").astype(bool)
    plain = present.mask(grouped, present.str.replace(mark, "", regex=True)).str.replace(decimal, ".", regex=False)
    numbers = pd.to_numeric(plain, errors="coerce")
    odd = numbers.isna()
    if not odd.any():
        return numbers.reindex(texts.index).astype(np.float64)
    if odd.mean() < _TYPO:
        row = present.index[int(odd.to_numpy().argmax())]
        raise BadData(
            f"{path}: {present[row][:40]!r} in row {row + 1}, column {column.name!r} is not a number, as "
            f"{len(present) - odd.sum():,} others there are; clean the data, or leave the column out with drop"
        )
    return texts


def _label_values(path: Path, column: pd.Series[Any], decimal: str, guess: str) -> npt.NDArray[Any]:
    missing = column.isna().to_numpy()
    if count := int(np.count_nonzero(missing)):
        raise BadData(
            f"{path}: {count} of {len(column)} labels are missing in column {column.name!r}{guess}, the first in row "
            f"{int(missing.argmax()) + 1}; every row needs a label, or name another column with label"
        )
    for kind, dtype in (("b", np.bool_), ("iu", np.int64), ("f", np.float64)):
        if getattr(column.dtype, "kind", "O") in kind:  # pandas' nullable ones too, as a plain array
            return column.to_numpy(dtype=dtype)
    values = [str(value).strip() for value in column]
    if decimal != ".":
        values = [value.replace(",", ".") if re.fullmatch(r"[-+]?\d+,\d+", value) else value for value in values]
    if all(map(_NUMBER.fullmatch, values)) and any("." in value for value in values):  # 007 stays
        return np.array(values, dtype=np.float64)
    return np.array(values)


def _pictures_of(path: Path, table: Any) -> str | None:
    """Return the first column of encoded pictures: bytes, or a record with ``bytes``, as Hugging Face's are."""
    types = arrow(path).types
    for field in table.schema:
        if types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0:
            return str(field.name)
        if types.is_binary(field.type) or types.is_large_binary(field.type):
            return str(field.name)
    return None


def _encoded(path: Path, cells: Iterable[Any]) -> Iterator[tuple[Path, bytes]]:
    for row, cell in enumerate(cells, 1):
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(data, bytes):
            raise BadData(f"{path}: row {row} has no picture")
        yield Path(f"{path}, row {row}"), data
