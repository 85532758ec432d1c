"""The database engine: storages as URLs, connections to SQLite and PostgreSQL, transactions, errors and retries."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import random
import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import quote, unquote

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError

from hpsearch.errors import (
    BadStorage,
    DamagedStorage,
    HpsearchError,
    MissingExtra,
    StorageFailure,
    TransientStorageError,
)
from hpsearch.records import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.engine.interfaces import DBAPIConnection

    from hpsearch.store.claims import Snapshot

T = TypeVar("T")

MAGIC = b"SQLite format 3\0"  # the first bytes of a SQLite file
LOG, JOURNAL = "-wal", "-journal"  # beside a database: changes that are not yet in it, or pages as they were before
SIDE_FILES = (LOG, "-shm", JOURNAL)
BUSY_TIMEOUT_S = 60.0  # seconds that a SQLite connection waits for another one's write
LOCK_WAIT_S = 60  # seconds to wait for a server's lock
PATIENCE_S = 60.0  # seconds for which an operation is tried again: a server restarts, and leases last twice as long
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 8.0
_NAP_S = 0.25  # seconds between two checks whether to stop, while waiting
_DRIVER = "psycopg[binary]"
_ALLOWED = "give a file such as studies/hpsearch.db, sqlite:///FILE, or postgresql+psycopg://USER@HOST/DATABASE"

_LIBPQ = {  # libpq's connection options (seconds; the last in ms). Those of a URL go before them
    "connect_timeout": "10",
    # A server, or the way to it, may vanish without a word; the kernel's own patience is two hours.
    "keepalives_idle": "20",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "40000",
}
_SESSION = {
    # The other way round: what a machine held that vanished in the middle of a transaction, the server lets go.
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
    "idle_in_transaction_session_timeout": "60s",
    "application_name": "hpsearch",
    # A cached generic plan would have been made for empty tables; plan every execution anew.
    "plan_cache_mode": "force_custom_plan",
}
_POOL = {
    "pool_pre_ping": True,
    "pool_size": 2,  # a runner needs one, and a second while it holds the lock of `Database.exclusive`
    "max_overflow": 3,
    "pool_recycle": 1800,  # firewalls forget connections that are quiet
    # There is no hstore among Optuna's columns, and looking for it costs every first connection a query.
    "use_native_hstore": False,
}
# Beginnings of the SQLSTATEs of what may pass: connections that were lost, shutdowns, starting up, sessions that idled;
# and, the last two, transactions that were in each other's way.
_PASSING_STATES = ("08", "57P01", "57P02", "57P03", "57P05", "25P03", "40001", "40P01")
_BETWEEN = "the database system is "  # ... starting up, shutting down; libpq reports these without SQLSTATE
_READ_ONLY = "the database {} is read-only here; make it writable or give another storage"
_DISK_FULL = "the disk of {} is full; free some space and start again: nothing recorded is lost"
# Files that were seen to be databases: path, device, inode. Such a file is opened here once in a process, as closing it
# takes away the locks that SQLite has on it for its connections (https://sqlite.org/howtocorrupt.html, 2.2):
# then another process that ends removes the log that they read and write.
_databases: set[tuple[str, int, int]] = set()
_MESSAGES = {  # by SQLite's primary code, or SQLSTATE
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    "25006": _READ_ONLY,
    sqlite3.SQLITE_FULL: _DISK_FULL,
    "53100": _DISK_FULL,
    sqlite3.SQLITE_NOTADB: "{} is not a SQLite database; give another storage",
    sqlite3.SQLITE_CANTOPEN: "cannot open {}: is its folder there, and are you allowed to write to it?",
    sqlite3.SQLITE_BUSY: f"the database {{}} was locked by another program for {BUSY_TIMEOUT_S:.0f} s; try again",
}


def parse_url(storage: str) -> URL:
    """Return a storage as a SQLAlchemy URL: one that is written out, or the path of a SQLite file.

    Raises:
        BadStorage: Neither, or of a kind that cannot hold studies.
        MissingExtra: PostgreSQL's driver is not installed.
    """
    if storage.encode(errors="replace").decode() != storage:
        raise BadStorage(f"the path {storage!r} is not UTF-8; change to its folder and give the file's name alone")
    if not storage.strip() or "\0" in storage:
        raise BadStorage(f"{storage!r} is not a storage; {_ALLOWED}")
    if "://" not in storage:
        return _on_disk(URL.create("sqlite", database=storage))
    scheme = storage.partition("://")[0]
    backend, _, driver = scheme.partition("+")
    if backend != "sqlite" and (backend != "postgresql" or driver not in ("", "psycopg", "psycopg2")):
        raise BadStorage(f"unknown storage scheme {scheme!r}; {_ALLOWED}")
    try:
        url = make_url(storage)
        url.get_dialect().import_dbapi()
    except ImportError as error:
        raise MissingExtra(f"the driver {error.name} is not installed; pip install '{_DRIVER}'") from error
    except sqlalchemy.exc.ArgumentError as error:
        raise BadStorage(f"unknown storage scheme {scheme!r}; {_ALLOWED}") from error
    except ValueError as error:  # a port that is no number
        raise BadStorage(f"the storage is not a URL ({error}); {_ALLOWED}") from error
    return _on_disk(url)


def _on_disk(url: URL) -> URL:
    if url.get_backend_name() == "sqlite":
        name = url.database or ""
        if name in ("", "file:") or ":memory:" in name or url.query.get("mode") == "memory" or "mode=memory" in name:
            raise BadStorage("a SQLite database in memory would be gone after the command; give a file")
    return url


def sqlite_file(url: URL) -> Path | None:
    """Return the file of a SQLite URL; None for a server's, or for SQLite's own ``file:`` URIs."""
    if url.get_backend_name() != "sqlite" or url.database is None or url.database.startswith("file:"):
        return None
    return Path(url.database)


def no_database_yet(storage: str) -> bool:
    """Return whether a storage is a SQLite file that is still to be made."""
    file = sqlite_file(parse_url(storage))
    return file is not None and not os.path.exists(file)


def show(url: URL) -> str:
    """Return a storage for people: the file, or the URL without its password."""
    if url.get_backend_name() == "sqlite" and url.database is not None:
        return unquote(url.database.removeprefix("file:")) if url.database.startswith("file:") else url.database
    return url.render_as_string(hide_password=True)


def beside(file: Path, end: str) -> Path:
    """Return the path of a database's log or journal, whether or not there is one."""
    return file.with_name(file.name + end)


