"""The database engine: URLs, pragmas, the schema made once, and errors in words for people."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine

from hpsearch.errors import BadStorage, HpsearchError, PassingFailure, StorageFailure
from hpsearch.store import servers
from hpsearch.store.retrying import Patience, passes
from hpsearch.store.urls import show, sqlite_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.engine.interfaces import DBAPIConnection

T = TypeVar("T")

BUSY_TIMEOUT_S = 60.0
"""How long a SQLite connection waits for another one's write."""
_BETWEEN = "the database system is "
"""... starting up, shutting down, in recovery mode: so a PostgreSQL server refuses connections that it soon takes."""


class Database:
    """An engine with hpsearch's settings, its transactions timed and its errors translated.

    Args:
        url: Where the database is. Its schema is there already.
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        self.seconds = 0.0
        self._at_door = True
        self._met = False
        """Whether a connection was made: there is a server, and what it says later does not mean a wrong address."""
        self._file = sqlite_file(url)
        self._inode = os.stat(self._file).st_ino if self._file is not None and self._file.exists() else None
        self._open = threading.local()  # a runner's heartbeats may come from a thread of their own
        self.patience = Patience()
        settings: dict[str, Any] = {}
        if url.get_backend_name() == "sqlite":
            settings["connect_args"] = {"timeout": BUSY_TIMEOUT_S}
        else:
            settings |= servers.engine_settings(url)
        self.engine: Engine = sqlalchemy.create_engine(url, **settings)
        if url.get_backend_name() == "sqlite":
            event.listen(self.engine, "connect", _configure_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        if servers.is_libpq(url):
            event.listen(self.engine, "connect", servers.configure_session)
        event.listen(self.engine, "connect", self._meet)
        # A reader sees one state, however many statements it takes. (SQLite's sees one in any transaction.)
        one_state: dict[str, Any] = {"isolation_level": "REPEATABLE READ"} if self.dialect == "postgresql" else {}
        self._reading = self.engine.execution_options(**one_state)
        self._writing = self.engine.execution_options(hpsearch_write=True)

    @property
    def dialect(self) -> str:
        """``sqlite``, ``postgresql``, ``mysql`` ..."""
        return self.engine.dialect.name

    def _meet(self, *_: object) -> None:
        self._met = True

    def opened(self) -> None:
        """From now on an error is a failure in the middle of a run, not bad input."""
        self._at_door = False

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that reads. On SQLite and PostgreSQL it sees one state."""
        with self.timed(), self._reading.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write. On SQLite it takes the write lock first, so that it cannot deadlock."""
        with self.timed(), self._writing.begin() as connection:
            yield connection

    def reading(self, work: Callable[[Connection], T]) -> T:
        """What comes of some work in a transaction that reads, tried again where a server was away.

        Args:
            work: Does it, from the beginning each time.
        """

        def attempt() -> T:
            with self.read() as connection:
                return work(connection)

        return self.patience.run(attempt)

    def writing(self, work: Callable[[Connection, T | None], T]) -> T:
        """What comes of some work in a transaction that may write, tried again where a server was away.

        Args:
            work: Does it, from the beginning each time. It is given the transaction, and what an earlier try would
                have returned that was lost while it committed, so that nobody knows whether the server carried that
                out; else None. It looks whether it did, and does nothing twice.
        """
        doubted: T | None = None

        def attempt() -> T:
            nonlocal doubted
            committing = False
            try:
                with self.write() as connection:
                    result = work(connection, doubted)
                    committing = True
            except PassingFailure:
                if committing:
                    doubted = result
                raise
            return result

        return self.patience.run(attempt)

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Count the time as the store's, and turn database errors into hpsearch's."""
        began = time.perf_counter()
        outer = getattr(self._open, "timed", False)
        self._open.timed = True
        try:
            self._check_there()
            with self.translated():
                yield
        finally:
            self._open.timed = outer
            if not outer:
                self.seconds += time.perf_counter() - began

    def translated(self) -> contextlib.AbstractContextManager[None]:
        """Turn whatever is raised into one line: that of bad input while nothing has come of the storage asked for."""
        return translated(self.url, door=self._at_door, passing=self._met)

    def _check_there(self) -> None:
        # A SQLite file that was deleted stays open and takes every write, for nobody.
        if self._file is None:
            return
        try:
            there = os.stat(self._file).st_ino
        except OSError:
            there = None
        if there != self._inode:
            raise StorageFailure(
                f"the database {self._file} was deleted or replaced while in use; what was not saved elsewhere is lost"
            )

    def close(self) -> None:
        """Let go of every connection."""
        self.engine.dispose()


def _configure_sqlite(connection: DBAPIConnection, _: object) -> None:
    # The driver must not open transactions of its own: `_begin_sqlite` says which kind is meant.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    # NORMAL is durable against a crash of the process, and in WAL mode a power cut costs the last transactions
    # at most, never the database; those trials run again with the same result. In the other modes, in which
    # somebody else's database may be, it may cost the database; there SQLite's own FULL stays.
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("hpsearch_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextlib.contextmanager
def translated(url: URL, *, door: bool, passing: bool = False) -> Iterator[None]:
    """Turn whatever SQLAlchemy, a driver or Optuna raises into one line.

    Args:
        url: The database, for the message.
        door: Whether nothing has been run yet, so that the storage asked for is to blame (exit code 2).
        passing: Whether a server has been there, so that one that is away may come again (`PassingFailure`).
    """
    try:
        yield
    except (sqlalchemy.exc.DBAPIError, sqlite3.Error) as error:
        raise _explained(url, error, door=door, passing=passing) from error
    except HpsearchError:
        raise
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        # What hpsearch wrote it can read: somebody else has written there.
        raise (BadStorage if door else StorageFailure)(_damaged(show(url), str(error))) from error
    except Exception as error:
        # Optuna wraps SQLAlchemy's error in its own; importing Optuna's class here would cost 0.3 s.
        if type(error).__name__ != "StorageInternalError":
            raise
        raise _explained(url, error.__cause__ or error, door=door, passing=passing) from error


def _damaged(where: str, how: str) -> str:
    return (
        f"the database {where} is damaged ({how}); "
        "`hpsearch db check` says more, `hpsearch db repair --salvage` saves what can be read"
    )


def _explained(url: URL, error: BaseException, *, door: bool, passing: bool) -> HpsearchError:
    original = getattr(error, "orig", None) or error
    said = " ".join(str(original).split())
    where = show(url)
    reasons = {
        "readonly": f"the database {where} is read-only here; make it writable or give another --storage",
        "read-only": f"the database {where} is read-only here; make it writable or give another --storage",
        "is full": f"the disk of {where} is full; free some space and start again: nothing recorded is lost",
        "not a database": f"{where} is not a SQLite database; give another --storage",
        "malformed": _damaged(where, said),
        "Could not decode": _damaged(where, "a text that is none"),
        "no such table": _damaged(where, said),
        "unable to open": f"cannot open {where}: is its folder there, and are you allowed to write to it?",
        "is locked": f"the database {where} was locked by another program for {BUSY_TIMEOUT_S:.0f} s; try again",
    }
    kind: type[HpsearchError] = BadStorage if door else StorageFailure
    there = passing or _BETWEEN in said
    if there and isinstance(error, sqlalchemy.exc.DBAPIError) and passes(error):
        kind, said = PassingFailure, " ".join((str(original).strip() or "no word from it").splitlines()[0].split())
    for sign, message in reasons.items():
        if sign in said:
            return kind(message)
    return kind(f"the database {where} does not work: {said}")
