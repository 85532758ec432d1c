"""A lock that every hpsearch process of a database respects, whatever else it does meanwhile."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from hpsearch.errors import StorageFailure
from hpsearch.store.urls import show, sqlite_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy.engine import Connection

    from hpsearch.store.database import Database

WAIT_S = 60
"""So long is a server's lock waited for."""
_POSTGRES_LOCK = ("SELECT pg_advisory_lock(7740317)", "SELECT pg_advisory_unlock(7740317)")
_MYSQL_LOCK = ("SELECT GET_LOCK('hpsearch', {wait})", "SELECT RELEASE_LOCK('hpsearch')")
_LOCKS = {"postgresql": _POSTGRES_LOCK, "mysql": _MYSQL_LOCK, "mariadb": _MYSQL_LOCK}
_NOT_GIVEN = "55P03"
"""PostgreSQL's code for a lock that was waited for in vain."""


@contextlib.contextmanager
def exclusive(database: Database) -> Iterator[None]:
    """Hold the lock of a database: a server's own, or that of a file's folder.

    Raises:
        StorageFailure: Somebody else has held a server's lock for `WAIT_S`.
    """
    file = sqlite_file(database.url)
    if file is not None:
        with folder_lock(file):
            yield
    elif database.dialect in _LOCKS:
        # Outside of any transaction: one that idles is ended by the server (`hpsearch.store.servers`).
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if not _lock(connection):
                raise StorageFailure(
                    f"another hpsearch has held the lock of {show(database.url)} for {WAIT_S} s, and may be stopped; "
                    "end it, or try again later"
                )
            try:
                yield
            finally:
                connection.exec_driver_sql(_LOCKS[database.dialect][1])
    else:
        yield


def _lock(connection: Connection) -> bool:
    """Wait for a server's lock; whether it was given."""
    lock, _ = _LOCKS[connection.dialect.name]
    if connection.dialect.name != "postgresql":
        return bool(connection.exec_driver_sql(lock.format(wait=WAIT_S)).scalar() == 1)
    connection.exec_driver_sql(f"SET lock_timeout = '{WAIT_S}s'")
    try:
        connection.exec_driver_sql(lock)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", getattr(error.orig, "pgcode", None)) != _NOT_GIVEN:
            raise
        return False
    finally:
        if not connection.invalidated:
            connection.exec_driver_sql("SET lock_timeout = 0")
    return True


@contextlib.contextmanager
def folder_lock(file: Path) -> Iterator[None]:
    """Lock the folder of a file: no lock file to leave behind, and the kernel lets go when a process dies."""
    descriptor = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