def left_in(file: Path, *ends: str) -> Path | None:
    """Return the first of a database's log and journal that is not empty; None where both are, or are not there."""
    for end in ends:
        with contextlib.suppress(FileNotFoundError):
            if (path := beside(file, end)).stat().st_size:
                return path
    return None


def as_permitted(url: URL, *, write: bool) -> URL:
    """Return the URL with which a database is opened whose file may be read-only here.

    A reader of a database in WAL mode wants to make side files next to it. Where it may not, and nobody has left a
    log that would have to be read, or a journal to be rolled back, the file can be opened as one that does not change.
    """
    file = sqlite_file(url)
    if file is None or (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
        return url
    if write:
        raise BadStorage(_READ_ONLY.format(file))
    if left_in(file, LOG, JOURNAL) is not None:
        return url
    return url.set(database=f"file:{quote(str(file))}", query={"immutable": "1", "uri": "true"})


def check_there(file: Path, *, create: bool = False, search: str | None = None) -> bytes:
    """Return the first bytes of a database file that is there, none where it is to be made; else raise BadStorage."""
    folder = file.parent
    try:
        if not create and not file.exists():
            making = Action("start", {"search": search, "storage": str(file)})
            raise BadStorage(f"no database {file}; `{{}}` makes one", making)
        if not folder.is_dir():
            raise BadStorage(f"the folder {folder} of the database {file} does not exist; make it first")
        if file.is_dir():
            raise BadStorage(f"{file} is a folder; give the path of a database file")
        if file.exists() and not file.is_file():  # a pipe would never end, and a device must not be replaced
            raise BadStorage(f"{file} is not a regular file; give the path of a database file")
        state = file.stat()
        known = str(file.resolve()), state.st_dev, state.st_ino
        if state.st_size and known in _databases:
            return MAGIC
        with file.open("rb") as stream:
            start = stream.read(len(MAGIC))
        if start == MAGIC:
            _databases.add(known)
    except FileNotFoundError:
        start = b""
    except OSError as error:
        raise BadStorage(f"cannot read the database {file}: {error.strerror}") from error
    if not start and not create:
        raise BadStorage(f"the database {file} is empty; `{{}}` fills it", Action("start", {"storage": str(file)}))
    return start


class Database:
    """An engine with hpsearch's settings, its transactions timed and its errors translated.

    Args:
        url: What to open.
        shared: Use the engine of others of this process, where these share it; see `sharing_engines`.
    """

    def __init__(self, url: URL, *, shared: bool = False) -> None:
        self.url = url
        self.engine: Engine
        self.snapshots: dict[int, Snapshot]  # the last one of each study, from which the next one is quick to take
        self.seconds = 0.0
        self._at_door = True
        self._met = False  # true once a connection was made: later errors do not mean a wrong address
        self._file = sqlite_file(url)
        self._inode = None if self._file is None else _inode(self._file)
        self._note: Callable[[str], object] = lambda text: None
        self._stopping: Callable[[], bool] = lambda: False
        self._spent = False  # True if the last operation was given up: the next one is tried once
        common = _common_engine(url, self._inode) if shared else None
        self._shares = common is not None
        self.engine, self.snapshots = common or (_make_engine(url), {})
        sqlite = self.dialect == "sqlite"
        # A reader sees one state, however many statements it takes. (SQLite's sees one in any transaction.)
        self._reading = self.engine if sqlite else self.engine.execution_options(isolation_level="REPEATABLE READ")
        self._writing = self.engine.execution_options(hpsearch_write=True)

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.engine.dialect.name

    def opened(self) -> None:
        """Take errors from now on for failures in the middle of a run, not for bad input."""
        self._at_door = False

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that reads, and sees one state."""
        with self._timed(), self._reading.begin() as connection:
            self._met = True
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that may write. On SQLite it takes the write lock first, so that it cannot deadlock."""
        with self._timed(), self._writing.begin() as connection:
            self._met = True
            yield connection

    def reading(self, work: Callable[[Connection], T]) -> T:
        """Return what comes of some work in a transaction that reads, tried again where a server was away."""

        def attempt() -> T:
            with self.read() as connection:
                return work(connection)

        return self.retry(attempt)

    def writing(self, work: Callable[[Connection, T | None], T]) -> T:
        """Return what comes of some work in a transaction that may write, tried again where a server was away.

        The work is repeated from the start. If the connection broke during a commit, the result that this may have
        stored is passed to the next attempt, which must not store it twice; else None.
        """
        doubted: T | None = None

        def attempt() -> T:
            nonlocal doubted
            committing = False
            try:
                with self.write() as connection:
                    result = work(connection, doubted)
                    committing = True
            except TransientStorageError:
                if committing:
                    doubted = result
                raise
            return result

        return self.retry(attempt)

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        """Count the time as the store's, and turn database errors into hpsearch's."""
        began = time.perf_counter()
        try:
            self.check_there()
            with self.translated():
                yield
        finally:
            self.seconds += time.perf_counter() - began

    def translated(self) -> contextlib.AbstractContextManager[None]:
        """Turn errors into hpsearch's: those of bad input while nothing has come of the storage yet."""
        return translated(self.url, door=self._at_door, passing=self._met)

    def check_there(self) -> None:
        """Raise StorageFailure where the SQLite file was deleted: it stays open, and what is written to it is lost."""
        if self._file is not None and _inode(self._file) != self._inode:
            raise StorageFailure(
                f"the database {self._file} was deleted or replaced while in use; what was not saved elsewhere is lost"
            )

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold a lock that every hpsearch process respects, whatever else it does: a server's, or a folder's."""
        if self._file is not None:
            with folder_lock(self._file):
                yield
            return
        with self.translated(), self.engine.begin() as connection:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_WAIT_S}s'")
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7740317)")
            yield

    def check_writable(self) -> None:
        """Raise BadStorage where studies may only be read: on a standby, or in tables of another user's."""
        with self.write() as connection:
            if self.dialect == "sqlite":
                return
            rights = " AND ".join(f"has_table_privilege('trials', '{r}')" for r in ("INSERT", "UPDATE", "DELETE"))
            query = f"SELECT current_setting('transaction_read_only'), {rights}"
            read_only, permitted = connection.exec_driver_sql(query).one()
        where = show(self.url)
        if read_only == "on":
            raise BadStorage(
                f"the database {where} is read-only here; give the address of the server that takes writes"
            )
        if not permitted:
            raise BadStorage(f"the user of {where} may not write to its tables; have their owner GRANT that")

    def on_disconnect(self, note: Callable[[str], object], stopping: Callable[[], bool]) -> None:
        """Set what to call when the server's connection is lost: ``note``, and ``stopping``, which may end the wait."""
        self._note, self._stopping = note, stopping

    def retry(self, attempt: Callable[[], T]) -> T:
        """Carry a whole operation out, again and again while the server is away, for up to `PATIENCE_S`."""
        end, waits = math.inf, pauses()
        while True:
            try:
                result = attempt()
            except TransientStorageError as error:
                if end == math.inf and not self._spent:
                    end = time.monotonic() + PATIENCE_S
                    self._note(f"{error}; trying again for up to {PATIENCE_S:.0f} s")
                if self._spent or not self._wait(min(time.monotonic() + next(waits), end)) or time.monotonic() >= end:
                    self._spent = True
                    raise StorageFailure(f"{error}; start again once it does: nothing recorded is lost") from error
            else:
                self._spent = False
                return result

    def _wait(self, until: float) -> bool:
        """Wait; return False if somebody said stop."""
        while (left := until - time.monotonic()) > 0 and not self._stopping():
            time.sleep(min(left, _NAP_S))
        return not self._stopping()

    def close(self) -> None:
        """Let go of every connection; others may have the engine still."""
        if not self._shares:
            self.engine.dispose()


def _make_engine(url: URL, **options: Any) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = sqlalchemy.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S}, **options)
        event.listen(engine, "begin", _begin_sqlite)
        event.listen(engine, "connect", _configure_sqlite)
    else:
        settings = {name: value for name, value in _LIBPQ.items() if name not in url.query}
        engine = sqlalchemy.create_engine(url, connect_args=settings, **{**_POOL, **options})
        event.listen(engine, "connect", _configure_session)
    return engine


