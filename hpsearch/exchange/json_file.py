"""An export as one JSON file: the header's keys, then each table as columns of one length.

JSON has no NaN and no infinities: they are the strings "NaN", "Infinity" and "-Infinity"; what is missing is null.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.exchange.cells import from_iso, iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import TextIO

    from hpsearch.exchange.columns import Column, Piece

_PIECE = 50_000
_MOST_INT = 2**53
_ODD = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


Tables: TypeAlias = "Mapping[str, tuple[Sequence[Column], Sequence[Piece]]]"
"""Columns and rows by the table's name."""


def write(path: Path, header: Mapping[str, Any], tables: Tables) -> None:
    """Write a header and tables.

    Args:
        path: The file.
        header: JSON-able.
        tables: What follows it.
    """
    with path.open("w", encoding="utf-8") as file:
        start = json.dumps(header, ensure_ascii=True, indent=1)
        file.write(start.removesuffix("\n}"))
        for name, (columns, pieces) in tables.items():
            file.write(f",\n {json.dumps(name)}: {{")
            for i, column in enumerate(columns):
                file.write(f"{',' if i else ''}\n  {json.dumps(column.name)}: [")
                _write_cells(file, column, pieces)
                file.write("]")
            file.write("\n }")
        file.write("\n}\n")


def _write_cells(file: TextIO, column: Column, pieces: Sequence[Piece]) -> None:
    first = True
    for piece in pieces:
        rows = len(next(iter(piece.values())))
        values: Any = piece.get(column.name)
        for start in range(0, rows, _PIECE):
            some = [None] * min(_PIECE, rows - start) if values is None else values[start : start + _PIECE]
            file.write(("" if first else ", ") + json.dumps(_plain(column, some))[1:-1])
            first = False


def _plain(column: Column, some: Any) -> list[Any]:
    if not isinstance(some, list):
        if not np.ma.is_masked(some) and np.isfinite(some).all():
            plain: list[Any] = some.data.tolist()
            return plain
        some = some.tolist()
    if column.kind == "time":
        return [iso(value) for value in some]
    if column.kind == "float":
        return [_named(value) for value in some]
    return list(some)


def _named(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def load(path: Path) -> dict[str, Any]:
    """A whole JSON file.

    Raises:
        BadInput: It cannot be read, or is no JSON object.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            plain = json.load(file)
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is no text in UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is no JSON, or is cut off: {' '.join(str(error).split())}") from error
    if not isinstance(plain, dict):
        raise BadInput(f"{path} is no export of hpsearch: it is no JSON object")
    return plain


def table(path: Path, plain: Mapping[str, Any], name: str, columns: Sequence[Column]) -> dict[str, list[Any]] | None:
    """One of its tables, None for what is missing; None where it has none of that name.

    Raises:
        BadInput: A column is missing, has another length than the others, or a cell that it cannot hold.
    """
    found = plain.get(name)
    if found is None:
        return None
    lists: dict[str, list[Any]] = {}
    for column in columns:
        values = found.get(column.name) if isinstance(found, dict) else None
        if not isinstance(values, list):
            raise BadInput(f"{path} is damaged: {name} has no list {column.name!r}")
        lists[column.name] = values
    if len({len(values) for values in lists.values()}) > 1:
        raise BadInput(f"{path} is damaged: the columns of {name} differ in length")
    return {column.name: _read(path, name, column, lists[column.name]) for column in columns}


def _read(path: Path, name: str, column: Column, values: list[Any]) -> list[Any]:
    def bad(value: object) -> BadInput:
        return BadInput(f"{path} is damaged: {name}.{column.name} holds {repr(value)[:40]}")

    if column.kind == "choice":
        known = {(type(choice), choice): choice for choice in column.choices}
        for value in values:
            if value is not None and (isinstance(value, list | dict) or (type(value), value) not in known):
                raise bad(value)
        return values
    if column.kind == "float":
        values = [_ODD.get(value, value) if isinstance(value, str) else value for value in values]
    allowed: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "text": (str,), "time": (str,)}
    for value in values:
        if value is not None and (type(value) not in allowed[column.kind]):
            raise bad(value)
        if column.kind == "int" and value is not None and abs(value) > _MOST_INT:
            raise bad("a number of more digits than any")
    try:
        if column.kind == "float":
            return [None if value is None else float(value) for value in values]
        return [None if value is None else from_iso(value) for value in values] if column.kind == "time" else values
    except (ValueError, OverflowError) as error:
        raise BadInput(f"{path} is damaged: {name}.{column.name}: {error}") from error


def curves(found: Mapping[str, Iterable[Any]]) -> Piece:
    """Curves that `table` read, as `hpsearch.exchange.csv_files.read_curves` gives them."""
    arrays: dict[str, Any] = {}
    for name, values in found.items():
        listed = list(values)
        if name == "stage":
            arrays[name] = listed
            continue
        missing = [value is None for value in listed]
        arrays[name] = np.ma.array([0.0 if value is None else float(value) for value in listed], mask=missing)
    return arrays
