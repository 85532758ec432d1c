"""Opening a storage: is it there, is it Optuna's, and which way of writing fits its schema?"""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import sqlalchemy
from sqlalchemy import inspect, select
from sqlalchemy.engine import URL

from hpsearch.commands import command_line
from hpsearch.errors import BadStorage
from hpsearch.store import servers, tables
from hpsearch.store.database import Database, translated
from hpsearch.store.exclusion import exclusive, folder_lock
from hpsearch.store.schema import create_sqlite, let_optuna_create
from hpsearch.store.side_files import JOURNAL, LOG, SIDE_FILES, beside, left_in, may_write
from hpsearch.store.urls import parse_url, show, sqlite_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection

    from hpsearch.store.base import Store

MAGIC = b"SQLite format 3\0"
"""How a SQLite file begins."""


def open_store(storage: str, *, create: bool = False, write: bool = False) -> Store:
    """Open a study database.

    Args:
        storage: A SQLAlchemy URL, or the path of a SQLite file.
        create: Make the database and its schema where they are missing. Safe when several processes do so at once.
        write: Whether the caller will write; a read-only database is refused here then, not later.

    Raises:
        BadStorage: It cannot be opened, is not Optuna's, or has a schema that this Optuna does not know.
        MissingExtra: The database's driver is not installed.
    """
    try:
        storage.encode()
    except UnicodeEncodeError as error:
        raise BadStorage(f"{storage!r} is not a storage: its name is not text in UTF-8") from error
    url = parse_url(storage)
    file = sqlite_file(url)
    if url.get_backend_name() == "sqlite" and url.query:
        with _strict_options(url):  # on a database of no importance, before a file is made
            sqlalchemy.create_engine(url.set(database=":memory:")).connect().close()
    if file is not None:
        _check_sqlite_file(file, create=create)
        url = as_permitted(file, url, write=write)
    with _strict_options(url):
        database = Database(url)

        def attempt() -> Store:
            with database.translated():
                store = _store_for(database, _revision(database, create=create))
            if write:
                with database.write() as connection:
                    servers.check_writable(connection, show(url))
            return store

        try:
            store = database.patience.run(attempt)
        except BaseException:
            database.close()
            raise
    database.opened()
    return store


@contextlib.contextmanager
def _strict_options(url: URL) -> Iterator[None]:
    """Refuse what SQLAlchemy or a driver only warns of, or cannot read, among a URL's options."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", sqlalchemy.exc.SAWarning)
            yield
    except (sqlalchemy.exc.SAWarning, ValueError, TypeError) as error:
        raise BadStorage(f"the options of the storage {show(url)} cannot be used: {error}") from error


def as_permitted(file: Path, url: URL, *, write: bool) -> URL:
    """The URL to open a file with that may be read-only here.

    A reader of a database in WAL mode wants to make side files next to it. Where it may not, and nobody has left a
    log that would have to be read, or a journal to be rolled back, the file can be opened as one that does not change.
    """
    if may_write(file):
        return url
    if write:
        raise BadStorage(f"the database {file} is read-only here; make it writable or give another --storage")
    if left_in(file, LOG, JOURNAL) is not None:
        return url
    return url.set(database=f"file:{quote(str(file))}", query={"immutable": "1", "uri": "true"})


def check_there(file: Path, *, create: bool = False) -> bytes:
    """Whether there is a file to open, and how it begins; nothing where it is to be made.

    Raises:
        BadStorage: There is none, or what is there is no file that can be read.
    """
    folder = file.parent
    try:
        if not create and not file.exists():
            raise BadStorage(f"no database {file}; `{command_line('start', None, str(file))}` makes one")
        if not folder.is_dir():
            raise BadStorage(f"the folder {folder} of the database {file} does not exist; make it first")
        if file.is_dir():
            raise BadStorage(f"{file} is a folder; give the path of a database file")
        if file.exists() and not file.is_file():  # a pipe would never end, and a device must not be replaced
            raise BadStorage(f"{file} is not a regular file; give the path of a database file")
        with file.open("rb") as stream:
            start = stream.read(len(MAGIC))
    except FileNotFoundError:
        start = b""
    except OSError as error:
        raise BadStorage(f"cannot read the database {file}: {error.strerror}") from error
    if not start and not create:
        raise BadStorage(f"the database {file} is empty; `{command_line('start', None, str(file))}` fills it")
    return start


def _check_sqlite_file(file: Path, *, create: bool) -> None:
    start = check_there(file, create=create)
    if start and start != MAGIC:
        raise BadStorage(f"{file} is not a SQLite database; give another --storage, or see `hpsearch db check`")
    if not start:
        with translated(URL.create("sqlite", database=str(file)), door=True):
            _create_sqlite(file)


def _create_sqlite(file: Path) -> None:
    """Make a database with Optuna's schema beside ``file`` and move it there whole.

    Optuna's own creation in place is no single transaction: two processes at it crash each other, and a full
    disk leaves half a schema.
    """
    try:
        file = file.resolve()  # a link stays a link
        with folder_lock(file):
            if file.exists() and file.stat().st_size > 0:
                return
            descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
            os.close(descriptor)
            try:
                create_sqlite(name)
                os.chmod(name, 0o666 & ~_umask())
                os.replace(name, file)
            finally:
                for end in ("", *SIDE_FILES):
                    beside(Path(name), end).unlink(missing_ok=True)
    except OSError as error:
        raise BadStorage(f"cannot make the database {file}: {error.strerror}") from error


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _revision(database: Database, *, create: bool) -> str:
    found = _read_revision(database)
    if found is None and create:
        with exclusive(database):
            found = _read_revision(database)
            if found is None:
                let_optuna_create(database.url)
                found = _read_revision(database)
    if found is None:
        start = command_line("start", None, show(database.url))
        raise BadStorage(f"the database {show(database.url)} holds no studies; `{start}` makes some")
    return found


def _read_revision(database: Database) -> str | None:
    with database.read() as connection:
        names = set(inspect(connection).get_table_names())
        if "alembic_version" in names and {"studies", "trials"} <= names:
            return connection.execute(select(tables.alembic_version.c.version_num)).scalar()
        if _half_made(connection, names):
            return None
    if "studies" in names or "alembic_version" in names:
        raise BadStorage(
            f"the tables of {show(database.url)} are not of a schema that Optuna can use; give another --storage"
        )
    if names and database.dialect == "sqlite":
        raise BadStorage(
            f"{show(database.url)} holds other tables ({', '.join(sorted(names)[:3])}), not Optuna's; "
            "give another --storage"
        )
    return None


def _half_made(connection: Connection, names: set[str]) -> bool:
    """Whether somebody was cut off while Optuna made the tables, which its next try then completes."""
    optunas = set(tables.metadata.tables) - {"alembic_version"}  # it makes these in one transaction
    if not optunas <= names or "alembic_version" in names:
        return False
    return connection.execute(select(tables.studies.c.study_id).limit(1)).first() is None


def _store_for(database: Database, revision: str) -> Store:
    if revision == tables.REVISION:
        from hpsearch.store.bulk import BulkStore

        return BulkStore(database)
    from hpsearch.store.fallback import FallbackStore

    try:
        return FallbackStore(database)
    except (RuntimeError, sqlalchemy.exc.InvalidRequestError) as error:
        raise BadStorage(
            f"the database {show(database.url)} has the schema {revision}, which this Optuna does not know; "
            "`optuna storage upgrade --storage URL` may bring it up to date"
        ) from error
