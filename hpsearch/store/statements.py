"""Statements that are built once and run often.

SQLAlchemy takes 0.1 ms to build a statement and bind its values, and 4 us for each row of a list: more than SQLite
takes for the work itself, in a process that competes with the workers for the cores. So the statements of claims and
records are built when their module is loaded. On SQLite their text then goes to the driver as it is, on PostgreSQL
with arrays for lists (`hpsearch.store.server_text`); on other servers SQLAlchemy runs them.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import DateTime, insert, literal_column

from hpsearch.store.server_text import ServerText, compiled_for, speaks_arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import ColumnElement, Executable, Table
    from sqlalchemy.engine import Connection, Dialect

CHUNK = 500
"""Ids in one IN list: databases bound the number of variables in a statement."""

_PIECE = 2000
"""Rows that are fetched before they become arrays: few enough to stay in the processor's cache."""


def chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The items in runs short enough for one statement."""
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def constant(label: str) -> ColumnElement[str]:
    """A text of ours that stands in the statement itself: a state, say, or an attribute's key."""
    return literal_column(f"'{label}'")


class Statement:
    """A statement whose values are given by position.

    Labels of an enum are given, and come back, as text. What a ``select`` gives must need no translation from the
    driver's own types: numbers and text.

    Args:
        core: SQLAlchemy's statement. Its values are ``bindparam``s (a list of ids is the expanding one ``ids``), or
            each a `constant`.
        names: The names of those, in the order in which values are given.
    """

    def __init__(self, core: Executable, *names: str) -> None:
        self._core, self._names = core, names
        self._driver_text: str | None = None
        self._on_server: ServerText | None = None

    @classmethod
    def insert(cls, table: Table, *columns: str) -> Statement:
        """The statement that adds rows of these columns."""
        return cls(insert(table), *columns)

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run it once for each row of values, of which no two change the same row; for none, not at all."""
        if not rows:
            return
        if _is_plain_sqlite(connection.dialect):
            text = self._text(connection.dialect)
            _driver(connection).executemany(text, self._bound(rows))
        elif speaks_arrays(connection.dialect):
            self._server_text(connection.dialect).run(connection, rows)
        else:
            connection.execute(self._core, [dict(zip(self._names, row, strict=True)) for row in rows])

    def rows(self, connection: Connection, *values: Any) -> list[tuple[Any, ...]]:
        """What it selects.

        Args:
            connection: The transaction.
            values: One for each name. A list of ids, which comes last, may have any length.
        """
        if speaks_arrays(connection.dialect):
            return self._server_text(connection.dialect).rows(connection, values)
        if "ids" not in self._names:
            return self._rows(connection, values)
        *others, ids = values
        return [row for some in chunks(ids) for row in self._rows(connection, (*others, some))]

    def _rows(self, connection: Connection, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        if not _is_plain_sqlite(connection.dialect):
            return list(map(tuple, connection.execute(self._core, dict(zip(self._names, values, strict=True)))))
        text = self._text(connection.dialect)
        (row,) = self._bound([values])
        if "ids" in self._names:
            at = self._order.index(self._names.index("ids"))
            text = text.replace("(__[POSTCOMPILE_ids])", f"({', '.join('?' * len(row[at]))})")
            row = (*row[:at], *row[at], *row[at + 1 :])
        found: list[tuple[Any, ...]] = _driver(connection).execute(text, row).fetchall()
        return found

    def columns(self, connection: Connection, types: Sequence[type], *values: Any) -> list[NDArray[Any]]:
        """What it selects, as an array for each column; a null among floats is NaN.

        For many rows: there are never many of them, as they become arrays piece by piece.

        Args:
            connection: The transaction.
            types: Of the columns: ``int``, ``float`` or ``object``.
            values: One for each name, and no list of ids.
        """
        import numpy as np  # commands that show a few rows do without it

        cursor: Any
        if _is_plain_sqlite(connection.dialect):
            text = self._text(connection.dialect)
            cursor = _driver(connection).execute(text, *self._bound([values]))
        else:
            cursor = connection.execute(self._core, dict(zip(self._names, values, strict=True)))
        pieces: list[list[NDArray[Any]]] = [[np.empty(0, kind)] for kind in types]
        while rows := cursor.fetchmany(_PIECE):
            for piece, column, kind in zip(pieces, zip(*rows, strict=True), types, strict=True):
                piece.append(np.array(column, dtype=kind))
        return [np.concatenate(piece) for piece in pieces]

    def _server_text(self, dialect: Dialect) -> ServerText:
        if self._on_server is None:
            self._on_server = ServerText(self._core, self._names, dialect)
        return self._on_server

    def _text(self, dialect: Dialect) -> str:
        if self._driver_text is None:
            compiled = compiled_for(dialect, self._core, self._names)
            self._order = [self._names.index(name) for name in compiled.positiontup]
            self._times = [
                (i, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
                for i, name in enumerate(compiled.positiontup)
                if isinstance(compiled.binds[name].type, DateTime)
            ]
            self._driver_text = str(compiled)
        return self._driver_text

    def _bound(self, rows: Sequence[tuple[Any, ...]]) -> Sequence[tuple[Any, ...]]:
        """Rows with their values in the order of the text and as the driver takes them."""
        if self._order != list(range(len(self._names))):
            in_order: Callable[[tuple[Any, ...]], tuple[Any, ...]] = itemgetter(*self._order)
            rows = list(map(in_order, rows))
        for i, as_text in self._times:
            rows = [(*row[:i], as_text(row[i]), *row[i + 1 :]) for row in rows]
        return rows


def _is_plain_sqlite(dialect: Dialect) -> bool:
    return dialect.name == "sqlite" and dialect.driver == "pysqlite"


def _driver(connection: Connection) -> Any:
    """The driver's own connection; its errors are translated like SQLAlchemy's (`hpsearch.store.database`)."""
    return connection.connection.driver_connection
