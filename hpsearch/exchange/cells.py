"""Cells of CSV files: values as text and back, so that nothing is lost and no spreadsheet runs a formula."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadInput
from hpsearch.space import Value, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hpsearch.exchange.columns import Column

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""What makes a spreadsheet take a cell for a formula; an apostrophe before it makes it text there."""


def escaped(text: str) -> str:
    """Text that is a formula for no spreadsheet; `unescaped` reads it back."""
    if not text or text.startswith(_FORMULA):
        text = f"'{text}"
    # A lone surrogate, as JSON may hold one, is in no UTF-8 file.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def unescaped(text: str) -> str:
    """The inverse of `escaped`."""
    return text.removeprefix("'")


def choice_texts(choices: Sequence[Value]) -> list[str]:
    """A text for each choice, all different.

    Strings as they are and others as study files have them, or all as JSON where two of those would be the same.
    """
    plain = [escaped(shown(choice) if isinstance(choice, bool) else str(choice)) for choice in choices]
    if len(set(plain)) == len(plain):
        return plain
    return [json.dumps(choice, ensure_ascii=False) for choice in choices]


def writer_of(column: Column) -> Callable[[Any], object] | None:
    """What makes a cell of a value; None where the csv module does it: numbers to the last digit, nothing for None."""
    match column.kind:
        case "text":
            return lambda value: None if value is None else escaped(str(value))
        case "time":
            return iso
        case "choice":
            texts = choice_texts(column.choices)
            of = {(type(choice), choice): text for choice, text in zip(column.choices, texts, strict=True)}
            return lambda value: None if value is None else of[type(value), value]
        case _:
            return None


def iso(value: datetime | None) -> str | None:
    """A time as ISO 8601 with its zone, which is UTC."""
    return None if value is None else f"{value.isoformat()}Z"


def from_iso(text: str) -> datetime:
    """The inverse of `iso`: a time without its zone.

    Raises:
        ValueError: It is no time.
    """
    time = datetime.fromisoformat(text)
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo is not None else time


def read_column(column: Column, cells: Sequence[str], *, source: str) -> list[Any]:
    """Values from the cells of a column; an empty one is None.

    Raises:
        BadInput: A cell is none of what the column may hold.
    """
    read: Callable[[str], Any]
    match column.kind:
        case "text":
            read = unescaped
        case "time":
            read = from_iso
        case "choice":
            read = dict(zip(choice_texts(column.choices), column.choices, strict=True)).__getitem__
        case "int":
            read = int
        case "float":
            read = float
    known: dict[str, Any] = {}
    for cell in dict.fromkeys(cells):  # stages, states, choices: few, and many times
        try:
            known[cell] = read(cell) if cell else None
        except (ValueError, KeyError, OverflowError) as error:
            where = f"row {cells.index(cell) + 1} of {column.name}"
            raise BadInput(f"{source} is damaged: {where} is {cell[:40]!r}, {_allowed(column)}") from error
    return [known[cell] for cell in cells]


def _allowed(column: Column) -> str:
    kinds: Mapping[str, str] = {"int": "no whole number", "float": "no number", "time": "no time"}
    return kinds.get(column.kind, "none of its choices")
