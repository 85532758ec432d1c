"""A lock that every hpsearch process of a database respects, whatever else it does meanwhile."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from hpsearch.store.database import sqlite_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hpsearch.store.database import Database

_MYSQL_LOCK = ("SELECT GET_LOCK('hpsearch', 60)", "SELECT RELEASE_LOCK('hpsearch')")
_LOCKS = {
    "postgresql": ("SELECT pg_advisory_lock(7740317)", "SELECT pg_advisory_unlock(7740317)"),
    "mysql": _MYSQL_LOCK,
    "mariadb": _MYSQL_LOCK,
}


@contextlib.contextmanager
def exclusive(database: Database) -> Iterator[None]:
    """Hold the lock of a database: a server's own, or that of a file's folder."""
    file = sqlite_file(database.url)
    if file is not None:
        with folder_lock(file):
            yield
    elif database.dialect in _LOCKS:
        lock, unlock = _LOCKS[database.dialect]
        # Outside of any transaction: one that idles is ended by the server (`hpsearch.store.servers`).
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(lock)
            try:
                yield
            finally:
                connection.exec_driver_sql(unlock)
    else:
        yield


@contextlib.contextmanager
def folder_lock(file: Path) -> Iterator[None]:
    """Lock the folder of a file: no lock file to leave behind, and the kernel lets go when a process dies."""
    descriptor = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
