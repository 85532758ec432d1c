"""Storages as URLs: what was asked for, the file it means, and how it is shown."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

import sqlalchemy
from sqlalchemy.engine import URL, make_url

from hpsearch.errors import BadStorage, MissingExtra

_DRIVERS = {
    "postgresql": ("postgresql+psycopg://USER@HOST/DATABASE", "psycopg[binary]"),
    "mysql": ("mysql+pymysql://USER@HOST/DATABASE", "pymysql"),
}
_ALLOWED = "a file such as studies/hpsearch.db, sqlite:///FILE, " + " or ".join(
    example for example, _ in _DRIVERS.values()
)


def parse_url(storage: str) -> URL:
    """A storage as a SQLAlchemy URL: one that is written out, or the path of a SQLite file.

    Raises:
        BadStorage: Neither, or of a kind that cannot hold studies.
        MissingExtra: The database's driver is not installed.
    """
    if "://" not in storage:
        if not storage.strip() or "\0" in storage:
            raise BadStorage(f"{storage!r} is not a storage; give {_ALLOWED}")
        return _on_disk(URL.create("sqlite", database=storage))
    try:
        url = make_url(storage)
        url.get_dialect().import_dbapi()
    except ImportError as error:
        backend = storage.partition("://")[0].partition("+")[0]
        example, package = _DRIVERS.get(backend, (f"{backend}://...", str(error.name)))
        raise MissingExtra(
            f"the driver for {backend} is not installed; pip install '{package}', and give {example}"
        ) from error
    except sqlalchemy.exc.ArgumentError as error:
        scheme = storage.partition("://")[0]
        raise BadStorage(f"unknown storage scheme {scheme!r}; give {_ALLOWED}") from error
    except ValueError as error:  # a port that is no number
        raise BadStorage(f"the storage is not a URL ({error}); give {_ALLOWED}") from error
    return _on_disk(url)


def _on_disk(url: URL) -> URL:
    if url.get_backend_name() == "sqlite":
        name = url.database or ""
        if name in ("", "file:") or ":memory:" in name or url.query.get("mode") == "memory" or "mode=memory" in name:
            raise BadStorage("a SQLite database in memory would be gone after the command; give a file")
    return url


def sqlite_file(url: URL) -> Path | None:
    """The file of a SQLite URL; None for a server's, or for SQLite's own ``file:`` URIs."""
    if url.get_backend_name() != "sqlite" or url.database is None or url.database.startswith("file:"):
        return None
    return Path(url.database)


def no_database_yet(storage: str) -> bool:
    """Whether a storage is a SQLite file that is still to be made."""
    file = sqlite_file(parse_url(storage))
    return file is not None and not os.path.exists(file)


def show(url: URL) -> str:
    """A storage for people: the file, or the URL without its password."""
    if url.get_backend_name() == "sqlite" and url.database is not None:
        name = url.database
        return unquote(name.removeprefix("file:")) if name.startswith("file:") else name
    return url.render_as_string(hide_password=True)
