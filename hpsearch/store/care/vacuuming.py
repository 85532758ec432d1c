"""`hpsearch db vacuum`: give the space of what was removed back to the disk, and SQLite's planner fresh figures."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from typing import TYPE_CHECKING

from hpsearch.errors import BadInput, BadStorage, StorageFailure
from hpsearch.store.care.copying import megabytes
from hpsearch.store.database import parse_url, show, sqlite_file, translated
from hpsearch.store.opening import as_permitted, check_there

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 5.0
"""How long it waits for others who write."""


def vacuum(storage: str) -> tuple[int, int]:
    """Rewrite a SQLite database without its free pages, and empty its log.

    Args:
        storage: A SQLAlchemy URL, or the path of a SQLite file.

    Returns:
        Its size before and after with its log, in bytes.

    Raises:
        BadInput: The database is a server's, which looks after itself.
        BadStorage: It cannot be opened, is read-only or damaged.
        StorageFailure: Somebody works on it, or the disk is full.
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
    with (
        translated(url, door=True),
        contextlib.closing(sqlite3.connect(file, timeout=WAIT_S, isolation_level=None)) as connection,
    ):
        try:
            # Before the rewriting, of which a reader of an old state would keep the whole in the log.
            _check_alone(connection, file)
            connection.execute("VACUUM")
            connection.execute("ANALYZE")
            connection.execute("PRAGMA optimize")
            _check_alone(connection, file)
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise _in_use(file) from error
            raise
    return before, _size(file)


def _check_alone(connection: sqlite3.Connection, file: Path) -> None:
    busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        raise _in_use(file)


def _in_use(file: Path) -> BadStorage:
    return BadStorage(f"somebody works on {file}: a vacuum waited {WAIT_S:.0f} s for it; stop that, or try again later")


def _size(file: Path) -> int:
    log = file.with_name(f"{file.name}-wal")
    return file.stat().st_size + (log.stat().st_size if log.exists() else 0)