_Common: TypeAlias = "tuple[Engine, dict[int, Snapshot]]"
_common: dict[tuple[URL, int | None], _Common] = {}  # by the URL and the file's number
_sharing = 0  # number of blocks of `sharing_engines` that run
_common_lock = threading.Lock()


@contextlib.contextmanager
def sharing_engines() -> Iterator[None]:
    """Let stores of this process share an engine while the block runs, and their snapshots, as is good for a server.

    Compiling its statements, which an engine does once, is two thirds of what a small read takes; and of a large one
    counting all trials of a stage, where these that have changed since the last snapshot would do.
    """
    global _sharing
    with _common_lock:
        _sharing += 1
    try:
        yield
    finally:
        with _common_lock:
            _sharing -= 1
            while not _sharing and _common:
                _common.popitem()[1][0].dispose()


def _common_engine(url: URL, inode: int | None) -> _Common | None:
    """Return the engine and the snapshots that are shared; None where none are."""
    with _common_lock:
        if not _sharing:
            return None
        if (url, inode) not in _common:
            # A file that was deleted and made anew may have its number again: it is opened again soon.
            _common[url, inode] = _make_engine(url, max_overflow=40, pool_recycle=30), {}
        return _common[url, inode]


class Writes:
    """A reader of SQLite's own count of the writes to a database, at the cost of no other read; close it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._version: int | None = None
        self._connection: Connection | None = None
        if database.dialect == "sqlite":
            self._connection = database.engine.connect()
            self._connection.detach()  # the count is a connection's own: others must not take it from the pool

    def since(self) -> bool:
        """Return whether somebody may have written since the last call; a server does not say, so that one always."""
        if self._connection is None:
            return True
        self._database.check_there()
        with self._database.translated(), self._connection.begin():
            version = self._connection.exec_driver_sql("PRAGMA data_version").scalar()
        before, self._version = self._version, version
        return version != before

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()


def _inode(file: Path) -> int | None:
    try:
        return os.stat(file).st_ino
    except OSError:
        return None


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


def _configure_session(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("SELECT " + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in _SESSION.items()))
    cursor.close()
    connection.commit()


@contextlib.contextmanager
def folder_lock(file: Path) -> Iterator[None]:
    """Lock the folder of a file: no lock file to leave behind, and the kernel lets go when a process dies."""
    try:
        descriptor = os.open(file.parent, os.O_RDONLY)
    except OSError as error:
        raise BadStorage(f"cannot lock the folder of {file}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def translated(url: URL, *, door: bool, passing: bool = False) -> Iterator[None]:
    """Turn whatever SQLAlchemy, a driver or Optuna raises into one line.

    Damage is a DamagedStorage. With ``door`` any other error is a BadStorage (exit code 2), else a StorageFailure. With
    ``passing`` a lost connection is a TransientStorageError.
    """
    kind: type[HpsearchError] = BadStorage if door else StorageFailure
    try:
        yield
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        # hpsearch can read what it wrote: somebody else has written there.
        raise damaged(show(url), str(error)) from error
    except Exception as error:
        # Optuna wraps SQLAlchemy's error in its own; importing Optuna's class here would cost 0.3 s.
        cause = error.__cause__ if type(error).__name__ == "StorageInternalError" else error
        if not isinstance(cause, DBAPIError | sqlite3.Error):
            raise
        raise _explained(url, cause, kind, passing=passing) from error


def damaged(where: str, how: str) -> DamagedStorage:
    return DamagedStorage(
        f"the database {where} is damaged ({how}); `{{}}` says more, `{{}}` saves what can be read",
        Action("db check", {"storage": where}),
        Action("db repair", {"salvage": True, "storage": where}),
    )


def _explained(
    url: URL, error: DBAPIError | sqlite3.Error, kind: type[HpsearchError], *, passing: bool
) -> HpsearchError:
    original = getattr(error, "orig", None) or error
    reason, where = " ".join(str(original).split()), show(url)
    if isinstance(error, DBAPIError) and (passing or _BETWEEN in reason) and passes(error):
        first = (str(original).strip() or "the server said nothing").splitlines()[0]
        return TransientStorageError(f"the database {where} does not work: {' '.join(first.split())}")
    code: Any = _sqlstate(original)
    if isinstance(original, sqlite3.Error):
        code = getattr(original, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        # SQLITE_ERROR: a table that is gone. Without a code: a text that is no UTF-8.
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR):
            return damaged(where, reason)
        kind = DamagedStorage if code == sqlite3.SQLITE_NOTADB else kind
    return kind(_MESSAGES.get(code, "the database {} does not work: " + reason).replace("{}", where, 1))


def _sqlstate(error: BaseException | None) -> str | None:
    state: str | None = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return state


def passes(error: DBAPIError) -> bool:
    """Return whether the same operation may succeed when it is tried again. (SQLite's own waiting is bounded.)"""
    if error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        return False
    state = _sqlstate(error.orig)
    if state is None:  # no word from the server: there is none, or the way to it is cut
        return isinstance(error, sqlalchemy.exc.OperationalError)
    return state.startswith(_PASSING_STATES)


def pauses() -> Iterator[float]:
    """Yield the seconds to wait before each further try, growing to a bound."""
    pause = _FIRST_PAUSE_S
    while True:
        yield pause * random.uniform(0.5, 1.0)  # so that the runners that lost the same server do not come all at once
        pause = min(2 * pause, _LONGEST_PAUSE_S)
