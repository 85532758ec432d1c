"""What SQLite keeps beside a database: a log of what is not yet in the file, or a journal of what was in it before."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING

from hpsearch.errors import BadStorage

if TYPE_CHECKING:
    from pathlib import Path

LOG, JOURNAL = "-wal", "-journal"
SIDE_FILES = (LOG, "-shm", JOURNAL)
"""By the end of their names."""
WAIT_S = 60.0
"""How long a roll-back waits for somebody who is writing, and then has nothing to do."""


def beside(file: Path, end: str) -> Path:
    """A database's log or journal, whether or not there is one."""
    return file.with_name(file.name + end)


def left_in(file: Path, *ends: str) -> Path | None:
    """The first of a database's log and journal in which something is left; None where nothing is.

    Args:
        file: The database.
        ends: Which of them.
    """
    for end in ends:
        with contextlib.suppress(FileNotFoundError):
            if (found := beside(file, end)).stat().st_size:
                return found
    return None


def may_write(file: Path) -> bool:
    """Whether a database and what is beside it may be written here."""
    return os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)


def roll_back(file: Path) -> None:
    """Have SQLite undo what a writer had begun that was cut off: until then nobody may read the file.

    Any program that opens it to write does so first, and so may a look, which is to see what that would see.

    Args:
        file: The database.

    Raises:
        BadStorage: It has to be done, and may not be done here.
        sqlite3.Error: It cannot be done.
    """
    journal = left_in(file, JOURNAL)
    if journal is None:
        return
    if not may_write(file):
        raise BadStorage(
            f"a writer of {file} was cut off, and what it had begun has to be rolled back from {journal}; "
            "make both and their folder writable"
        )
    with contextlib.closing(sqlite3.connect(file, timeout=WAIT_S)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
