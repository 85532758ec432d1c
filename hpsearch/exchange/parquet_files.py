"""Tables as parquet, through pyarrow; the header is in the schema's metadata, so that each file stands for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import BadInput, MissingExtra
from hpsearch.exchange.cells import choice_texts
from hpsearch.exchange.csv_files import places
from hpsearch.exchange.header import KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from hpsearch.exchange.columns import Column, Piece

_ROWS = 500_000
"""Rows of a row group: what a reader has to hold at one time."""


def require(path: Path) -> Any:
    """Pyarrow's parquet module.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra(f'{path} needs pyarrow; pip install "hpsearch[data]", or use .csv or .json') from error
    return pyarrow.parquet


def write(path: Path, columns: Sequence[Column], pieces: Iterable[Piece], header: str) -> None:
    """Write a table.

    Args:
        path: The file.
        columns: What its columns are.
        pieces: Its rows.
        header: The header's JSON.
    """
    parquet = require(path)
    import pyarrow as pa

    schema = pa.schema([(c.name, _type(c)) for c in columns], metadata={KEY: header.encode()})
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for piece in pieces:
            rows = len(next(iter(piece.values())))
            arrays = [_arrow(column, piece.get(column.name), rows) for column in columns]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema), row_group_size=_ROWS)


def _type(column: Column) -> Any:
    import pyarrow as pa

    if column.kind == "choice":
        return {str: pa.string(), bool: pa.bool_(), float: pa.float64()}.get(_only_type(column), pa.string())
    return {
        "text": pa.string(),
        "int": pa.int64(),
        "float": pa.float64(),
        "time": pa.timestamp("us", tz="UTC"),
    }[column.kind]


def _only_type(column: Column) -> type:
    """The type of all choices, or object where they are several, or ints, which may be larger than a column's."""
    types = {type(choice) for choice in column.choices}
    only: type = types.pop() if len(types) == 1 else object
    return only if only in (str, bool, float) else object


def _arrow(column: Column, values: Any, rows: int) -> Any:
    import pyarrow as pa

    if values is None:  # a hyperparameter of another stage
        return pa.nulls(rows, _type(column))
    if not isinstance(values, list):
        masked = np.ma.array(values)
        return pa.array(masked.data, type=_type(column), mask=np.ma.getmaskarray(masked))
    if column.kind == "choice" and _only_type(column) is object:
        text = dict(zip(map(_typed, column.choices), choice_texts(column.choices), strict=True))
        values = [None if value is None else text[_typed(value)] for value in values]
    elif column.kind == "text" or (column.kind == "choice" and _only_type(column) is str):
        values = [None if value is None else value.encode("utf-8", "backslashreplace").decode() for value in values]
    return pa.array(values, type=_type(column))


def _typed(value: object) -> tuple[type, object]:
    return type(value), value


class Opened:
    """A parquet file that is being read.

    Args:
        path: The file.

    Raises:
        BadInput: It cannot be read, or is no parquet.
        MissingExtra: Pyarrow is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        parquet = require(path)
        try:
            self._file = parquet.ParquetFile(path)
        except FileNotFoundError as error:
            raise BadInput(f"cannot read {path}: {error.strerror}") from error
        except Exception as error:
            raise BadInput(f"{path} is no whole parquet file: {_line(error)}") from error
        self.headings: list[str] = self._file.schema_arrow.names

    @property
    def header(self) -> str | None:
        """The JSON of the header, if it is an export of ours."""
        found = (self._file.schema_arrow.metadata or {}).get(KEY.encode())
        return None if found is None else found.decode("utf-8", "replace")

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, columns: Sequence[Column]) -> dict[str, list[Any]]:
        """The rows of an exported table, None for what is missing."""
        places(self.path, self.headings, columns)
        found: dict[str, list[Any]] = {column.name: [] for column in columns}
        for batch in self._batches([column.name for column in columns]):
            for column in columns:
                found[column.name] += self._list(column, batch.column(column.name))
        return found

    def curves(self, columns: Sequence[Column]) -> Iterator[Piece]:
        """The rows of exported curves, as `hpsearch.exchange.csv_files.read_curves` gives them."""
        places(self.path, self.headings, columns)
        for batch in self._batches([column.name for column in columns]):
            piece: dict[str, Any] = {}
            for column in columns:
                array = batch.column(column.name)
                if column.kind == "text":
                    piece[column.name] = self._list(column, array)
                    continue
                self._check_type(column, array)
                missing = array.is_null().to_numpy(zero_copy_only=False)
                piece[column.name] = np.ma.array(array.to_numpy(zero_copy_only=False).astype(float), mask=missing)
            yield piece

    def plain(self) -> dict[str, list[Any]]:
        """A foreign table's columns as Python has their values.

        Raises:
            BadInput: A column holds something else than numbers, text, booleans and times.
        """
        found: dict[str, list[Any]] = {name: [] for name in self.headings}
        for batch in self._batches(self.headings):
            for name in self.headings:
                found[name] += batch.column(name).to_pylist()
        return found

    def _batches(self, names: Sequence[str]) -> Iterator[Any]:
        try:
            yield from self._file.iter_batches(batch_size=_ROWS, columns=list(names))
        except BadInput:
            raise
        except Exception as error:
            raise BadInput(f"{self.path} is damaged: {_line(error)}") from error

    def _list(self, column: Column, array: Any) -> list[Any]:
        self._check_type(column, array)
        values: list[Any] = array.to_pylist()
        if column.kind == "time":
            return [None if value is None else value.replace(tzinfo=None) for value in values]
        if column.kind != "choice":
            return values
        if _only_type(column) is object:
            of = dict(zip(choice_texts(column.choices), column.choices, strict=True))
        else:
            of = {choice: choice for choice in column.choices}  # type: ignore[misc]
        for value in values:
            if value is not None and value not in of:
                raise BadInput(f"{self.path} is damaged: {column.name} holds {repr(value)[:40]}, none of its choices")
        return [None if value is None else of[value] for value in values]

    def _check_type(self, column: Column, array: Any) -> None:
        if array.type != _type(column):
            raise BadInput(f"{self.path} is damaged: {column.name} is of type {array.type}, not {_type(column)}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
