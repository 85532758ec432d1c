"""Statements that run for every batch, as SQL for each dialect.

SQLAlchemy Core takes 4 us to bind a row and 50 us to run a statement: more than SQLite takes for the work itself, in a
process that competes with the workers for the cores. psycopg sends an ``executemany`` as one statement a row. So
SQLite's driver is given rows by position; PostgreSQL is given one array a column (``unnest``) and ids as ``= ANY``: one
statement whatever their number, with the same text every time, which the server then prepares.
"""

from __future__ import annotations

from string import Formatter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.engine import Connection

FINISHED = ("COMPLETE", "PRUNED", "FAIL")
"""Optuna's states of trials that will not be run again."""
IS_FINISHED, IS_UNFINISHED = f"state IN {FINISHED}", "state IN ('RUNNING', 'WAITING')"
CHUNK = 500
"""Ids in one IN list: SQLite bounds the number of variables in a statement."""
_TYPES = {
    "state": "trialstate",
    "value_type": "trialvaluetype",
    "intermediate_value_type": "trialintermediatevaluetype",
    **dict.fromkeys(("trial_id", "study_id", "number", "step", "objective"), "INTEGER"),
    **dict.fromkeys(("param_value", "value", "intermediate_value"), "FLOAT8"),
    **dict.fromkeys(("datetime_start", "datetime_complete", "heartbeat"), "TIMESTAMP"),
    # A cast to a text of bounded length would cut what is too long without an error.
    **dict.fromkeys(("key", "value_json", "param_name", "distribution_json"), "TEXT"),
}
"""PostgreSQL's types of the columns that are written."""


def chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield the items in runs short enough for one statement."""
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


class Query:
    """A SELECT with ``{name}`` for each value; ``trial_id {ids}`` compares with ids of any number.

    What it selects needs no conversion by SQLAlchemy: numbers and text.
    """

    def __init__(self, template: str) -> None:
        self._fields = [field for _, field, _, _ in Formatter().parse(template) if field]
        self._names = list(dict.fromkeys(self._fields))
        self._sqlite = template.format(**dict.fromkeys(self._names, "?") | {"ids": "IN ({})"})
        self._postgresql = template.format(
            **{name: f"%({name})s" for name in self._names} | {"ids": "= ANY(%(ids)s::INTEGER[])"}
        )

    def cursor(self, connection: Connection, *values: Any) -> Any:
        """Run it; return the cursor. One value for each name in order of appearance, none of them ``ids``."""
        given = dict(zip(self._names, values, strict=True))
        if connection.dialect.name == "sqlite":
            return driver(connection).execute(self._sqlite, [given[field] for field in self._fields])
        return connection.exec_driver_sql(self._postgresql, given)

    def rows(self, connection: Connection, *values: Any) -> list[tuple[Any, ...]]:
        """Run it; return the rows. One value for each name in order of appearance."""
        if "ids" not in self._names or connection.dialect.name != "sqlite":
            return list(map(tuple, self.cursor(connection, *values)))
        given = dict(zip(self._names, values, strict=True))
        rows: list[tuple[Any, ...]] = []
        for ids in chunks(given["ids"]):
            text = self._sqlite.format(", ".join("?" * len(ids)))
            bound = [value for field in self._fields for value in (ids if field == "ids" else (given[field],))]
            rows += driver(connection).execute(text, bound)
        return rows


class Write:
    """A statement that is run for each of some rows, of which no two change the same row of the database."""

    def __init__(self, sqlite: str, postgresql: str, columns: Sequence[str]) -> None:
        self._sqlite, self._postgresql, self._columns = sqlite, postgresql, columns
        self._times = [i for i, column in enumerate(columns) if _TYPES[column] == "TIMESTAMP"]
        self._floats = [i for i, column in enumerate(columns) if _TYPES[column] == "FLOAT8"]

    @classmethod
    def insert(cls, table: str, *columns: str) -> Write:
        """Return the statement that adds rows of these columns."""
        start = f"INSERT INTO {table} ({', '.join(columns)})"
        marks = ", ".join("?" * len(columns))
        return cls(f"{start} VALUES ({marks})", f"{start} SELECT * FROM {_given(columns)}", columns)

    @classmethod
    def change(cls, template: str) -> Write:
        """Return an UPDATE or DELETE whose values are ``{column}``s, with ``{rows}`` before its WHERE."""
        columns = [field for _, field, _, _ in Formatter().parse(template) if field and field != "rows"]
        keyword = "FROM" if template.startswith("UPDATE") else "USING"
        return cls(
            template.format(**dict.fromkeys(columns, "?"), rows=""),
            template.format(**{name: f"given.{name}" for name in columns}, rows=f"{keyword} {_given(columns)}"),
            columns,
        )

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run it; for no rows, do nothing."""
        if not rows:
            return
        if connection.dialect.name == "sqlite":
            for i in self._times:
                rows = [(*row[:i], row[i] and row[i].isoformat(" ", "microseconds"), *row[i + 1 :]) for row in rows]
            driver(connection).executemany(self._sqlite, rows)
            return
        arrays: list[list[Any]] = list(map(list, zip(*rows, strict=True)))
        for i in self._floats:  # an array has one type: whole numbers among floats would not fit
            arrays[i] = [None if value is None else float(value) for value in arrays[i]]
        connection.exec_driver_sql(self._postgresql, dict(zip(self._columns, arrays, strict=True)))


def _given(columns: Sequence[str]) -> str:
    arrays = ", ".join(f"%({column})s::{_TYPES[column]}[]" for column in columns)
    return f"unnest({arrays}) AS given ({', '.join(columns)})"


def driver(connection: Connection) -> Any:
    """Return the driver's own connection; its errors are translated like SQLAlchemy's (`hpsearch.store.engine`)."""
    return connection.connection.driver_connection
