"""What SQLite itself says of a file, and whether the tables in it are Optuna's."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import quote

from sqlalchemy.engine import URL

from hpsearch.store import tables as t
from hpsearch.store.care.findings import Finding
from hpsearch.store.database import BUSY_TIMEOUT_S, translated
from hpsearch.store.opening import MAGIC
from hpsearch.store.side_files import LOG, left_in, roll_back

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SALVAGE = "`hpsearch db repair --salvage` copies what can be read to a new file"
_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL)
_MOST = 100
"""Messages that SQLite is asked for: one damaged page may give thousands."""
_OF_INDEX = re.compile(
    r"(row \d+ missing from index|wrong # of entries in index|non-unique entry in index|"
    r"rowid \d+ missing from index|row \d+ values differ from index)"
)
INDEXES = {
    "ix_studies_study_name": "CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name)",
    "ix_trials_study_id": "CREATE INDEX ix_trials_study_id ON trials (study_id)",
}
"""The indexes that Optuna makes by name, and how."""


@contextlib.contextmanager
def looking(file: Path) -> Iterator[sqlite3.Connection]:
    """A plain connection that only reads: it does not even move what a log holds into the file.

    Raises:
        BadStorage: What a writer had begun has to be rolled back first, and may not be here.
    """
    roll_back(file)
    # Where no side files can be made and no log is left, as a file that does not change.
    fixed = not os.access(file.parent, os.W_OK) and left_in(file, LOG) is None
    options = "mode=ro&immutable=1" if fixed else "mode=ro"
    connection = sqlite3.connect(f"file:{quote(str(file))}?{options}", uri=True, timeout=BUSY_TIMEOUT_S)
    with contextlib.closing(connection):
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        yield connection


def file_findings(file: Path) -> list[Finding]:
    """What SQLite finds wrong with a file: its pages, its indexes, its constraints."""
    with file.open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            return [Finding("header", "the file does not begin as a SQLite database does", advice=SALVAGE, many=1)]
    try:
        with looking(file) as connection:
            said = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_MOST})")]
    except (sqlite3.Error, OverflowError) as error:
        refuse_passing(file, error)
        said = [str(error)]
    lines = [line for text in said for line in text.splitlines() if line not in ("ok", "") and "*** in" not in line]
    of_index = [line for line in lines if _OF_INDEX.search(line)]
    of_file = [line for line in lines if line not in of_index]
    found = []
    if of_file:
        what = f"SQLite cannot read all of it ({of_file[0]})"
        found.append(Finding("file", what, advice=SALVAGE, many=len(of_file)))
    if of_index:
        what = f"indexes that do not agree with their tables ({of_index[0]})"
        mend = None if of_file else "the indexes are built anew"
        found.append(Finding("index", what, mend=mend, many=len(of_index), advice=SALVAGE if of_file else None))
    return found


def refuse_passing(file: Path, error: BaseException) -> None:
    """Tell what passes from damage.

    Raises:
        BadStorage: Somebody holds the file, or its disk is full.
    """
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING:
        with translated(URL.create("sqlite", database=str(file)), door=True):
            raise error


def schema_findings(connection: sqlite3.Connection) -> list[Finding]:
    """Tables, columns and indexes of Optuna's that are missing; from a connection that can read the schema."""
    found = []
    for name, table in t.metadata.tables.items():
        there = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
        if not there:
            found.append(Finding("table", f"there is no table {name}", advice=SALVAGE, many=1))
            continue
        missing = [column.name for column in table.columns if column.name not in there]
        if missing:
            what = f"the table {name} has no column {', '.join(missing)}"
            found.append(Finding("column", what, advice=SALVAGE, many=len(missing)))
    indexes = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    lost = [name for name in INDEXES if name not in indexes]
    if lost:
        found.append(Finding("no-index", f"no index {', '.join(lost)}", mend="it is built anew", many=len(lost)))
    return found


def revision(connection: sqlite3.Connection) -> str | None:
    """The revision of the schema that the file says it has."""
    row: Sequence[str] | None = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return row[0] if row else None
