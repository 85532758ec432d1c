"""Tables as CSV: UTF-8, a comma, a header line, a full stop in numbers, nothing in an empty cell."""

from __future__ import annotations

import csv
import hashlib
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.exchange.cells import read_column, writer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from hpsearch.exchange.columns import Column, Piece

_PIECE = 50_000
"""Rows that exist as Python objects at one time."""


def write(path: Path, columns: Sequence[Column], pieces: Iterable[Piece]) -> str:
    """Write a table; returns its sha256.

    Args:
        path: The file.
        columns: What its columns are.
        pieces: Its rows.
    """
    makers = [writer_of(column) for column in columns]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([column.name for column in columns])
        for piece in pieces:
            rows = len(next(iter(piece.values())))
            for start in range(0, rows, _PIECE):
                part = slice(start, start + _PIECE)
                cells = [_cells(piece.get(c.name), part, make) for c, make in zip(columns, makers, strict=True)]
                count = min(_PIECE, rows - start)
                writer.writerows(zip(*(some if some is not None else [None] * count for some in cells), strict=True))
    return sha256(path)


def _cells(values: Any, part: slice, make: Callable[[Any], object] | None) -> list[Any] | None:
    if values is None:  # a hyperparameter of another stage
        return None
    some = values[part] if isinstance(values, list) else values[part].tolist()
    return some if make is None else list(map(make, some))


def sha256(path: Path) -> str:
    """The digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def opened(path: Path) -> Iterator[tuple[list[str], Iterator[list[str]]]]:
    """A CSV file's headings, and its rows.

    Raises:
        BadInput: It cannot be read, is empty, is no text in UTF-8, or a row has more or fewer cells than the headings.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            headings = next(reader, None)
            if not headings:
                raise BadInput(f"{path} is empty")
            if len(set(headings)) < len(headings):
                twice = next(name for name in headings if headings.count(name) > 1)
                raise BadInput(f"{path} has two columns named {twice[:40]!r}")
            yield headings, _whole_rows(path, reader, len(headings))
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is no text in UTF-8") from error
    except csv.Error as error:
        raise BadInput(f"{path} is no CSV: {error}") from error
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from error


def _whole_rows(path: Path, reader: Any, width: int) -> Iterator[list[str]]:
    for row in reader:
        if len(row) == width:
            yield row
        elif row:  # an empty line at the end is nobody's row
            raise BadInput(
                f"{path} is damaged: line {reader.line_num} has {len(row)} cells, and there are {width} columns"
            )


def read(path: Path, columns: Sequence[Column]) -> dict[str, list[Any]]:
    """The rows of an exported table, None for an empty cell.

    Raises:
        BadInput: It is damaged, or lacks a column.
    """
    with opened(path) as (headings, rows):
        at = places(path, headings, columns)
        texts: list[list[str]] = [[] for _ in columns]
        for row in rows:
            for cells, place in zip(texts, at, strict=True):
                cells.append(row[place])
    return {c.name: read_column(c, cells, source=str(path)) for c, cells in zip(columns, texts, strict=True)}


def read_curves(path: Path, columns: Sequence[Column]) -> Iterator[Piece]:
    """The rows of exported curves, piece by piece: ``stage`` as a list, the others as masked arrays of floats.

    Raises:
        BadInput: It is damaged, or lacks a column.
    """
    with opened(path) as (headings, rows):
        at = places(path, headings, columns)
        while some := list(islice(rows, _PIECE)):
            by_column = list(zip(*some, strict=True))
            yield {c.name: _array(path, c, by_column[i]) for c, i in zip(columns, at, strict=True)}


def _array(path: Path, column: Column, cells: Sequence[str]) -> Any:
    if column.kind == "text":
        return read_column(column, cells, source=str(path))
    try:
        if "" not in cells:
            return np.ma.array(list(map(float, cells)), mask=False)
        if not any(cells):
            return np.ma.array(np.zeros(len(cells)), mask=True)
        missing = [not cell for cell in cells]
        return np.ma.array([float(cell or 0) for cell in cells], mask=missing)
    except ValueError as error:
        raise BadInput(f"{path} is damaged: a cell of {column.name} is no number ({error})") from error


def places(path: Path, headings: Sequence[str], columns: Sequence[Column]) -> list[int]:
    """Where columns stand among the headings.

    Raises:
        BadInput: One is not there.
    """
    for column in columns:
        if column.name not in headings:
            raise BadInput(f"{path} has no column {column.name!r}: it is no export of hpsearch, or not a whole one")
    return [headings.index(column.name) for column in columns]
