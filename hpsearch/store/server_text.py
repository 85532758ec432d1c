"""Statements as text for PostgreSQL's psycopg, in which lists are arrays.

psycopg sends an ``executemany`` as a statement for each row, and SQLAlchemy writes an IN list as a variable for each
id, anew each time. Here rows go as one array for each column (``unnest``) and ids as one array (``= ANY``): one
statement, whatever their number, and the same text every time, which psycopg then has the server prepare.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import Enum, Float, String

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Executable
    from sqlalchemy.engine import Connection, Dialect

_ROWS = "given"
"""What the rows that a statement is given are called in it."""
_LISTED = re.compile(r"IN \(__\[POSTCOMPILE_ids\]\)")
_GIVEN = re.compile(r"%\((\w+)\)s")


def speaks_arrays(dialect: Dialect) -> bool:
    """Whether a database is PostgreSQL, reached through psycopg."""
    return dialect.name == "postgresql" and dialect.driver == "psycopg"


def compiled_for(dialect: Dialect, core: Any, names: Sequence[str]) -> Any:
    """A statement as SQLAlchemy compiles it for rows of these values."""
    return core.compile(dialect=dialect, column_keys=names if core.is_insert else None, for_executemany=core.is_dml)


class ServerText:
    """A statement as psycopg takes it.

    Args:
        core: SQLAlchemy's statement: what is in `hpsearch.store.statements`.
        names: Its values' names, in the order in which they are given.
        dialect: psycopg's.
    """

    def __init__(self, core: Executable, names: Sequence[str], dialect: Dialect) -> None:
        compiled = compiled_for(dialect, core, names)
        self._names = names
        kinds = {name: compiled.binds[name].type for name in names}
        types = {name: _array_type(kind, dialect) for name, kind in kinds.items()}
        self._floats = [i for i, name in enumerate(names) if isinstance(kinds[name], Float)]
        text = " ".join(str(compiled).split())
        if core.is_dml:
            arrays = ", ".join(f"%({name})s::{types[name]}" for name in names)
            rows = f"unnest({arrays}) AS {_ROWS} ({', '.join(names)})"
            text = _over(_GIVEN.sub(rf"{_ROWS}.\1", text), rows)
        self._text = _LISTED.sub("= ANY(%(ids)s::INTEGER[])", text)

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run it for rows of values; no two of them change the same row of the database."""
        columns: list[list[Any]] = list(map(list, zip(*rows, strict=True)))
        for i in self._floats:  # an array has one type: whole numbers among them would not fit in
            columns[i] = [None if value is None else float(value) for value in columns[i]]
        connection.exec_driver_sql(self._text, dict(zip(self._names, columns, strict=True)))

    def rows(self, connection: Connection, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """What it selects."""
        given = {name: list(value) if name == "ids" else value for name, value in zip(self._names, values, strict=True)}
        return list(map(tuple, connection.exec_driver_sql(self._text, given)))


def _array_type(kind: Any, dialect: Dialect) -> str:
    # A cast to a text of bounded length would cut what is too long, and say nothing.
    plain = isinstance(kind, String) and not isinstance(kind, Enum)
    return "TEXT[]" if plain else f"{kind.compile(dialect)}[]"


def _over(text: str, rows: str) -> str:
    """A statement about one row of values as one about many."""
    if text.startswith("INSERT"):
        head, values = text.split(" VALUES ", 1)
        return f"{head} SELECT {values.removeprefix('(').removesuffix(')')} FROM {rows}"
    head, where = text.split(" WHERE ", 1)
    return f"{head} {'FROM' if text.startswith('UPDATE') else 'USING'} {rows} WHERE {where}"
