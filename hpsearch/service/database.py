"""The service's own database, beside the study database: jobs, tokens and sessions.

Of a SQLite file ``studies/hpsearch.db`` it is ``studies/hpsearch-service.db``; on PostgreSQL the schema
``hpsearch_service`` of the same database.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection

from hpsearch.errors import BadStorage
from hpsearch.store.engine import Database, folder_lock, parse_url, show, sqlite_file, translated

SCHEMA = "hpsearch_service"
METADATA = sqlalchemy.MetaData()  # the tables; `hpsearch.service.jobs` and `hpsearch.service.credentials` define theirs


def url_of(storage: str) -> URL:
    """Return the URL of the service's database beside a study database.

    Raises:
        BadStorage: The study database is of a kind that has no place beside it.
    """
    url = parse_url(storage)
    if url.get_backend_name() != "sqlite":
        return url
    if (file := sqlite_file(url)) is None:
        raise BadStorage(f"the service cannot keep its jobs beside {show(url)}; give the path of a database file")
    return URL.create("sqlite", database=str(file.with_name(f"{file.stem}-service{file.suffix}")))


def open_service(storage: str) -> Database:
    """Open the service's database beside a study database; it and its tables are made where they are missing.

    Args:
        storage: The study database, which exists.
    """
    url = url_of(storage)
    with translated(url, door=True):
        if (file := sqlite_file(url)) is not None:
            _make_file(file)  # a `Database` refuses a file that was not there when it began
        database = Database(url)
        try:
            if database.dialect == "postgresql":
                event.listen(database.engine, "connect", _in_schema)
            with database.exclusive():
                _make_tables(database)
        except BaseException:
            database.close()
            raise
    database.opened()
    return database


def _make_file(file: Path) -> None:
    with folder_lock(file), closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")  # readers do not wait for writers; the file keeps it


def _in_schema(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"SET search_path TO {SCHEMA}")
    cursor.close()
    connection.commit()


def _make_tables(database: Database) -> None:
    with database.write() as connection:
        if database.dialect == "postgresql":
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        METADATA.create_all(connection)
