"""`hpsearch db vacuum`: give the space of what was removed back to the disk, and SQLite's planner fresh figures."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from hpsearch.errors import BadInput, StorageFailure
from hpsearch.store.care.copying import megabytes
from hpsearch.store.database import translated
from hpsearch.store.opening import as_permitted, check_there
from hpsearch.store.side_files import LOG, left_in
from hpsearch.store.urls import parse_url, show, sqlite_file

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 5.0
"""How long it waits for others who write."""


class Vacuumed(NamedTuple):
    """What a vacuum did.

    Args:
        before: The size of the database with its log, in bytes.
        after: The same now.
        emptied: Whether its log was emptied; False where somebody began to use it meanwhile.
    """

    before: int
    after: int
    emptied: bool


def vacuum(storage: str) -> Vacuumed:
    """Rewrite a SQLite database without its free pages, and empty its log.

    Args:
        storage: A SQLAlchemy URL, or the path of a SQLite file.

    Raises:
        BadInput: The database is a server's, which looks after itself.
        BadStorage: It cannot be opened, or is read-only.
        StorageFailure: Somebody works on it, the disk is full, or it is damaged.
    """
    url = parse_url(storage)
    file = sqlite_file(url)
    if file is None:
        raise BadInput(f"{show(url)} is no SQLite file; its server vacuums by itself")
    check_there(file)
    as_permitted(file, url, write=True)
    before = _size(file)
    free = shutil.disk_usage(file.parent).free
    if free < before:
        raise StorageFailure(
            f"a vacuum of {file} needs {megabytes(before)}, and its disk has {megabytes(free)} left; free some space"
        )
    with contextlib.closing(sqlite3.connect(file, timeout=WAIT_S, isolation_level=None)) as connection:
        with translated(url, door=True):
            connection.execute("PRAGMA schema_version").fetchone()
        with translated(url, door=False):
            emptied = _rewrite(connection, file)
    return Vacuumed(before, _size(file), emptied)


def _rewrite(connection: sqlite3.Connection, file: Path) -> bool:
    """Do it; whether the log was emptied then."""
    try:
        # Before the rewriting, of which a reader of an old state would keep the whole in the log.
        if not _empty_log(connection):
            raise _in_use(file)
        connection.execute("VACUUM")
        connection.execute("ANALYZE")
        connection.execute("PRAGMA optimize")
        return _empty_log(connection)
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise _in_use(file) from error
        raise


def _empty_log(connection: sqlite3.Connection) -> bool:
    """Move what the log holds into the file; False where others are in the way."""
    return not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]


def _in_use(file: Path) -> StorageFailure:
    return StorageFailure(
        f"somebody works on {file}: a vacuum waited {WAIT_S:.0f} s for it; stop that, or try again later"
    )


def _size(file: Path) -> int:
    log = left_in(file, LOG)
    return file.stat().st_size + (0 if log is None else log.stat().st_size)
